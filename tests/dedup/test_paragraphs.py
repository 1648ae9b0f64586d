"""Paragraphs that many documents of a host have."""

import pyarrow as pa

from dedup.paragraphs import Paragraphs, RepeatedParagraphs
from manifests.stage import DirectContext

from .drive import Doc, batch, gather, split_by_key

MENU = "Subscribe to our newsletter"


def repeated_rows(
    parts: list[list[Doc]], stage: RepeatedParagraphs, buckets: int = 3, by_host: bool = True
) -> list[tuple[int, int, int, int]]:
    rows = [
        r
        for n, docs in enumerate(parts)
        for r in gather(Paragraphs(by_host)(batch(docs), DirectContext(part=n)))["paragraphs"]
    ]
    tables = [r for b in split_by_key(rows, buckets) for _, r in stage({"paragraphs": b})]
    return sorted(tuple(r.values()) for r in pa.Table.from_batches(tables).to_pylist())


def site(host: str, *texts: tuple[str, ...]) -> list[Doc]:
    return [Doc(f"{host}{n}", t, f"http://{host}/{n}") for n, t in enumerate(texts)]


def test_a_paragraph_of_three_documents_is_repeated_in_each() -> None:
    docs = site("a.example", ("one", MENU), (MENU, "two"), ("three", "four", MENU))
    assert repeated_rows([docs[:2], docs[2:]], RepeatedParagraphs()) == [(0, 0, 1, 3), (0, 1, 0, 3), (1, 0, 2, 3)]
    assert repeated_rows([docs[:2]], RepeatedParagraphs()) == []


def test_each_host_is_counted_alone() -> None:
    docs = (
        site("a.example", (MENU,), (MENU,))
        + site("www.a.example", (MENU,))
        + [Doc("x", (MENU,)), Doc("y", (MENU,), "http://[bad")]
    )
    assert repeated_rows([docs], RepeatedParagraphs()) == []


def test_captions_are_counted_over_all_hosts_and_for_documents_without_a_host() -> None:
    docs = (
        site("a.example", ("Stock photo",))
        + site("b.example", ("Stock photo",))
        + [Doc("x", ("Stock photo",)), Doc("y", ("A boat",))]
    )
    assert repeated_rows([docs], RepeatedParagraphs(2), by_host=False) == [(0, n, 0, 3) for n in range(3)]
    assert repeated_rows([docs], RepeatedParagraphs(3), by_host=False) == []
    copies = [Doc("x", ("Stock photo",)), Doc("x", ("Stock photo",))]  # the same pair on two other pages counts once
    assert repeated_rows([docs, copies], RepeatedParagraphs(3), by_host=False) == []


def test_a_paragraph_counts_once_in_a_document() -> None:
    docs = site("a.example", ("la la", "verse", "la la", "la la"), ("verse",))
    assert repeated_rows([docs], RepeatedParagraphs()) == []


def test_dropped_nodes_and_documents_do_not_count() -> None:
    docs = [
        *site("a.example", (MENU,), (MENU,)),
        Doc("c", (MENU,), "http://a.example/c", keep=False),
        Doc("d", (MENU, "rest"), "http://a.example/d", node_keep=(False, True)),
    ]
    assert repeated_rows([docs], RepeatedParagraphs()) == []


def test_node_numbers_count_image_nodes() -> None:
    docs = [Doc(f"{n}", ("own " + str(n), MENU), f"http://a.example/{n}", image="http://i.example/x") for n in range(3)]
    assert repeated_rows([docs], RepeatedParagraphs()) == [(0, n, 2, 3) for n in range(3)]


def test_no_documents_give_no_rows() -> None:
    assert repeated_rows([[]], RepeatedParagraphs()) == []
