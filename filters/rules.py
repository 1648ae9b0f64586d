"""Rule tables: thresholds on score columns, read from YAML or a mapping, and applied to whole columns at once.

    document:
      words: {min: 10, max: 2000, source: "OBELICS, table 3"}
      language: {any_of: [en], source: "..."}
    node:
      words: {min: 4, spares: [heading]}   # paragraphs of these roles (manifests.schema.ROLES) are not asked
    image:
      aspect: {max: 2}
      status: {any_of: [ok], drops: document}   # not the image alone

A table may start from a preset and change it: ``preset: obelics`` at the top, then only what differs; ``words: null``
takes a rule out, ``words: {max: null}`` one limit. Scores of one's own (an adapter's column) are declared once: ``own:
[c4_passes]``.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from numpy.typing import NDArray

from filters.scores import LEVELS, STRINGS
from manifests.schema import ROLES

KEYS = {
    level: ("min", "max", "any_of", *more, "source")
    for level, more in (("document", ()), ("node", ("spares",)), ("image", ("drops",)))
}
REASON = pa.dictionary(pa.int8(), pa.string())


class RuleError(ValueError):
    """A rule table that cannot be used: one line that names the key and the nearest valid name."""


@dataclass(frozen=True)
class Rule:
    """Limits on one score, both inclusive: a value below ``min`` or above ``max``, or not in ``any_of``, drops the row.

    ``spares``: roles of paragraphs that are not asked. ``drops_document``: an image that fails takes its document with
    it.
    """

    score: str
    min: float | None = None
    max: float | None = None
    any_of: tuple[str, ...] | None = None
    source: str = ""
    spares: tuple[str, ...] = ()
    drops_document: bool = False

    def reasons(self) -> tuple[str, ...]:
        """What a ledger calls a row that this rule dropped."""
        if self.any_of is not None:
            return (self.score,)
        low = (f"{self.score}_low",) if self.min is not None else ()
        return low + ((f"{self.score}_high",) if self.max is not None else ())


@dataclass(frozen=True)
class Rules:
    """The tables of the three levels, each in the order in which its rules are asked."""

    document: tuple[Rule, ...] = ()
    node: tuple[Rule, ...] = ()
    image: tuple[Rule, ...] = ()


class Decided(NamedTuple):
    """Row for row: kept or not, by which rule, the score it saw and the limit it broke (null where kept, or for
    any_of).
    """

    keep: pa.BooleanArray
    reason: pa.DictionaryArray
    score: pa.FloatArray
    threshold: pa.FloatArray


def reasons(rules: Iterable[Rule], *more: str) -> tuple[str, ...]:
    """Every reason these rules can give, in their order, then ``more``: a dictionary that is the same for every batch."""
    return tuple(dict.fromkeys([*(r for rule in rules for r in rule.reasons()), *more]))


def decide(
    rules: tuple[Rule, ...], columns: Mapping[str, pa.Array], rows: int, roles: pa.Array | None = None
) -> Decided:
    """Ask the rules in their order; the first that a row fails drops it and names the reason.

    ``columns`` holds one array of ``rows`` values for each score a rule names, numbers or, for ``any_of``, strings. A
    null (or NaN) score never drops: what was not measured is no ground for a decision. Thresholds are compared as
    float32, as the scores are stored.
    ``roles``: a string a row, for rules that spare some.

    Raises RuleError where a rule's score has no column.
    """
    names = reasons(rules)
    code = np.full(rows, -1, np.int8)
    score = np.full(rows, np.nan, np.float32)
    threshold = np.full(rows, np.nan, np.float32)

    def drop(
        rule: Rule,
        failed: NDArray[np.bool_],
        reason: str,
        seen: NDArray[np.float32] | None = None,
        limit: float | None = None,
    ) -> None:
        failed = failed & (code < 0)
        if rule.spares and roles is not None:
            failed &= ~pc.is_in(roles, value_set=pa.array(rule.spares, pa.string())).to_numpy(zero_copy_only=False)
        code[failed] = names.index(reason)
        if seen is not None and limit is not None:
            score[failed] = seen[failed]
            threshold[failed] = limit

    for rule in rules:
        if rule.score not in columns:
            raise RuleError(f"rule on `{rule.score}`: no such score column{nearest(rule.score, columns)}")
        column = columns[rule.score]
        if rule.any_of is not None:
            if pa.types.is_dictionary(column.type):
                column = column.cast(column.type.value_type)
            known = pc.is_in(column, value_set=pa.array(rule.any_of, column.type))
            failed = pc.and_(pc.invert(known), pc.is_valid(column))
            drop(rule, failed.to_numpy(zero_copy_only=False), rule.score)
            continue
        seen = _float32(column)
        if rule.min is not None:
            drop(rule, seen < np.float32(rule.min), f"{rule.score}_low", seen, rule.min)
        if rule.max is not None:
            drop(rule, seen > np.float32(rule.max), f"{rule.score}_high", seen, rule.max)

    kept = code < 0
    return Decided(
        pa.array(kept),
        dictionary(code, names),
        pa.array(score, mask=np.isnan(score)),
        pa.array(threshold, mask=np.isnan(threshold)),
    )


def dictionary(code: NDArray[np.int8], names: tuple[str, ...]) -> pa.DictionaryArray:
    """Reason codes (-1: none) as an Arrow dictionary array."""
    return pa.DictionaryArray.from_arrays(pa.array(code, mask=code < 0), pa.array(names, pa.string()))


def _float32(column: pa.Array) -> NDArray[np.float32]:
    """Numbers as float32, null as NaN, which no comparison holds for."""
    array = column.cast(pa.float32(), safe=False)
    return np.asarray(array.to_numpy(zero_copy_only=False), np.float32)


# --- reading
# -----------------------------------------------------------------------------------------------------------------------


@lru_cache
def presets() -> tuple[str, ...]:
    """Names of the rule tables that come with the project."""
    return tuple(
        sorted(f.name.removesuffix(".yaml") for f in files("filters.presets").iterdir() if f.name.endswith(".yaml"))
    )


@lru_cache
def _preset(name: str) -> tuple[dict[str, Any], ...]:
    """A preset's table, behind those of the presets it starts from."""
    if name not in presets():
        raise RuleError(f"rules: no preset `{name}`{nearest(name, presets())}")
    table: dict[str, Any] = yaml.safe_load((files("filters.presets") / f"{name}.yaml").read_text("utf-8"))
    before = _preset(table.pop("preset")) if "preset" in table else ()
    return (*before, table)


def load(which: str | Mapping[str, Any], own: Collection[str] = ()) -> Rules:
    """Rules by preset name, or from a mapping (see the module's head). ``own`` names scores beyond those of
    `filters.scores`.

    Raises RuleError, one line, for a preset, level, score or key that does not exist, or a limit of the wrong type.
    """
    if isinstance(which, str):
        which = {"preset": which}
    if not isinstance(which, Mapping):
        raise RuleError(f"rules: expected a preset's name or a table, got {type(which).__name__}")
    table = dict(which)
    base = table.pop("preset", None)
    declared = table.pop("own", None) or []
    if isinstance(declared, str) or not isinstance(declared, Collection):
        raise RuleError("rules: `own` is a list of score names")
    own = {*own, *declared}
    if base is not None and not isinstance(base, str):
        raise RuleError(f"rules: `preset` is a name, one of {', '.join(presets())}")
    start = _preset(base) if base is not None else ()
    for level in table:
        if level not in LEVELS:
            raise RuleError(f"rules: no level `{level}`{nearest(str(level), (*LEVELS, 'preset', 'own'))}")
    levels = {level: _level(level, [t.get(level) or {} for t in (*start, table)], own) for level in LEVELS}
    return Rules(**levels)


def _level(level: str, tables: list[Any], own: Collection[str]) -> tuple[Rule, ...]:
    """The rules of one level; later tables change earlier ones."""
    merged: dict[str, dict[str, Any]] = {}
    for table in tables:
        if not isinstance(table, Mapping):
            raise RuleError(f"rules.{level}: expected a table of scores, got {type(table).__name__}")
        for score, limits in table.items():
            where = f"rules.{level}.{score}"
            if score not in LEVELS[level] and score not in own:
                raise RuleError(f"{where}: no such score{nearest(str(score), (*LEVELS[level], *own))}")
            if limits is None:
                merged.pop(score, None)
                continue
            if not isinstance(limits, Mapping):
                raise RuleError(f"{where}: expected a table like {{min: 1}}, got `{limits}`")
            for key in limits:
                if key not in KEYS[level]:
                    raise RuleError(f"{where}.{key}: no such key{nearest(str(key), KEYS[level])}")
            merged[score] = {**merged.get(score, {}), **limits}
    rules = (_rule(f"rules.{level}.{score}", score, limits) for score, limits in merged.items())
    found = tuple(rule for rule in rules if rule is not None)
    if len(reasons(found)) > 120:
        raise RuleError(f"rules.{level}: more than 120 reasons, and a reason is one byte")
    return found


def _rule(where: str, score: str, limits: Mapping[str, Any]) -> Rule | None:
    for key in ("min", "max"):
        value = limits.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise RuleError(f"{where}.{key}: expected a number, got `{value}`")
    low, high, choices = limits.get("min"), limits.get("max"), limits.get("any_of")
    spares = _strings(f"{where}.spares", limits.get("spares") or ())
    for role in spares:
        if role not in ROLES:
            raise RuleError(f"{where}.spares: no such role `{role}`{nearest(role, ROLES)}")
    drops = limits.get("drops") or "image"
    if drops not in ("image", "document"):
        raise RuleError(f"{where}.drops: image or document, not `{drops}`")
    blank = Rule(score, source=str(limits.get("source", "")), spares=spares, drops_document=drops == "document")
    if choices is not None:
        choices = _strings(f"{where}.any_of", choices)
        if low is not None or high is not None:
            raise RuleError(f"{where}: any_of goes without min and max")
        if score in LEVELS["document"].keys() | LEVELS["image"].keys() and score not in STRINGS:
            raise RuleError(f"{where}.any_of: `{score}` is a number; give min or max")
        return replace(blank, any_of=choices)
    if low is None and high is None:
        return None
    if score in STRINGS:
        raise RuleError(f"{where}: `{score}` is a string; give any_of")
    if low is not None and high is not None and low > high:
        raise RuleError(f"{where}: min {low} is above max {high}")
    return replace(blank, min=None if low is None else float(low), max=None if high is None else float(high))


def _strings(where: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Collection) or not all(isinstance(v, str) for v in value):
        raise RuleError(f"{where}: expected a list of strings, got `{value}`")
    return tuple(value)


def nearest(name: str, valid: Iterable[str]) -> str:
    """``; did you mean `x`?``, or where nothing is near, what there is."""
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, 1, 0.5)
    return f"; did you mean `{close[0]}`?" if close else f"; there are: {', '.join(names)}"
