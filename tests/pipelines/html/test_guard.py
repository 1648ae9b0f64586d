"""Hostile pages: the time of extraction is at most linear in their size."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.html.guard import MAX_BYTES, bounded
from pipelines.html.page import extract
from tests.pipelines.html.pages import PROSE, URL, page

BODY = f"<p>{PROSE}</p><p>{PROSE} Again.</p>".encode()


@pytest.mark.parametrize(
    "html",
    [
        b"<div>" * 100_000 + BODY,
        b"<div>" * 100_000 + BODY + b"</div>" * 100_000,
        b"<b><i><p>" * 20_000 + BODY,
        b"".join(b"<p><b id=%d>x</p>" % i for i in range(20_000)) + BODY,
        b"<table><tr><td>" * 20_000 + BODY,
        b"<div " + b" ".join(b"a%d=1" % i for i in range(300_000)) + b">" + BODY,
        b"<div " + b" ".join(b"a%d='>'" % i for i in range(300_000)) + b">" + BODY,
        b"<div " + b" ".join(b"a%d" % i for i in range(300_000)) + b">" + BODY,
        b"<a href=x>y" * 100_000 + BODY,
        b"<p>" + b"word " * 10_000_000,
        b"<p>hello" * 6_000_000,
        b"<img srcset='" + b"a 1w," * 200_000 + b"'>" + BODY,
        b"<div class='" + b"x-y-z " * 100_000 + b"'>" + BODY,
        b"<!--" + b"-" * 3_000_000,
        b"<script>" + b"<" * 3_000_000,
        b"<div style='" + b"width:" * 300_000 + b"'>" + BODY,
        b"<div class=sidebar>" * 250 + b"<h1>x</h1>" + (b"<p>" + PROSE.encode()) * 15_000,
        b"<div class=lightbox style='background:url(a.jpg)'>" * 250 + b"<img src=a.jpg>" * 300_000,
        b"<div style='background:" + b"url(" * 400_000 + b"'></div>" + BODY,
        (b"<p>" + b"follow newsletter " * 14) * 18_000,
    ],
    ids=range(20),
)
def test_a_hostile_page_takes_less_than_five_seconds(html: bytes) -> None:
    start = time.process_time()
    extract(html, URL)
    assert time.process_time() - start < 5


def test_the_article_of_a_deep_page_is_read() -> None:
    node_texts = [node.text for node in extract(b"<div>" * 20_000 + BODY + b"</div>" * 20_000, URL).nodes]
    assert f"{PROSE} Again." in node_texts


def test_an_ordinary_page_is_unchanged() -> None:
    html = page("<p>x" * 500 + "<br>" * 1500)
    assert bounded(html) is html
    long = page("<img src='data:image/png;base64," + "A" * 100_000 + "'><p>" + "plain words, " * 10_000)
    assert bounded(long) == long


def test_void_tags_do_not_count_as_depth() -> None:
    html = b"<br>line" * 5000 + BODY
    assert bounded(html) == html


def test_the_bytes_of_a_page_are_limited() -> None:
    assert len(bounded(b"x" * (MAX_BYTES + 5))) == MAX_BYTES


MARKUP = [
    "<p>", "</p>", "<div class=x>", "</div>", "<table>", "<td>", "<img src=a.jpg>", "<a href=b>", "</a>", "<br>",
    "<!--", "-->", "<pre>", "<noscript>", "<picture>", "<source srcset='a 1w'>", "some words, and more of them",
    "\x00", "é", "<svg>", "<math>", "<select>", "<template>", "<base href='http://[x'>", "<li>", "<h1>", "<figure>",
    "<frameset>",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(MARKUP), max_size=60))
def test_any_markup_gives_valid_nodes(pieces: list[str]) -> None:
    for node in extract("".join(pieces).encode(), URL).nodes:
        assert node.kind in ("text", "image", "break")
        if node.kind == "text":
            assert node.text and node.text == node.text.strip() and node.role
        if node.kind == "image":
            assert node.image and node.image.startswith("http") and node.text is None


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=500))
def test_any_bytes_are_read_without_an_error(html: bytes) -> None:
    extract(html, URL)
