"""What other thresholds would keep, from stored scores: nothing is measured again, nothing is run.

    what = parse("words=10..50:10", rules)
    rows = sweep(rules, what, batches)

The decision is the one a run takes (`filters.decide`): paragraphs first, then documents on what is left of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from filters.decide import Decide
from filters.image import image_columns
from filters.rules import Rule, RuleError, Rules, decide, nearest
from filters.scores import IMAGE_ON_PAGE, LEVELS, STRINGS
from manifests.schema import IMAGE, TEXT

STEPS = 10  # where none are given
MOST = 1000

_FORM = re.compile(
    r"(?:(document|node|image)\.)?([a-z][a-z0-9_]*)(?:\.(min|max))?=([^.:=]+(?:\.\d+)?)\.\.([^:=]+?)(?::([^:=]+))?"
)


@dataclass(frozen=True)
class Sweep:
    """Thresholds to try for one limit of one rule."""

    level: str
    score: str
    limit: str  # min or max
    thresholds: tuple[float, ...]

    def current(self, rules: Rules) -> float | None:
        """The limit the rules have now."""
        found: float | None = next(
            (getattr(r, self.limit) for r in getattr(rules, self.level) if r.score == self.score), None
        )
        return found


def parse(text: str, rules: Rules) -> Sweep:
    """``[level.]score[.min|.max]=from..to[:step]``. The level is the first of document, node and image that has a rule
    on the score; the

    limit, the one that rule has. Where both are said, the score needs no rule: one is tried as if it were the table's
    last. Without a step there are about ten. Raises RuleError, one line.
    """
    form = _FORM.fullmatch(text.replace(" ", ""))
    if form is None:
        raise RuleError(
            f"sweep `{text}`: expected rule=from..to or rule=from..to:step, such as words=10..50:5 or node.words.min=2..8"
        )
    level, score, limit, *numbers = form.groups()
    levels = (level,) if level else ("document", "node", "image")
    found = next(((at, r) for at in levels for r in getattr(rules, at) if r.score == score), None)
    if found is None and level and limit and score in LEVELS[level]:
        found = level, Rule(score)
    if found is None:
        names = [r.score for at in levels for r in getattr(rules, at)]
        near = nearest(score, names)
        known = next((at for at in levels if score in LEVELS[at]), None)
        raise RuleError(
            f"sweep `{text}`: no rule on `{score}`{near if known is None else f'; to try one, say {known}.{score}.min or .max'}"
        )
    level, rule = found
    if score in STRINGS:
        raise RuleError(f"sweep `{text}`: `{score}` is a string; only numbers have a range")
    has = [name for name in ("min", "max") if getattr(rule, name) is not None]
    if limit is None:
        if len(has) != 1:
            raise RuleError(
                f"sweep `{text}`: the rule on `{score}` has a min and a max; say {score}.min or {score}.max"
            )
        (limit,) = has
    return Sweep(level, score, limit, _range(text, *numbers))


def _range(text: str, first: str, last: str, step: str | None) -> tuple[float, ...]:
    try:
        low, high = float(first), float(last)
        by = float(step) if step is not None else (high - low) / STEPS
        if step is None and low.is_integer() and high.is_integer() and high - low >= STEPS // 2:
            by = max(1.0, round(by))  # whole numbers stay whole
    except ValueError:
        raise RuleError(f"sweep `{text}`: from, to and step are numbers") from None
    if (
        not (math.isfinite(low) and math.isfinite(high) and math.isfinite(by))
        or high < low
        or by < 0
        or (by == 0 and high > low)
    ):
        raise RuleError(f"sweep `{text}`: from is at most to, and the step above 0")
    number = round((high - low) / by, 9) if by else 0
    if number > MOST:
        raise RuleError(f"sweep `{text}`: more than {MOST} steps")
    return tuple(round(low + i * by, 12) for i in range(int(number) + 1))


def sweep(rules: Rules, what: Sweep, batches: Iterable[pa.RecordBatch]) -> list[dict[str, Any]]:
    """A row a threshold: ``threshold``, and of documents, paragraphs and images how many there are and how many the
    rules would keep.

    ``batches``: documents zipped with their scores; of the nodes, the text is not needed. Paragraphs and images are
    those of kept documents, images as far as the page tells. Raises RuleError where a rule's score is not among the
    columns.
    """
    if what.level == "document":
        return _document_rows(rules, what, batches)
    counts = np.zeros((len(what.thresholds), 3), np.int64)
    documents = 0
    for batch in batches:
        documents += batch.num_rows
        for i, threshold in enumerate(what.thresholds):
            counts[i] += _counted(batch, _decided(_with(rules, what, threshold), batch))
    return _rows(what, counts, documents)


def _document_rows(rules: Rules, what: Sweep, batches: Iterable[pa.RecordBatch]) -> list[dict[str, Any]]:
    """One decision for all thresholds: the rule is asked last, and in a way that everything fails it, so that its
    scores come back.
    """
    others = _with(rules, what, None)
    asked = replace(others, document=(*others.document, _none_passes(what)))
    values: list[NDArray[np.float32]] = []
    held: list[NDArray[np.int64]] = []
    documents = 0
    for batch in batches:
        documents += batch.num_rows
        made = _decided(asked, batch)
        last = pc.equal(made["reason"].cast(pa.string()), asked.document[-1].reasons()[0])
        passed = pc.or_kleene(made["keep"], pc.fill_null(last, False))
        scores = np.array(made["score"].to_numpy(zero_copy_only=False), np.float32)
        keep = np.asarray(passed.to_numpy(zero_copy_only=False), np.bool_)
        # kept whatever the threshold
        scores[np.asarray(made["keep"].to_numpy(zero_copy_only=False), np.bool_)] = np.nan
        values.append(scores[keep])
        held.append(_held(batch, made)[keep])
    score = np.concatenate([*values, np.zeros(0, np.float32)])
    nodes = np.concatenate([*held, np.zeros((0, 2), np.int64)])
    counts = np.zeros((len(what.thresholds), 3), np.int64)
    for i, threshold in enumerate(what.thresholds):
        failed = score < np.float32(threshold) if what.limit == "min" else score > np.float32(threshold)
        counts[i] = [np.count_nonzero(~failed), *nodes[~failed].sum(0)]
    return _rows(what, counts, documents)


def sweep_images(rules: Rules, what: Sweep, images: Iterable[pa.Table]) -> list[dict[str, Any]]:
    """A row a threshold: ``threshold``, ``images`` and how many of them the image rules would keep.

    ``images``: rows with the columns that `filters.image.image_columns` reads. What the loss does to documents is not
    followed.
    """
    asked = (*_with(rules, what, None).image, _none_passes(what))
    values, whatever, total = [np.zeros(0, np.float32)], 0, 0
    for table in images:
        total += table.num_rows
        made = decide(asked, image_columns(table), table.num_rows)
        whatever += pc.sum(made.keep).as_py() or 0
        last = pc.fill_null(pc.equal(made.reason.cast(pa.string()), asked[-1].reasons()[0]), False)
        values.append(np.asarray(made.score.filter(last).to_numpy(zero_copy_only=False), np.float32))
    score = np.concatenate(values)
    rows = []
    for threshold in what.thresholds:
        failed = score < np.float32(threshold) if what.limit == "min" else score > np.float32(threshold)
        rows.append({"threshold": threshold, "images": total, "kept_images": whatever + int(np.count_nonzero(~failed))})
    return rows


def of_fetched(what: Sweep) -> bool:
    """Whether the rule is on what only the fetched image told, and so goes to `sweep_images`."""
    return what.level == "image" and what.score not in IMAGE_ON_PAGE


def _none_passes(what: Sweep) -> Rule:
    return Rule(what.score, min=math.inf) if what.limit == "min" else Rule(what.score, max=-math.inf)


def _with(rules: Rules, what: Sweep, threshold: float | None) -> Rules:
    have = getattr(rules, what.level)
    if not any(r.score == what.score for r in have):
        have = (*have, Rule(what.score))
    changed = tuple(replace(r, **{what.limit: threshold}) if r.score == what.score else r for r in have)
    return replace(rules, **{what.level: changed})


def _decided(rules: Rules, batch: pa.RecordBatch) -> pa.RecordBatch:
    ((_, made),) = Decide(rules)(batch)
    assert isinstance(made, pa.RecordBatch)
    return made


def _held(batch: pa.RecordBatch, made: pa.RecordBatch) -> NDArray[np.int64]:
    """Kept paragraphs and images of each document."""
    kind = pc.struct_field(batch["nodes"].flatten(), "kind")
    keep = made["node_keep"].flatten()
    edges = np.concatenate(
        [
            np.zeros(1, np.int64),
            np.cumsum(pc.fill_null(pc.list_value_length(batch["nodes"]), 0).to_numpy(zero_copy_only=False)),
        ]
    )
    columns = []
    for what in (TEXT, IMAGE):
        found = pc.fill_null(pc.and_(pc.equal(kind, what), keep), False).to_numpy(zero_copy_only=False)
        columns.append(np.diff(np.concatenate([np.zeros(1, np.int64), np.cumsum(found)])[edges]))
    return np.stack(columns, 1)


def _counted(batch: pa.RecordBatch, made: pa.RecordBatch) -> list[int]:
    keep = np.asarray(made["keep"].to_numpy(zero_copy_only=False), np.bool_)
    return [int(keep.sum()), *_held(batch, made)[keep].sum(0).tolist()]


def _rows(what: Sweep, counts: NDArray[np.int64], documents: int) -> list[dict[str, Any]]:
    names = ("kept", "paragraphs", "images")
    return [
        {"threshold": threshold, "documents": documents, **dict(zip(names, row, strict=True))}
        for threshold, row in zip(what.thresholds, counts.tolist(), strict=True)
    ]
