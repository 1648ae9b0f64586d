"""Slices of an array, and sums over them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def ratio(part: NDArray, total: NDArray, empty: float = np.nan) -> Floats:
    """``part / total`` elementwise, and ``empty`` where the total is 0."""
    share: Floats = np.divide(part, total, out=np.full(len(total), empty, float), where=total > 0)
    return share


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
        """How many are true in each slice: a difference of two ranks. A rank is a sum over the words of a bitmap."""
        bits = np.packbits(where, bitorder="little")
        words = np.zeros((len(where) >> 6) + 1, "<u8")
        words.view(np.uint8)[: len(bits)] = bits
        before = np.zeros(len(words) + 1, np.int64)
        np.cumsum(np.bitwise_count(words), out=before[1:])

        def rank(at: Ints) -> Ints:
            word = at >> 6
            below = (np.uint64(1) << (at & 63).astype(np.uint64)) - np.uint64(1)
            counted: Ints = before[word] + np.bitwise_count(words[word] & below)
            return counted

        return rank(self.end) - rank(self.start)

    def sum(self, values: NDArray) -> NDArray:
        """Sum over each slice."""
        return self._reduce(np.add, values)

    def largest(self, values: NDArray) -> NDArray:
        """Largest value of each slice; 0 for an empty one."""
        return self._reduce(np.maximum, values)

    def owner(self, length: int) -> Ints:
        """For each of ``length`` places, the last slice that begins at or before it. The first one begins at 0."""
        if not len(self):
            return np.zeros(length, np.int64)
        return np.repeat(np.arange(len(self)), np.diff(np.append(self.start, length)))

    def _reduce(self, how: np.ufunc, values: NDArray) -> NDArray:
        if not len(self):
            return values[:0]
        if self.end[-1] >= len(values):  # reduceat accepts no index at the end
            values = np.append(values, np.zeros(1, values.dtype))
        edges = np.empty(2 * len(self), np.int64)
        edges[::2], edges[1::2] = self.start, self.end
        out: NDArray = how.reduceat(values, edges, dtype=values.dtype)[::2].copy()
        out[self.size == 0] = 0  # reduceat gives the next element for an empty slice
        return out
