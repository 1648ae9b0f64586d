import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.urls import as_stored, host_as_stored, host_of, join_url, netloc_of, split_url


@pytest.mark.parametrize(
    ("url", "netloc", "host"),
    [
        ("http://WWW.a.example:8080/x", "www.a.example:8080", "www.a.example"),
        ("https://User@a.example/", "user@a.example", "a.example"),
        ("http://[2001:DB8::1]:81/", "[2001:db8::1]:81", "2001:db8::1"),
        ("http://a.example./", "a.example.", "a.example."),
        ("http://a.example:port/", "a.example:port", "a.example"),
        ("http://[::1/", "", ""),
        ("/a/file.pdf", "", ""),
        ("", "", ""),
        (None, "", ""),
    ],
)
def test_netloc_and_host(url: str | None, netloc: str, host: str) -> None:
    assert (netloc_of(url), host_of(url)) == (netloc, host)


def test_split_url_gives_none_for_a_malformed_url() -> None:
    parts = split_url("http://a.example/x?y#z")
    assert parts is not None and (parts.path, parts.query, parts.fragment) == ("/x", "y", "z")
    assert split_url("http://[::1/") is None
    assert split_url(None) == split_url("")


def test_join_url() -> None:
    assert join_url("http://a.example/b/c", "../d") == "http://a.example/d"
    assert join_url("http://a.example/", "http://[broken/") == ""


@given(st.text(max_size=40))
def test_no_text_raises_an_error(text: str) -> None:
    for url in (text, f"http://{text}", f"http://[{text}"):
        assert netloc_of(url).find("/") < 0 and isinstance(join_url(url, text), str)
        assert host_of(url) in netloc_of(url) or not host_of(url).isascii()


@given(
    st.from_regex(r"(https?:)?/{0,2}[\[\]a-zA-Z0-9.:@\t\n \\?#/-]{0,20}", fullmatch=True)
    | st.text(max_size=30).map(lambda text: f"http://{text}")
)
def test_the_host_of_a_plain_address_is_that_of_urlsplit(url: str) -> None:
    parts = split_url(url)
    assert host_of(url) == ((parts.hostname or "") if parts else "")


SPELLINGS = [
    "https://a.example/x/y?q=1",
    " HTTPS://A.Example:443/x/./y?q=1#part ",
    "https://user:secret@a.example./x/z/../y?q=1",
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_each_spelling_of_an_address_has_the_form_that_runs_store(text: str) -> None:
    assert as_stored(text) == SPELLINGS[0]


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        (" conversations:a b/rows.jsonl/3#2", "conversations:a%20b/rows.jsonl/3"),
        ("Text:in/x%20y.jsonl/0", "text:in/x%20y.jsonl/0"),
        ("file:papers/x.pdf#page=3", "file:papers/x.pdf"),
        ("file:", None),
        ("ftp://a.example/x", None),
        ("a.example/x", None),
        ("", None),
    ],
)
def test_addresses_of_rows_of_files(text: str, stored: str | None) -> None:
    assert as_stored(text) == stored


@pytest.mark.parametrize(
    ("text", "host"),
    [
        (" A.Example. ", "a.example"),
        ("münchen.example", "xn--mnchen-3ya.example"),
        ("a.example/x", None),
        ("u@a.example", None),
        ("a.example:80", None),
        ("a b.example", None),
        ("", None),
    ],
)
def test_a_bare_host(text: str, host: str | None) -> None:
    assert host_as_stored(text) == host


@given(st.text(max_size=40))
def test_the_stored_form_stays_as_it_is(text: str) -> None:
    for form in (as_stored, host_as_stored):
        if (stored := form(text)) is not None:
            assert form(stored) == stored
