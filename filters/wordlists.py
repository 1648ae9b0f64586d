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
from filters.spans import Ints

BUCKET_BITS = 16  # at least: a bucket holds about half an entry
WORDFREQ = "wordfreq"  # names that package in the place of a file


def lines(name_or_path: str) -> tuple[str, ...]:
    """Lines of a list of ours by name (``stop_en``), or of a file by path; comments (#) and blank lines left out."""
    if f"{name_or_path}.txt" in _names():
        return _own(name_or_path)
    try:
        with open(name_or_path, encoding="utf-8") as file:
            return _lines(file.read())
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"word list `{name_or_path}` cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from error


@lru_cache
def _names() -> frozenset[str]:
    return frozenset(f.name for f in files("filters.lists").iterdir())


@lru_cache
def _own(name: str) -> tuple[str, ...]:
    return _lines((files("filters.lists") / f"{name}.txt").read_text("utf-8"))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def words(name_or_path: str) -> list[str]:
    """Words of a list, in its order, each once: white space separates them."""
    return list(dict.fromkeys(word for line in lines(name_or_path) for word in line.split()))


def common(code: str, path: str) -> list[str]:
    """Common words of a language: of a file, or those of the package wordfreq (its largest list, with the English
    possessives).

    OBELICS' own list, of words seen twice or more in ten million documents, is lost. Raises ValueError, one line.
    """
    if path != WORDFREQ:
        return words(path)
    return list(_wordfreq(code))


@lru_cache(maxsize=4)
def _wordfreq(code: str) -> tuple[str, ...]:
    try:
        from wordfreq import iter_wordlist
    except ImportError as error:
        raise ValueError("common words by wordfreq need that package: pip install wordfreq") from error
    try:
        found = tuple(iter_wordlist("nb" if code == "no" else code, "best"))
    except LookupError:
        raise ValueError(f"wordfreq has no words of the language `{code}`; give a file of them") from None
    return (*found, *(f"{word}'s" for word in found)) if code == "en" else found


@lru_cache
def languages() -> tuple[str, ...]:
    """ISO 639-1 codes of the languages that have a list of function words, sorted."""
    return tuple(sorted(n.removeprefix("stop_").removesuffix(".txt") for n in _names() if n.startswith("stop_")))


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Several word lists in one table. An entry is a word."""

    names: tuple[str, ...]
    hashes: UInt64s  # sorted, one an entry
    bits: int  # of the hash's top, which say the bucket
    first: NDArray[np.int32]  # first entry of each bucket; one more closes the last
    member: NDArray[np.bool_]  # entries, lists

    @staticmethod
    def of(lists: dict[str, list[str]]) -> Lexicon:
        """A table of these lists, by name."""
        every = sorted({w for ws in lists.values() for w in ws})
        hashes, order = np.unique(word_hashes(every), return_index=True)
        place = {every[int(o)]: i for i, o in enumerate(order)}
        member = np.zeros((len(hashes), len(lists)), np.bool_)
        for column, ws in enumerate(lists.values()):
            # two spellings that fold to one word have one entry
            member[[place[word] for word in ws if word in place], column] = True
        bits = max(BUCKET_BITS, len(hashes).bit_length())
        bucket = (hashes >> np.uint64(64 - bits)).astype(np.int64)
        first = np.searchsorted(bucket, np.arange((1 << bits) + 1)).astype(np.int32)
        return Lexicon(tuple(lists), hashes, bits, first, member)

    def find(self, hashes: UInt64s) -> tuple[Ints, NDArray[np.int32]]:
        """Places of the words that are in a list, in order, and the entry of each: an index into ``member``."""
        bucket = (hashes >> np.uint64(64 - self.bits)).astype(np.int64)
        entry, last = self.first[bucket], self.first[bucket + 1]
        rows = np.flatnonzero(entry < last)  # most words fall into an empty bucket
        entry, last = entry[rows], last[rows]
        found = np.full(len(hashes), -1, np.int32)
        while len(rows):
            hit = self.hashes[entry] == hashes[rows]
            found[rows[hit]] = entry[hit]
            entry = entry + 1
            more = ~hit & (entry < last)
            rows, entry, last = rows[more], entry[more], last[more]
        place = np.flatnonzero(found >= 0)
        return place, found[place]

    def column(self, name: str) -> int:
        return self.names.index(name)


@dataclass(frozen=True, eq=False)
class Hits:
    """The words of some texts that are in a list: entry, paragraph and document of each, in their order."""

    lexicon: Lexicon
    entry: NDArray[np.int32]
    paragraph: Ints
    document: Ints
    paragraphs: int

    @staticmethod
    def of(lexicon: Lexicon, flat: Flat) -> Hits:
        place, entry = lexicon.find(flat.word_hashes)
        paragraph = flat.paragraph_words.owner(len(flat.words))[place] if len(place) else place
        return Hits(lexicon, entry, paragraph, flat.of.owner(len(flat.paragraphs))[paragraph], len(flat.paragraphs))

    def has(self, name: str) -> NDArray[np.bool_]:
        """Whether the list ``name`` holds each."""
        found: NDArray[np.bool_] = self.lexicon.member[self.entry, self.lexicon.column(name)]
        return found

    def count(self, where: NDArray[np.bool_]) -> Ints:
        """How many are true in each paragraph."""
        return np.bincount(self.paragraph[where], minlength=self.paragraphs)
