"""64-bit hashes that are the same in every process, on every machine and with every version of numpy."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from manifests.schema import key64

__all__ = ["GOLDEN", "U64", "hash_strings", "key64", "mix64", "ngram_hashes", "splitmix64"]

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

#: 2^64 divided by the golden ratio. It is odd, so multiplication by it loses no bit.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix64(x: U64) -> U64:
    """The finaliser of SplitMix64, a bijection of 64 bits (Steele, Lea and Flood, OOPSLA 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def splitmix64(numbers: U64, seed: int = 0) -> U64:
    """Uniform 64-bit hashes of numbers: output `numbers + 1` of the SplitMix64 generator with this seed (64 bits)."""
    states = (numbers + np.uint64(1)) * GOLDEN
    return mix64(states + np.uint64(seed) if seed else states)


def hash_strings(strings: Sequence[str]) -> U64:
    """XXH3-64 of each string's UTF-8. Among 10^10 strings about three pairs collide (n^2 / 2^65)."""
    import xxhash  # a package of the pipeline: the loader, which reads this module too, does not need it

    return np.fromiter(map(xxhash.xxh3_64_intdigest, strings), np.uint64, len(strings))


def ngram_hashes(symbols: U64, first: I64, n: int) -> U64:
    """Hashes of the n-grams of `symbols` that begin at the places `first`; the length is part of the hash."""
    h = np.full(len(first), n, np.uint64)
    for k in range(n):  # in place: new arrays of this size cost more than the arithmetic
        h *= GOLDEN
        h += symbols[k:][first]
    return mix64(h)
