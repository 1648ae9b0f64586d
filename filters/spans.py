"""Slices of an array, and sums over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


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
        return self._reduce(np.add, where, np.dtype(np.int32)).astype(np.int64)

    def sum(self, values: NDArray) -> NDArray:
        """Sum over each slice."""
        return self._reduce(np.add, values, values.dtype)

    def largest(self, values: Ints) -> Ints:
        """Largest of each slice; 0 for an empty one."""
        return self._reduce(np.maximum, values, values.dtype)

    def owner(self, length: int) -> Ints:
        """For each of the ``length`` places of the sliced array, the slice that begins there or last began before it."""
        if not len(self):
            return np.zeros(length, np.int64)
        return np.repeat(np.arange(len(self)), np.diff(np.append(self.start, length)))

    def _reduce(self, how: np.ufunc, values: NDArray, type_: np.dtype) -> NDArray:
        if not len(self):
            return np.zeros(0, type_)
        if self.end[-1] >= len(values):  # reduceat takes no index at the end
            values = np.append(values, np.zeros(1, values.dtype))
        edges = np.empty(2 * len(self), np.int64)
        edges[::2], edges[1::2] = self.start, self.end
        out: NDArray = how.reduceat(values, edges, dtype=type_)[::2].copy()
        out[self.size == 0] = 0  # of an empty slice it gives the first element
        return out
