"""Training recipes: YAML checked by pydantic, one stage in a file, three sizes of a stage.

A stage's file has the keys that all sizes share at the top and, under ``profiles``, the keys that differ: ``smoke`` (a
CPU, seconds), ``tiny`` (a CPU, minutes) and ``full`` (the paper's numbers). ``profile`` selects one. A file with
``chain`` lists stages to train one after the other.
"""

import os
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from manifests import strict_yaml
from manifests.nearest import nearest
from manifests.strict_yaml import YamlError
from trainer.schema import Chain, File, Recipe, Section

RECIPES = Path(__file__).parent / "recipes"
_S = TypeVar("_S", bound=Section)


class RecipeError(ValueError):
    """A recipe that cannot be used; the message is one line that names the file and the key."""


def load(recipe: str | Path, overrides: Mapping[str, Any] | None = None) -> list[Recipe]:
    """The stages of a recipe: a path, or the name of a bundled one (``demo``, ``stage1``).

    overrides: dotted keys (``train.steps``, ``profile``) for every stage, or for one stage if its name stands first
    (``stage2.train.steps``). Raises RecipeError.
    """
    path = find(recipe)
    raw = read(path)
    changes = dict(overrides or {})
    if "chain" not in raw:
        return [_stage(path, raw, changes)]
    chain = checked(Chain, raw, path)
    changes = {**chain.set, **({"profile": chain.profile} if chain.profile else {}), **changes}
    files = [find(name, path.parent) for name in chain.chain]
    contents = [read(file) for file in files]
    stages = {content.get("stage") for content in contents}
    recipes = []
    for file, content in zip(files, contents, strict=True):
        own = {}
        for key, value in changes.items():
            head, _, rest = key.partition(".")
            if not (head in stages and rest):
                own[key] = value
            elif head == content.get("stage"):
                own[rest] = value
        recipes.append(_stage(file, content, own))
    return recipes


def _stage(path: Path, raw: Mapping[str, Any], overrides: Mapping[str, Any]) -> Recipe:
    """A stage's file, then its profile, then the overrides; later values win."""
    shared = {key: value for key, value in raw.items() if key not in File.model_fields}
    changes = dict(overrides)
    own = {key: raw[key] for key in File.model_fields if key in raw}
    if "profile" in changes:
        own["profile"] = changes.pop("profile")
    file = checked(File, own, path)
    if file.profiles and file.profile not in file.profiles:
        raise RecipeError(f"{path}: profile: no {file.profile!r} here; there are {', '.join(file.profiles)}")
    return recipe_of(override(merge(shared, file.profiles.get(file.profile, {})), changes), path)


def recipe_of(raw: dict[str, Any], path: Path) -> Recipe:
    """The checked recipe. The mixture may be a file beside the recipe's file. Raises RecipeError."""
    beside = path.parent / str(raw.get("mixture"))
    return checked(Recipe, {**raw, "mixture": str(beside)} if os.path.isfile(beside) else raw, path)


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings merged key by key. Values of `over` win; lists and plain values are replaced."""
    out = dict(under)
    for key, value in over.items():
        below = out.get(key)
        out[key] = merge(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return out


def override(raw: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping with the values of dotted keys replaced."""
    out = dict(raw)
    for key, value in changes.items():
        nested: Any = value
        for name in reversed(key.split(".")):
            nested = {name: nested}
        out = merge(out, nested)
    return out


def find(recipe: str | Path, beside: Path | None = None) -> Path:
    """The file of a recipe: a path, a path relative to `beside`, or a bundled name. Raises RecipeError."""
    name = str(recipe)
    for place in (Path(name), *([beside / name] if beside else []), RECIPES / name, RECIPES / f"{name}.yaml"):
        if os.path.isfile(place):  # False for a name that is too long, unlike Path.is_file
            return place
    bundled = ", ".join(sorted(path.stem for path in RECIPES.glob("*.yaml")))
    raise RecipeError(f"{name}: no such recipe; the bundled ones are {bundled}")


def read(path: Path) -> dict[str, Any]:
    """The YAML mapping of a file. Raises RecipeError."""
    try:
        raw = strict_yaml.read(path).value
    except YamlError as error:
        raise RecipeError(f"{path}: {error}") from None
    if not isinstance(raw, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys")
    return raw


def settings(pairs: Iterable[str]) -> dict[str, Any]:
    """``key=value`` pairs as overrides for `load`. Values are YAML. Raises RecipeError."""
    out: dict[str, Any] = {}
    for setting in pairs:
        key, equals, value = setting.partition("=")
        if not equals or not all(key.split(".")):
            raise RecipeError(f"--set {setting}: expected key=value, such as profile=tiny or train.lr=1e-4")
        try:
            out[key] = strict_yaml.parse(value).value
        except YamlError as error:
            raise RecipeError(f"--set {setting}: {error.fault}") from None
    return out


def checked(kind: type[_S], raw: Mapping[str, Any], path: Path) -> _S:
    """The raw mapping as `kind`. Raises RecipeError with the first fault as one line."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        # a misspelt key is reported before the required key that is absent because of it
        fault = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
        key = ".".join(str(step) for step in fault["loc"])
        if fault["type"] == "string_type" and isinstance(fault["input"], bool | int | float | date):
            raise RecipeError(f"{path}: {key}: expected text, not {fault['input']}; put it in quotes") from None
        if fault["type"] != "extra_forbidden":
            raise RecipeError(f"{path}: {key or 'recipe'}: {fault['msg'].removeprefix('Value error, ')}") from None
        owner: Any = kind
        for step in (step for step in fault["loc"][:-1] if not isinstance(step, int)):
            annotation = owner.model_fields[step].annotation
            options = [annotation, *getattr(annotation, "__args__", ())]  # X | None
            owner = next(option for option in options if isinstance(option, type) and issubclass(option, Section))
        hint = nearest(str(fault["loc"][-1]), owner.model_fields)
        raise RecipeError(f"{path}: {key}: no such key{hint}") from None
