"""Each outcome is joined with every place of its address."""

import pyarrow as pa

from filters.rules import Rules
from filters.vectors import VECTOR
from manifests.schema import OUTCOME, key64
from manifests.stage import DirectContext
from pipelines.select.join import IMAGE, KEYED, PLACED, ByAddress, Count, Join
from pipelines.select.links import PLACE

from .make import BLOB_PART, document, image, join_outcomes, outcome, tables, text

A, B, C = (f"http://p.example/{n}.jpg" for n in "abc")


def test_an_outcome_is_joined_with_every_place_and_an_address_without_fetch_has_none() -> None:
    inputs = tables(
        [document("http://a.example/", image(A), text(), image(B)), document("http://b.example/", image(A), image(C))]
    )
    joined = join_outcomes(inputs, Rules(), [outcome(A), outcome(C, "http_404")])
    assert joined.schema == PLACED
    rows = {(r["row"], r["node"]): r for r in joined.to_pylist()}
    assert {k: (r["url"], r["status"]) for k, r in rows.items()} == {
        (0, 0): (A, "ok"),
        (0, 2): (B, None),
        (1, 0): (A, "ok"),
        (1, 1): (C, "http_404"),
    }
    assert rows[0, 0]["blob_part"] == 3 and rows[0, 0]["part"] == 0  # the part of its bytes, the part of its document
    assert rows[0, 2]["sha256"] is None and rows[0, 2]["blob_part"] is None


def test_the_same_bytes_at_two_addresses_have_one_key() -> None:
    inputs = tables([document("http://a.example/", image(A), image(B), image(C))])
    same = "ab" * 32
    keys = join_outcomes(inputs, Rules(), [outcome(A, sha256=same), outcome(B, sha256=same), outcome(C, "timeout")])[
        "key"
    ].to_pylist()
    assert keys == [key64(same), key64(same), key64(f"address {C}")]


def test_outcomes_have_the_keys_of_the_links() -> None:
    batch = pa.RecordBatch.from_pylist([outcome(A), outcome(B, "robots")], schema=OUTCOME)
    ((name, keyed),) = ByAddress()(batch, DirectContext(BLOB_PART))
    assert name == "outcomes" and keyed.schema == KEYED
    assert keyed["key"].to_pylist() == [key64(A), key64(B)]
    assert keyed.select(OUTCOME.names).to_pylist() == batch.to_pylist()


def test_no_places_or_no_outcomes() -> None:
    assert list(Join()({"places": PLACE.empty_table(), "outcomes": KEYED.empty_table()})) == []
    inputs = tables([document("http://a.example/", image(A))])
    assert join_outcomes(inputs, Rules(), []).to_pylist()[0]["status"] is None


def test_images_are_sent_to_the_scorers_and_scores_are_joined() -> None:
    """Scores of several steps are joined by sha256. An image without a score has null."""
    fetched = pa.RecordBatch.from_pylist([outcome(A), outcome(B, "robots"), outcome(C)], schema=OUTCOME)
    (_, keyed), (name, images) = ByAddress(images=True)(fetched, DirectContext(8))
    a, c = outcome(A)["sha256"], outcome(C)["sha256"]
    assert name == "images" and images.schema == IMAGE
    assert [(r["key"], r["sha256"], r["part"]) for r in images.to_pylist()] == [(key64(a), a, 8), (key64(c), c, 8)]
    # the number of the partition that holds the blobs
    assert keyed["part"].to_pylist() == [8, None, 8]

    inputs = tables([document("http://a.example/", image(A), text(), image(B), image(C))])
    places = join_outcomes(inputs, Rules(), [outcome(A), outcome(C)])
    scored = {"one": pa.table({"sha256": [a], "entropy": pa.array([7.0], pa.float32())}),
              "two": pa.table({"sha256": [c], "entropy": pa.array([6.0], pa.float32()),
                              "vector": pa.array([[1.0, 0.0]], VECTOR.field("vector").type)}),
              "none": pa.table({})}  # fmt: skip
    count = Count((("entropy", "number"), ("vector", "vector")))
    ((table, counted),) = count({"images": places, **scored})
    assert table == "counted" and counted.schema == count.tables["counted"]
    scores = {r["url"]: (r["entropy"], r["vector"], r["uses"]) for r in counted.to_pylist()}
    assert scores == {A: (7, None, 1), B: (None, None, 0), C: (6, [1, 0], 1)}
    assert list(Count(())({"images": places.slice(0, 0)})) == []
