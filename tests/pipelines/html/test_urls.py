"""Canonical and absolute addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.urls import MAX_URL, canonical
from pipelines.html.urls import absolute


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://e.com/a.jpg", "https://e.com/a.jpg"),
        ("HTTP://E.Com:80/A.jpg#top", "http://e.com/A.jpg"),
        ("https://e.com:8443/a", "https://e.com:8443/a"),
        ("https://e.com", "https://e.com/"),
        ("https://e.com/a/../b/./c.png", "https://e.com/b/c.png"),
        ("https://e.com/../../x", "https://e.com/x"),
        ("https://u:p@e.com/x", "https://e.com/x"),
        ("https://e.com/a b.jpg", "https://e.com/a%20b.jpg"),
        ("https://e.com/%7eu/%e4?q=%zz", "https://e.com/%7Eu/%E4?q=%25zz"),
        ("https://münchen.de/ü.jpg?b=2&a=1", "https://xn--mnchen-3ya.de/%C3%BC.jpg?b=2&a=1"),
        (" \n https://e.com/a\n.jpg ", "https://e.com/a.jpg"),
        ("https://[2001:DB8::1]/x", "https://[2001:db8::1]/x"),
        ("https://res.cloud.com/w_300,h_200/v1/a.jpg", "https://res.cloud.com/w_300,h_200/v1/a.jpg"),
        ("data:image/png;base64,AAAA", None),
        ("ftp://e.com/a.jpg", None),
        ("javascript:alert(1)", None),
        ("//e.com/a.jpg", None),
        ("https:///a.jpg", None),
        ("https://e.com:99999/a", None),
        ("https://[::1/a", None),
        ("https://ex ample.com/", None),
        ("", None),
        ("https://e.com/" + "a" * MAX_URL, None),
    ],
)
def test_canonical(url: str, expected: str | None) -> None:
    assert canonical(url) == expected


@pytest.mark.parametrize(
    ("base", "ref", "expected"),
    [
        ("https://e.com/blog/post/1.html", "img/a.jpg", "https://e.com/blog/post/img/a.jpg"),
        ("https://e.com/blog/post/1.html", "../b.jpg", "https://e.com/blog/b.jpg"),
        ("https://e.com/blog/post/1.html", "/c.jpg", "https://e.com/c.jpg"),
        ("https://e.com/x", "//cdn.e.com/d.jpg", "https://cdn.e.com/d.jpg"),
        ("http://e.com/x", "?v=2", "http://e.com/x?v=2"),
        ("https://e.com/x", "", None),
        ("hard::not-a-url", "a.jpg", None),
        ("hard::not-a-url", "https://e.com/a.jpg", "https://e.com/a.jpg"),
        ("https://e.com/x", "http://[bad", None),
    ],
)
def test_absolute(base: str, ref: str, expected: str | None) -> None:
    assert absolute(base, ref) == expected


@given(st.text(max_size=80), st.sampled_from(["", "http://", "https://e.com/", "https://", "HTTPS://é.com/"]))
def test_canonical_is_idempotent_and_never_raises(text: str, front: str) -> None:
    once = canonical(front + text)
    assert once is None or (
        canonical(once) == once and once.startswith(("http://", "https://")) and once.isascii() and "#" not in once
    )
    absolute("https://e.com/a/", text)
