"""The keys of a training recipe. Every key is checked, and an unknown key is an error."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from manifests.names import checked_name


class Section(BaseModel):
    """A part of a recipe: unknown keys are refused, and values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


class Text(Section):
    """The sizes of a Mistral decoder."""

    hidden: int = Field(gt=0)
    intermediate: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    kv_heads: int = Field(gt=0)
    positions: int = Field(default=2048, gt=0)  # longest document, tokens


class Vision(Section):
    """The sizes of a SigLIP tower. image and patch are in pixels; image sets the grid of learned positions."""

    hidden: int = Field(gt=0)
    intermediate: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    image: int = Field(gt=0)
    patch: int = Field(default=14, gt=0)


class Perceiver(Section):
    """The resampler. It gives `latents` tokens for an image of any size."""

    latents: int = Field(default=64, gt=0)
    depth: int = Field(default=3, gt=0)
    heads: int = Field(default=16, gt=0)
    head_dim: int = Field(default=96, gt=0)
    kv_heads: int = Field(default=4, gt=0)


class Backbones(Section):
    """Published backbones, each by its folder or its name on the Hub. The connector between them is new."""

    text: str
    vision: str


class Connector(Section):
    """The module between the vision tower and the decoder (the paper's tables 3, 11 and 12).

    perceiver: the latents of `Perceiver`, after Idefics2's modality projection if mlp_before, else after one linear
    layer. linear, mlp: one token for each patch, through one linear layer or the modality projection. avg_pool,
    pixel_shuffle: one token for factor x factor patches, which are averaged, or concatenated and put through one linear
    layer. linear_pool: `tokens` learned sums of all patches. All but the perceiver need square images of one size: the
    number of tokens of an image must be fixed before an image is read.
    """

    kind: Literal["perceiver", "linear", "mlp", "avg_pool", "linear_pool", "pixel_shuffle"] = "perceiver"
    mlp_before: bool = True
    factor: int = Field(default=2, gt=0)
    tokens: int = Field(default=64, gt=0)


class Model(Section):
    """Idefics2 from a checkpoint (pretrained), from published backbones, or from sizes with random weights."""

    pretrained: str | None = None
    backbones: Backbones | None = None
    text: Text | None = None
    vision: Vision | None = None
    perceiver: Perceiver = Perceiver()
    connector: Connector = Connector()
    fusion: Literal["autoregressive", "cross_attention"] = "autoregressive"
    # decoder layers for each cross-attention block. The paper gives no number; its 2 billion new weights imply 4
    cross_every: int = Field(default=4, gt=0)
    deviation: float = Field(default=0.02, gt=0)  # standard deviation of the random weights

    @model_validator(mode="after")
    def _one_start(self) -> Model:
        if not (self.pretrained or self.backbones or (self.text is not None and self.vision is not None)):
            raise ValueError("give pretrained, or backbones, or both text and vision")
        return self


class Upscale(Section):
    """Random enlarging of images in native mode, by a factor from a triangular distribution (1.5, most, mode most)."""

    chance: float = Field(default=0.0, ge=0, le=1)
    most: float = Field(default=3.0, ge=1.5)


class Image(Section):
    """How images are scaled, in pixels. Without a mode, the mixture decides."""

    mode: Literal["square", "native"] | None = None
    longest: int = Field(default=384, gt=0)
    shortest: int = Field(default=378, gt=0)
    split: float = Field(default=0.0, ge=0, le=1)  # share of samples whose images become 4 crops and the full image
    upscale: Upscale = Upscale()
    cache_mb: float = Field(default=0.0, ge=0)  # cache of decoded images; for runs that read each image many times

    @model_validator(mode="after")
    def _ordered(self) -> Image:
        if self.mode == "native" and self.shortest > self.longest:
            raise ValueError(f"shortest {self.shortest} is above longest {self.longest}")
        return self


class Packing(Section):
    """Sequences of a step and tokens of a sequence. None: the mixture decides."""

    isolation: Literal["documents", "none"] = "documents"
    sequences: int | None = Field(default=None, gt=0)
    sequence_length: int | None = Field(default=None, gt=1)
    micro_sequences: int | None = Field(default=None, gt=0)  # rows of a forward pass; None: all rows of the step
    long: Literal["chunk", "window", "drop"] | None = None  # what happens to a sample longer than its sequence


class Lora(Section):
    r: int = Field(default=64, gt=0)
    alpha: int = Field(default=16, gt=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)


class Train(Section):
    """The optimiser: AdamW with a linear warm-up, then `schedule` down to 0 after the last step."""

    steps: int = Field(gt=0)
    lr: float = Field(default=1e-4, gt=0)
    warmup: int = Field(default=0, ge=0)  # steps
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(default=0.1, ge=0)
    clip: float = Field(default=1.0, gt=0)
    backbones: Literal["full", "lora", "dora", "frozen"] = "lora"
    lora: Lora = Lora()
    neftune: float = Field(default=0.0, ge=0)  # alpha of the noise on the decoder's input
    divergence: float | None = Field(default=None, gt=1)  # stop if the loss stays above this multiple of its lowest
    checkpointing: bool = False  # recompute activations in the backward pass
    peak_tflops: float | None = Field(default=None, gt=0)  # of the device, for MFU; None: by the name of the device
    save_every: int | None = Field(default=None, gt=0)  # steps between checkpoints; None: only at the end
    overwrite: bool = False  # replace a run of another recipe or other data


class Evaluate(Section):
    """The evaluation after a stage: held-out pairs with permuted images, and answers to the questions of a file."""

    answers: str | None = None  # a JSONL file, see ``trainer.answers``
    shots: int = Field(default=0, ge=0)  # the first items of the file, used as examples
    longest: int = Field(default=32, gt=0)  # tokens of an answer
    pairs: int = Field(default=0, ge=0)  # held-out pairs, see ``trainer.evaluate``
    permutations: int = Field(default=3, gt=0)  # of the images over the pairs
    batch: int = Field(default=16, gt=0)


class Recipe(Section):
    """One stage at one size."""

    stage: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$"), AfterValidator(checked_name)]  # its folder has this name
    init_from: str | None = None  # an earlier stage of the same output folder, or a model's folder; None: new weights
    mixture: str  # a file of the run's mixtures/, a preset, or a path
    seed: int = 0
    device: str = "auto"
    dtype: Literal["float32", "bfloat16"] = "float32"
    tensorboard: bool = True
    threads: int | None = Field(default=None, gt=0)  # of torch, on a CPU
    model: Model
    image: Image = Image()
    on_error: Literal["skip", "raise"] = "skip"  # a damaged sample, or one with an image that cannot be decoded
    max_skipped: float = Field(default=0.01, ge=0, le=1)  # share of skipped samples above which training stops
    shuffle_turns: bool = True  # of conversations; false for dialogues whose turns depend on each other
    packing: Packing = Packing()
    train: Train
    evaluate: Evaluate = Evaluate()

    @property
    def digest(self) -> str:
        """A hash of the keys that decide what is learnt. A run is resumed only under the same digest.

        Left out are the keys that change the weights by rounding alone, so that a run goes on with other devices.
        """
        whole = ("evaluate", "tensorboard", "device", "threads", "on_error", "max_skipped")
        exclude: Any = dict.fromkeys(whole, True) | {"image": {"cache_mb"}, "packing": {"micro_sequences"}}
        exclude["train"] = {"save_every", "overwrite", "peak_tflops", "checkpointing"}
        text = json.dumps(self.model_dump(mode="json", exclude=exclude), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class File(Section):
    """The keys of a stage's file beside those of `Recipe`."""

    profile: str = "smoke"
    profiles: dict[str, dict[str, Any]] = {}


class Chain(Section):
    """Stages to train one after the other, each from the one before. `set` overrides keys of all of them."""

    chain: list[str] = Field(min_length=1)
    profile: str | None = None
    set: dict[str, Any] = {}
