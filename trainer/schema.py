"""The keys of a training recipe: every one is checked, and one that is not known is an error."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Text(Part):
    """A Mistral decoder."""

    hidden: int = Field(gt=0)
    intermediate: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    kv_heads: int = Field(gt=0)
    positions: int = Field(default=2048, gt=0)  # longest document, tokens


class Vision(Part):
    """A SigLIP tower. image and patch in pixels; image sets the grid of learned positions."""

    hidden: int = Field(gt=0)
    intermediate: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    image: int = Field(gt=0)
    patch: int = Field(default=14, gt=0)


class Perceiver(Part):
    """The resampler: latents tokens an image, whatever its size."""

    latents: int = Field(default=64, gt=0)
    depth: int = Field(default=3, gt=0)
    heads: int = Field(default=16, gt=0)
    head_dim: int = Field(default=96, gt=0)
    kv_heads: int = Field(default=4, gt=0)


class Backbones(Part):
    """Published backbones by folder or Hub name; the connector is new."""

    text: str
    vision: str


class Connector(Part):
    """What stands between the vision tower and the decoder (the paper's tables 3, 11 and 12).

    perceiver: `Perceiver`'s latents; with mlp_before behind Idefics2's modality projection, else behind one linear
    layer. linear, mlp: every patch is a token, through one linear layer or the modality projection. avg_pool,
    pixel_shuffle: factor x factor patches are a token, averaged, or side by side through one linear layer. linear_pool:
    `tokens` learned sums of all patches. All but the perceiver need square images, since their tokens an image must be
    known before an image is read.
    """

    kind: Literal["perceiver", "linear", "mlp", "avg_pool", "linear_pool", "pixel_shuffle"] = "perceiver"
    mlp_before: bool = True
    factor: int = Field(default=2, gt=0)
    tokens: int = Field(default=64, gt=0)


class Model(Part):
    """Idefics2: from a checkpoint (pretrained), from published backbones, or from configurations with random weights."""

    pretrained: str | None = None
    backbones: Backbones | None = None
    text: Text | None = None
    vision: Vision | None = None
    perceiver: Perceiver = Perceiver()
    connector: Connector = Connector()
    fusion: Literal["autoregressive", "cross_attention"] = "autoregressive"
    # decoder layers a cross-attention block; not in the paper: 2 billion new weights need 4
    cross_every: int = Field(default=4, gt=0)
    deviation: float = Field(default=0.02, gt=0)  # of the random weights

    @model_validator(mode="after")
    def one_start(self) -> Model:
        drawn = self.text is not None and self.vision is not None
        if not (self.pretrained or self.backbones or drawn):
            raise ValueError("give pretrained, or backbones, or both text and vision")
        return self


class Upscale(Part):
    """Random enlarging of images in native mode: with this chance, by a factor from a triangle over 1.5 to most, its
    peak at most.
    """

    chance: float = Field(default=0.0, ge=0, le=1)
    most: float = Field(default=3.0, ge=1.5)


class Image(Part):
    """How images are scaled, in pixels; without a mode, as the mixture says."""

    mode: Literal["square", "native"] | None = None
    longest: int = Field(default=384, gt=0)
    shortest: int = Field(default=378, gt=0)
    split: float = Field(default=0.0, ge=0, le=1)  # share of samples whose images are shown as 4 crops and the whole
    upscale: Upscale = Upscale()
    cache_mb: float = Field(default=0.0, ge=0)  # decoded images kept; for runs that see each image many times

    @model_validator(mode="after")
    def ordered(self) -> Image:
        if self.mode == "native" and self.shortest > self.longest:
            raise ValueError(f"shortest {self.shortest} is above longest {self.longest}")
        return self


class Packing(Part):
    """sequences a step and tokens a sequence; None: as the mixture says."""

    isolation: Literal["documents", "none"] = "documents"
    sequences: int | None = Field(default=None, gt=0)
    sequence_length: int | None = Field(default=None, gt=1)
    micro_sequences: int | None = Field(default=None, gt=0)  # rows a forward pass; None: the whole step at once
    long: Literal["chunk", "window", "drop"] | None = None  # what becomes of a sample longer than its sequence


class Lora(Part):
    r: int = Field(default=64, gt=0)
    alpha: int = Field(default=16, gt=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)


class Train(Part):
    """The optimiser: AdamW with a linear warm-up, then `schedule` down to 0 at the last step."""

    steps: int = Field(gt=0)
    lr: float = Field(default=1e-4, gt=0)
    warmup: int = Field(default=0, ge=0)  # steps
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(default=0.1, ge=0)
    clip: float = Field(default=1.0, gt=0)
    backbones: Literal["full", "lora", "dora", "frozen"] = "lora"
    lora: Lora = Lora()
    neftune: float = Field(default=0.0, ge=0)  # alpha of the noise on what the decoder is given
    # stop where the loss stays above this many times the lowest so far
    divergence: float | None = Field(default=None, gt=1)
    checkpointing: bool = False  # recompute activations in the backward pass
    peak_tflops: float | None = Field(default=None, gt=0)  # of the device, for MFU; None: as its name says
    save_every: int | None = Field(default=None, gt=0)  # steps between checkpoints; None: at the end alone
    overwrite: bool = False  # start anew over a run of another recipe or other data


class Evaluate(Part):
    """The held-out check: validation pairs, and how often the images are permuted between them. And answers to the
    questions of a JSONL
    file (``trainer.answers``), its first `shots` items as examples."""

    answers: str | None = None
    shots: int = Field(default=0, ge=0)
    longest: int = Field(default=32, gt=0)  # tokens of an answer

    pairs: int = Field(default=0, ge=0)
    permutations: int = Field(default=3, gt=0)
    batch: int = Field(default=16, gt=0)


class Recipe(Part):
    """One stage, one size."""

    stage: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    init_from: str | None = None  # an earlier stage of the same output folder, or a model's folder; None: new weights
    mixture: str  # a file of the run's mixtures/, or a path
    seed: int = 0
    device: str = "auto"
    dtype: Literal["float32", "bfloat16"] = "float32"
    tensorboard: bool = True
    threads: int | None = Field(default=None, gt=0)  # of torch, on a CPU
    model: Model
    image: Image = Image()
    shuffle_turns: bool = True  # of conversations; a dialogue whose turns answer each other wants its own order
    packing: Packing = Packing()
    train: Train
    evaluate: Evaluate = Evaluate()

    @property
    def digest(self) -> str:
        """Of everything that decides the weights; a run may be continued only under the same one."""
        aside: Any = {
            "evaluate": True,
            "tensorboard": True,
            "train": {"save_every", "overwrite", "peak_tflops"},
            "image": {"cache_mb"},
        }
        kept = self.model_dump(mode="json", exclude=aside)
        return hashlib.blake2b(json.dumps(kept, sort_keys=True).encode(), digest_size=16).hexdigest()


class File(Part):
    """What a stage's file may hold besides a Recipe's keys."""

    profile: str = "smoke"
    profiles: dict[str, dict[str, Any]] = {}


class Chain(Part):
    """Stages one after the other, each starting from the last; `set` goes over each of them."""

    chain: list[str] = Field(min_length=1)
    profile: str | None = None
    set: dict[str, Any] = {}
