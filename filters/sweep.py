"""What other thresholds would keep, from stored scores, without a run.

    what = parse("words=10..50:10", rules)
    rows = sweep(rules, what, batches)

The decision is that of a run (`filters.decide`).
"""

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
from filters.rules import Rule, RuleError, Rules, decide
from filters.scores import IMAGE_ON_PAGE, LEVELS, STRINGS
from manifests.flat import bools, flat_nodes
from manifests.nearest import nearest
from manifests.schema import IMAGE, TEXT

STEPS = 10  # default number of steps
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
        """The limit that the rules have now."""
        return next((getattr(r, self.limit) for r in getattr(rules, self.level) if r.score == self.score), None)

    def with_current(self, rules: Rules) -> "Sweep":
        """The same with the limit that the rules have now among the thresholds; an infinite one where they have none.

        A threshold that differs by a rounding error alone is the limit itself.
        """
        now = self.current(rules)
        if now is None:
            now = -math.inf if self.limit == "min" else math.inf
        others = (t for t in self.thresholds if not math.isclose(t, now, rel_tol=1e-9, abs_tol=1e-12))
        return replace(self, thresholds=tuple(sorted((*others, now))))


def parse(text: str, rules: Rules) -> Sweep:
    """Reads ``[level.]score[.min|.max]=from..to[:step]``.

    The default level is the first of document, node and image with a rule on the score. The default limit is that of
    the rule. The default step gives about ten thresholds. With a level and a limit, the score needs no rule: a new rule
    is tried at the end of the table. Raises RuleError, one line.
    """
    form = _FORM.fullmatch(text.replace(" ", ""))
    if form is None:
        example = "words=10..50:5 or node.words.min=2..8"
        raise RuleError(f"sweep `{text}`: expected rule=from..to or rule=from..to:step, such as {example}")
    level, score, limit, *numbers = form.groups()
    levels = (level,) if level else ("document", "node", "image")
    place = next(((at, r) for at in levels for r in getattr(rules, at) if r.score == score), None)
    if place is None and level and limit and score in LEVELS[level]:
        place = level, Rule(score)
    if place is None:
        has_score = next((at for at in levels if score in LEVELS[at]), None)
        hint = f"; to try one, say {has_score}.{score}.min or .max"
        if has_score is None:
            hint = nearest(score, [r.score for at in levels for r in getattr(rules, at)])
        raise RuleError(f"sweep `{text}`: no rule on `{score}`{hint}")
    level, rule = place
    if score in STRINGS:
        raise RuleError(f"sweep `{text}`: `{score}` is a string; only numbers have a range")
    has = [name for name in ("min", "max") if getattr(rule, name) is not None]
    if limit is None:
        if len(has) != 1:
            say = f"say {score}.min or {score}.max"
            raise RuleError(f"sweep `{text}`: the rule on `{score}` has a min and a max; {say}")
        (limit,) = has
    return Sweep(level, score, limit, _range(text, *numbers))


def _range(text: str, first: str, last: str, step: str | None) -> tuple[float, ...]:
    try:
        low, high = float(first), float(last)
        by = float(step) if step is not None else (high - low) / STEPS
        if step is None and low.is_integer() and high.is_integer() and high - low >= STEPS // 2:
            by = max(1.0, round(by))  # from whole numbers to whole numbers in whole steps
    except ValueError:
        raise RuleError(f"sweep `{text}`: from, to and step are numbers") from None
    if not all(map(math.isfinite, (low, high, by))) or high < low or by < 0 or (by == 0 and high > low):
        raise RuleError(f"sweep `{text}`: from is at most to, and the step above 0")
    number = round((high - low) / by, 9) if by else 0
    if number > MOST:
        raise RuleError(f"sweep `{text}`: more than {MOST} steps")
    return tuple(round(low + i * by, 12) for i in range(int(number) + 1))


def sweep(rules: Rules, what: Sweep, batches: Iterable[pa.RecordBatch]) -> list[dict[str, Any]]:
    """A row for each threshold: ``threshold`` (None: no limit), the number of ``documents``, and how many documents,
    paragraphs and images the rules would keep.

    ``batches``: documents zipped with their scores; the nodes need no text. Paragraphs and images are those of kept
    documents; images are judged by the page alone. Raises RuleError where a rule's score is not among the columns.
    """
    if what.level == "document":
        return _document_rows(rules, what, batches)
    counts = np.zeros((len(what.thresholds), 3), np.int64)
    documents = 0
    for batch in batches:
        documents += batch.num_rows
        for i, threshold in enumerate(what.thresholds):
            decisions = _decisions(_with(rules, what, threshold), batch)
            keep = bools(decisions["keep"])
            counts[i] += [int(keep.sum()), *_kept_nodes(batch, decisions)[keep].sum(0).tolist()]
    return _rows(what, counts, documents)


def _document_rows(rules: Rules, what: Sweep, batches: Iterable[pa.RecordBatch]) -> list[dict[str, Any]]:
    """One decision for all thresholds. The rule is the last one, with a limit that every score fails, so that the
    decision reports the scores.
    """
    others = _with(rules, what, None)
    changed = replace(others, document=(*others.document, _none_passes(what)))
    values, held = [np.zeros(0, np.float32)], [np.zeros((0, 2), np.int64)]
    documents = 0
    for batch in batches:
        documents += batch.num_rows
        decisions = _decisions(changed, batch)
        always, reason = bools(decisions["keep"]), decisions["reason"].cast(pa.string())
        passed = always | bools(pc.equal(reason, changed.document[-1].reasons()[0]))
        scores = np.array(decisions["score"].to_numpy(zero_copy_only=False), np.float32)
        scores[always] = np.nan  # a null score, which every threshold keeps
        values.append(scores[passed])
        held.append(_kept_nodes(batch, decisions)[passed])
    score, nodes = np.concatenate(values), np.concatenate(held)
    counts = np.zeros((len(what.thresholds), 3), np.int64)
    for i, threshold in enumerate(what.thresholds):
        failed = _failed(what, score, threshold)
        counts[i] = [np.count_nonzero(~failed), *nodes[~failed].sum(0)]
    return _rows(what, counts, documents)


def sweep_images(rules: Rules, what: Sweep, images: Iterable[pa.Table]) -> list[dict[str, Any]]:
    """A row for each threshold: ``threshold`` (None: no limit), ``images`` and how many of them the image rules would
    keep.

    ``images``: rows with the columns that `filters.image.image_columns` reads. The effect on documents is not measured.
    """
    changed = (*_with(rules, what, None).image, _none_passes(what))
    values, always, total = [np.zeros(0, np.float32)], 0, 0
    for table in images:
        total += table.num_rows
        decided = decide(changed, image_columns(table), table.num_rows)
        always += pc.sum(decided.keep).as_py() or 0
        last = pc.fill_null(pc.equal(decided.reason.cast(pa.string()), changed[-1].reasons()[0]), False)
        values.append(np.asarray(decided.score.filter(last).to_numpy(zero_copy_only=False), np.float32))
    score = np.concatenate(values)
    numbers = {t: always + int(np.count_nonzero(~_failed(what, score, t))) for t in what.thresholds}
    return [{"threshold": _finite(t), "images": total, "kept_images": number} for t, number in numbers.items()]


def of_fetched(what: Sweep) -> bool:
    """Whether the score needs the fetched image, so that `sweep_images` has to sweep it."""
    return what.level == "image" and what.score not in IMAGE_ON_PAGE


def _failed(what: Sweep, scores: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    return scores < np.float32(threshold) if what.limit == "min" else scores > np.float32(threshold)


def _none_passes(what: Sweep) -> Rule:
    return Rule(what.score, min=math.inf) if what.limit == "min" else Rule(what.score, max=-math.inf)


def _with(rules: Rules, what: Sweep, threshold: float | None) -> Rules:
    have = getattr(rules, what.level)
    if not any(r.score == what.score for r in have):
        have = (*have, Rule(what.score))
    changed = tuple(replace(r, **{what.limit: threshold}) if r.score == what.score else r for r in have)
    return replace(rules, **{what.level: changed})


def _decisions(rules: Rules, batch: pa.RecordBatch) -> pa.RecordBatch:
    ((_, decisions),) = Decide(rules)(batch)
    assert isinstance(decisions, pa.RecordBatch)
    return decisions


def _kept_nodes(batch: pa.RecordBatch, decisions: pa.RecordBatch) -> NDArray[np.int64]:
    """Number of kept paragraphs and of kept images of each document: (documents, 2)."""
    nodes, keep = flat_nodes(batch["nodes"]), bools(decisions["node_keep"].flatten())
    return np.stack([nodes.count(nodes.of_kind(kind) & keep) for kind in (TEXT, IMAGE)], 1)


def _rows(what: Sweep, counts: NDArray[np.int64], documents: int) -> list[dict[str, Any]]:
    rows = zip(what.thresholds, counts.tolist(), strict=True)
    numbers = [(_finite(t), {"kept": k, "paragraphs": p, "images": i}) for t, (k, p, i) in rows]
    return [{"threshold": threshold, "documents": documents, **kept} for threshold, kept in numbers]


def _finite(threshold: float) -> float | None:
    """The threshold of a row: None for no limit."""
    return threshold if math.isfinite(threshold) else None
