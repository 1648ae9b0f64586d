"""MinHash signatures, their bands, and the similarity they estimate.

The share of permutations under which two shingle sets have the same minimum estimates their Jaccard similarity (Broder
1997), with a standard deviation of sqrt(s (1 - s) / permutations): 0.04 at 0.75 and 112 permutations. Two documents of
similarity s share at least one band with probability 1 - (1 - s^rows)^bands.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dedup.hashing import U64, mix64, mixed

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]

# shingles at a time: permutations x chunk stays in the second-level cache, and bounds the memory of a long document
CHUNK = 4096
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so the rolling hash loses nothing; 2^64 over the golden ratio


def shingles(words: U64, offsets: I64, size: int = 5) -> tuple[U32, I64]:
    """Hashed word n-grams of each text: (hashes, offsets). A text of fewer than ``size`` words is one shingle of all;
    an empty one has none.
    """
    lengths = np.diff(offsets)
    counts = np.where(lengths == 0, 0, np.maximum(lengths - size + 1, 1))
    out = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=out[1:])
    values = np.zeros(int(out[-1]), np.uint64)
    for n in range(1, size + 1):
        texts = np.flatnonzero(lengths == n) if n < size else np.flatnonzero(lengths >= size)
        if not texts.size:
            continue
        each = counts[texts]
        before = np.cumsum(each) - each
        ramp = np.arange(int(each.sum())) - np.repeat(before, each)
        first = np.repeat(offsets[texts], each) + ramp
        h = np.full(len(first), n, np.uint64)
        for k in range(n):
            h = h * _BASE + words[first + k]
        values[np.repeat(out[texts], each) + ramp] = h
    return (mix64(values) >> np.uint64(32)).astype(np.uint32), out


def permutations(count: int, seed: int) -> tuple[U32, U32]:
    """Multipliers (odd) and addends of ``count`` permutations of 32 bits, from the seed alone (no generator whose
    stream might change).
    """
    base = np.uint64(mixed(seed + 1))
    raw = mix64(base + np.arange(2 * count, dtype=np.uint64) * _BASE) >> np.uint64(32)
    return raw[:count].astype(np.uint32) | np.uint32(1), raw[count:].astype(np.uint32)


def signatures(hashes: U32, offsets: I64, count: int = 112, seed: int = 1) -> U32:
    """Minima of each text's shingles under ``count`` permutations: (texts, count). All ones where a text has no
    shingle.

    32-bit wrap-around with odd multipliers, after a 64-bit mix: no modulus by a prime is needed.
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
    """64-bit keys (texts, bands) of the ``bands`` groups of ``rows`` minima: equal minima, equal key; different bands
    never share one by design.
    """
    grouped = signature.reshape(len(signature), bands, rows).astype(np.uint64)
    keys = np.broadcast_to(mix64(np.arange(1, bands + 1, dtype=np.uint64) * _BASE), grouped.shape[:2])
    for r in range(rows):
        keys = mix64((keys ^ grouped[:, :, r]) * _BASE)
    return keys


def similarity(left: U32, right: U32) -> npt.NDArray[np.float32]:
    """Estimated Jaccard similarity of rows of signatures: the share of equal minima."""
    return np.asarray((left == right).mean(axis=-1, dtype=np.float64), np.float32)


def probability(similarity: float, bands: int, rows: int) -> float:
    """How likely two documents of a similarity are to meet in at least one band."""
    return 1.0 - (1.0 - similarity**rows) ** bands
