"""The decision: rule tables over stored scores, one row for each document.

The order is that of OBELICS: first the paragraphs, then the document with the paragraphs that are left. Scores are
those of the whole document, except those in `REMEASURED`, which are measured again over the kept nodes, as that is
cheap. Whether content is left under a heading (``followed``) depends on the other paragraph rules, so its rule applies
after them.

Image nodes are judged here by the image rules that need the page alone (`filters.scores.IMAGE_ON_PAGE`), before images
are fetched. The other image rules apply after the fetch (`filters.image`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from filters.image import page_columns
from filters.rules import Decided, Rule, Rules, decide, dictionary, reasons
from filters.scores import IMAGE_ON_PAGE, NODE_DECIDED
from filters.spans import Bools, Floats, Ints, ratio
from manifests.flat import FlatNodes, bools, flat_nodes, offsets, run_starts
from manifests.schema import BREAK, DECISION, DOCUMENT, IMAGE, TEXT
from manifests.stage import NO_ENGINE, Output, StageContext

QUARANTINED = "quarantined"  # reason of a document whose row of scores is all null
HEADING = "heading"  # of manifests.schema.ROLES
STRAY_BREAK = "break"  # reason of a break that is first, last, or next to another after nodes are dropped

#: document scores that are sums over paragraphs, and all document scores that are measured again over the kept nodes
SUMMED = ("words", "characters", "spaced_words", "sentences", "braces", "lorem_ipsum")
REMEASURED = (*SUMMED, "images", "paragraphs", "longest_paragraph", "words_per_image")


@dataclass(frozen=True)
class Decide:
    """Map: documents with their scores -> ("decisions", DECISION). Raises RuleError for a rule without a column."""

    rules: Rules

    tables: ClassVar[Mapping[str, pa.Schema]] = {"decisions": DECISION}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        rows = batch.num_rows
        columns = {name: batch[name] for name in batch.schema.names if name not in DOCUMENT.names}
        nodes = flat_nodes(batch["nodes"])
        is_text, is_image, is_break = (nodes.of_kind(kind) for kind in (TEXT, IMAGE, BREAK))
        scored = ~_all_null(columns, rows)

        on_page = tuple(rule for rule in self.rules.image if rule.score in IMAGE_ON_PAGE)
        by_image = decide(on_page, page_columns(nodes.nodes), len(nodes.nodes))
        by_text, kept = self._paragraphs(columns, scored, nodes, bools(by_image.keep))
        stray = _stray(is_break, kept, nodes.offsets)
        kept &= ~stray

        decided = decide(self.rules.document, columns | _remeasured(columns, kept, is_text, is_image, nodes), rows)
        names = reasons(self.rules.document, QUARANTINED)
        code = _codes(decided.reason, names)
        code[~scored] = names.index(QUARANTINED)
        null, mask = pa.scalar(None, pa.float32()), pa.array(scored)

        node_names = reasons((*self.rules.node, *on_page), STRAY_BREAK)
        of_image = np.where(is_image, _codes(by_image.reason, node_names), np.int8(-1))
        node_code = np.where(is_text, _codes(by_text.reason, node_names), of_image).astype(np.int8)
        node_code[stray] = node_names.index(STRAY_BREAK)
        node_score = pc.if_else(pa.array(is_image), by_image.score, null)
        node_score = pc.if_else(pa.array(is_text), by_text.score, node_score)
        edges = pa.array(nodes.offsets, pa.int32())
        decisions = {
            "keep": pa.array(code < 0),
            "reason": dictionary(code, names),
            "score": pc.if_else(mask, decided.score, null),
            "threshold": pc.if_else(mask, decided.threshold, null),
            "node_keep": pa.ListArray.from_arrays(edges, pa.array(kept)),
            "node_reason": pa.ListArray.from_arrays(edges, dictionary(node_code, node_names)),
            "node_score": pa.ListArray.from_arrays(edges, node_score),
        }
        yield "decisions", pa.RecordBatch.from_arrays([decisions[f.name] for f in DECISION], schema=DECISION)

    def _paragraphs(
        self, columns: Mapping[str, pa.Array], scored: Bools, nodes: FlatNodes, images: Bools
    ) -> tuple[Decided, Bools]:
        """The decision on paragraphs, and which nodes are kept before stray breaks are dropped."""
        role, is_text, is_image = nodes.field("role"), nodes.of_kind(TEXT), nodes.of_kind(IMAGE)
        stored = tuple(rule for rule in self.rules.node if rule.score not in NODE_DECIDED)
        scores = _node_columns(columns, stored, np.diff(nodes.offsets), scored)
        decided = decide(stored, scores, len(role), role)
        kept = np.where(is_text, bools(decided.keep), np.where(is_image, images, True))
        if len(stored) < len(self.rules.node):
            last = tuple(rule for rule in self.rules.node if rule.score in NODE_DECIDED)
            heading = is_text & bools(pc.equal(role, HEADING))
            followed = _followed(heading, nodes.of_kind(BREAK), kept, nodes.document)
            decided = decide((*stored, *last), {**scores, "followed": followed}, len(role), role)
            kept = np.where(is_text, bools(decided.keep), kept)
        return decided, kept


def _followed(heading: Bools, is_break: Bools, kept: Bools, document: Ints) -> pa.Array:
    """The score ``followed``: 1 where the next kept node after a heading is content, 0 where it is not.

    Another heading, a break and the document's end are not content. Headings in a row (title, then subtitle) have the
    score of the last one.
    """
    n = len(heading)
    place = np.where(kept, np.arange(n), n)
    after = np.append(np.minimum.accumulate(place[::-1])[::-1], n)[1:]  # the next kept node; n: none
    next_too = heading[1:] & kept[1:] & (document[1:] == document[:-1])
    last = np.append(heading[:-1] & ~next_too, True)  # the last of headings in a row
    last_of_row = np.minimum.accumulate(np.where(last, np.arange(n), n)[::-1])[::-1]
    content = np.append(kept & ~heading & ~is_break, False)
    rows = np.flatnonzero(heading)
    following = after[last_of_row[rows]]
    followed = np.full(n, np.nan, np.float32)
    followed[rows] = content[following] & (np.append(document, -1)[following] == document[rows])
    return pa.array(followed, mask=np.isnan(followed))


def _node_columns(
    columns: Mapping[str, pa.Array], rules: tuple[Rule, ...], sizes: Ints, scored: Bools
) -> dict[str, pa.Array]:
    """The paragraphs' scores that the rules name, flat, with nulls for the nodes of a document without scores."""
    flat: dict[str, pa.Array] = {}
    present = np.repeat(scored, sizes)
    place = pa.array(np.cumsum(present) - 1, mask=~present)
    for rule in rules:
        if (name := f"node_{rule.score}") not in columns:
            continue  # `decide` raises the error
        values = columns[name].flatten()
        if len(values) != (n := int(sizes[scored].sum())):
            raise ValueError(f"scores column `{name}` has {len(values)} values for {n} nodes: not of these documents")
        flat[rule.score] = values.take(place)
    return flat


def _remeasured(
    columns: Mapping[str, pa.Array], kept: Bools, is_text: Bools, is_image: Bools, nodes: FlatNodes
) -> dict[str, pa.Array]:
    """The document scores of `REMEASURED` over the kept nodes, as far as their columns exist."""
    text, images = kept & is_text, nodes.count(kept & is_image)
    scores: dict[str, NDArray] = {"images": images, "paragraphs": nodes.count(text)}
    for name in SUMMED:
        if f"node_{name}" in columns:
            values = np.nan_to_num(_node_values(columns[f"node_{name}"], nodes.offsets)) * text
            scores[name] = np.diff(np.append(0, np.cumsum(values))[nodes.offsets])
            if name == "words":
                longest = np.zeros(len(images))
                np.maximum.at(longest, nodes.document, values)
                scores["longest_paragraph"] = longest
                scores["words_per_image"] = ratio(scores[name], images)
    return {
        name: pa.array(values.astype(np.float32), mask=np.isnan(values) | ~bools(columns[name].is_valid()))
        for name, values in scores.items()
        if name in columns
    }


def _node_values(column: pa.ListArray, edges: Ints) -> Floats:
    """A list column's values at the nodes' places; NaN where a document's list is null."""
    present = np.repeat(bools(column.is_valid()), np.diff(edges))
    values = np.full(len(present), np.nan)
    values[present] = column.flatten().to_numpy(zero_copy_only=False)
    return values


def _stray(is_break: Bools, kept: Bools, edges: Ints) -> Bools:
    """Breaks without kept content before them (from the document's start or the last break) or after them."""
    content = offsets(kept & ~is_break)
    place = np.flatnonzero(is_break)
    document = np.searchsorted(edges, place, "right") - 1
    before, at_start, at_end = content[place], content[edges[document]], content[edges[document + 1]]
    following = ~run_starts(before, document)  # no content between the previous break of the document and this one
    stray = np.zeros(len(is_break), np.bool_)
    stray[place] = (before == at_start) | (before == at_end) | following
    return stray


def _all_null(columns: Mapping[str, pa.Array], rows: int) -> Bools:
    """Rows with null scores alone: the engine quarantined them. Without columns of scores there are none."""
    empty = np.full(rows, bool(columns))
    for column in columns.values():
        empty &= ~bools(column.is_valid())
    return empty


def _codes(reason: pa.DictionaryArray, names: tuple[str, ...]) -> NDArray[np.int8]:
    """Codes of a dictionary array in another list of names, -1 where null."""
    index = pc.index_in(reason.cast(pa.string()), pa.array(names, pa.string()))
    return np.asarray(pc.fill_null(index, -1).to_numpy(zero_copy_only=False), np.int8)
