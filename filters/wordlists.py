"""Word lists as hash tables over whole columns of words.

A word is looked up by its 64-bit hash (`filters.flat`), so a million words cost a few array operations and no Python
loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from filters.flat import Flat
from filters.hashing import UInt64s, word_hashes
from filters.needs import readable
from filters.spans import Ints

BUCKET_BITS = 16  # the least: a bucket has about half an entry
WORDFREQ = "wordfreq"  # stands for that package instead of a file


def lines(name_or_path: str) -> tuple[str, ...]:
    """Lines of a list in filters/lists by name (``stop_en``), or of a file, without comments (#) and blank lines."""
    if f"{name_or_path}.txt" in _names():
        return _own(name_or_path)
    with readable(f"word list `{name_or_path}`"), open(name_or_path, encoding="utf-8") as file:
        return _lines(file.read())


@lru_cache
def _names() -> frozenset[str]:
    return frozenset(f.name for f in files("filters.lists").iterdir())


@lru_cache
def _own(name: str) -> tuple[str, ...]:
    return _lines((files("filters.lists") / f"{name}.txt").read_text("utf-8"))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def words(name_or_path: str) -> list[str]:
    """Distinct words of a list, in its order; white space separates them."""
    return list(dict.fromkeys(word for line in lines(name_or_path) for word in line.split()))


def common(code: str, path: str) -> list[str]:
    """Common words of a language: of a file, or of the package wordfreq (its largest list, with English possessives).

    OBELICS' list, of words that occur twice or more in ten million documents, is not available any more. Raises
    ValueError, one line.
    """
    return list(_wordfreq(code)) if path == WORDFREQ else words(path)


@lru_cache(maxsize=4)
def _wordfreq(code: str) -> tuple[str, ...]:
    try:
        from wordfreq import iter_wordlist
    except ImportError as error:
        raise ValueError("common words by wordfreq need that package: pip install wordfreq") from error
    try:
        words_ = tuple(iter_wordlist("nb" if code == "no" else code, "best"))
    except LookupError:
        raise ValueError(f"wordfreq has no words of the language `{code}`; give a file of them") from None
    return (*words_, *(f"{word}'s" for word in words_)) if code == "en" else words_


@lru_cache
def languages() -> tuple[str, ...]:
    """ISO 639-1 codes of the languages that have a list of function words, sorted."""
    return tuple(sorted(n.removeprefix("stop_").removesuffix(".txt") for n in _names() if n.startswith("stop_")))


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Several word lists in one table. An entry is a word."""

    names: tuple[str, ...]
    hashes: UInt64s  # sorted, one an entry
    bits: int  # of the top of a hash: the number of its bucket
    first: NDArray[np.int32]  # first entry of each bucket, and one past the last
    member: NDArray[np.bool_]  # entries, lists

    @staticmethod
    def of(lists: dict[str, list[str]]) -> Lexicon:
        """A table of lists by their names."""
        every = sorted({w for ws in lists.values() for w in ws})
        hashes, order = np.unique(word_hashes(every), return_index=True)
        place = {every[int(o)]: i for i, o in enumerate(order)}
        member = np.zeros((len(hashes), len(lists)), np.bool_)
        for column, ws in enumerate(lists.values()):
            # two spellings of one case-folded word have one entry
            member[[place[word] for word in ws if word in place], column] = True
        bits = max(BUCKET_BITS, len(hashes).bit_length())
        bucket = (hashes >> np.uint64(64 - bits)).astype(np.int64)
        first = np.searchsorted(bucket, np.arange((1 << bits) + 1)).astype(np.int32)
        return Lexicon(tuple(lists), hashes, bits, first, member)

    def find(self, hashes: UInt64s) -> tuple[Ints, NDArray[np.int32]]:
        """Ascending places of the words that are in a list, and the entry of each (a row of ``member``)."""
        bucket = (hashes >> np.uint64(64 - self.bits)).astype(np.int64)
        entry, last = self.first[bucket], self.first[bucket + 1]
        rows = np.flatnonzero(entry < last)  # most words have an empty bucket
        entry, last = entry[rows], last[rows]
        entries = np.full(len(hashes), -1, np.int32)
        while len(rows):
            hit = self.hashes[entry] == hashes[rows]
            entries[rows[hit]] = entry[hit]
            entry = entry + 1
            more = ~hit & (entry < last)
            rows, entry, last = rows[more], entry[more], last[more]
        place = np.flatnonzero(entries >= 0)
        return place, entries[place]


@dataclass(frozen=True, eq=False)
class Hits:
    """The words of some texts that are in a list: entry, paragraph and document of each, in the order of the texts."""

    lexicon: Lexicon
    entry: NDArray[np.int32]
    paragraph: Ints
    document: Ints
    paragraphs: int

    @staticmethod
    def of(lexicon: Lexicon, flat: Flat) -> Hits:
        place, entry = lexicon.find(flat.word_hashes)
        paragraph = flat.paragraph_words.owner(len(flat.words))[place]
        return Hits(lexicon, entry, paragraph, flat.of.owner(len(flat.paragraphs))[paragraph], len(flat.paragraphs))

    def has(self, name: str) -> NDArray[np.bool_]:
        """Which hits are in the list ``name``."""
        listed: NDArray[np.bool_] = self.lexicon.member[self.entry, self.lexicon.names.index(name)]
        return listed

    def count(self, where: NDArray[np.bool_]) -> Ints:
        """Number of marked hits of each paragraph."""
        return np.bincount(self.paragraph[where], minlength=self.paragraphs)
