"""A recipe from its file: YAML with settings over it. Each fault is one line that names the key."""

import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from filters.rules import fault_text
from manifests.nearest import nearest
from pipelines.recipe.schema import Recipe, RecipeError
from pipelines.sources import KINDS

BUNDLED = pathlib.Path(__file__).parents[1] / "recipes"


def read(path: str, settings: Iterable[str] = ()) -> Recipe:
    """The recipe of a file, with ``key=value`` settings over it. Raises RecipeError.

    A setting ``NAME.key=value`` changes `sources.NAME.key` of a source that the recipe has.
    """
    try:
        with open(path, encoding="utf-8") as f:
            table = yaml.safe_load(f) or {}
    except FileNotFoundError:
        names = [str(p) for p in bundled()]
        raise RecipeError(f"{path}: no such recipe{nearest(path, names)}") from None
    except yaml.YAMLError as e:
        raise RecipeError(f"{path}: not YAML: {' '.join(str(e).split())}") from None
    if not isinstance(table, dict):
        raise RecipeError(f"{path}: a recipe is a table of keys, not a {type(table).__name__}")
    table = from_version_1(table)
    for setting in settings:
        _set(table, setting)
    return parse(table, path)


def parse(table: Mapping[str, Any], where: str) -> Recipe:
    """A recipe from plain values. Raises RecipeError."""
    try:
        return Recipe(**table)
    except ValidationError as e:
        raise RecipeError(f"{where}: {_first_fault(e)}") from None


def of_manifest(manifest: Mapping[str, Any]) -> Recipe:
    """The recipe that a run's manifest stores."""
    return parse(from_version_1(manifest["recipe"]), "manifest.json: recipe")


def bundled() -> list[pathlib.Path]:
    """The recipes that come with the project."""
    return sorted(BUNDLED.glob("*.yaml"))


def _set(table: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {setting}: expected key=value, such as web.warc=pages.warc.gz")
    *path, last = key.split(".")
    if path and path[0] not in Recipe.model_fields:
        sources = table.get("sources") or {}
        if path[0] not in sources:
            hint = nearest(path[0], [*sources, *Recipe.model_fields])
            raise RecipeError(f"--set {setting}: no source `{path[0]}`{hint}")
        path = ["sources", *path]
    for name in path:
        table = table.setdefault(name, {})
        if table is None or not isinstance(table, dict):
            raise RecipeError(f"--set {setting}: {name!r} is a value, not a table of keys")
    try:
        table[last] = yaml.safe_load(text)
    except yaml.YAMLError:  # `*.pdf` is an alias in YAML, and a pattern for everyone else
        table[last] = text


def _first_fault(e: ValidationError) -> str:
    """The first fault in one line, with the nearest key where a key does not exist."""
    # a misspelt key comes before the key that it leaves out
    fault = min(e.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    if fault["loc"][:1] == ("sources",) and fault["loc"][3:4] == ("rules",) and len(fault["loc"]) > 4:
        return f"{fault['loc'][1]}.{fault_text(fault['type'], fault['loc'][4:], fault['input'])}"
    model, path = _model_at(fault["loc"])
    where = ".".join(path)
    if fault["type"] == "extra_forbidden":
        keys = [field.alias or name for name, field in model.model_fields.items()]
        return f"{where}: no such key{nearest(str(fault['loc'][-1]), keys)}"
    if fault["type"] in ("union_tag_not_found", "union_tag_invalid"):
        kind = fault["input"].get("kind") if isinstance(fault["input"], dict) else None
        return f"{where}.kind: one of {', '.join(KINDS)}" + ("" if kind is None else f", not {kind!r}")
    if isinstance(fault["input"], bool) and fault["type"] in ("string_type", "invalid_key"):
        return f"{where}: a key that YAML reads as {fault['input']}; put on, off, yes and no in quotes"
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    return f"{where}: {fault['msg'].lower()}" + ("" if fault["type"] == "missing" else f", not {fault['input']!r}")


def _model_at(loc: tuple[int | str, ...]) -> tuple[Any, list[str]]:
    """The model that holds the last key of a fault's place, and that place as a user writes it."""
    path = [str(part) for part in loc]
    if loc[:1] != ("sources",) or len(loc) < 3 or str(loc[2]) not in KINDS:
        return _descend(Recipe, loc), path
    # ("sources", NAME, kind, key ...): the kind is not part of what the user wrote
    return _descend(KINDS[str(loc[2])].table, loc[3:]), [path[1], *path[3:]]


def _descend(model: Any, loc: tuple[int | str, ...]) -> Any:
    for name in loc[:-1]:
        field = next((f for key, f in model.model_fields.items() if name in (key, f.alias)), None)
        if field is None:  # an index of a list, or a key of a table with free keys
            continue
        types = [field.annotation, *getattr(field.annotation, "__args__", ())]
        model = next((t for t in types if isinstance(t, type) and issubclass(t, BaseModel)), model)
    return model


# --- recipes of version 1, whose sources had no names -----------------------------------------------------------------


def from_version_1(table: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe with the top-level keys web, pairs, pdf or conversations, as one with named sources; others as they are.

    Manifests of older runs hold such recipes. Each conversation set becomes a source of its own.
    """
    kinds = ("web", "pairs", "pdf", "conversations")
    old = {kind: dict(table[kind]) for kind in kinds if isinstance(table.get(kind), dict)}
    table = {key: v for key, v in table.items() if key not in old and (key not in KINDS or v is not None)}
    if not old:
        return table
    sources: dict[str, Any] = {}
    for kind in ("web", "pairs", "pdf"):
        if kind in old:
            given = old[kind]
            if kind != "web" and given.pop("from_pages", True) and "web" in old:
                given["from"] = ["web"]
            sources[kind] = {"kind": kind, **_table_of_version_1(given)}
    if "conversations" in old:
        given = old["conversations"]
        for one in given.pop("sets", ()):
            name = one["name"].replace(".", "_")
            own = {key: value for key, value in one.items() if key != "name"}
            sources[name] = {"kind": "conversations", **_table_of_version_1(given), **own}
    return {**table, "sources": sources}


def _table_of_version_1(given: Mapping[str, Any]) -> dict[str, Any]:
    """`text.functions` of version 1 are `scores`, and `near.on` is `near.enabled`."""
    text, near = (dict(given.get(key) or {}) for key in ("text", "near"))
    functions = text.pop("functions", None)
    if "on" in near:
        near["enabled"] = near.pop("on")
    out = {**given, "text": text, "near": near, "scores": functions}
    return {key: value for key, value in out.items() if value or key not in ("text", "near", "scores")}
