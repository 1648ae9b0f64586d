"""Training recipes: YAML checked by pydantic, one stage a file, three sizes a stage.

A stage's file holds what all sizes share at the top and, under ``profiles``, what differs: ``smoke`` (CPU, seconds), ``tiny`` (CPU, minutes)
and ``full`` (the paper's numbers). ``profile`` names the one to take. A file with ``chain`` lists stages to train one after the other.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

RECIPES = Path(__file__).parent / "recipes"


class RecipeError(ValueError):
    """A recipe that cannot be used; the message is one line that names the file and the key."""


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


class Model(Part):
    """Idefics2: from a checkpoint (pretrained), from published backbones, or from configurations with random weights."""

    pretrained: str | None = None
    backbones: Backbones | None = None
    text: Text | None = None
    vision: Vision | None = None
    perceiver: Perceiver = Perceiver()
    deviation: float = Field(default=0.02, gt=0)  # of the random weights

    @model_validator(mode="after")
    def one_start(self) -> Model:
        drawn = self.text is not None and self.vision is not None
        if not (self.pretrained or self.backbones or drawn):
            raise ValueError("give pretrained, or backbones, or both text and vision")
        return self


class Image(Part):
    """How images are scaled, in pixels; without a mode, as the mixture says."""

    mode: Literal["square", "native"] | None = None
    longest: int = Field(default=384, gt=0)
    shortest: int = Field(default=378, gt=0)
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
    checkpointing: bool = False  # recompute activations in the backward pass
    save_every: int | None = Field(default=None, gt=0)  # steps between checkpoints; None: at the end alone
    overwrite: bool = False  # start anew over a run of another recipe or other data


class Evaluate(Part):
    """The held-out check: validation pairs, and how often the images are permuted between them."""

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
    threads: int | None = Field(default=None, gt=0)  # of torch, on a CPU
    model: Model
    image: Image = Image()
    packing: Packing = Packing()
    train: Train
    evaluate: Evaluate = Evaluate()

    @property
    def digest(self) -> str:
        """Of everything that decides the weights; a run may be continued only under the same one."""
        kept = self.model_dump(mode="json", exclude={"evaluate": True, "train": {"save_every", "overwrite"}, "image": {"cache_mb"}})
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


def load(recipe: str | Path, overrides: Mapping[str, Any] | None = None) -> list[Recipe]:
    """The stages of a recipe: a path, or the name of a bundled one (``demo``, ``stage1``).

    overrides: dotted keys (``train.steps``, ``profile``), for every stage, or for one where a stage's name stands first
    (``stage2.train.steps``). Raises RecipeError.
    """
    path = find(recipe)
    raw = read(path)
    changes = dict(overrides or {})
    if "chain" not in raw:
        return [stage(path, raw, changes)]
    chain = checked(Chain, raw, path)
    changes = {**chain.set, **({"profile": chain.profile} if chain.profile else {}), **changes}
    files = [find(name, path.parent) for name in chain.chain]
    contents = [read(file) for file in files]
    names = {content.get("stage") for content in contents}
    recipes = []
    for file, content in zip(files, contents, strict=True):
        mine = {}
        for key, value in changes.items():
            head, _, rest = key.partition(".")
            if head in names and rest:
                if head == content.get("stage"):
                    mine[rest] = value
            else:
                mine[key] = value
        recipes.append(stage(file, content, mine))
    return recipes


def stage(path: Path, raw: Mapping[str, Any], overrides: Mapping[str, Any]) -> Recipe:
    """One stage's file, its profile and the overrides, laid over each other in that order."""
    shared = {key: value for key, value in raw.items() if key not in File.model_fields}
    changes = dict(overrides)
    own = {key: raw[key] for key in File.model_fields if key in raw}
    if "profile" in changes:
        own["profile"] = changes.pop("profile")
    file = checked(File, own, path)
    if file.profiles and file.profile not in file.profiles:
        raise RecipeError(f"{path}: profile: no {file.profile!r} here; there are {', '.join(file.profiles)}")
    merged = lay_over(shared, file.profiles.get(file.profile, {}))
    for key, value in changes.items():
        nested: Any = value
        for name in reversed(key.split(".")):
            nested = {name: nested}
        merged = lay_over(merged, nested)
    return checked(Recipe, merged, path)


def lay_over(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings, the second winning; everything but a mapping is replaced whole."""
    out = dict(under)
    for key, value in over.items():
        below = out.get(key)
        out[key] = lay_over(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return out


def find(recipe: str | Path, beside: Path | None = None) -> Path:
    """A recipe by path (also one beside another recipe), or a bundled one by name."""
    name = str(recipe)
    places = [Path(name), *([beside / name] if beside else []), RECIPES / name, RECIPES / f"{name}.yaml"]
    for place in places:
        if place.is_file():
            return place
    known = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
    raise RecipeError(f"{name}: no such recipe; the bundled ones are {known}")


def read(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys")
    return raw


T = TypeVar("T", bound=Part)


def checked(kind: type[T], raw: Mapping[str, Any], path: Path) -> T:
    """The raw mapping as `kind`, its first fault as one line."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        fault = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")  # a misspelt key before the key it leaves out
        key = ".".join(str(step) for step in fault["loc"])
        if fault["type"] == "extra_forbidden":
            near = nearest(kind, [str(step) for step in fault["loc"]])
            raise RecipeError(f"{path}: {key}: no such key{f'; did you mean {near}?' if near else ''}") from None
        raise RecipeError(f"{path}: {key or 'recipe'}: {fault['msg'].removeprefix('Value error, ')}") from None


def nearest(kind: type[Part], loc: list[str]) -> str | None:
    """The known key most like the unknown one that `loc` leads to."""
    owner: Any = kind
    for step in loc[:-1]:
        annotation = owner.model_fields[step].annotation
        options = [annotation, *getattr(annotation, "__args__", ())]  # X | None
        owner = next(option for option in options if isinstance(option, type) and issubclass(option, Part))
    close = difflib.get_close_matches(loc[-1], owner.model_fields, n=1, cutoff=0.5)
    return ".".join([*loc[:-1], close[0]]) if close else None
