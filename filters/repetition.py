"""n-gram repetition, by document and by paragraph, with one sort of all the n-grams at hand.

Grams are compared by 64-bit hashes that the document's number has gone into. The place of each goes into the low bits
of what is sorted, so equal grams are neighbours in the order of their places, and so by paragraph too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filters.characters import spread
from filters.hashing import Running, UInt64s
from filters.spans import Bools, Ints, Spans

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Repeats:
    """Of each slice: grams in all, different grams; and of each gram seen twice or more in one: that slice and how
    often.
    """

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
        by_count = np.sort(
            (self.group.astype(np.uint64) << np.uint64(32)) | (np.uint64(0xFFFFFFFF) - self.count.astype(np.uint64))
        )
        group = (by_count >> np.uint64(32)).astype(np.int64)
        count = (np.uint64(0xFFFFFFFF) - (by_count & np.uint64(0xFFFFFFFF))).astype(np.int64)
        repeated = np.bincount(group, minlength=len(self.total))
        rank = np.arange(len(group)) - (np.cumsum(repeated) - repeated)[group]
        top = rank < np.sqrt(self.unique).astype(np.int64)[group]
        return _share(np.bincount(group[top], count[top], len(self.total)), self.total)


def repeats(symbols: Running, n: int, documents: Spans, paragraphs: Spans) -> tuple[Repeats, Repeats]:
    """Repeats of n-grams of ``symbols`` within each document, and within each paragraph of them."""
    place, first = equal(salted(symbols.grams(n), n, documents))
    length = len(symbols.sums) - 1
    whole = _by(documents.owner(length)[place] if len(place) else place, first, documents, n)
    paragraph = paragraphs.owner(length)[place] if len(place) else place
    inside = np.flatnonzero(place + n <= paragraphs.end[paragraph])
    gram = np.cumsum(first)[inside]
    paragraph = paragraph[inside]
    first = np.ones(len(inside), np.bool_)
    first[1:] = (gram[1:] != gram[:-1]) | (paragraph[1:] != paragraph[:-1])
    return whole, _by(paragraph, first, paragraphs, n)


def salted(hashes: UInt64s, n: int, documents: Spans) -> UInt64s:
    """The grams' hashes, different in each document, and different everywhere for those that reach out of theirs."""
    if not len(hashes):
        return hashes
    sizes = np.diff(np.concatenate([documents.start, np.array([len(hashes) + n - 1])]))
    made: UInt64s = np.repeat(spread(np.arange(len(documents), dtype=np.uint64)), sizes)[: len(hashes)]
    made ^= hashes
    # what lies between two documents is shorter than a gram, so those that reach out begin in the last n - 1 places, or
    # in between
    gap = int((documents.start[1:] - documents.end[:-1]).max(initial=0))
    out = documents.end[:, None] - n + 1 + np.arange(n - 1 + gap)
    out = out[
        (out >= documents.start[:, None])
        & (out < len(hashes))
        & (out < np.append(documents.start[1:], len(hashes))[:, None])
    ]
    made[out] = spread(out.astype(np.uint64) ^ np.uint64(1 << 63))
    return made


def equal(hashes: UInt64s, places: Ints | None = None) -> tuple[Ints, Bools]:
    """Places of the hashes that occur twice or more, equal ones side by side, in order; and which is the first of its
    kind.

    ``places``: where the hashes stand, ascending, if not 0, 1, 2 ...
    """
    none = np.zeros(0, np.int64), np.zeros(0, np.bool_)
    if len(hashes) < 2:
        return none
    low = np.uint64((1 << len(hashes).bit_length()) - 1)
    keys = hashes & ~low
    keys |= np.arange(len(hashes), dtype=np.uint64)
    keys.sort()
    same = (keys[1:] ^ keys[:-1]) <= low
    if not same.any():
        return none
    member = np.concatenate([same, np.zeros(1, np.bool_)])
    member[1:] |= same
    chosen = np.flatnonzero(member)
    index = (keys[chosen] & low).astype(np.int64)
    first = np.ones(len(index), np.bool_)
    found = hashes[index]  # the low bits were not compared yet
    first[1:] = found[1:] != found[:-1]
    return (index if places is None else places[index]), first


def _by(owner: Ints, first: Bools, slices: Spans, n: int) -> Repeats:
    """Counts of runs (each begins where ``first``) by the slice that each place is in."""
    start = np.flatnonzero(first)
    count = np.diff(np.append(start, len(first)))
    some = count > 1
    group, count = owner[start[some]], count[some]
    total = np.maximum(slices.size - n + 1, 0)
    unique = total - np.bincount(group, count - 1, len(total)).astype(np.int64)
    return Repeats(total, unique, group, count)


def _share(part: NDArray, whole: NDArray) -> Floats:
    share: Floats = np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
    return share
