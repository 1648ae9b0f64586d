"""The pure functions of the plan: the schedule of sources, the shuffle of shards and samples, and their packing.

Nothing here reads a file, has state or draws from a generator. Randomness is a hash of (seed, epoch, place), so the
plan is the same on every rank and in every version of numpy, and can be entered at any place. shards/order.py walks
along this plan, with the index of real shards.

A source is read in blocks. Its shards are shuffled and concatenated until a block has enough samples; the samples of a
block are shuffled and packed. So an epoch is never completely in memory, and a block needs only the index of its
shards.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from manifests.hashing import splitmix64

#: to be raised when the same inputs give another order; part of the loader's fingerprint
VERSION = 1
#: tokens at the beginning and the end of a sample
MARKS = 2
#: bins that first-fit has open
OPEN_BINS = 64
#: share of a sequence left free when a sample is cut, since cuts fall between words
SLACK = 0.1

_MASK = (1 << 64) - 1


def seeded(*numbers: int) -> int:
    """One 64-bit seed from several numbers."""
    seed = 0
    for number in numbers:
        seed = int(hashed(seed ^ (number & _MASK), np.zeros(1, np.uint64))[0])
    return seed


def hashed(seed: int, places: np.ndarray) -> np.ndarray:
    """Uniform uint64 of each place, by SplitMix64 (Steele, Lea and Flood 2014). places: (n,) uint64."""
    return splitmix64(places.astype(np.uint64), seed & _MASK)


def shuffled(n: int, seed: int) -> np.ndarray:
    """A permutation (n,) int64 of 0..n-1."""
    return np.argsort(hashed(seed, np.arange(n, dtype=np.uint64)), kind="stable")


def schedule(weights: np.ndarray, seed: int, start: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Batches start..start+n-1: (number of the source (n,), number of the batch within that source (n,)).

    weights: (sources,), summing to one. Batch k of source s has the time (k + u) / weight, u a hash in [0, 1), and the
    batches run in the order of time. So each source has exactly one batch in each 1/weight of time: the proportions
    hold in every stretch, not only on average, and any stretch is computed without what lies before it.
    """
    sources = len(weights)
    chosen, number, time = [], [], []
    before = 0
    for s, weight in enumerate(weights):
        # At most `sources` more than T batches lie before time T, so each batch below `first` is before batch `start`.
        first = max(0, int(weight * start) - sources)
        last = int(weight * (start + n)) + sources + 2
        k = np.arange(first, last, dtype=np.uint64)
        u = (hashed(seeded(seed, s), k) >> np.uint64(11)) / float(1 << 53)
        before += first
        chosen.append(np.full(len(k), s))
        number.append(k.astype(np.int64))
        time.append((k + u) / weight)
    order = np.argsort(np.concatenate(time), kind="stable")[start - before : start - before + n]
    return np.concatenate(chosen)[order], np.concatenate(number)[order]


def blocks(samples: Sequence[int], seed: int, size: int) -> list[np.ndarray]:
    """Shards in shuffled order, in blocks of at least `size` samples (the last may have fewer). samples: of each."""
    order = shuffled(len(samples), seed)
    out: list[np.ndarray] = []
    first = held = 0
    for end, shard in enumerate(order.tolist(), 1):
        held += samples[shard]
        if held >= size or end == len(order):
            out.append(order[first:end])
            first, held = end, 0
    return out


class Patches(NamedTuple):
    """The patches that the images of samples have in the vision tower, and the budget of a sequence."""

    each: np.ndarray  #: (images of all samples,) patches of each image
    start: np.ndarray  #: (samples + 1,) where the images of each sample begin in `each`
    budget: int  #: patches of a sequence

    def of(self, row: int) -> list[int]:
        images: list[int] = self.each[self.start[row] : self.start[row + 1]].tolist()
        return images

    def totals(self) -> np.ndarray:
        """Patches of each sample, (samples,)."""
        running = np.concatenate([[0], np.cumsum(self.each)]).astype(np.int64)
        return np.asarray(running[self.start[1:]] - running[self.start[:-1]])


class Items(NamedTuple):
    """What is packed: samples, or pieces of them. All (n,) int64."""

    row: np.ndarray  #: of the sample
    piece: np.ndarray  #: number of the piece, from 0
    pieces: np.ndarray  #: number of pieces; 0 if the sample is not cut
    length: np.ndarray  #: tokens, at most those of the sequence
    patches: np.ndarray  #: an upper bound, at most the budget; 0 without a budget


def items(
    texts: np.ndarray,
    images: np.ndarray,
    per_image: int | np.ndarray,
    capacity: int,
    long: str,
    repeat: bool,
    patches: Patches | None = None,
) -> Items:
    """Samples as they will be packed.

    texts, images, per_image: text tokens, images, and tokens of an image of each sample, (n,); per_image may be one
    number. A sample has its text tokens, `per_image` + 2 tokens an image (one mark on either side), and two marks. A
    sample that is longer than `capacity`, or has more patches than the budget, is cut (``chunk``), shown through one
    window (``window``) or left out (``drop``); it is also left out if its images leave no room for text. repeat: the
    sample is one image with its text, and every piece has the image again. The patches of a piece are exact only after
    the cut; they are planned as the largest images that its tokens could hold, within the budget, which the cut obeys.
    """
    texts, images = texts.astype(np.int64), images.astype(np.int64)
    image = np.broadcast_to(np.asarray(per_image, np.int64) + 2, images.shape)
    total = texts + images * image + MARKS
    cost = np.zeros(len(texts), np.int64) if patches is None else patches.totals()
    budget = 0 if patches is None else patches.budget
    fits = (total <= capacity) & (cost <= budget)
    pieces = np.zeros(len(texts), np.int64)
    length = np.minimum(total, capacity)
    included = fits.copy()
    if long != "drop":
        free = capacity - MARKS - (image * images if repeat else image * (images > 0))
        slack = int(np.ceil(SLACK * capacity))
        body = texts if repeat else texts + images * image
        cuttable = ~fits & (free > 2 * slack) & ((cost <= budget) | (not repeat))
        included |= cuttable
        parts = np.ones_like(body)
        if long == "chunk":
            parts = -(-body // np.maximum(free - slack, 1))
            if patches is not None and not repeat:
                parts = np.maximum(parts, np.ceil(cost / (budget * (1 - SLACK))).astype(np.int64))
        pieces = np.where(cuttable, parts, 0)
        # a piece has its share of the body, at most one image more, and what cuts between words cost
        share = -(-body // np.maximum(pieces, 1)) + slack + capacity - free
        length = np.where(cuttable, np.minimum(share, capacity), length)
        if patches is not None and not repeat:
            for number in np.flatnonzero(cuttable).tolist():
                most = int(length[number] - MARKS) // int(image[number])
                cost[number] = min(sum(sorted(patches.of(number), reverse=True)[:most]), budget)
    row = np.flatnonzero(included)
    times = np.maximum(pieces[row], 1)
    first = np.repeat(np.cumsum(times) - times, times)
    rows = np.repeat(row, times)
    return Items(rows, np.arange(len(rows)) - first, pieces[rows], length[rows], cost[rows])


def first_fit(
    lengths: np.ndarray, capacity: int, open_bins: int = OPEN_BINS, patches: np.ndarray | None = None, budget: int = 0
) -> np.ndarray:
    """The bin (n,) of each item: the first open bin that has space for it, else a new one. Bins are numbered from 0.

    lengths: (n,), each at most `capacity`. patches: (n,), each at most `budget`, if there is a budget; a bin must then
    have space for both. At most `open_bins` bins are open; a new bin closes the oldest, so the cost is linear, and the
    items of a bin are near one another.
    """
    bins = np.empty(len(lengths), np.int64)
    tokens_left = np.zeros(open_bins, np.int64)  # of the open bins, oldest first
    patches_left = np.zeros(open_bins, np.int64)
    cost = [0] * len(lengths) if patches is None else patches.tolist()
    opened = 0
    for i, length in enumerate(lengths.tolist()):
        fits = tokens_left >= length
        if patches is not None:
            fits &= patches_left >= cost[i]
        number = int(fits.argmax())
        if not fits[number]:
            tokens_left[:-1], patches_left[:-1] = tokens_left[1:], patches_left[1:]
            tokens_left[-1], patches_left[-1] = capacity, budget
            number = open_bins - 1
            opened += 1
        tokens_left[number] -= length
        patches_left[number] -= cost[i]
        bins[i] = opened - open_bins + number
    return bins


class Packs(NamedTuple):
    """The sequences of a block, in order. Pack p holds the items start[p]..start[p+1]-1."""

    start: np.ndarray  #: (packs + 1,)
    row: np.ndarray  #: (items,) row of the sample in the block's index
    piece: np.ndarray  #: this and the next two as in `Items`
    pieces: np.ndarray
    length: np.ndarray

    def __len__(self) -> int:
        return len(self.start) - 1


def pack(planned: Items, capacity: int, seed: int, budget: int | None = None) -> Packs:
    """Items shuffled and packed; the items of a pack are in the shuffled order. budget: patches of a pack, or None."""
    order = shuffled(len(planned.row), seed)
    patches = None if budget is None else planned.patches[order]
    bins = first_fit(planned.length[order], capacity, patches=patches, budget=budget or 0)
    order = order[np.argsort(bins, kind="stable")]
    start = np.concatenate([[0], np.cumsum(np.bincount(bins))]).astype(np.int64)
    return Packs(start, planned.row[order], planned.piece[order], planned.pieces[order], planned.length[order])
