"""Which images are requested, and their places in the documents."""

import pyarrow as pa
import pytest

from filters.rules import Rule, Rules
from manifests.schema import key64
from manifests.stage import DirectContext
from pipelines.select.links import Links, host_key, surviving_rows

from .make import decision, document, image, out, tables, text

A, B, C = (f"http://p.example/{n}.jpg" for n in "abc")
RULES = Rules(image=(Rule("rendered_min", min=100), Rule("banned_url", max=0), Rule("side_min", min=150)))


def test_every_image_of_a_kept_document_has_its_place() -> None:
    first = document("http://a.example/", text(), image(A, alt="a mill", width=640, height=480), image(B))
    documents = [first, document("http://b.example/", image(A))]
    output = out(Links(RULES)(tables(documents), DirectContext(part=5)))
    places = [(p["url"], p["row"], p["node"], p["alt"], p["rendered_width"]) for p in output["places"]]
    assert places == [(A, 0, 1, "a mill", 640), (B, 0, 2, None, None), (A, 1, 0, None, None)]
    assert {p["part"] for p in output["places"]} == {5}
    assert [p["doc"] for p in output["places"]] == [5 << 32, 5 << 32, 5 << 32 | 1]
    assert [p["key"] for p in output["places"]] == [key64(A), key64(B), key64(A)]
    assert sorted(w["url"] for w in output["wanted"]) == [A, B]  # each address once


def test_rules_on_the_page_prevent_the_request_of_an_image() -> None:
    """The image keeps its place, for the ledger. The rule on fetched pixels does not apply yet."""
    documents = [
        document(
            "http://a.example/", text(), image(A, width=50, height=500), image("http://p.example/logo.png"), image(C)
        )
    ]
    output = out(Links(RULES)(tables(documents)))
    assert len(output["places"]) == 3
    assert [w["url"] for w in output["wanted"]] == [C]


def test_dropped_duplicate_and_quarantined_documents_request_no_image() -> None:
    documents = [document(f"http://{n}.example/", image(f"http://p.example/{n}.jpg")) for n in "abcd"]
    decisions = [
        decision(documents[0]),
        decision(documents[1], keep=False, reason="words_low"),
        decision(documents[2]),
        decision(documents[3], None),
    ]
    inputs = tables(
        documents, decisions, ({"key": 0, "row": 2, "reason": "duplicate_text", "survivor": 0, "survivor_id": "x"},)
    )
    assert surviving_rows(inputs).tolist() == [0]
    output = out(Links(RULES)(inputs))
    assert [p["url"] for p in output["places"]] == [w["url"] for w in output["wanted"]] == ["http://p.example/a.jpg"]


def test_dropped_nodes_texts_and_images_without_an_address_have_no_place() -> None:
    one = document("http://a.example/", image(A), text(), image(None), image(B), {"kind": "break"})
    output = out(Links(RULES)(tables([one], [decision(one, node_reasons={0: "banned_url_high"})])))
    assert [(p["url"], p["node"]) for p in output["places"]] == [(B, 3)]


def test_node_numbers_are_right_after_dropped_documents() -> None:
    documents = [document(f"http://{n}.example/", *[text()] * n, image(f"http://p.example/{n}.jpg")) for n in range(5)]
    decisions = [decision(d, keep=n % 2 == 1) for n, d in enumerate(documents)]
    output = out(Links(RULES)(tables(documents, decisions)))
    assert [(p["row"], p["node"]) for p in output["places"]] == [(1, 1), (3, 3)]


def test_a_part_without_images_gives_empty_tables_with_the_same_columns() -> None:
    batches = dict(Links(RULES)(tables([document("http://a.example/", text())])))
    assert {n: b.num_rows for n, b in batches.items()} == {"places": 0, "wanted": 0}
    full = dict(Links(RULES)(tables([document("http://a.example/", image(A))])))
    assert {n: b.schema for n, b in batches.items()} == {n: b.schema for n, b in full.items()}
    assert batches["wanted"].schema.field("key").type == pa.uint64()


@pytest.mark.parametrize("other", ["http://P.example/2.jpg", "https://p.example/x"])
def test_one_part_owns_a_host(other: str) -> None:
    assert host_key(A) == host_key(other) != host_key("http://q.example/a.jpg")
