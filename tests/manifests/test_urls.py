import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.urls import host_of, join_url, netloc_of, split_url


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
