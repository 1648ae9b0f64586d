"""Image counts, and near-duplicate hashes against every pair."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.images import ImageCounts
from dedup.perceptual import bands, hamming, near_groups, near_pairs
from manifests.schema import key64

SCHEMA = pa.schema(
    [
        ("url", pa.string()),
        ("key", pa.uint64()),
        ("sha256", pa.string()),
        ("phash", pa.uint64()),
        ("doc", pa.uint64()),
        ("part", pa.int32()),
        ("row", pa.int32()),
        ("node", pa.int32()),
    ]
)


def images(uses: list[tuple[int, int, int, str | None]]) -> pa.Table:
    """(part, row, node, image) -> the rows of ImageCounts."""
    rows = [
        {
            "url": f"http://i.example/{n}",
            "key": key64(i or ""),
            "sha256": i,
            "phash": n,
            "doc": p << 32 | r,
            "part": p,
            "row": r,
            "node": k,
        }
        for n, (p, r, k, i) in enumerate(uses)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def counted(table: pa.Table) -> pa.Table:
    return pa.Table.from_batches([b for _, b in ImageCounts()({"images": table})])


def test_uses_are_documents() -> None:
    out = counted(
        images(
            [
                (1, 0, 0, "a"),
                (0, 5, 2, "a"),
                (0, 5, 1, "a"),
                (0, 6, 0, "b"),
                (0, 7, 0, None),
                (0, 7, 1, None),
                (1, 0, 4, "a"),
            ]
        )
    )
    found = [(r["key"], r["row"], r["node"], r["uses"], r["first"], r["repeated"]) for r in out.to_pylist()]
    assert found == [
        (0, 5, 1, 2, True, False),
        (0, 5, 2, 2, False, True),
        (0, 6, 0, 1, True, False),
        (0, 7, 0, 0, False, False),
        (0, 7, 1, 0, False, False),
        (1, 0, 0, 2, False, False),
        (1, 0, 4, 2, False, True),
    ]
    assert out.schema.names == [*SCHEMA.names, "uses", "first", "repeated"]
    assert out.column("url").to_pylist()[0] == "http://i.example/2"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3), st.sampled_from(["a", "b", "c", None])),
        unique_by=lambda u: u[:3],
    ),
    st.randoms(use_true_random=False),
)
def test_counts_are_those_of_a_plain_count_in_any_order(
    uses: list[tuple[int, int, int, str | None]], rng: random.Random
) -> None:
    expected = []
    for p, r, k, i in sorted(uses, key=lambda u: u[:3]):
        same = [u for u in uses if i is not None and u[3] == i]
        repeated = any(u[:2] == (p, r) and u[2] < k for u in same)
        expected.append(
            (p, r, k, len({u[:2] for u in same}), bool(same) and (p, r, k) == min(u[:3] for u in same), repeated)
        )
    shuffled = uses[:]
    rng.shuffle(shuffled)
    rows = counted(images(shuffled)).to_pylist()
    assert [(r["part"], r["row"], r["node"], r["uses"], r["first"], r["repeated"]) for r in rows] == expected


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match="not in images: node"):
        list(ImageCounts()({"images": images([]).drop_columns(["node"])}))


def test_hamming() -> None:
    assert hamming([0, 1, 2**64 - 1], [0, 0, 0]).tolist() == [0, 1, 64]


def hashes_with_copies(seed: int) -> np.ndarray:
    rng = random.Random(seed)
    found = [rng.getrandbits(64) for _ in range(40)]
    for base in found[:30]:
        copy = base
        for bit in rng.sample(range(64), rng.randint(0, 7)):
            copy ^= 1 << bit
        found.append(copy)
    rng.shuffle(found)
    return np.array(found, np.uint64)


@pytest.mark.parametrize("distance", [0, 1, 3, 5, 8])
def test_bands_miss_no_pair(distance: int) -> None:
    for seed in range(5):
        hashes = hashes_with_copies(seed)
        apart = hamming(hashes[:, None], hashes[None, :])
        every = [(i, j) for i in range(len(hashes)) for j in range(i + 1, len(hashes)) if apart[i, j] <= distance]
        left, right, bits = near_pairs(hashes, distance)
        assert list(zip(left.tolist(), right.tolist(), strict=True)) == every
        assert bits.tolist() == [apart[i, j] for i, j in every]


def test_bands_cover_every_bit_once() -> None:
    ones = np.array([2**64 - 1], np.uint64)
    for count in (1, 3, 4, 6, 64):
        assert sum(int(b[0]).bit_count() for b in bands(ones, count)) == 64


def test_groups_hold_only_hashes_near_their_first() -> None:
    for seed in range(5):
        hashes = hashes_with_copies(seed)
        first = near_groups(hashes, 5)
        expected: list[int] = []
        for n in range(len(hashes)):
            joined = [f for f in sorted(set(expected)) if hamming(hashes[f], hashes[n]) <= 5]
            expected.append(joined[0] if joined else n)
        assert first.tolist() == expected


def test_a_chain_of_small_steps_is_not_one_picture() -> None:
    steps = np.array([0, 0b11, 0b1111, 0b111111, 0b11111111], np.uint64)
    assert near_groups(steps, 3).tolist() == [0, 0, 2, 2, 4]
    assert near_groups(np.zeros(0, np.uint64)).tolist() == []
