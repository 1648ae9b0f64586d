"""Texts as flat arrays: code points, paragraphs, documents and words, for work on whole columns.

The paragraphs of a few hundred documents are laid end to end, each followed by a blank line, so that a paragraph, and a document with
its paragraphs joined by blank lines, is one slice of the code points. Words are slices too, and carry a 64-bit hash.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from filters import characters as ch

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
UInt64s = NDArray[np.uint64]

GAP = "\n\n"
CHUNK = 1 << 18  # code points worked on at once: the arrays stay in the processor's cache, and memory is flat in the size of the input

#: base of the polynomial hashes (any odd number with scattered bits) and its inverse modulo 2**64
BASE = 0x9E3779B97F4A7C55
INVERSE = pow(BASE, -1, 1 << 64)


@dataclass(frozen=True, eq=False)
class Spans:
    """Slices of an array, in order and apart from each other."""

    start: Ints
    end: Ints

    def __len__(self) -> int:
        return len(self.start)

    @property
    def size(self) -> Ints:
        return self.end - self.start

    def count(self, where: Bools) -> Ints:
        """How many are true in each slice."""
        running = np.zeros(len(where) + 1, np.int32)
        np.cumsum(where, dtype=np.int32, out=running[1:])
        return (running[self.end] - running[self.start]).astype(np.int64)

    def sum(self, values: NDArray) -> NDArray:
        """Sum over each slice."""
        running = np.concatenate([np.zeros(1, values.dtype), np.cumsum(values)])
        total: NDArray = running[self.end] - running[self.start]
        return total


@dataclass(frozen=True, eq=False)
class Flat:
    """Some documents' paragraphs. ``paragraphs`` and ``documents`` slice the code points; ``of`` slices the paragraphs by document."""

    text: str
    codes: NDArray[np.uint32]
    paragraphs: Spans
    of: Spans

    @cached_property
    def documents(self) -> Spans:
        """Each document's code points, blank lines between its paragraphs included; empty for a document without paragraphs."""
        none = self.of.size == 0
        if not len(self.paragraphs):
            zeros = np.zeros(len(self.of), np.int64)
            return Spans(zeros, zeros)
        start = self.paragraphs.start[np.minimum(self.of.start, len(self.paragraphs) - 1)]
        end = self.paragraphs.end[np.maximum(self.of.end - 1, 0)]
        return Spans(np.where(none, 0, start), np.where(none, 0, end))

    @cached_property
    def kinds(self) -> NDArray[np.uint8]:
        """Class bits (`filters.characters`) of each code point."""
        kinds: NDArray[np.uint8] = np.take(ch.classes(), self.codes)
        return kinds

    @cached_property
    def words(self) -> Spans:
        """Words: runs without white space, stripped of special characters at both ends; those left empty are none."""
        space = (self.kinds & ch.SPACE) != 0
        edge = np.flatnonzero(np.diff(space, prepend=True, append=True))
        start, end = edge[::2], edge[1::2]
        good = np.flatnonzero((self.kinds & ch.SPECIAL) == 0)
        before = np.zeros(len(space) + 1, np.int32)
        np.cumsum((self.kinds & ch.SPECIAL) == 0, out=before[1:])
        low, high = before[start], before[end]
        some = low < high
        return Spans(good[low[some]], good[high[some] - 1] + 1)

    @cached_property
    def _folded(self) -> tuple[UInt64s, UInt64s]:
        return _running(np.take(ch.folded_symbols(), self.codes))

    def _hashes(self, spans: Spans) -> UInt64s:
        running, inverse = self._folded
        hashes: UInt64s = (running[spans.end] - running[spans.start]) * inverse[spans.start]
        return hashes

    @cached_property
    def word_hashes(self) -> UInt64s:
        """Hash of each word, case folded."""
        return self._hashes(self.words)

    @cached_property
    def paragraph_hashes(self) -> UInt64s:
        """Hash of each paragraph, case folded."""
        return self._hashes(self.paragraphs)

    @cached_property
    def paragraph_words(self) -> Spans:
        """Each paragraph's words, as slices of ``words``."""
        edges = np.searchsorted(self.words.start, np.append(self.paragraphs.start, len(self.codes)))
        return Spans(edges[:-1], edges[1:])

    @cached_property
    def document_words(self) -> Spans:
        """Each document's words, as slices of ``words``."""
        edges = np.append(self.paragraph_words.start, len(self.words))
        return Spans(edges[self.of.start], edges[self.of.end])

    def where(self, kind: int) -> Bools:
        """Which code points are of a class."""
        found: Bools = (self.kinds & kind) != 0
        return found

    def count(self, kind: int) -> Ints:
        """How many of each paragraph's code points are of a class."""
        return self.paragraphs.count(self.where(kind))

    def words_where(self, where: Bools) -> Ints:
        """How many of each paragraph's words are true in ``where``."""
        return self.paragraph_words.count(where)

    def words_sum(self, values: Ints) -> Ints:
        """Sum over each paragraph's words."""
        total: Ints = self.paragraph_words.sum(values)
        return total

    def by_document(self, per_paragraph: NDArray) -> NDArray:
        """Sum of a paragraph measure over each document."""
        return self.of.sum(per_paragraph)


def chunks(texts: pa.Array, offsets: Ints) -> Iterator[tuple[int, int, Flat]]:
    """Documents by the few hundred: (first document, one past the last, their text).

    ``texts`` are the paragraphs of all documents, nulls read as empty; document ``i`` has ``texts[offsets[i]:offsets[i + 1]]``.
    A document is never cut: one that is larger than a chunk is one by itself.
    """
    lengths = np.asarray(pc.fill_null(pc.utf8_length(texts), 0).to_numpy(zero_copy_only=False), np.int64)
    running = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths + len(GAP))])
    before = running[offsets[:-1]]
    first = 0
    documents = len(offsets) - 1
    while first < documents:
        last = int(np.searchsorted(before, before[first] + CHUNK, "right"))
        # the last of these reaches over the edge unless it ends before it
        if last - first > 1 and running[offsets[last]] > before[first] + CHUNK:
            last -= 1
        low, high = int(offsets[first]), int(offsets[last])
        yield first, last, _flat(texts.slice(low, high - low), lengths[low:high], offsets[first : last + 1] - low)
        first = last


def _flat(texts: pa.Array, lengths: Ints, offsets: Ints) -> Flat:
    end = np.cumsum(lengths + len(GAP)) - len(GAP)
    text = "".join(t + GAP for t in pc.fill_null(texts, "").to_pylist())
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    return Flat(text, codes, Spans(end - lengths, end), Spans(offsets[:-1], offsets[1:]))


def word_hashes(words: list[str]) -> UInt64s:
    """The hash that each of these strings has as a word of a text."""
    if not words:
        return np.zeros(0, np.uint64)
    lengths = np.array([len(w) for w in words])
    codes = np.frombuffer("".join(words).encode("utf-32-le"), np.uint32)
    running, inverse = _running(np.take(ch.folded_symbols(), codes))
    end = np.cumsum(lengths)
    start = end - lengths
    hashes: UInt64s = (running[end] - running[start]) * inverse[start]
    return hashes


def grams(symbols: UInt64s, n: int) -> UInt64s:
    """Hash of the ``n`` symbols from each place on (as long as there are n): polynomial, modulo 2**64, the same at every place."""
    if len(symbols) < n:
        return np.zeros(0, np.uint64)
    running, inverse = _running(symbols)
    hashes: UInt64s = (running[n:] - running[:-n]) * inverse[: len(symbols) - n + 1]
    return hashes


def _running(symbols: UInt64s) -> tuple[UInt64s, UInt64s]:
    """Prefix sums of symbol times BASE**place, and the inverse powers: a slice's hash is a difference times the inverse at its start."""
    powers, inverses = _powers(len(symbols) + 1)
    running = np.zeros(len(symbols) + 1, np.uint64)
    np.cumsum(symbols * powers[:-1], out=running[1:])
    return running, inverses


_table: list[UInt64s] = []


def _powers(size: int) -> tuple[UInt64s, UInt64s]:
    if not _table or len(_table[0]) < size:
        length = max(size, 2 * CHUNK)
        made = []
        for base in (BASE, INVERSE):
            steps = np.full(length, base, np.uint64)
            steps[0] = 1
            made.append(np.cumprod(steps))
        if length > 2 * CHUNK:  # a giant document: not worth keeping
            return made[0][:size], made[1][:size]
        _table[:] = made
    return _table[0][:size], _table[1][:size]
