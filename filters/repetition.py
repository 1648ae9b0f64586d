"""n-gram repetition, by document and by paragraph, with one sort of the document's n-grams.

Grams are compared by 64-bit hashes with the group's number in the top bits: after one sort, equal grams of one document are neighbours.
A gram that repeats within a paragraph repeats within its document, so only those few are sorted again by paragraph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filters.flat import Spans, UInt64s, grams

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MARK_BITS = 18


@dataclass(frozen=True, eq=False)
class Repeats:
    """Of each group: grams in all, different grams; and of each gram seen twice or more: its group and count."""

    total: Ints
    unique: Ints
    group: Ints
    count: Ints

    def share_repeated(self) -> Floats:
        """Share of grams seen twice or more (OBELICS' word repetition); 0 without grams."""
        return _share(np.bincount(self.group, self.count, len(self.total)), self.total)

    def share_of_top(self) -> Floats:
        """Share taken by the most frequent grams, as many as min(int(sqrt(unique)), those seen twice or more)

        (OBELICS' character repetition); 0 without grams.
        """
        order = np.lexsort((-self.count, self.group))
        group, count = self.group[order], self.count[order]
        repeated = np.bincount(group, minlength=len(self.total))
        rank = np.arange(len(group)) - (np.cumsum(repeated) - repeated)[group]
        top = rank < np.sqrt(self.unique).astype(np.int64)[group]
        return _share(np.bincount(group[top], count[top], len(self.total)), self.total)


def repeats(symbols: UInt64s, n: int, documents: Spans, paragraphs: Spans) -> tuple[Repeats, Repeats]:
    """Repeats of n-grams of ``symbols`` within each document, and within each paragraph of them."""
    hashes = grams(symbols, n)
    keys, total = _keys(hashes, n, documents, None)
    whole, again = _runs(keys, total)

    # a bitmap of the repeated grams; what it lets through in error is sorted with the rest and found single
    marks = np.zeros(1 << MARK_BITS, np.bool_)
    marks[_mark(again, _bits(len(total)))] = True
    keys, total = _keys(hashes, n, paragraphs, marks)
    within, _ = _runs(keys, total)
    return whole, within


def _bits(groups: int) -> int:
    return max(int(groups - 1).bit_length(), 1)


def _mark(keys: UInt64s, bits: int) -> UInt64s:
    """18 bits from the middle of the gram's hash, which keys hold whatever the number of groups (up to 2**24)."""
    return (keys >> np.uint64(24 - bits)) & np.uint64((1 << MARK_BITS) - 1)


def _keys(hashes: UInt64s, n: int, groups: Spans, marks: NDArray[np.bool_] | None) -> tuple[UInt64s, Ints]:
    """Group number over hash, for the grams that lie within a group, and how many each group has; with marks, only marked grams' keys."""
    total = np.maximum(groups.size - n + 1, 0)
    if len(groups) >= 1 << 24:
        raise ValueError("more than 16 million groups at once")
    bits = _bits(len(groups))
    group = np.repeat(np.arange(len(groups), dtype=np.uint64), total)
    place = np.arange(len(group)) + np.repeat(groups.start - (np.cumsum(total) - total), total)
    chosen = hashes[place]
    if marks is not None:
        some = marks[(chosen >> np.uint64(24)) & np.uint64((1 << MARK_BITS) - 1)]
        chosen, group = chosen[some], group[some]
    return (group << np.uint64(64 - bits)) | (chosen >> np.uint64(bits)), total


def _runs(keys: UInt64s, total: Ints) -> tuple[Repeats, UInt64s]:
    """Counts by group, and the keys seen twice or more. ``keys`` may lack single grams."""
    if not len(keys):
        none = np.zeros(0, np.int64)
        return Repeats(total, total.copy(), none, none), keys
    keys = np.sort(keys)
    start = np.flatnonzero(np.concatenate([np.ones(1, np.bool_), keys[1:] != keys[:-1]]))
    count = np.diff(np.append(start, len(keys)))
    some = count > 1
    again, count = keys[start[some]], count[some]
    group = (again >> np.uint64(64 - _bits(len(total)))).astype(np.int64)
    unique = total - np.bincount(group, count - 1, len(total)).astype(np.int64)
    return Repeats(total, unique, group, count), again


def _share(part: NDArray, whole: NDArray) -> Floats:
    share: Floats = np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
    return share
