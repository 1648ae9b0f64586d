"""Decontamination: texts and pictures of evaluations are kept out of the training data.

A text is contaminated where it shares thirteen words in a row with an evaluation, or where it is one of the
evaluation's short texts. An evaluation is a table of hashes (`EVALUATED`), small enough for every partition to read.
Words are those of `dedup.text`: case, punctuation and diacritics do not count. In scripts without blanks between words,
as many letters in a row count as are thirteen words: 21 of Chinese or Japanese, 42 of Thai (`manifests.words`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.columns import column, numbers, part_of, row_of
from dedup.text import Words, kept_nodes, words
from manifests.hashing import U64
from manifests.schema import TEXT
from manifests.stage import NO_ENGINE, Output, StageContext

I64 = npt.NDArray[np.int64]

GRAM, WHOLE, PICTURE = "gram", "whole", "picture"
#: `kind`: GRAM, WHOLE or PICTURE; `hash`: of words, or a picture's perceptual hash; `item`: its place, as FILE:LINE
EVALUATED = pa.schema([("kind", pa.string()), ("hash", pa.uint64()), ("item", pa.string())])
#: places of documents that share words with an evaluation; `key`: the hash of the words
MATCHES = pa.schema([("key", pa.uint64()), ("doc", pa.uint64()), ("item", pa.string())])
#: `key`: the document's partition; `runs`: number of distinct runs of words that it shares with the evaluation; `item`:
#: the place of one of them
CONTAMINATED = pa.schema([("key", pa.uint64()), ("row", pa.int32()), ("runs", pa.int32()), ("item", pa.string())])

_ROWS = 1024  # documents in one step


@dataclass(frozen=True)
class Overlap:
    """How much of two texts must be equal.

    ``words``: number of words in a row (13: GPT-3, arXiv 2005.14165, appendix C). ``whole``: a text with fewer words,
    but at least this many, matches a paragraph or turn that is equal to it (8: the least that GPT-3 uses), unless the
    text is a question about a picture: many data sets ask "Which colour is it? Answer with a single word". Shorter
    texts never match.
    """

    words: int = 13
    whole: int = 8

    def evaluated(self, texts: Sequence[str], items: Sequence[str], pictured: Sequence[bool]) -> pa.Table:
        """EVALUATED rows of an evaluation's texts. items: place of each text; pictured: whether it has a picture."""
        (grams, text), (short, which) = self._hashes(pa.array(texts, pa.string()))
        grams, first = np.unique(grams, return_index=True)
        alone = ~np.asarray(pictured, bool)[which]
        short, which = short[alone], which[alone]
        places = [items[t] for t in np.concatenate([text[first], which]).tolist()]
        kinds = [GRAM] * len(grams) + [WHOLE] * len(short)
        return pa.table([kinds, np.concatenate([grams, short]), places], schema=EVALUATED)

    def matches(self, texts: pa.Array, evaluated: Evaluated) -> tuple[I64, I64]:
        """(index of the text, row of `evaluated`) of each match, in the order of the texts."""
        (grams, text), (short, which) = self._hashes(texts)
        (gram, gram_row), (whole, whole_row) = evaluated.find(GRAM, grams), evaluated.find(WHOLE, short)
        index, rows = np.concatenate([text[gram], which[whole]]), np.concatenate([gram_row, whole_row])
        order = np.argsort(index, kind="stable")
        return index[order], rows[order]

    def _hashes(self, texts: pa.Array) -> tuple[tuple[U64, I64], tuple[U64, I64]]:
        hashed = words(texts, fold_numbers=False)
        return runs(hashed, self.words), wholes(hashed, self.whole, self.words)


@dataclass(frozen=True)
class Matches:
    """Exchange by partition: `documents`, `decisions` and `evaluated` -> ``matches`` (MATCHES): what the kept texts of
    kept documents share with the evaluation, each run of words once for a document.
    """

    overlap: Overlap = Overlap()

    tables: ClassVar[Mapping[str, pa.Schema]] = {"matches": MATCHES}

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        evaluated = Evaluated(tables["evaluated"])
        documents, decisions = tables["documents"], tables["decisions"]
        columns = {"nodes": documents["nodes"], "keep": decisions["keep"], "node_keep": decisions["node_keep"]}
        for start in range(0, documents.num_rows, _ROWS):
            ctx(start)
            batch = pa.table({n: c.slice(start, _ROWS) for n, c in columns.items()}).combine_chunks().to_batches()[0]
            nodes = kept_nodes(batch, "Matches")
            mask = nodes.of_kind(TEXT)
            text, rows = self.overlap.matches(pc.fill_null(nodes.field("text", mask), ""), evaluated)
            document, row = np.unique(np.stack([nodes.document[mask][text], rows]), axis=1)
            doc = numbers(ctx.part, start, batch.num_rows)[document]
            yield "matches", pa.record_batch([evaluated.hashes[row], doc, evaluated.items(row)], schema=MATCHES)


@dataclass(frozen=True)
class Contaminated:
    """Exchange by key: ``matches`` -> ``contaminated`` (CONTAMINATED): the documents with runs of words that at most
    ``common`` documents have.

    A run that more documents have is a template or a saying, and does not come from the evaluation (10: NeMo Curator's
    ``max_matches``).
    """

    common: int = 10

    tables: ClassVar[Mapping[str, pa.Schema]] = {"contaminated": CONTAMINATED}

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        matches = tables["matches"]
        key, doc = column(matches, "key"), column(matches, "doc")
        _, back, counts = np.unique(key, return_inverse=True, return_counts=True)
        few = np.flatnonzero(counts[back] <= self.common)
        few = few[np.lexsort((key[few], doc[few]))]
        doc, first, number = np.unique(doc[few], return_index=True, return_counts=True)
        items = matches["item"].take(pa.array(few[first])).combine_chunks()
        columns = [part_of(doc), row_of(doc), number.astype(np.int32), items]
        yield "contaminated", pa.record_batch(columns, schema=CONTAMINATED)


class Evaluated:
    """An index of an evaluation's hashes. table: EVALUATED, which may have no rows."""

    def __init__(self, table: pa.Table) -> None:
        kinds = np.asarray(table["kind"].to_pylist(), object)
        self._items = table["item"]
        self.hashes = table["hash"].to_numpy()
        self._by_kind: dict[str, tuple[U64, I64]] = {}  # sorted hashes, and their rows
        for kind in (GRAM, WHOLE, PICTURE):
            rows = np.flatnonzero(kinds == kind)
            rows = rows[np.argsort(self.hashes[rows], kind="stable")]
            self._by_kind[kind] = self.hashes[rows], rows

    def items(self, rows: I64) -> list[str]:
        return list(self._items.take(pa.array(rows)).to_pylist())

    def find(self, kind: str, hashes: U64) -> tuple[I64, I64]:
        """(index into `hashes`, row) of the hashes that the evaluation has."""
        own, rows = self._by_kind[kind]
        place = np.searchsorted(own, hashes)
        hit = np.flatnonzero(np.append(own, np.uint64(0))[place] == hashes)
        hit = hit[place[hit] < len(own)]
        return hit, rows[place[hit]]

    def picture(self, phash: int | None, bits: int) -> tuple[str, int] | None:
        """(item, distance) of the nearest picture; None where it differs in more than ``bits`` bits."""
        own, rows = self._by_kind[PICTURE]
        if phash is None or not len(own):
            return None
        distance = hamming(own, np.uint64(phash))
        nearest = int(distance.argmin())
        return (self.items(rows[[nearest]])[0], int(distance[nearest])) if distance[nearest] <= bits else None


def hamming(a: npt.ArrayLike, b: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Number of bits in which 64-bit hashes differ, elementwise with broadcasting."""
    return np.asarray(np.bitwise_count(np.asarray(a, np.uint64) ^ np.asarray(b, np.uint64)), np.uint8)


def runs(words: Words, size: int) -> tuple[U64, I64]:
    """Every run of ``size`` words of each text: (hashes, index of the text). A shorter text has none."""
    hashes, counts = words.grams(size)
    return hashes, np.repeat(np.arange(len(counts)), counts)


def wholes(words: Words, least: int, below: int) -> tuple[U64, I64]:
    """The texts of ``least`` to below ``below`` words, the shortest first: (hashes, index of the text)."""
    sizes, lengths = words.sizes(), np.diff(words.offsets)
    texts = np.flatnonzero((sizes >= least) & (sizes < below))
    texts = texts[np.argsort(lengths[texts], kind="stable")]
    return words.hashed(words.offsets[texts], lengths[texts]), texts
