"""The documents in the report: at most a fixed number for each reason, independent of the order of the input."""

import random
from typing import Any

import pyarrow as pa

from pipelines.select.samples import KEPT, MAX_CHARACTERS, MAX_NODES, OF_A_REASON, SAMPLE, Samples

from .make import decision, document, image, outcome, text

Row = dict[str, Any]


def rows(n: int) -> list[tuple[Row, Row, Row]]:
    entries = []
    for i in range(n):
        d = document(f"http://x.example/{i}", text())
        d["nodes"] = [{"caption": None, "title": None, "words": None, "alt": None, **node} for node in d["nodes"]]
        reason = (None, "words_low", "language")[i % 3]
        entries.append(({"reason": reason}, d, decision(d, keep=reason is None)))
    return entries


def collect(entries: list[tuple[Row, Row, Row]]) -> pa.RecordBatch:
    samples = Samples()
    for entry, d, dec in entries:
        samples.add(entry, d, dec, {})
    return samples.batch()


def test_the_order_of_the_input_does_not_matter() -> None:
    entries = rows(400)
    first = collect(entries)
    shuffled = entries[:]
    random.Random(1).shuffle(shuffled)
    assert collect(shuffled) == first == collect(entries[::-1])
    assert first.schema == SAMPLE
    reasons = [r or "kept" for r in first["reason"].to_pylist()]
    assert {r: reasons.count(r) for r in set(reasons)} == {
        "kept": KEPT,
        "words_low": OF_A_REASON,
        "language": OF_A_REASON,
    }


def test_the_smallest_priorities_are_kept_so_that_parts_can_be_merged() -> None:
    """The smallest of all are among the smallest of each part, so the report does not depend on the partitions."""
    entries = rows(400)
    expected = collect(entries).to_pylist()
    parts = [r for part in (entries[:50], entries[50:300], entries[300:]) for r in collect(part).to_pylist()]
    for reason, most in ((None, KEPT), ("words_low", OF_A_REASON), ("language", OF_A_REASON)):
        of_parts = sorted((r for r in parts if r["reason"] == reason), key=lambda r: r["priority"])[:most]
        assert [r["id"] for r in of_parts] == [r["id"] for r in expected if r["reason"] == reason]


def test_a_document_that_comes_twice_does_not_stop_the_run() -> None:
    d = rows(1)[0]
    assert collect([d] * 50).num_rows == KEPT


def test_long_documents_are_cut_and_dropped_images_have_their_reason() -> None:
    d = document("http://x.example/", *[text("word " * 500)] * 100)
    d["nodes"] = [image("http://p.example/1.jpg"), image("http://p.example/2.jpg"), *d["nodes"]]
    d["nodes"] = [{"text": None, **node} for node in d["nodes"]]
    images = {
        0: {**outcome("http://p.example/1.jpg"), "blob_part": 7, "drop": None},
        1: {"blob_part": None, "offset": None, "length": None, "drop": ("http_404", None, None)},
    }
    samples = Samples()
    samples.add({"reason": None}, d, decision(d), images)
    (row,) = samples.batch().to_pylist()
    assert len(row["nodes"]) == len(row["node_reason"]) == MAX_NODES
    assert max(len(n["text"] or "") for n in row["nodes"]) == MAX_CHARACTERS
    assert [(p["node"], p["reason"], p["part"], p["length"]) for p in row["pictures"]] == [
        (0, None, 7, 9000),
        (1, "http_404", None, None),
    ]


def test_no_input_gives_no_rows() -> None:
    assert Samples().batch().num_rows == 0 and Samples().batch().schema == SAMPLE
