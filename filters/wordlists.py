"""Word lists as hash tables over whole columns of words.

A word is looked up by its 64-bit hash (`filters.flat`), so a million words cost a few array operations and no Python loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from filters.flat import Flat, word_hashes

UInt64s = NDArray[np.uint64]
Ints = NDArray[np.int64]

BUCKET_BITS = 16


def lines(name_or_path: str) -> list[str]:
    """Lines of a list of ours by name (``stop_en``), or of a file by path; comments (#) and blank lines left out."""
    if name_or_path.endswith(".txt") or "/" in name_or_path:
        try:
            with open(name_or_path, encoding="utf-8") as file:
                text = file.read()
        except OSError as error:
            raise ValueError(f"word list `{name_or_path}` cannot be read: {error.strerror}") from error
    else:
        text = (files("filters.lists") / f"{name_or_path}.txt").read_text("utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def words(name_or_path: str) -> list[str]:
    """Words of a list, in its order, each once: white space separates them."""
    return list(dict.fromkeys(word for line in lines(name_or_path) for word in line.split()))


@lru_cache
def languages() -> tuple[str, ...]:
    """ISO 639-1 codes of the languages that have a list of function words, sorted."""
    names = (f.name for f in files("filters.lists").iterdir())
    return tuple(sorted(n.removeprefix("stop_").removesuffix(".txt") for n in names if n.startswith("stop_")))


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Several word lists in one table. An entry is a word; the last entry stands for every word that is in no list."""

    names: tuple[str, ...]
    hashes: UInt64s  # sorted, one an entry
    first: NDArray[np.int32]  # first entry of each bucket of the hash's top bits; one more closes the last
    member: NDArray[np.bool_]  # entries + 1, lists

    @staticmethod
    def of(lists: dict[str, list[str]]) -> Lexicon:
        """A table of these lists, by name."""
        every = sorted({w for ws in lists.values() for w in ws})
        hashes, order = np.unique(word_hashes(every), return_index=True)
        place = {every[int(o)]: i for i, o in enumerate(order)}
        member = np.zeros((len(hashes) + 1, len(lists)), np.bool_)
        for column, ws in enumerate(lists.values()):
            for word in ws:
                if word in place:  # two spellings that fold to one word have one entry
                    member[place[word], column] = True
        bucket = (hashes >> np.uint64(64 - BUCKET_BITS)).astype(np.int64)
        first = np.searchsorted(bucket, np.arange((1 << BUCKET_BITS) + 1)).astype(np.int32)
        return Lexicon(tuple(lists), hashes, first, member)

    def find(self, hashes: UInt64s) -> NDArray[np.int32]:
        """Entry of each word: an index into ``member``."""
        missing = len(self.hashes)
        if not missing:
            return np.zeros(len(hashes), np.int32)
        bucket = (hashes >> np.uint64(64 - BUCKET_BITS)).astype(np.int64)
        entry = self.first[bucket]
        found = np.full(len(hashes), missing, np.int32)
        rows = np.flatnonzero(entry < self.first[bucket + 1])  # most words fall into an empty bucket
        entry, last = entry[rows], self.first[bucket[rows] + 1]
        while len(rows):
            hit = self.hashes[entry] == hashes[rows]
            found[rows[hit]] = entry[hit]
            entry = entry + 1
            more = ~hit & (entry < last)
            rows, entry, last = rows[more], entry[more], last[more]
        return found

    def column(self, name: str) -> int:
        return self.names.index(name)

    def has(self, entries: NDArray[np.int32], name: str) -> NDArray[np.bool_]:
        """For each entry, whether the list ``name`` holds it."""
        found: NDArray[np.bool_] = self.member[entries, self.column(name)]
        return found


def count_hits(flat: Flat, lexicon: Lexicon, entries: NDArray[np.int32], name: str) -> Ints:
    """Words of each paragraph that are in the list ``name``."""
    return flat.words_where(lexicon.has(entries, name))
