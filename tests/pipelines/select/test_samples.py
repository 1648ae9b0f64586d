"""The documents a report shows: a bounded number of each reason, the same whatever the order they came in."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa

from pipelines.select.samples import KEPT, MAX_CHARACTERS, MAX_NODES, OF_A_REASON, SAMPLE, Samples

from .make import decision, document, image, outcome, text

Row = dict[str, Any]


def rows(n: int) -> list[tuple[Row, Row, Row]]:
    made = []
    for i in range(n):
        d = document(f"http://x.example/{i}", text())
        d["nodes"] = [{"caption": None, "title": None, "words": None, "alt": None, **node} for node in d["nodes"]]
        reason = (None, "words_low", "language")[i % 3]
        made.append(({"reason": reason}, d, decision(d, keep=reason is None)))
    return made


def taken(given: list[tuple[Row, Row, Row]]) -> pa.RecordBatch:
    samples = Samples()
    for entry, d, dec in given:
        samples.add(entry, d, dec, {})
    return samples.batch()


def test_the_order_of_arrival_changes_nothing() -> None:
    given = rows(400)
    first = taken(given)
    shuffled = given[:]
    random.Random(1).shuffle(shuffled)
    assert taken(shuffled) == first == taken(given[::-1])
    assert first.schema == SAMPLE
    reasons = [r or "kept" for r in first["reason"].to_pylist()]
    assert {r: reasons.count(r) for r in set(reasons)} == {
        "kept": KEPT,
        "words_low": OF_A_REASON,
        "language": OF_A_REASON,
    }


def test_those_of_smallest_priority_are_held_so_that_parts_merge() -> None:
    """The smallest of the whole are among the smallest of the parts: what is shown does not depend on how inputs were
    cut.
    """
    given = rows(400)
    whole = taken(given).to_pylist()
    parts = [r for cut in (given[:50], given[50:300], given[300:]) for r in taken(cut).to_pylist()]
    for reason, most in ((None, KEPT), ("words_low", OF_A_REASON), ("language", OF_A_REASON)):
        of_parts = sorted((r for r in parts if r["reason"] == reason), key=lambda r: r["priority"])[:most]
        assert [r["id"] for r in of_parts] == [r["id"] for r in whole if r["reason"] == reason]


def test_a_document_met_twice_does_not_stop_the_run() -> None:
    d = rows(1)[0]
    assert taken([d] * 50).num_rows == KEPT


def test_long_documents_are_cut_and_dropped_images_carry_their_reason() -> None:
    d = document("http://x.example/", *[text("word " * 500)] * 100)
    d["nodes"] = [image("http://p.example/1.jpg"), image("http://p.example/2.jpg"), *d["nodes"]]
    d["nodes"] = [{"text": None, **node} for node in d["nodes"]]
    images = {0: {**outcome("http://p.example/1.jpg"), "blob_part": 7, "drop": None}, 1: {"blob_part": None, "offset": None, "length": None,
              "drop": ("http_404", None, None)}}  # fmt: skip
    samples = Samples()
    samples.add({"reason": None}, d, decision(d), images)
    (row,) = samples.batch().to_pylist()
    assert len(row["nodes"]) == len(row["node_reason"]) == MAX_NODES
    assert max(len(n["text"] or "") for n in row["nodes"]) == MAX_CHARACTERS
    assert [(p["node"], p["reason"], p["part"], p["length"]) for p in row["pictures"]] == [
        (0, None, 7, 9000),
        (1, "http_404", None, None),
    ]


def test_nothing_gives_no_rows() -> None:
    assert Samples().batch().num_rows == 0 and Samples().batch().schema == SAMPLE
