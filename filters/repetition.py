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
    whole, again = _runs(*_keys(hashes, n, documents))

    # a bitmap of the repeated grams; what it lets through in error is sorted with the rest and found single
    marks = np.zeros(1 << MARK_BITS, np.bool_)
    marks[_mark(again, 24 - _bits(len(documents)))] = True
    within, _ = _runs(*_marked_keys(hashes, n, paragraphs, marks))
    return whole, within


def _bits(groups: int) -> int:
    return max(int(groups - 1).bit_length(), 1)


def _mark(hashes: UInt64s, shift: int) -> UInt64s:
    """18 bits from the middle of the grams' hashes, which keys hold too, shifted, whatever the number of groups (up to 2**24)."""
    return (hashes >> np.uint64(shift)) & np.uint64((1 << MARK_BITS) - 1)


def _keys(hashes: UInt64s, n: int, groups: Spans) -> tuple[UInt64s, Ints]:
    """Group number over hash, for the grams that lie within a group; and how many each group has."""
    if len(groups) >= 1 << 24:
        raise ValueError("more than 16 million documents at once")
    total, bits = np.maximum(groups.size - n + 1, 0), _bits(len(groups))
    group = np.repeat(np.arange(len(groups), dtype=np.uint64) << np.uint64(64 - bits), total)
    pieces = [hashes[s : s + t] for s, t in zip(groups.start.tolist(), total.tolist(), strict=True)]  # slices: faster than an index
    chosen = np.concatenate(pieces) if pieces else hashes[:0]
    return group | (chosen >> np.uint64(bits)), total


def _marked_keys(hashes: UInt64s, n: int, groups: Spans, marks: NDArray[np.bool_]) -> tuple[UInt64s, Ints]:
    """As `_keys`, of the marked grams alone."""
    total, bits = np.maximum(groups.size - n + 1, 0), _bits(len(groups))
    if not len(groups):
        return hashes[:0], total
    place = np.flatnonzero(marks[_mark(hashes, 24)])
    group = np.maximum(np.searchsorted(groups.start, place, "right") - 1, 0)
    inside = (place >= groups.start[group]) & (place < groups.start[group] + total[group])
    place, group = place[inside], group[inside]
    return (group.astype(np.uint64) << np.uint64(64 - bits)) | (hashes[place] >> np.uint64(bits)), total


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
