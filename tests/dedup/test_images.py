"""Counts of images, and the distance of perceptual hashes."""

import random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.decontaminate import hamming
from dedup.images import ImageCounts
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
    """The input rows of ImageCounts from uses (part, row, node, image)."""
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


def image_counts(table: pa.Table) -> pa.Table:
    return pa.Table.from_batches([b for _, b in ImageCounts()({"images": table})])


def test_uses_of_an_image_are_counted_in_documents() -> None:
    table = image_counts(
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
    rows = [(r["key"], r["row"], r["node"], r["uses"], r["repeated"]) for r in table.to_pylist()]
    assert rows == [
        (0, 5, 1, 2, False),
        (0, 5, 2, 2, True),
        (0, 6, 0, 1, False),
        (0, 7, 0, 0, False),
        (0, 7, 1, 0, False),
        (1, 0, 0, 2, False),
        (1, 0, 4, 2, True),
    ]
    assert table.schema.names == [*SCHEMA.names, "uses", "repeated"]
    assert table.column("url").to_pylist()[0] == "http://i.example/2"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3), st.sampled_from(["a", "b", "c", None])),
        unique_by=lambda u: u[:3],
    ),
    st.randoms(use_true_random=False),
)
def test_counts_equal_a_plain_count_for_any_order_of_rows(
    uses: list[tuple[int, int, int, str | None]], rng: random.Random
) -> None:
    expected = []
    for p, r, k, i in sorted(uses, key=lambda u: u[:3]):
        uses_of_image = [u for u in uses if i is not None and u[3] == i]
        repeated = any(u[:2] == (p, r) and u[2] < k for u in uses_of_image)
        expected.append((p, r, k, len({u[:2] for u in uses_of_image}), repeated))
    shuffled = uses[:]
    rng.shuffle(shuffled)
    rows = image_counts(images(shuffled)).to_pylist()
    assert [(r["part"], r["row"], r["node"], r["uses"], r["repeated"]) for r in rows] == expected


def test_a_missing_column_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="not in images: node"):
        list(ImageCounts()({"images": images([]).drop_columns(["node"])}))


def test_hamming() -> None:
    assert hamming([0, 1, 2**64 - 1], [0, 0, 0]).tolist() == [0, 1, 64]
