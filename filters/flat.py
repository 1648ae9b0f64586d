"""Texts as flat arrays: code points, paragraphs, documents and words, for work on whole columns.

The paragraphs of a few hundred documents follow one another, each with a blank line behind it. So a paragraph is one
slice of the code points, and so is a document with its paragraphs joined by blank lines. Words are slices with a 64-bit
hash.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from filters import characters as ch
from filters.hashing import Running, UInt64s
from filters.spans import Bools, Floats, Ints, Spans
from manifests import words as wordrule
from manifests.flat import offsets as running_totals
from manifests.words import Weights

GAP = "\n\n"
# code points in one step: the arrays fit the cache, and memory does not grow with the input
CHUNK = 1 << 19


@dataclass(frozen=True, eq=False)
class Flat:
    """Some documents' paragraphs, as slices of the code points; ``of`` slices the paragraphs by document."""

    text: str
    codes: NDArray[np.uint32]
    paragraphs: Spans
    of: Spans

    @cached_property
    def documents(self) -> Spans:
        """Each document's code points, with the blank lines between its paragraphs."""
        none = self.of.size == 0
        start = np.append(self.paragraphs.start, len(self.codes))[self.of.start]
        end = np.append(0, self.paragraphs.end)[self.of.end]
        return Spans(start, np.where(none, start, end))

    @cached_property
    def kinds(self) -> NDArray[np.uint8]:
        """Class bits (`filters.characters`) of each code point."""
        return np.take(ch.classes(), self.codes)

    @cached_property
    def spaced(self) -> Spans:
        """Runs without white space."""
        space = (self.kinds & ch.SPACE) != 0
        edge = np.flatnonzero(np.diff(space, prepend=True, append=True))
        return Spans(edge[::2], edge[1::2])

    @cached_property
    def letters(self) -> Spans | None:
        """Letters of scripts without blanks between words (`manifests.words`), with their marks; None without any."""
        place = np.flatnonzero(self.codes >= wordrule.FIRST)
        kind = wordrule.kinds()[self.codes[place]]
        place = place[(kind > 0) & (kind < wordrule.MARK)]
        if not len(place):
            return None
        mark = np.append(wordrule.kinds()[self.codes] == wordrule.MARK, False)
        end = place + 1
        while len(more := np.flatnonzero(mark[end])):
            end[more] += 1
        return Spans(place, end)

    @cached_property
    def pieces(self) -> Spans:
        """Runs without white space; a letter of a script without blanks between words is a piece of its own."""
        if self.letters is None:
            return self.spaced
        cuts = np.unique(np.concatenate([self.letters.start, self.letters.end]))
        run = np.searchsorted(self.spaced.start, cuts, "right") - 1
        cuts = cuts[(self.spaced.start[run] < cuts) & (cuts < self.spaced.end[run])]
        start, end = (
            np.insert(edges, np.searchsorted(edges, cuts), cuts) for edges in (self.spaced.start, self.spaced.end)
        )
        return Spans(start, end)

    @cached_property
    def points(self) -> Ints:
        """Places of , ; : ? ! and full stops."""
        return np.flatnonzero(self.where(ch.POINT))

    @cached_property
    def lines(self) -> Spans:
        """Lines that are not blank: paragraphs, and lines within a paragraph (of code, of tables)."""
        breaks = np.flatnonzero(self.codes == ord("\n"))
        start, end = np.append(0, breaks + 1), np.append(breaks, len(self.codes))
        start, end = start[start < end], end[start < end]
        some = np.diff(np.searchsorted(self.spaced.start, np.append(start, len(self.codes)))) > 0
        return Spans(start[some], end[some])

    @cached_property
    def document_lines(self) -> Spans:
        return self._within(self.documents, self.lines)

    @cached_property
    def _terms(self) -> tuple[Spans, Bools]:
        """Words and numbers, and which are words."""
        start, end = self.pieces.start, self.pieces.end
        plain = ~self.where(ch.SPECIAL)
        good = np.flatnonzero(plain)
        before = np.zeros(len(plain) + 1, np.int32)
        np.cumsum(plain, out=before[1:])
        low, high = before[start], before[end]
        word = low < high
        first, last = np.zeros(len(start), np.int64), np.zeros(len(start), np.int64)
        first[word], last[word] = good[low[word]], good[high[word] - 1] + 1
        digit = np.flatnonzero(self.where(ch.DIGIT))
        rest = np.flatnonzero(~word)
        begin, stop = np.searchsorted(digit, start[rest]), np.searchsorted(digit, end[rest])
        some = begin < stop
        first[rest[some]], last[rest[some]] = digit[begin[some]], digit[stop[some] - 1] + 1
        some = last > 0
        return Spans(first[some], last[some]), word[some]

    @property
    def terms(self) -> Spans:
        """Words and numbers, in their order. A number is a piece without a word, from its first to its last digit."""
        return self._terms[0]

    @property
    def is_word(self) -> Bools:
        """Which terms are words."""
        return self._terms[1]

    @cached_property
    def words(self) -> Spans:
        """Words: pieces, without the special characters at both ends, that are not empty."""
        return Spans(self.terms.start[self.is_word], self.terms.end[self.is_word])

    @cached_property
    def letter_weights(self) -> NDArray[np.uint8] | None:
        """The weight of each term that is a letter of a script without blanks, else 0; None where no term is."""
        if self.letters is None:
            return None
        kind = wordrule.kinds()[self.codes[self.terms.start]]
        return np.where(kind == wordrule.MARK, np.uint8(0), kind)

    @cached_property
    def term_weights(self) -> Weights:
        """How much of a word each term is."""
        kind = self.letter_weights
        return Weights.of(None if kind is None else np.where(kind, kind, np.uint8(wordrule.WORD)))

    @cached_property
    def word_weights(self) -> Weights:
        """How much of a word each of the words is: a letter of a script without blanks is a part of one."""
        kind = None if self.letter_weights is None else self.letter_weights[self.is_word]
        return Weights.of(None if kind is None else np.where(kind, kind, np.uint8(wordrule.WORD)))

    @cached_property
    def word_count(self) -> Floats | Ints:
        """The number of words of each paragraph."""
        return self.word_weights.count(self.paragraph_words.start, self.paragraph_words.end)

    @cached_property
    def term_count(self) -> Floats | Ints:
        """The number of words and numbers of each paragraph."""
        return self.term_weights.count(self.paragraph_terms.start, self.paragraph_terms.end)

    @cached_property
    def without_blanks(self) -> tuple[Bools, Bools] | None:
        """Which documents, and which paragraphs, have more than half of their words in scripts without blanks between
        words; None where no text has a letter of such a script.
        """
        if self.letter_weights is None:
            return None
        some = Weights.of(self.letter_weights[self.is_word])
        part, whole = some.count(self.paragraph_words.start, self.paragraph_words.end), self.word_count
        return self.of.sum(part) * 2 > self.of.sum(whole), part * 2 > whole

    @cached_property
    def _folded(self) -> Running:
        return Running.of(np.take(ch.folded_symbols(), self.codes))

    @cached_property
    def exact(self) -> Running:
        """Hashes of the code points; upper and lower case differ."""
        return Running.of(np.take(ch.symbols(), self.codes))

    @cached_property
    def term_hashes(self) -> UInt64s:
        """Hash of each term, case folded."""
        return self._folded.words(self.terms.start, self.terms.end)

    @cached_property
    def word_hashes(self) -> UInt64s:
        """Hash of each word, case folded."""
        return self.term_hashes[self.is_word]

    def _within(self, texts: Spans, spans: Spans) -> Spans:
        """The slice of ``spans`` that begins in each of ``texts`` (paragraphs or documents)."""
        edges = np.searchsorted(spans.start, np.append(texts.start, len(self.codes)))
        return Spans(edges[:-1], edges[1:])

    @cached_property
    def paragraph_spaced(self) -> Spans:
        return self._within(self.paragraphs, self.spaced)

    @cached_property
    def paragraph_terms(self) -> Spans:
        return self._within(self.paragraphs, self.terms)

    @cached_property
    def paragraph_words(self) -> Spans:
        return self._within(self.paragraphs, self.words)

    @cached_property
    def document_words(self) -> Spans:
        return self._within(self.documents, self.words)

    @cached_property
    def document_terms(self) -> Spans:
        return self._within(self.documents, self.terms)

    def where(self, kind: int) -> Bools:
        """Which code points are of a class."""
        marked: Bools = (self.kinds & kind) != 0
        return marked

    def count(self, kind: int) -> Ints:
        """How many of each paragraph's code points are of a class."""
        return self.paragraphs.count(self.where(kind))


def chunks(texts: pa.Array, offsets: Ints) -> Iterator[tuple[int, int, Flat]]:
    """Chunks of a few hundred documents: (first document, one past the last, their text).

    ``texts``: the paragraphs of all documents (a null is empty). Document i has ``texts[offsets[i]:offsets[i + 1]]``. A
    document that is larger than a chunk is a chunk of its own.
    """
    running = running_totals(_lengths(texts) + len(GAP))
    before = running[offsets[:-1]]
    first = 0
    while first < len(offsets) - 1:
        last = int(np.searchsorted(before, before[first] + CHUNK, "right"))
        # the last document crosses the chunk's end, unless it ends before
        if last - first > 1 and running[offsets[last]] > before[first] + CHUNK:
            last -= 1
        low, high = int(offsets[first]), int(offsets[last])
        yield first, last, _flat(texts.slice(low, high - low), offsets[first : last + 1] - low)
        first = last


def _lengths(texts: pa.Array) -> Ints:
    return np.asarray(pc.fill_null(pc.utf8_length(texts), 0).to_numpy(zero_copy_only=False), np.int64)


def _flat(texts: pa.Array, offsets: Ints) -> Flat:
    lengths = _lengths(texts)
    end = np.cumsum(lengths + len(GAP)) - len(GAP)
    every = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), pc.fill_null(texts, ""))
    text = pc.binary_join(every, GAP)[0].as_py() + GAP * bool(len(texts))
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    return Flat(text, codes, Spans(end - lengths, end), Spans(offsets[:-1], offsets[1:]))


def flat_of(documents: list[list[str]]) -> Flat:
    """Documents, as lists of paragraphs, in one chunk of any size."""
    sizes = np.array([len(paragraphs) for paragraphs in documents], np.int64)
    return _flat(pa.array([p for paragraphs in documents for p in paragraphs], pa.string()), running_totals(sizes))
