"""Hashes and document numbers: uniform, the same in every process and on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

U64 = npt.NDArray[np.uint64]

ROW_BITS = np.uint64(32)
ROW_MASK = np.uint64(0xFFFFFFFF)


def numbers(part: int, first: int, count: int) -> U64:
    """Document numbers of ``count`` rows from row ``first`` of a part: ``part << 32 | row``."""
    return (np.uint64(part) << ROW_BITS) | np.arange(first, first + count, dtype=np.uint64)


def part_of(doc: U64) -> U64:
    return doc >> ROW_BITS


def row_of(doc: U64) -> npt.NDArray[np.int32]:
    return (doc & ROW_MASK).astype(np.int32)


def mix64(x: U64) -> U64:
    """A bijection of 64 bits in which every input bit moves every output bit (splitmix64's finaliser, Steele et al.,
    OOPSLA 2014).
    """
    x = x ^ (x >> np.uint64(30))
    x = x * np.uint64(0xBF58476D1CE4E5B9)
    x = x ^ (x >> np.uint64(27))
    x = x * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def mixed(value: int) -> int:
    """`mix64` of one number."""
    return int(mix64(np.array([value & 0xFFFFFFFFFFFFFFFF], np.uint64))[0])


def hash_strings(strings: Sequence[str]) -> U64:
    """XXH3-64 of each string's UTF-8.

    64 bits: among 10^10 strings about three pairs collide (n^2 / 2^65).
    """
    return np.fromiter(map(xxhash.xxh3_64_intdigest, strings), np.uint64, len(strings))


def nullable(values: npt.NDArray[Any], missing: npt.NDArray[np.bool_]) -> pa.Array:
    """An Arrow array of ``values``, null where ``missing``."""
    return pa.array(values, mask=missing)
