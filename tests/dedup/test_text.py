"""Words, canonical addresses, and the columns that Sign computes from a batch."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.sign import BAND, BANDS, EXACT, URL, Sign, signatures_schema
from dedup.text import words
from dedup.urls import canonical_page
from manifests.hashing import hash_strings
from manifests.stage import DirectContext

from .drive import Doc, batch, gather
from .prose import prose


def word_lists(texts: list[str], **kw: bool) -> list[list[int]]:
    hashes, offsets, _ = words(pa.array(texts, pa.string()), **kw)
    assert offsets[0] == 0
    assert offsets[-1] == len(hashes)
    return [hashes[offsets[n] : offsets[n + 1]].tolist() for n in range(len(texts))]


def as_words(*names: str) -> list[int]:
    return hash_strings(names).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Cat, sat.", ("the", "cat", "sat")),
        ("state-of-the-art", ("state", "of", "the", "art")),
        ("3.14 and 1,000,000 or 12:30", ("0", "and", "0", "or", "0")),
        ("naïve café — ÉTÉ", ("naive", "cafe", "ete")),
        ("a\u00a0b", ("a", "b")),
        ("漢字 かな", ("漢", "字", "か", "な")),
        ("— … !", ()),
        ("x2 B", ("x0", "b")),
        ("don't", ("don", "t")),
    ],
)
def test_words(text: str, expected: tuple[str, ...]) -> None:
    assert word_lists([text])[0] == as_words(*expected)


def test_numbers_are_not_folded_on_request() -> None:
    assert word_lists(["7 of 12"], fold_numbers=False)[0] == as_words("7", "of", "12")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=6))
def test_words_of_a_text_do_not_depend_on_other_texts(texts: list[str]) -> None:
    texts = [t.encode("utf-8", "replace").decode() for t in texts]
    assert word_lists(texts) == [word_lists([t])[0] for t in texts]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://A.example:80/x#top", "https://a.example/x"),
        ("http://a.example", "http://a.example/"),
        ("http://a.example/?utm_source=y&q=1", "http://a.example/?q=1"),
        ("http://user@a.example./x?gclid=3", "http://a.example/x"),
    ],
)
def test_two_addresses_of_one_page_are_equal(one: str, other: str) -> None:
    assert canonical_page(one) == canonical_page(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://a.example/x", "http://a.example/X"),
        ("http://a.example/#!/x", "http://a.example/#!/y"),
        ("http://a.example:8080/", "http://a.example/"),
        ("http://a.example/?a=1&b=2", "http://a.example/?b=2&a=1"),
        ("http://www.a.example/", "http://a.example/"),
        ("http://[bad/", "http://[worse/"),
        ("urn:x", "urn:y"),
    ],
)
def test_addresses_of_two_pages_differ(one: str, other: str) -> None:
    assert canonical_page(one) != canonical_page(other)


def test_tables_of_a_batch() -> None:
    docs = [
        Doc("a", (prose(1, 30), prose(2, 30)), "http://a.example/1", 5),
        Doc("b", (), "http://a.example/2"),
        Doc("c", (prose(3, 30),), "http://a.example/3", keep=False),
        Doc("d", (prose(4, 3),), None),
    ]
    out = gather(Sign()(batch(docs), DirectContext(part=3, first=10)))
    bands, signatures = pa.Table.from_batches(out["bands"]), pa.Table.from_batches(out["signatures"])
    assert bands.schema == BANDS
    assert signatures.schema == signatures_schema(112)
    numbers = [3 << 32 | row for row in (10, 11, 12, 13)]
    assert signatures.column("doc").to_pylist() == numbers
    assert signatures.column("length").to_pylist() == [60, 0, None, 3]
    assert signatures.column("fetched").to_pylist() == [5, None, None, None]
    assert [s is None for s in signatures.column("signature").to_pylist()] == [False, True, True, False]
    assert [h is None for h in signatures.column("text_hash").to_pylist()] == [False, True, True, False]
    assert [h is None for h in signatures.column("url_hash").to_pylist()] == [False, False, True, True]
    kinds = {
        n: [k for d, k in zip(bands["doc"].to_pylist(), bands["kind"].to_pylist(), strict=True) if d == n]
        for n in numbers
    }
    assert [kinds[n] for n in numbers] == [[URL, EXACT] + [BAND] * 14, [URL], [], [EXACT] + [BAND] * 14]


def test_the_hash_of_a_text_does_not_depend_on_its_paragraph_breaks() -> None:
    docs = [Doc("a", ("one two", "three")), Doc("b", ("One", "two three")), Doc("c", ("one two four",))]
    table = gather(Sign()(batch(docs)))["signatures"][0]
    hashes = table.column("text_hash").to_pylist()
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_batch_split_in_two_gives_the_same_rows() -> None:
    rows = batch(
        [Doc(f"{n}", (prose(n, 20 + n),), f"http://a.example/{n}", node_keep=(n % 3 != 0,)) for n in range(10)]
    )
    one_batch = gather(Sign()(rows, DirectContext()))
    two_batches = gather(Sign()(rows.slice(0, 4), DirectContext()))
    gather(Sign()(rows.slice(4), DirectContext(first=4)), two_batches)
    for name in one_batch:
        assert pa.Table.from_batches(one_batch[name]) == pa.Table.from_batches(two_batches[name])


def test_the_error_names_the_wrong_input() -> None:
    rows = batch([Doc("a", ("one",))])
    with pytest.raises(ValueError, match=r"not in its input: keep"):
        list(Sign()(rows.select([n for n in rows.schema.names if n != "keep"])))
    with pytest.raises(ValueError, match="row 0 has 1 nodes but 2 node decisions"):
        list(Sign()(batch([Doc("a", ("one",), node_keep=(True, True))])))


def test_long_documents_and_documents_without_words_have_rows() -> None:
    rows = batch(
        [Doc("a", ("x" * 100_000,)), Doc("b", ("\u0301" * 10, "\U0001f600" * 3)), Doc("c", ("word " * 20_000,))]
    )
    lengths = gather(Sign()(rows))["signatures"][0].column("length").to_pylist()
    assert lengths == [1, 0, 20_000]
    assert np.isfinite(lengths).all()
