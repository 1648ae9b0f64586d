"""The decision: rule tables over stored scores, row for row beside the documents.

Order, as in OBELICS: paragraphs first, then the document on what is left. Scores were measured on the whole document,
and only what is cheap is measured again over the kept nodes: ``words``, ``spaced_words``, ``characters``,
``paragraphs``, ``longest_paragraph``,
``images``, ``words_per_image``, ``sentences``, ``braces`` and ``lorem_ipsum``. All other document scores stand as they
were measured on the whole page.

Whether anything is left under a heading (``followed``) is known once the other paragraph rules have decided, and is
asked after them.

Image nodes are asked those image rules that the page alone can answer (`filters.scores.IMAGE_ON_PAGE`), before anything
is fetched; the rest of the image table is asked once the outcomes are known (`filters.image`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from filters.image import page_columns
from filters.rules import Decided, Rule, Rules, decide, dictionary, reasons
from filters.scores import IMAGE_ON_PAGE, NODE_DECIDED
from manifests.schema import BREAK, DECISION, DOCUMENT, IMAGE, TEXT
from manifests.stage import NO_ENGINE, StageContext

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Output = tuple[str, pa.RecordBatch | bytes]

QUARANTINED = "quarantined"  # a document whose scores row is all null
HEADING = "heading"  # of manifests.schema.ROLES
STRAY_BREAK = "break"  # a break that is first, last or beside another, once its neighbours are gone

#: document scores that are sums over paragraphs, and all those that are measured again over what is kept
SUMMED = ("words", "characters", "spaced_words", "sentences", "braces", "lorem_ipsum")
AGAIN = (*SUMMED, "images", "paragraphs", "longest_paragraph", "words_per_image")


@dataclass(frozen=True)
class Decide:
    """Map: documents zipped with their scores -> ("decisions", DECISION), one row a document.

    Raises RuleError where a rule's score is not among the columns.
    """

    rules: Rules

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        rows = batch.num_rows
        columns = {name: batch[name] for name in batch.schema.names if name not in DOCUMENT.names}
        nodes = batch["nodes"]
        sizes = np.asarray(pc.fill_null(pc.list_value_length(nodes), 0).to_numpy(zero_copy_only=False), np.int64)
        edges = _offsets(sizes)
        flat = nodes.flatten()
        kind = pc.struct_field(flat, "kind")
        is_text, is_image, is_break = (_bools(pc.equal(kind, k)) for k in (TEXT, IMAGE, BREAK))
        scored = ~_all_null(columns, rows)

        on_page = tuple(rule for rule in self.rules.image if rule.score in IMAGE_ON_PAGE)
        by_image = decide(on_page, page_columns(flat), len(flat))
        by_text, kept = self._paragraphs(columns, sizes, scored, flat, _bools(by_image.keep))
        stray = _stray(is_break, kept, edges)
        kept &= ~stray

        decided = decide(self.rules.document, columns | _again(columns, kept, is_text, is_image, edges), rows)
        names = reasons(self.rules.document, QUARANTINED)
        code = _codes(decided.reason, names)
        code[~scored] = names.index(QUARANTINED)
        nothing = pa.scalar(None, pa.float32())
        mask = pa.array(scored)
        node_names = reasons((*self.rules.node, *on_page), STRAY_BREAK)
        offsets = pa.array(edges, pa.int32())
        made = {
            "keep": pa.array(code < 0),
            "reason": dictionary(code, names),
            "score": pc.if_else(mask, decided.score, nothing),
            "threshold": pc.if_else(mask, decided.threshold, nothing),
            "node_keep": pa.ListArray.from_arrays(offsets, pa.array(kept)),
            "node_reason": pa.ListArray.from_arrays(
                offsets, dictionary(_node_codes(by_text, by_image, is_text, is_image, stray, node_names), node_names)
            ),
            "node_score": pa.ListArray.from_arrays(offsets, _node_score(by_text, by_image, is_text, is_image)),
        }
        yield "decisions", pa.RecordBatch.from_arrays([made[f.name] for f in DECISION], schema=DECISION)

    def _paragraphs(
        self, columns: Mapping[str, pa.Array], sizes: Ints, scored: Bools, flat: pa.StructArray, images: Bools
    ) -> tuple[Decided, Bools]:
        """The paragraphs' decision, and which nodes are kept before stray breaks go."""
        kind, role = pc.struct_field(flat, "kind"), pc.struct_field(flat, "role")
        is_text, is_image = _bools(pc.equal(kind, TEXT)), _bools(pc.equal(kind, IMAGE))
        stored = tuple(rule for rule in self.rules.node if rule.score not in NODE_DECIDED)
        scores = _node_columns(columns, stored, sizes, scored)
        made = decide(stored, scores, len(flat), role)
        kept = np.where(is_text, _bools(made.keep), np.where(is_image, images, True))
        if len(stored) < len(self.rules.node):
            last = tuple(rule for rule in self.rules.node if rule.score in NODE_DECIDED)
            heading = is_text & _bools(pc.equal(role, HEADING))
            followed = _followed(heading, _bools(pc.equal(kind, BREAK)), kept, _offsets(sizes))
            made = decide((*stored, *last), {**scores, "followed": followed}, len(flat), role)
            kept = np.where(is_text, _bools(made.keep), kept)
        return made, kept


def _followed(heading: Bools, is_break: Bools, kept: Bools, edges: Ints) -> pa.Array:
    """The score ``followed``: what is kept next after a heading, or after the headings directly below it (title, then
    subtitle), is
    content, neither another heading, nor a break, nor the document's end."""
    n = len(heading)
    document = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    place = np.where(kept, np.arange(n), n)
    after = np.append(np.minimum.accumulate(place[::-1])[::-1], n)[1:]  # the next that is kept; n: none
    # of headings in a row
    last = np.append(heading[:-1] & ~(heading[1:] & kept[1:] & (document[1:] == document[:-1])), True)
    of_row = np.minimum.accumulate(np.where(last, np.arange(n), n)[::-1])[::-1]
    content = np.append(kept & ~heading & ~is_break, False)
    rows = np.flatnonzero(heading)
    following = after[of_row[rows]]
    found = np.full(n, np.nan, np.float32)
    found[rows] = content[following] & (np.append(document, -1)[following] == document[rows])
    return pa.array(found, mask=np.isnan(found))


def _node_columns(
    columns: Mapping[str, pa.Array], rules: tuple[Rule, ...], sizes: Ints, scored: Bools
) -> dict[str, pa.Array]:
    """The paragraphs' scores that the rules name, flat, with nulls for the nodes of a document without scores."""
    flat: dict[str, pa.Array] = {}
    present = pa.array(np.repeat(scored, sizes))
    for rule in rules:
        name = f"node_{rule.score}"
        if name not in columns:
            continue  # decide says so in its own words
        values = columns[name].flatten()
        place = pc.if_else(present, pa.array(np.cumsum(np.repeat(scored, sizes)) - 1), pa.scalar(None, pa.int64()))
        expected = int(sizes[scored].sum())
        if len(values) != expected:
            raise ValueError(
                f"scores column `{name}` has {len(values)} values for {expected} nodes: not of these documents"
            )
        flat[rule.score] = values.take(place)
    return flat


def _again(
    columns: Mapping[str, pa.Array], kept: Bools, is_text: Bools, is_image: Bools, edges: Ints
) -> dict[str, pa.Array]:
    """Document scores over the kept nodes, of those that are columns and can be had from the paragraphs'."""
    out: dict[str, pa.Array] = {}
    text, images = kept & is_text, np.diff(_offsets(kept & is_image)[edges])
    counts: dict[str, Floats] = {
        "images": images.astype(float),
        "paragraphs": np.diff(_offsets(text)[edges]).astype(float),
    }
    for name in SUMMED:
        if f"node_{name}" in columns:
            values = np.nan_to_num(_node_values(columns[f"node_{name}"], edges)) * text
            counts[name] = np.diff(np.concatenate([np.zeros(1), np.cumsum(values)])[edges])
            if name == "words":
                longest = np.zeros(len(edges) - 1)
                np.maximum.at(longest, np.repeat(np.arange(len(edges) - 1), np.diff(edges)), values)
                counts["longest_paragraph"] = longest
                counts["words_per_image"] = np.divide(
                    counts[name], images, out=np.full(len(images), np.nan), where=images > 0
                )
    for name, values in counts.items():
        if name in columns:
            out[name] = pa.array(values.astype(np.float32), mask=np.isnan(values))
    return out


def _node_values(column: pa.ListArray, edges: Ints) -> Floats:
    """A list column's values at the nodes' places; NaN where a document's list is null."""
    lengths = np.diff(edges)
    present = np.repeat(_bools(column.is_valid()), lengths)
    values = np.full(len(present), np.nan)
    values[present] = column.flatten().to_numpy(zero_copy_only=False)
    return values


def _stray(is_break: Bools, kept: Bools, edges: Ints) -> Bools:
    """Breaks with no kept content between them and the document's start or the break before, or after them until its
    end.
    """
    content = _offsets(kept & ~is_break)
    place = np.flatnonzero(is_break)
    document = np.searchsorted(edges, place, "right") - 1
    before, whole_start, whole_end = content[place], content[edges[document]], content[edges[document + 1]]
    previous = np.full(len(place), -1, np.int64)  # content up to the break before, in the same document
    same = document[1:] == document[:-1]
    previous[1:][same] = before[:-1][same]
    stray = np.zeros(len(is_break), np.bool_)
    stray[place] = (before == whole_start) | (before == whole_end) | (before == previous)
    return stray


def _all_null(columns: Mapping[str, pa.Array], rows: int) -> Bools:
    """Rows of which every score is null: the engine quarantined them. Without score columns there are none."""
    empty = np.full(rows, bool(columns))
    for column in columns.values():
        empty &= ~_bools(column.is_valid())
    return empty


def _codes(reason: pa.DictionaryArray, names: tuple[str, ...]) -> NDArray[np.int8]:
    """Codes of a dictionary array against another list of names, -1 where null."""
    to = np.array([*(names.index(n) for n in reason.dictionary.to_pylist()), -1], np.int8)
    codes: NDArray[np.int8] = to[np.asarray(pc.fill_null(reason.indices, len(to) - 1).to_numpy(zero_copy_only=False))]
    return codes


def _node_codes(
    by_text: Decided, by_image: Decided, is_text: Bools, is_image: Bools, stray: Bools, names: tuple[str, ...]
) -> NDArray[np.int8]:
    code = np.where(
        is_text, _codes(by_text.reason, names), np.where(is_image, _codes(by_image.reason, names), np.int8(-1))
    )
    code[stray] = names.index(STRAY_BREAK)
    return code.astype(np.int8)


def _node_score(by_text: Decided, by_image: Decided, is_text: Bools, is_image: Bools) -> pa.Array:
    text, image = pa.array(is_text), pa.array(is_image)
    return pc.if_else(text, by_text.score, pc.if_else(image, by_image.score, pa.scalar(None, pa.float32())))


def _bools(array: pa.Array) -> Bools:
    return np.asarray(pc.fill_null(array, False).to_numpy(zero_copy_only=False), np.bool_)


def _offsets(sizes: NDArray) -> Ints:
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets
