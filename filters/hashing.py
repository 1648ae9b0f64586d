"""64-bit hashes of every slice of an array of symbols."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filters import characters as ch
from filters.spans import Ints
from manifests.hashing import splitmix64

UInt64s = NDArray[np.uint64]

#: base of the polynomial hashes (any odd number with scattered bits) and its inverse modulo 2**64
BASE = 0x9E3779B97F4A7C55
INVERSE = pow(BASE, -1, 1 << 64)
CACHED = 1 << 20  # number of powers that stay in memory: more than a chunk (`filters.flat`) needs


def word_hashes(words: list[str]) -> UInt64s:
    """The hash of each string as a word of a text (`Running.words`)."""
    lengths = np.array([len(w) for w in words], np.int64)
    codes = np.frombuffer("".join(words).encode("utf-32-le"), np.uint32)
    end = np.cumsum(lengths)
    return Running.of(np.take(ch.folded_symbols(), codes)).words(end - lengths, end)


@dataclass(frozen=True, eq=False)
class Running:
    """Polynomial hashes, modulo 2**64, of the slices of an array of symbols. Equal slices have equal hashes.

    The sums are prefix sums of symbol times BASE**place. The hash of a slice is a difference of two sums, times the
    inverse power at its start.
    """

    sums: UInt64s
    inverses: UInt64s

    @staticmethod
    def of(symbols: UInt64s) -> Running:
        powers, inverses = _powers(len(symbols) + 1)
        sums = np.empty(len(symbols) + 1, np.uint64)
        sums[0] = 0
        np.multiply(symbols, powers[:-1], out=sums[1:])
        np.cumsum(sums[1:], out=sums[1:])
        return Running(sums, inverses)

    def between(self, start: Ints, end: Ints) -> UInt64s:
        hashes: UInt64s = (self.sums[end] - self.sums[start]) * self.inverses[start]
        return hashes

    def words(self, start: Ints, end: Ints) -> UInt64s:
        """Hashes of words, which can be the symbols of n-grams.

        They are mixed: otherwise an n-gram's hash would be a polynomial of the characters, and "your ones" would have
        the hash of "yours one".
        """
        return splitmix64(self.between(start, end))

    def grams(self, n: int) -> UInt64s:
        """Hash of the n-gram that begins at each place, as far as there are ``n`` symbols."""
        last = max(len(self.sums) - n, 0)
        hashes: UInt64s = (self.sums[n:] - self.sums[:last]) * self.inverses[:last]
        return hashes


_table: list[UInt64s] = []


def _powers(size: int) -> tuple[UInt64s, UInt64s]:
    if not _table or len(_table[0]) < size:
        length = max(size, CACHED)
        powers = []
        for base in (BASE, INVERSE):
            steps = np.full(length, base, np.uint64)
            steps[0] = 1
            powers.append(np.cumprod(steps))
        if length > CACHED:  # a giant document: its powers would hold memory for the rest of the process
            return powers[0][:size], powers[1][:size]
        _table[:] = powers
    return _table[0][:size], _table[1][:size]
