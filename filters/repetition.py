"""Repetition of n-grams in documents and in paragraphs, by one sort of all n-grams of a chunk.

Grams are compared by 64-bit hashes, into which the document's number is mixed. The low bits of a sorted key hold the
gram's place. So equal grams are neighbours after the sort, in the order of their places and hence of their paragraphs.
"""

from dataclasses import dataclass

import numpy as np

from filters.hashing import Running, UInt64s
from filters.spans import Bools, Floats, Ints, Spans, ratio
from manifests.flat import run_starts
from manifests.hashing import splitmix64
from manifests.words import Weights

_WHOLE = Weights()  # each symbol counts as one


@dataclass(frozen=True, eq=False)
class Repeats:
    """``total``, ``unique``: number of grams, and of distinct grams, of each slice. ``group``, ``count``: the slice and
    the number of occurrences of each gram that occurs twice or more in a slice.
    """

    total: Ints
    unique: Ints
    group: Ints
    count: Ints

    def share_repeated(self) -> Floats:
        """Share of grams that occur twice or more (OBELICS' word repetition); 0 without grams."""
        return ratio(np.bincount(self.group, self.count, len(self.total)), self.total, empty=0)

    def share_of_top(self) -> Floats:
        """Share of the most frequent grams (OBELICS' character repetition); 0 without grams. Their number is the
        smaller of int(sqrt(unique)) and the number of grams that occur twice or more.
        """
        # one sort of whole numbers: by slice, then the most frequent gram first
        by_count = np.sort((self.group << 32) - self.count)
        group, count = (by_count >> 32) + 1, -by_count & 0xFFFFFFFF
        repeated = np.bincount(group, minlength=len(self.total))
        rank = np.arange(len(group)) - (np.cumsum(repeated) - repeated)[group]
        top = rank < np.sqrt(self.unique).astype(np.int64)[group]
        return ratio(np.bincount(group[top], count[top], len(self.total)), self.total, empty=0)


def repeats(
    symbols: Running, n: int, documents: Spans, paragraphs: Spans, weights: Weights = _WHOLE
) -> tuple[Repeats, Repeats]:
    """Repeats of n-grams of ``symbols`` within each document, and within each paragraph of them.

    ``weights``: of the symbols; an n-gram is as many symbols as are n words (`manifests.words`).
    """
    place, first = equal(salted_grams(symbols, n, documents, weights))
    length = len(symbols.sums) - 1
    in_documents = _by(documents.owner(length)[place], first, _grams(documents, n, weights))
    paragraph = paragraphs.owner(length)[place]
    inside = np.flatnonzero(weights.ends(place, n) <= paragraphs.end[paragraph])
    gram = np.cumsum(first)[inside]
    paragraph = paragraph[inside]
    return in_documents, _by(paragraph, run_starts(gram, paragraph), _grams(paragraphs, n, weights))


def _grams(slices: Spans, n: int, weights: Weights) -> Ints:
    """How many n-grams each slice of the symbols has."""
    if weights.totals is None:
        return np.maximum(slices.size - n + 1, 0)
    ends = weights.ends(np.arange(len(weights.totals) - 1), n)  # ascending
    complete_grams: Ints = np.searchsorted(ends, slices.end, "right") - slices.start
    return np.maximum(complete_grams, 0)


def salted_grams(symbols: Running, n: int, documents: Spans, weights: Weights) -> UInt64s:
    """`salted` hashes of the n-grams that begin at each symbol."""
    if weights.totals is None:
        return salted(symbols.grams(n), n, documents)
    start = np.arange(len(weights.totals) - 1)
    ends, owner = weights.ends(start, n), documents.owner(len(start))
    hashes = symbols.between(start, np.minimum(ends, len(start))) ^ splitmix64(owner.astype(np.uint64))
    out = np.flatnonzero(ends > documents.end[owner])
    hashes[out] = splitmix64(out.astype(np.uint64) ^ np.uint64(1 << 63))
    return hashes


def salted(hashes: UInt64s, n: int, documents: Spans) -> UInt64s:
    """The grams' hashes, made different in each document. A gram that crosses the end of a document equals no other."""
    if not len(hashes):
        return hashes
    sizes = np.diff(np.append(documents.start, len(hashes) + n - 1))
    mixed: UInt64s = np.repeat(splitmix64(np.arange(len(documents), dtype=np.uint64)), sizes)[: len(hashes)]
    mixed ^= hashes
    # a gram that crosses the end begins at one of the document's last n - 1 places, or in the gap behind it
    gap = int((documents.start[1:] - documents.end[:-1]).max(initial=0))
    out = documents.end[:, None] - n + 1 + np.arange(n - 1 + gap)
    following = np.minimum(np.append(documents.start[1:], len(hashes)), len(hashes))
    out = out[(out >= documents.start[:, None]) & (out < following[:, None])]
    mixed[out] = splitmix64(out.astype(np.uint64) ^ np.uint64(1 << 63))
    return mixed


def equal(hashes: UInt64s, places: Ints | None = None) -> tuple[Ints, Bools]:
    """Places of the hashes that occur twice or more, equal ones together and ascending; and which begin a group."""
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
    first = run_starts(hashes[index])  # compares the low bits too
    return (index if places is None else places[index]), first


def _by(owner: Ints, first: Bools, total: Ints) -> Repeats:
    """Counts of the groups (each begins where ``first``) in the slice of each place. ``total``: grams of each slice."""
    start = np.flatnonzero(first)
    count = np.diff(np.append(start, len(first)))
    some = count > 1
    group, count = owner[start[some]], count[some]
    unique = total - np.bincount(group, count - 1, len(total)).astype(np.int64)
    return Repeats(total, unique, group, count)
