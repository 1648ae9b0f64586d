"""Training recipes: YAML checked by pydantic, one stage a file, three sizes a stage.

A stage's file holds what all sizes share at the top and, under ``profiles``, what differs: ``smoke`` (CPU, seconds),
``tiny`` (CPU, minutes) and ``full`` (the paper's numbers). ``profile`` names the one to take. A file with ``chain``
lists stages to train one after the other.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from trainer.schema import (
    Backbones,
    Chain,
    Connector,
    Evaluate,
    File,
    Image,
    Lora,
    Model,
    Packing,
    Part,
    Perceiver,
    Recipe,
    Text,
    Train,
    Vision,
)

__all__ = [
    "Backbones", "Connector", "Evaluate", "Image", "Lora", "Model", "Packing", "Perceiver", "Recipe", "RecipeError", "Text", "Train",
    "Vision", "load", "settings",
]  # fmt: skip

_SCIENTIFIC = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
RECIPES = Path(__file__).parent / "recipes"


class RecipeError(ValueError):
    """A recipe that cannot be used; the message is one line that names the file and the key."""


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
    beside = path.parent / str(merged.get("mixture"))
    if beside.is_file():
        merged["mixture"] = str(beside)
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


def settings(given: Iterable[str]) -> dict[str, Any]:
    """``key=value`` as overrides for `load`, values as YAML reads them (and ``1e-4`` as a number). Raises RecipeError."""
    out: dict[str, Any] = {}
    for setting in given:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise RecipeError(f"--set {setting}: expected key=value, such as profile=tiny or train.lr=1e-4")
        out[key] = yaml.safe_load(value)
        if isinstance(out[key], str) and _SCIENTIFIC.fullmatch(value):  # YAML 1.1 wants 1.0e-4
            out[key] = float(value)
    return out


T = TypeVar("T", bound=Part)


def checked(kind: type[T], raw: Mapping[str, Any], path: Path) -> T:
    """The raw mapping as `kind`, its first fault as one line."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        # a misspelt key before the key it leaves out
        fault = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
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
