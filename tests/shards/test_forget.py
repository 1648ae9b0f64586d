"""The list of takedowns: the kinds of entries, and the documents and images that each covers."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards import forget
from shards.forget import Entry, ForgetError, Forgotten, entry

ID, HASH = "0123456789abcdef" * 2, "0123456789ABCDEF" * 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ID, ("id", ID)),
        (f" {HASH}\n", ("hash", HASH.lower())),
        ("https://Example.com/A/b?c=D#top", ("url", "example.com/A/b?c=D")),
        ("http://example.com/", ("url", "example.com")),
        ("Example.COM.", ("host", "example.com")),
        ("münchen.example", ("host", "xn--mnchen-3ya.example")),
        ("localhost", ("host", "localhost")),
        (f"sha256:{HASH}", ("hash", HASH.lower())),
        (" HTTP://me:secret@A.Example:80/x/./y z/#top", ("url", "a.example/x/y%20z")),
        ("conversations:a/rows.jsonl/3#2", ("url", "conversations:a/rows.jsonl/3")),
        ("file:papers/x.pdf#page=3", ("url", "file:papers/x.pdf")),
    ],
)
def test_the_form_of_an_entry_gives_its_kind(text: str, expected: tuple[str, str]) -> None:
    assert entry(text) == expected


@pytest.mark.parametrize(
    "text", ["", "word", "a b.example", "https://", "http://[", "0" * 40, "/a/path", "-", "a..example", "x" * 300]
)
def test_text_that_is_not_an_entry_is_one_clear_line(text: str) -> None:
    with pytest.raises(ForgetError, match="is none of these: an id"):
        entry(text)


def test_a_file_has_an_entry_a_line_and_comments() -> None:
    lines = ["# asked for in May", "", "example.com  # all of it", f"{ID}", "https://a.example/x#page=2"]
    assert forget.entries(lines, "list.txt") == [("host", "example.com"), ("id", ID), ("url", "a.example/x")]
    with pytest.raises(ForgetError, match=r"list\.txt, line 2: 'what is this'"):
        forget.entries(["a.example", "what is this"], "list.txt")


def test_documents_and_images_that_a_list_covers() -> None:
    takedowns = Forgotten(entry(text) for text in (ID, HASH, "https://a.example/x/", "b.example"))
    for id, url in [
        (ID, None),
        ("f" * 32, "http://A.example/x"),
        ("f" * 32, "https://a.example/x#page=7"),
        ("f" * 32, "https://www.b.example/any?thing"),
        ("f" * 32, "https://b.example:8443/"),
        ("f" * 32, "HTTPS://A.example:443/./x"),
    ]:
        assert takedowns.document(id, url), url
    for id, url in [
        ("f" * 32, "https://a.example/xy"),
        ("f" * 32, "https://ab.example/"),
        (None, None),
        (None, "https://b.example.org/"),
        ("", "["),
    ]:
        assert not takedowns.document(id, url), url
    assert takedowns.image("https://c.example/i.jpg", HASH.lower())
    assert takedowns.image("https://a.example/x", None)
    assert not takedowns.image("https://c.example/i.jpg", ID)
    assert not Forgotten([])
    assert not Forgotten.of(None).document(ID, "https://a.example/x")


def test_new_entries_are_added_at_the_end_and_present_ones_are_not_repeated() -> None:
    host, document = Entry("host", "a.example"), Entry("id", ID)
    file = forget.added(None, [document, host, document], "x")
    assert forget.read(file, "x") == sorted([host, document])
    assert forget.added(file, [host], "x") == file
    longer_file = forget.added(file, [Entry("hash", HASH.lower()), host], "x")
    assert len(forget.read(longer_file, "x")) == 3
    assert forget.read(None, "x") == []
    assert forget.digest([host, document]) == forget.digest([document, host, document]) != forget.digest([host])
    with pytest.raises(ForgetError, match=r"run/forgotten\.parquet: no list that can be read"):
        forget.read(b"PAR1", "run/forgotten.parquet")


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=60),
    st.one_of(st.none(), st.text(max_size=60)),
    st.sampled_from(["", "https://", "http://a.example/"]),
)
def test_any_text_is_an_entry_or_refused_and_any_address_is_accepted(text: str, url: str | None, head: str) -> None:
    with suppress(ForgetError):
        one = entry(head + text)
        assert Forgotten([one])
        if one.kind == "url":
            assert Forgotten([one]).image(head + text, None)
    Forgotten([Entry("host", "a.example"), Entry("url", "a.example/x")]).document(
        text, None if url is None else head + url
    )


def test_verify_accepts_the_list_beside_the_shards(tmp_path: Path) -> None:
    from shards.publish.verify import verify
    from tests.shards import made

    run = made.run(tmp_path, {"pairs": [2]})
    (run / forget.NAME).write_bytes(forget.added(None, [Entry("id", ID)], "x"))
    assert list(verify(run)) == []
