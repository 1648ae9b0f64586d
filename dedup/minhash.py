"""MinHash signatures, their bands, and the similarity they estimate.

The share of permutations under which two shingle sets have the same minimum estimates their Jaccard similarity (Broder
1997), with a standard deviation of sqrt(s (1 - s) / permutations): 0.04 at 0.75 and 112 permutations. Two documents of
similarity s share at least one band with probability 1 - (1 - s^rows)^bands.
"""

import numpy as np
import numpy.typing as npt

from dedup.text import Words
from manifests.flat import offsets as running_totals
from manifests.hashing import GOLDEN, U64, mix64

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]

# shingles in one step: permutations x chunk fits the second-level cache, and a long document needs bounded memory
CHUNK = 4096


def shingles(words: Words, size: int = 5) -> tuple[U32, I64]:
    """Hashed word n-grams of each text: (hashes, offsets). A text of less than ``size`` words has one, of all words."""
    hashes, counts = words.grams(size, short=True)
    return (hashes >> np.uint64(32)).astype(np.uint32), running_totals(counts)


def permutations(count: int, seed: int) -> tuple[U32, U32]:
    """Multipliers (odd) and addends of permutations of 32 bits: hashes of the seed, so no library can change them."""
    base = mix64(np.array([(seed + 1) & 0xFFFFFFFFFFFFFFFF], np.uint64))
    raw = mix64(base + np.arange(2 * count, dtype=np.uint64) * GOLDEN) >> np.uint64(32)
    return raw[:count].astype(np.uint32) | np.uint32(1), raw[count:].astype(np.uint32)


def signatures(hashes: U32, offsets: I64, count: int = 112, seed: int = 1) -> U32:
    """Minima of each text's shingles under ``count`` permutations: (texts, count). All bits are 1 where a text has no
    shingle.

    A permutation is a product with an odd number plus a number, modulo 2^32. The shingles are mixed before, so no
    modulus by a prime is needed.
    """
    texts = len(offsets) - 1
    a, b = permutations(count, seed)
    out = np.full((count, texts), 0xFFFFFFFF, np.uint32)
    full = np.flatnonzero(np.diff(offsets))  # reduceat needs segments that are not empty
    starts = offsets[full]
    result = out[:, full]
    for low in range(0, len(hashes), CHUNK):
        x = hashes[low : low + CHUNK]
        from_text = int(np.searchsorted(starts, low, "right")) - 1
        to_text = int(np.searchsorted(starts, low + len(x), "left"))
        cuts = np.maximum(starts[from_text:to_text] - low, 0)
        values = a[:, None] * x[None, :]
        values += b[:, None]
        part = np.minimum.reduceat(values, cuts, axis=1)
        np.minimum(result[:, from_text:to_text], part, out=result[:, from_text:to_text])
    out[:, full] = result
    return np.ascontiguousarray(out.T)


def band_keys(signature: U32, bands: int, rows: int) -> U64:
    """64-bit keys (texts, bands) of groups of ``rows`` minima. The number of the band is part of the key."""
    grouped = signature.reshape(len(signature), bands, rows).astype(np.uint64)
    keys = np.broadcast_to(mix64(np.arange(1, bands + 1, dtype=np.uint64) * GOLDEN), grouped.shape[:2])
    for r in range(rows):
        keys = mix64((keys ^ grouped[:, :, r]) * GOLDEN)
    return keys


def similarity(left: U32, right: U32) -> npt.NDArray[np.float32]:
    """Estimated Jaccard similarity of rows of signatures: the share of equal minima."""
    return np.asarray((left == right).mean(axis=-1, dtype=np.float64), np.float32)
