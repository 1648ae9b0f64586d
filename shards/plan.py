"""The order of everything: which batch is of which source, which samples follow which, and what is packed with what.

Pure functions of numbers. Nothing here reads a file, keeps state or draws from a generator: randomness is a hash of
(seed, epoch, place), so the plan is the same on every rank, in every version of numpy, and can be entered at any place.

A source is read in blocks: its shards are shuffled and laid together until a block has enough samples; the samples of a
block are shuffled and packed. So an epoch never needs to be in memory, and a block is planned from the index of its few
shards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from manifests.hashing import splitmix64

#: changes whenever the same inputs would give another order; part of the loader's fingerprint
VERSION = 1
#: beginning and end of a sample
MARKS = 2
#: bins that first-fit keeps open
OPEN_BINS = 64
#: share of a sequence left free when a sample is cut, since cuts fall between words
SLACK = 0.1

_MASK = (1 << 64) - 1


def seeded(*numbers: int) -> int:
    """One 64-bit seed of several numbers."""
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
    """Batches start..start+n-1: (source (n,), which batch of that source it is, from 0 (n,)).

    weights: (sources,), summing to one. Batch k of source s has the time (k + u) / weight, u a hash in [0, 1), and the
    batches run in the order of time. So each source has exactly one batch in each 1/weight of time: the proportions
    hold in every stretch, not only on average, and any stretch is found without what lies before it.
    """
    sources = len(weights)
    chosen, number, time = [], [], []
    before = 0
    for s, weight in enumerate(weights):
        # Every batch below `first` has a time before that of batch `start`, as at most `sources` more than T batches
        # lie before T.
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
    """Shards in a shuffled order, cut into blocks of at least `size` samples (the last may have fewer). samples: of
    each shard.
    """
    out: list[np.ndarray] = []
    run: list[int] = []
    held = 0
    for shard in shuffled(len(samples), seed).tolist():
        run.append(shard)
        held += samples[shard]
        if held >= size:
            out.append(np.array(run))
            run, held = [], 0
    return [*out, np.array(run)] if run else out


class Patches(NamedTuple):
    """What the images of samples cost the vision tower, and how much of it a sequence may have."""

    each: np.ndarray  #: (images of all samples,) patches of each image
    start: np.ndarray  #: (samples + 1,) where each sample's images begin in `each`
    budget: int  #: patches of a sequence

    def of(self, row: int) -> list[int]:
        found: list[int] = self.each[self.start[row] : self.start[row + 1]].tolist()
        return found

    def totals(self) -> np.ndarray:
        """Patches of each sample, (samples,)."""
        running = np.concatenate([[0], np.cumsum(self.each)]).astype(np.int64)
        return np.asarray(running[self.start[1:]] - running[self.start[:-1]])


class Items(NamedTuple):
    """What is packed: samples, or pieces of them. All (n,) int64."""

    row: np.ndarray  #: of the sample
    piece: np.ndarray  #: which piece of it, from 0
    pieces: np.ndarray  #: of how many; 0 where the sample is whole
    length: np.ndarray  #: tokens, at most the sequence's
    patches: np.ndarray  #: at most, and at most the sequence's; 0 where nobody counts them


def items(
    texts: np.ndarray,
    images: np.ndarray,
    per_image: int | np.ndarray,
    capacity: int,
    long: str,
    repeat: bool,
    patches: Patches | None = None,
) -> Items:
    """Samples as they will be packed. texts, images: tokens of text and number of images of each sample, (n,);
    per_image may be of each sample too.

    A sample has its text tokens, `per_image` tokens an image with one on either side, and two marks. One that is longer
    than `capacity`, or has more patches than a sequence may have, is cut (``chunk``), shown through one window
    (``window``) or left out (``drop``), as is one that cannot be cut because its images leave no room. ``repeat``: the
    sample is one image with its text, and every piece has the image again. How many patches a piece will have is known
    once it is cut; it is planned as the largest images that its tokens could hold, within the budget, and whoever cuts
    it keeps to the budget.
    """
    texts, images = texts.astype(np.int64), images.astype(np.int64)
    image = np.broadcast_to(np.asarray(per_image, np.int64) + 2, images.shape)
    total = texts + images * image + MARKS
    light = np.zeros(len(texts), np.int64) if patches is None else patches.totals()
    budget = 0 if patches is None else patches.budget
    fits = (total <= capacity) & (light <= budget)
    pieces = np.zeros(len(texts), np.int64)
    length = np.minimum(total, capacity)
    keep = fits.copy()
    if long != "drop":
        room = capacity - MARKS - (image * images if repeat else image * (images > 0))
        slack = int(np.ceil(SLACK * capacity))
        body = texts if repeat else texts + images * image
        able = ~fits & (room > 2 * slack) & ((light <= budget) | (not repeat))
        keep |= able
        cut = np.ones_like(body)
        if long == "chunk":
            cut = -(-body // np.maximum(room - slack, 1))
            if patches is not None and not repeat:
                cut = np.maximum(cut, np.ceil(light / (budget * (1 - SLACK))).astype(np.int64))
        pieces = np.where(able, cut, 0)
        # a piece is its share of the body, an image more at most, and what cutting between words costs
        share = -(-body // np.maximum(pieces, 1)) + slack + (capacity - MARKS - room) + MARKS
        length = np.where(able, np.minimum(share, capacity), length)
        if patches is not None and not repeat:
            for cut_row in np.flatnonzero(able).tolist():
                most = int(length[cut_row] - MARKS) // int(image[cut_row])
                light[cut_row] = min(sum(sorted(patches.of(cut_row), reverse=True)[:most]), budget)
    row = np.flatnonzero(keep)
    times = np.maximum(pieces[row], 1)
    first = np.repeat(np.cumsum(times) - times, times)
    rows = np.repeat(row, times)
    return Items(rows, np.arange(len(rows)) - first, pieces[rows], length[rows], light[rows])


def first_fit(
    lengths: np.ndarray, capacity: int, open_bins: int = OPEN_BINS, patches: np.ndarray | None = None, budget: int = 0
) -> np.ndarray:
    """The bin (n,) of each item, bins numbered as they are opened: the first open bin with room, else a new one.

    lengths: (n,), each at most `capacity`; patches, where they are counted: (n,), each at most `budget`; a bin has room
    for both. At most `open_bins` are open; the oldest is closed for a new one, which keeps the cost linear and the
    items of a bin near one another.
    """
    bins = np.empty(len(lengths), np.int64)
    room = np.zeros(open_bins, np.int64)  # of the open bins, oldest first
    space = np.zeros(open_bins, np.int64)
    light = [0] * len(lengths) if patches is None else patches.tolist()
    opened = 0
    for i, length in enumerate(lengths.tolist()):
        fits = room >= length if patches is None else (room >= length) & (space >= light[i])
        at = int(fits.argmax())
        if not fits[at]:
            room[:-1], space[:-1] = room[1:], space[1:]
            room[-1], space[-1] = capacity, budget
            at = open_bins - 1
            opened += 1
        room[at] -= length
        space[at] -= light[i]
        bins[i] = opened - open_bins + at
    return bins


class Packs(NamedTuple):
    """The sequences of a block, in order. Pack p holds items start[p]..start[p+1]-1."""

    start: np.ndarray  #: (packs + 1,)
    row: np.ndarray  #: (items,) the sample, as a row of the block's index
    piece: np.ndarray
    pieces: np.ndarray
    length: np.ndarray

    def __len__(self) -> int:
        return len(self.start) - 1


def pack(planned: Items, capacity: int, seed: int, budget: int | None = None) -> Packs:
    """Items shuffled and packed; the items of a pack keep the shuffled order. budget: patches of a pack, None where
    they do not count.
    """
    order = shuffled(len(planned.row), seed)
    bins = first_fit(
        planned.length[order], capacity, patches=None if budget is None else planned.patches[order], budget=budget or 0
    )
    order = order[np.argsort(bins, kind="stable")]
    counts = np.bincount(bins, minlength=0)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Packs(start, planned.row[order], planned.piece[order], planned.pieces[order], planned.length[order])
