"""A recipe from its file: YAML with settings over it. Each fault is one line that names the file and the key."""

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from filters.rules import fault_text
from manifests import strict_yaml
from manifests.nearest import nearest
from manifests.strict_yaml import Document, YamlError
from pipelines.recipe.schema import Recipe, RecipeError
from pipelines.sources import KINDS

BUNDLED = pathlib.Path(__file__).parents[1] / "recipes"
LONGEST = 80  # characters of a value in a message

Place = tuple[str | int, ...]

_TABLE = "expected a table of keys"
#: faults of pydantic that speak of Python
_TYPES = {"dict_type": _TABLE, "model_type": _TABLE, "model_attributes_type": _TABLE, "list_type": "expected a list"}


class Layer(NamedTuple):
    """YAML that gives a recipe's value at a place: its file, or a setting."""

    label: str
    place: Place
    document: Document


def read(path: str, settings: Iterable[str] = ()) -> Recipe:
    """The recipe of a file, with ``key=value`` settings over it. Raises RecipeError.

    A setting ``NAME.key=value`` changes `sources.NAME.key` of a source that the recipe has.
    """
    try:
        document = strict_yaml.read(path)
    except FileNotFoundError:
        names = [str(p) for p in bundled()]
        raise RecipeError(f"{path}: no such recipe{nearest(path, names)}") from None
    except OSError as e:
        raise RecipeError(f"{path}: {e.strerror}; a recipe is a YAML file") from None
    except YamlError as e:
        raise RecipeError(f"{path}: {e}") from None
    given = {} if document.value is None else document.value
    if not isinstance(given, dict):
        raise RecipeError(f"{path}: a recipe is a table of keys, not a {type(given).__name__}")
    table = from_version_1(_without_aliases(given))
    layers = [Layer(path, (), document), *[_set(table, setting) for setting in settings]]
    recipe = parse(table, path, layers)
    recipe._file = path
    return recipe


def parse(table: Mapping[str, Any], where: str, layers: Sequence[Layer] = ()) -> Recipe:
    """A recipe from plain values. Raises RecipeError.

    layers: what was written; a later one replaces an earlier one at its place.
    """
    try:
        return Recipe.model_validate(dict(table))
    except ValidationError as e:
        raise RecipeError(_first_fault(e, where, layers)) from None


def of_manifest(manifest: Mapping[str, Any]) -> Recipe:
    """The recipe that a run's manifest stores."""
    return parse(from_version_1(manifest["recipe"]), "manifest.json: recipe")


def bundled() -> list[pathlib.Path]:
    """The recipes that come with the project."""
    return sorted(BUNDLED.glob("*.yaml"))


def _without_aliases(value: Any) -> Any:
    """The same value, where what an alias repeats is a copy: a setting changes one of them."""
    if isinstance(value, dict):
        return {key: _without_aliases(inner) for key, inner in value.items()}
    return [_without_aliases(inner) for inner in value] if isinstance(value, list) else value


def _set(table: dict[str, Any], setting: str) -> Layer:
    key, equals, text = setting.partition("=")
    *path, last = key.split(".")
    if not equals or not all((*path, last)):
        raise RecipeError(f"--set {setting}: expected key=value, such as web.warc=pages.warc.gz")
    if path and path[0] not in Recipe.model_fields:
        sources = table.get("sources")
        names = list(sources) if isinstance(sources, dict) else []
        if path[0] not in names:
            hint = nearest(path[0], [*names, *Recipe.model_fields])
            raise RecipeError(f"--set {setting}: no source `{path[0]}`{hint}")
        path = ["sources", *path]
    for name in path:
        table = table.setdefault(name, {})
        if table is None or not isinstance(table, dict):
            raise RecipeError(f"--set {setting}: {name!r} is a value, not a table of keys")
    try:
        document = strict_yaml.parse(text)
    except strict_yaml.YamlSyntaxError:  # `*.pdf` is an alias in YAML, and a pattern for everyone else
        document = Document(text, None)
    except YamlError as e:
        raise RecipeError(f"--set {setting}: {e.fault}") from None
    table[last] = _without_aliases(document.value)
    return Layer(f"--set {setting}", (*path, last), document)


def _first_fault(e: ValidationError, where: str, layers: Sequence[Layer]) -> str:
    """The first fault in one line, with the nearest key where a key does not exist."""
    # a misspelt key comes before the key that it leaves out
    fault = min(e.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    # ("sources", NAME, kind, key ...): the kind is not part of what the user wrote
    loc = tuple(part for part in fault["loc"] if part != "[key]")
    place = (*loc[:2], *loc[3:]) if loc[:1] == ("sources",) and loc[2:3] and loc[2] in KINDS else loc
    if fault["type"].startswith("union_tag"):
        place = (*place, "kind")
    text = ""
    if layer := next((layer for layer in reversed(layers) if place[: len(layer.place)] == layer.place), None):
        where, inner = layer.label, place[len(layer.place) :]
        written = layer.document.at(inner)
        if written is None and inner[:1] == ("sources",):  # a recipe of version 1 has no table `sources`
            written = layer.document.at(inner[1:])
        if written is not None:
            text, where = written.text, where if layer.place else f"{where}: line {written.line}"
    return f"{where}: {_fault_text(fault, loc, place, text)}"


def _fault_text(fault: Any, loc: Place, place: Place, written: str) -> str:
    """A fault of pydantic's in words. place: as the user wrote it; written: the value there, empty if not known."""
    value, kind = fault["input"], fault["type"]
    message = _TYPES.get(kind) or fault["msg"].lower()
    # as in a setting: of a source's key, the name of the source stands first
    own = place[:1] == ("sources",) and len(place) > 2 and not kind.startswith("union_tag")
    key = ".".join(_short(str(part)) for part in (place[1:] if own else place))
    if kind in ("string_type", "invalid_key") and isinstance(value, bool | int | float | date | None):
        if not written or value is None:
            given = "nothing" if value is None else f"{_short(str(value).lower())}; put it in quotes"
            return f"{key}: expected text, not {given}"
        return f"{key}: expected text; {strict_yaml.reading(_short(written), value)}"
    if kind == "value_error":
        return f"{key}: {fault['ctx']['error']}" if key else str(fault["ctx"]["error"])
    if place[:1] == ("sources",) and place[2:3] == ("rules",) and len(place) > 3:
        return f"{place[1]}.{fault_text(kind, place[3:], value)}"
    if kind == "extra_forbidden":
        fields = _model_at(loc).model_fields
        hint = nearest(str(place[-1]), [field.alias or name for name, field in fields.items()])
        if place[-1] in KINDS and len(place) == 1:
            hint = f"; it goes under `sources`: {{{place[-1]}: {{kind: {place[-1]}, ...}}}}"
        return f"{key}: no such key{hint}"
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        name = value.get("kind") if isinstance(value, dict) else None
        return f"{key}: one of {', '.join(KINDS)}" + ("" if name is None else f", not {_short(repr(name))}")
    return f"{key}: {message}" + ("" if kind == "missing" else f", not {_short(repr(value))}")


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _model_at(loc: Place) -> Any:
    """The model that holds the last key of a fault's place."""
    if loc[:1] != ("sources",) or len(loc) < 3 or str(loc[2]) not in KINDS:
        return _descend(Recipe, loc)
    return _descend(KINDS[str(loc[2])].table, loc[3:])


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

    Manifests of older runs hold such recipes. Each conversation set becomes a source of its own. Version 1 had no key
    `sources`: a recipe with both is of this version, and its wrong key stays for `parse` to name.
    """
    kinds = ("web", "pairs", "pdf", "conversations")
    old = {kind: dict(table[kind]) for kind in kinds if isinstance(table.get(kind), dict)}
    if not old or "sources" in table:
        return {key: value for key, value in table.items() if key not in KINDS or value is not None}
    sources: dict[str, Any] = {}
    for kind in ("web", "pairs", "pdf"):
        if kind in old:
            given = old[kind]
            if kind != "web" and given.pop("from_pages", True) and "web" in old:
                given["from"] = ["web"]
            sources[kind] = {"kind": kind, **_table_of_version_1(given)}
    if "conversations" in old:
        given = old["conversations"]
        for one in _sets_of_version_1(given.pop("sets", ())):
            name = one["name"].replace(".", "_")
            own = {key: value for key, value in one.items() if key != "name"}
            sources[name] = {"kind": "conversations", **_table_of_version_1(given), **own}
    rest = {key: value for key, value in table.items() if key not in old and (key not in KINDS or value is not None)}
    return {**rest, "sources": sources}


def _sets_of_version_1(sets: Any) -> list[dict[str, Any]]:
    if isinstance(sets, list | tuple) and all(isinstance(s, dict) and isinstance(s.get("name"), str) for s in sets):
        return list(sets)
    raise RecipeError("conversations.sets: expected a list of tables with the key name")


def _table_of_version_1(given: Mapping[str, Any]) -> dict[str, Any]:
    """`text.functions` of version 1 are `scores`, and `near.on` is `near.enabled`."""
    text, near = given.get("text"), given.get("near")
    out = dict(given)
    if isinstance(text, dict) and "functions" in text:
        out |= {"text": {k: v for k, v in text.items() if k != "functions"}, "scores": text["functions"]}
    if isinstance(near, dict) and "on" in near:
        out["near"] = {"enabled" if k == "on" else k: v for k, v in near.items()}
    return {key: value for key, value in out.items() if value or key not in ("text", "near", "scores")}
