"""Rule tables: thresholds on score columns, read from YAML or a mapping, and applied to whole columns at once.

    document:
      words: {min: 10, max: 2000, source: "OBELICS, table 3"}
      language: {any_of: [en], source: "..."}
    node:
      words: {min: 4, spares: [heading]}   # not for paragraphs of these roles (manifests.schema.ROLES)
    image:
      aspect: {max: 2}
      status: {any_of: [ok], drops: document}   # the whole document, not the image alone

A table may start from a preset and change it: ``preset: obelics`` at the top, then only the differences.
``words: null`` removes a rule, ``words: {max: null}`` one limit. The user's own scores are declared once:
``own: [c4_passes]``.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from filters.scores import LEVELS, STRINGS
from manifests import strict_yaml
from manifests.nearest import nearest
from manifests.schema import ROLES

MAX_REASONS = 120  # a reason is stored as one byte


class RuleError(ValueError):
    """A rule table that cannot be used. The message is one line with the key and the nearest valid name."""


class _Table(BaseModel):
    """A table as it was written: a key that was left out stays out when the table is written again."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_serializer(mode="wrap")
    def _written_keys(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in dump(self).items() if key in self.model_fields_set}


class RuleLimits(_Table):
    """The limits of one score, as a recipe writes them; see `Rule`."""

    min: float | None = Field(None, description="a lower value drops")
    max: float | None = Field(None, description="a higher value drops")
    any_of: list[str] | None = Field(None, description="any other value drops; for scores that are strings")
    source: str = Field("", description="where the limits are from")


class NodeLimits(RuleLimits):
    """The limits of a score of paragraphs."""

    spares: list[str] = Field([], description="roles of paragraphs that the rule does not apply to")


class ImageLimits(RuleLimits):
    """The limits of a score of images."""

    drops: Literal["image", "document"] = Field("image", description="what a failed image drops")


LIMITS = {"document": RuleLimits, "node": NodeLimits, "image": ImageLimits}


class RulesTable(_Table):
    """Rules by level and score, as a recipe writes them. A null removes the rule of the preset."""

    preset: str | None = Field(None, description="the table that this one changes")
    own: list[str] | None = Field(None, description="names of scores that are not of this project")
    document: dict[str, RuleLimits | None] | None = Field(None, description="rules on whole documents")
    node: dict[str, NodeLimits | None] | None = Field(None, description="rules on paragraphs")
    image: dict[str, ImageLimits | None] | None = Field(None, description="rules on images")


@dataclass(frozen=True)
class Rule:
    """Limits on one score, both inclusive: a value below ``min`` or above ``max``, or not in ``any_of``, drops the row.

    ``spares``: roles of paragraphs that the rule does not apply to. ``drops_document``: a failed image drops its
    document too.
    """

    score: str
    min: float | None = None
    max: float | None = None
    any_of: tuple[str, ...] | None = None
    source: str = ""
    spares: tuple[str, ...] = ()
    drops_document: bool = False

    def reasons(self) -> tuple[str, ...]:
        """The reasons in the ledger for a row that this rule drops."""
        if self.any_of is not None:
            return (self.score,)
        low = (f"{self.score}_low",) if self.min is not None else ()
        return low + ((f"{self.score}_high",) if self.max is not None else ())


@dataclass(frozen=True)
class Rules:
    """The rules of the three levels, in the order in which they apply."""

    document: tuple[Rule, ...] = ()
    node: tuple[Rule, ...] = ()
    image: tuple[Rule, ...] = ()


class Decided(NamedTuple):
    """Row for row: whether it is kept, the reason, the score, and the limit (null where kept, or for any_of)."""

    keep: pa.BooleanArray
    reason: pa.DictionaryArray
    score: pa.FloatArray
    threshold: pa.FloatArray


def reasons(rules: Iterable[Rule], *more: str) -> tuple[str, ...]:
    """Every reason of these rules, in their order, then ``more``: a dictionary that is the same for every batch."""
    return tuple(dict.fromkeys([*(r for rule in rules for r in rule.reasons()), *more]))


def decide(
    rules: tuple[Rule, ...], columns: Mapping[str, pa.Array], rows: int, roles: pa.Array | None = None
) -> Decided:
    """Apply the rules in their order. The first rule that a row fails drops it and gives the reason.

    ``columns`` has an array of ``rows`` values for each score of a rule: numbers or, for ``any_of``, strings. A null
    (or NaN) score never drops: it was not measured. Thresholds are compared as float32, the type of the stored scores.
    ``roles``: a string for each row, for rules that spare some.

    Raises RuleError where a rule's score has no column.
    """
    names = reasons(rules)
    code = np.full(rows, -1, np.int8)
    score = np.full(rows, np.nan, np.float32)
    threshold = np.full(rows, np.nan, np.float32)

    for rule in rules:
        if rule.score not in columns:
            raise RuleError(f"rule on `{rule.score}`: no such score column{nearest(rule.score, columns)}")
        applies = np.ones(rows, np.bool_)
        if rule.spares and roles is not None:
            applies = ~pc.is_in(roles, value_set=pa.array(rule.spares, pa.string())).to_numpy(zero_copy_only=False)
        column = columns[rule.score]
        if rule.any_of is not None:
            if pa.types.is_dictionary(column.type):
                column = column.cast(column.type.value_type)
            allowed = pc.is_in(column, value_set=pa.array(rule.any_of, column.type))
            failed = pc.and_(pc.invert(allowed), pc.is_valid(column)).to_numpy(zero_copy_only=False)
            code[failed & applies & (code < 0)] = names.index(rule.score)
            continue
        # a null becomes NaN, which no comparison holds for
        values = np.asarray(column.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False), np.float32)
        for limit, side in ((rule.min, "low"), (rule.max, "high")):
            if limit is None:
                continue
            failed = values < np.float32(limit) if side == "low" else values > np.float32(limit)
            failed &= applies & (code < 0)
            code[failed] = names.index(f"{rule.score}_{side}")
            score[failed], threshold[failed] = values[failed], limit

    return Decided(
        pa.array(code < 0),
        dictionary(code, names),
        pa.array(score, mask=np.isnan(score)),
        pa.array(threshold, mask=np.isnan(threshold)),
    )


def dictionary(code: NDArray[np.int8], names: tuple[str, ...]) -> pa.DictionaryArray:
    """Codes of reasons (-1: none) as an Arrow dictionary array."""
    return pa.DictionaryArray.from_arrays(pa.array(code, mask=code < 0), pa.array(names, pa.string()))


@lru_cache
def presets() -> tuple[str, ...]:
    """Names of the rule tables of this project."""
    return tuple(sorted(f.name[:-5] for f in files("filters.presets").iterdir() if f.name.endswith(".yaml")))


@lru_cache
def _preset(name: str) -> tuple[RulesTable, ...]:
    """The table of a preset, after those of the presets that it starts from."""
    if name not in presets():
        raise RuleError(f"rules: no preset `{name}`{nearest(name, presets())}")
    return _tables(strict_yaml.parse((files("filters.presets") / f"{name}.yaml").read_text("utf-8")).value)


def load(which: str | Mapping[str, Any], own: Collection[str] = ()) -> Rules:
    """Rules of a preset by its name, or of a mapping (see the module's docstring).

    ``own``: names of scores that are not in `filters.scores`. Raises RuleError, one line, for a preset, level, score or
    key that does not exist, or for a limit of the wrong type.
    """
    if not isinstance(which, str | Mapping):
        raise RuleError(f"rules: expected a preset's name or a table, got {type(which).__name__}")
    tables = _preset(which) if isinstance(which, str) else _tables(which)
    own = {*own, *(tables[-1].own or ())}
    return Rules(**{level: _level(level, [getattr(table, level) or {} for table in tables], own) for level in LEVELS})


def _tables(mapping: Mapping[str, Any]) -> tuple[RulesTable, ...]:
    """The table of a mapping, after those of the presets that it starts from."""
    try:
        table = RulesTable.model_validate(dict(mapping))
    except ValidationError as e:
        fault = e.errors()[0]
        raise RuleError(fault_text(fault["type"], fault["loc"], fault["input"])) from None
    return (*(_preset(table.preset) if table.preset is not None else ()), table)


def fault_text(kind: str, place: Sequence[str | int], value: Any) -> str:
    """One line for a fault that pydantic finds in a `RulesTable`, at a place such as document, words, min."""
    level, key, where = str(place[0]), str(place[-1]), f"rules.{'.'.join(map(str, place))}"
    if kind in ("extra_forbidden", "invalid_key") and len(place) == 1:
        return f"rules: no level `{level}`{nearest(level, (*LEVELS, 'preset', 'own'))}"
    if kind == "extra_forbidden":
        return f"{where}: no such key{nearest(key, LIMITS[level].model_fields)}"
    if level == "preset":
        return f"rules: `preset` is a name, one of {', '.join(presets())}"
    if level == "own":
        return "rules: `own` is a list of score names"
    if len(place) == 1:
        return f"{where}: expected a table of scores, got {type(value).__name__}"
    if len(place) == 2:
        return f"{where}: expected a table like {{min: 1}}, got `{value}`"
    if key == "drops":
        return f"{where}: image or document, not `{value}`"
    expected = {"min": "a number", "max": "a number", "source": "a string"}.get(key, "a list of strings")
    text = f"the text '{value}'" if isinstance(value, str) and expected == "a number" else f"`{value}`"
    return f"{where}: expected {expected}, got {text}"


def _level(level: str, tables: list[Mapping[str, RuleLimits | None]], own: Collection[str]) -> tuple[Rule, ...]:
    """The rules of one level. A later table changes the limits that it names."""
    merged: dict[str, dict[str, Any]] = {}
    for score, limits in (item for table in tables for item in table.items()):
        if score not in LEVELS[level] and score not in own:
            raise RuleError(f"rules.{level}.{score}: no such score{nearest(score, (*LEVELS[level], *own))}")
        if limits is None:
            merged.pop(score, None)
        else:
            merged[score] = merged.get(score, {}) | limits.model_dump()
    rules = tuple(r for score, keys in merged.items() if (r := _rule(f"rules.{level}.{score}", score, keys)))
    if len(reasons(rules)) > MAX_REASONS:
        raise RuleError(f"rules.{level}: more than {MAX_REASONS} reasons")
    return rules


def _rule(where: str, score: str, limits: Mapping[str, Any]) -> Rule | None:
    """The rule of some limits; None where all of them are null."""
    low, high, choices = limits.get("min"), limits.get("max"), limits.get("any_of")
    spares = tuple(limits.get("spares", ()))
    for role in spares:
        if role not in ROLES:
            raise RuleError(f"{where}.spares: no such role `{role}`{nearest(role, ROLES)}")
    common = limits.get("source", ""), spares, limits.get("drops") == "document"
    if choices is not None:
        if low is not None or high is not None:
            raise RuleError(f"{where}: any_of goes without min and max")
        if score in LEVELS["document"].keys() | LEVELS["image"].keys() and score not in STRINGS:
            raise RuleError(f"{where}.any_of: `{score}` is a number; give min or max")
        return Rule(score, None, None, tuple(choices), *common)
    if low is None and high is None:
        return None
    if score in STRINGS:
        raise RuleError(f"{where}: `{score}` is a string; give any_of")
    if low is not None and high is not None and low > high:
        raise RuleError(f"{where}: min {low:g} is above max {high:g}")
    return Rule(score, low, high, None, *common)
