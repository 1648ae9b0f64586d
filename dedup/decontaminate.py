"""Evaluation data kept out of training data: thirteen words in a row that an evaluation has too, its short texts whole,
its pictures.

What is known of an evaluation is hashes (`EVALUATED`), small enough to be given to every part. Words are those of
`dedup.text`: case, punctuation and diacritics do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.group import column
from dedup.hashing import U64, mix64, numbers, part_of, row_of
from dedup.perceptual import hamming
from dedup.text import flat_nodes, words
from manifests.schema import TEXT
from manifests.stage import NO_ENGINE, StageContext

I64 = npt.NDArray[np.int64]

GRAM, WHOLE, PICTURE = "gram", "whole", "picture"
EVALUATED = pa.schema(
    [
        ("kind", pa.string()),  # GRAM, WHOLE or PICTURE
        ("hash", pa.uint64()),  # of words; for pictures the perceptual hash
        ("item", pa.string()),  # where it stands, as FILE:LINE
    ]
)
#: a place in a document's text that an evaluation has too
MATCHES = pa.schema([("key", pa.uint64()), ("doc", pa.uint64()), ("item", pa.string())])  # key: the hash of the words
CONTAMINATED = pa.schema(
    [
        ("key", pa.uint64()),  # the document's part
        ("row", pa.int32()),
        ("runs", pa.int32()),  # of the words it shares with the evaluation, different ones
        ("item", pa.string()),  # one they stand in
    ]
)

_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so the rolling hash loses nothing; 2^64 over the golden ratio
_ROWS = 1024  # documents looked at together


@dataclass(frozen=True)
class Overlap:
    """What of two texts must be alike.

    ``words``: a run of so many (13: GPT-3, arXiv 2005.14165, appendix C). ``whole``: a text of fewer, but at least so
    many, counts where a paragraph or turn is exactly that (8: the least that GPT-3 looks at), unless it asks about a
    picture: "Which colour is it? Answer with a single word" is asked of many. Shorter ones are everybody's.
    """

    words: int = 13
    whole: int = 8

    def evaluated(self, texts: Sequence[str], items: Sequence[str], pictured: Sequence[bool]) -> pa.Table:
        """EVALUATED rows of an evaluation's texts. items: of each text; pictured: whether that has a picture."""
        hashed, offsets = words(pa.array(texts, pa.string()), fold_numbers=False)
        found, text = runs(hashed, offsets, self.words)
        found, first = np.unique(found, return_index=True)
        short, which = wholes(hashed, offsets, self.whole, self.words)
        alone = ~np.asarray(pictured, bool)[which]
        short, which = short[alone], which[alone]
        named = [items[t] for t in np.concatenate([text[first], which]).tolist()]
        kinds = [GRAM] * len(found) + [WHOLE] * len(short)
        return pa.table([kinds, np.concatenate([found, short]), named], schema=EVALUATED)

    def matches(self, texts: pa.Array, evaluated: Evaluated) -> tuple[I64, I64]:
        """(index of the text, row of `evaluated`) of everything in the texts that the evaluation has too, in the order
        of the texts.
        """
        hashed, offsets = words(texts, fold_numbers=False)
        found, text = runs(hashed, offsets, self.words)
        short, which = wholes(hashed, offsets, self.whole, self.words)
        (a, at), (b, place) = evaluated.find(GRAM, found), evaluated.find(WHOLE, short)
        texts_of, rows = np.concatenate([text[a], which[b]]), np.concatenate([at, place])
        order = np.argsort(texts_of, kind="stable")
        return texts_of[order], rows[order]


@dataclass(frozen=True)
class Matches:
    """Exchange by part: `documents`, `decisions` and `evaluated` -> ``matches`` (MATCHES) of the kept texts of kept
    documents, each run of
    words once a document."""

    overlap: Overlap = Overlap()

    def __call__(
        self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        evaluated = Evaluated(tables["evaluated"])
        documents, decisions = tables["documents"], tables["decisions"]
        for start in range(0, documents.num_rows if decisions.num_columns else 0, _ROWS):
            ctx(start)
            cut = {"nodes": documents["nodes"], "keep": decisions["keep"], "node_keep": decisions["node_keep"]}
            batch = pa.table({n: c.slice(start, _ROWS) for n, c in cut.items()}).combine_chunks().to_batches()[0]
            nodes = flat_nodes(batch, "Contaminated")
            mask = nodes.of_kind(TEXT)
            text, place = self.overlap.matches(pc.fill_null(nodes.field("text", mask), ""), evaluated)
            found = np.unique(np.stack([nodes.document[mask][text], place]), axis=1)
            doc = numbers(ctx.part, start, batch.num_rows)[found[0]]
            yield (
                "matches",
                pa.record_batch([evaluated.hashes[found[1]], doc, evaluated.items(found[1])], schema=MATCHES),
            )


@dataclass(frozen=True)
class Contaminated:
    """Exchange by key: ``matches`` -> ``contaminated`` (CONTAMINATED): the documents of every run of words that at most
    ``common`` of them have, on their way home. What more have is a template or a saying, and was not taken from the
    evaluation (10: NeMo Curator's
    ``max_matches``)."""

    common: int = 10

    def __call__(
        self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        matches = tables["matches"] if tables["matches"].num_columns else MATCHES.empty_table()
        key, doc = column(matches, "key"), column(matches, "doc")
        _, back, counts = np.unique(key, return_inverse=True, return_counts=True)
        few = np.flatnonzero(counts[back] <= self.common)
        few = few[np.lexsort((key[few], doc[few]))]
        found, first, runs_of = np.unique(doc[few], return_index=True, return_counts=True)
        items = matches["item"].take(pa.array(few[first])).combine_chunks()
        batch = pa.record_batch([part_of(found), row_of(found), runs_of.astype(np.int32), items], schema=CONTAMINATED)
        yield "contaminated", batch


class Evaluated:
    """An evaluation's hashes, ready to be asked. table: EVALUATED, or one without columns where there is nothing."""

    def __init__(self, table: pa.Table) -> None:
        table = table if table.num_columns else EVALUATED.empty_table()
        kinds = np.asarray(table["kind"].to_pylist(), object)
        hashes = table["hash"].to_numpy()
        self._items = table["item"]
        self.hashes = hashes
        self._by_kind: dict[str, tuple[U64, I64]] = {}
        for kind in (GRAM, WHOLE, PICTURE):
            rows = np.flatnonzero(kinds == kind)
            rows = rows[np.argsort(hashes[rows], kind="stable")]
            self._by_kind[kind] = hashes[rows], rows

    def items(self, rows: I64) -> list[str]:
        found: list[str] = self._items.take(pa.array(rows)).to_pylist()
        return found

    def find(self, kind: str, hashes: U64) -> tuple[I64, I64]:
        """(index into `hashes`, row) of those that are known."""
        known, rows = self._by_kind[kind]
        if not len(known):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        place = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
        hit = np.flatnonzero(known[place] == hashes)
        return hit, rows[place[hit]]

    def picture(self, phash: int | None, bits: int) -> tuple[str, int] | None:
        """(item, distance) of the nearest picture, where it is at most so many bits away."""
        known, rows = self._by_kind[PICTURE]
        if phash is None or not len(known):
            return None
        distance = hamming(known, np.uint64(phash))
        nearest = int(distance.argmin())
        return (
            None if distance[nearest] > bits else (self.items(rows[nearest : nearest + 1])[0], int(distance[nearest]))
        )


def runs(hashed: U64, offsets: I64, size: int) -> tuple[U64, I64]:
    """Every run of ``size`` words of each text, as 64-bit hashes: (hashes, index of the text). None of a shorter text."""
    counts = np.maximum(np.diff(offsets) - size + 1, 0)
    text = np.repeat(np.arange(len(counts)), counts)
    first = (
        np.repeat(offsets[:-1], counts) + np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    )
    h = np.full(len(first), size, np.uint64)
    for k in range(size):
        h = h * _BASE + hashed[first + k]
    return mix64(h), text


def wholes(hashed: U64, offsets: I64, least: int, below: int) -> tuple[U64, I64]:
    """The same of whole texts of ``least`` to below ``below`` words."""
    lengths = np.diff(offsets)
    found: list[U64] = []
    text: list[I64] = []
    for size in range(least, below):
        mine = np.flatnonzero(lengths == size)
        h = np.full(len(mine), size, np.uint64)
        for k in range(size):
            h = h * _BASE + hashed[offsets[mine] + k]
        found.append(mix64(h))
        text.append(mine)
    return (np.concatenate(found), np.concatenate(text)) if found else (np.zeros(0, np.uint64), np.zeros(0, np.int64))
