"""Articles out of pages: boilerplate out, body in, and what the page says of itself."""

from __future__ import annotations

import pytest

from pipelines.extract.page import extract
from tests.pipelines.extract.pages import PROSE, URL, page, read, texts

TEASERS = "".join(f"<div><h3><a href=/{i}>Another story number {i}</a></h3><p><a href=/{i}>It happened on day {i}.</a></p></div>" for i in range(6))


@pytest.mark.parametrize(
    "junk",
    [
        "<nav><a href=/x>JUNK elsewhere</a></nav>",
        "<div class='post-share'>JUNK Share this on whatever network you like best, now</div>",
        "<div id=comments><p>JUNK I do not agree at all, and will say so at length, here and elsewhere, for ever and ever.</p></div>",
        "<aside><p>JUNK Our newsletter comes every week, is free, and can be left at any time.</p></aside>",
        "<form><input name=q><button>JUNK</button><select><option>JUNK</select></form>",
        "<script>var JUNK = 1</script><style>.JUNK {}</style><noscript>JUNK enable scripts</noscript>",
        "<p style='display:none'>JUNK hidden text that nobody sees, though it is long enough to count</p>",
        "<div hidden>JUNK hidden</div>",
        "<div role=navigation>JUNK <a href=/x>x</a></div>",
        f"<h3>Read more</h3>{TEASERS.replace('Another', 'JUNK')}",
        "<p><a href=/x>Lesen Sie auch: JUNK</a></p>",
        "<ul><li><a href=/1>JUNK one</a><li><a href=/2>JUNK two</a><li><a href=/3>JUNK three</a></ul>",
        "<textarea>JUNK</textarea><iframe src=x>JUNK</iframe>",
        "<p>JUNK?</p>".replace("JUNK?", "—"),
    ],
)
def test_boilerplate_goes(junk: str) -> None:
    found = texts(junk)
    assert not [text for text in found if "JUNK" in text or text == "—"]
    assert [text.split(".")[0] for text in found if text.split(".")[0] in ("First", "Then", "Last")] == ["First", "Then", "Last"]


@pytest.mark.parametrize(
    "wrapper",
    [
        "has-sidebar no-comments",
        "section--has-ads",
        "field field--label-hidden",
        "shadow-lg",
        "silicon",
        "post-content with-share",
        "elementor-widget-container",
        "article-body overlay",
    ],
)
def test_names_that_only_look_like_boilerplate(wrapper: str) -> None:
    html = f"<body><div class='{wrapper}'><p>{PROSE}</p><p>{PROSE} Again.</p></div><div><p>{PROSE} Other.</p></div></body>".encode()
    assert f"{PROSE} Again." in [node.text for node in extract(html, URL).nodes]


def test_article_named_like_boilerplate_is_found_on_a_page_with_nothing_else() -> None:
    html = f"<body><div class=sidebar><p>{PROSE}</p><p>{PROSE} Again.</p></div><p>short</p></body>".encode()
    assert f"{PROSE} Again." in [node.text for node in extract(html, URL).nodes]


def test_standfirst_and_lead_picture_above_the_body() -> None:
    html = (
        f"<body><main><h1>Title</h1><p class=standfirst>{PROSE[:120]}</p><figure><img src=lead.jpg></figure><div class=byline>By A. Writer</div>"
        f"<div class=article-body><p>{PROSE}</p><p>{PROSE} Again.</p><p>{PROSE} More.</p></div></main></body>"
    ).encode()
    shown = [node.text or node.image for node in extract(html, URL).nodes]
    assert shown[:4] == ["Title", PROSE[:120], "https://site.org/blog/post/lead.jpg", PROSE]


def test_lead_picture_beside_the_body() -> None:
    html = (
        f"<body><article><header><h1>Title</h1><div><figure><img src=lead.jpg><figcaption>The lake in May</figcaption></figure></div></header>"
        f"<section class=article-body><p>{PROSE}</p><p>{PROSE} Again.</p><p>{PROSE} More.</p></section></article></body>"
    ).encode()
    shown = [node.text or node.image for node in extract(html, URL).nodes]
    assert shown[-5:-2] == ["https://site.org/blog/post/lead.jpg", "The lake in May", PROSE]


def test_body_in_several_pieces() -> None:
    piece = "<div class=row><div class=col><p>{0} {1}</p><p>{0} {1} again</p></div></div>"
    html = f"<body><article>{''.join(piece.format(PROSE, i) for i in range(4))}</article></body>".encode()
    assert len([node for node in extract(html, URL).nodes if node.kind == "text"]) == 8


def test_a_caption_written_thrice_stands_once() -> None:
    inside = "<div><div class=caption>A view of the harbour at night, from the tower</div></div>" * 3
    assert len([t for t in texts(inside) if t.startswith("A view")]) == 1


def test_a_refrain_stays() -> None:
    refrain = "And the water rose, and the water fell, and nobody slept."
    assert len([t for t in texts(f"<p>{refrain}</p>" * 3) if t == refrain]) == 3


def test_what_the_page_says_of_itself() -> None:
    head = (
        "<meta property=og:title content='The  lake'><meta property=article:published_time content=2021-03-04T05:06:07Z>"
        "<link rel=license href=//creativecommons.org/licenses/by/4.0/><meta name=robots content='index, NoAI, noimageai'>"
        "<meta name=tdm-reservation content=1>"
    )
    found = read(head=head)
    assert (found.title, found.lang, found.date) == ("The lake", "en", "2021-03-04")
    assert found.license == "https://creativecommons.org/licenses/by/4.0/"
    assert found.optout == ["noai", "noimageai", "tdm-reservation"]


def test_license_in_the_body_and_signals_in_headers() -> None:
    html = page("<a rel='nofollow license' href=https://e.org/l>CC</a>")
    found = extract(html, URL, None, {"x-robots-tag": "otherbot: noindex, ourbot: noai", "tdm-reservation": "1"})
    assert (found.license, found.optout) == ("https://e.org/l", ["noai", "tdm-reservation"])


def test_signals_behind_a_broken_head() -> None:
    html = page(head="<noscript><img src=//t/p.gif></noscript>").replace(b"<title>The lake</title>", b"")
    html = html.replace(b"</head>", b"<title>Late</title><meta name=robots content=noai></head>")
    found = extract(html, URL)
    assert (found.title, found.optout) == ("Late", ["noai"])


@pytest.mark.parametrize(("value", "lang"), [("de-AT", "de"), ("EN_us", "en"), ("und", None), ("", None), ("english", None), ("pt-BR, en", "pt")])
def test_language(value: str, lang: str | None) -> None:
    assert extract(page().replace(b"lang=en-GB", f'lang="{value}"'.encode()), URL).lang == lang


@pytest.mark.parametrize("html", [b"", b" ", b"\0" * 50, b"<", b"<html>", b"<frameset>", b"plain words", b"\xff\xfe", b"<title>only</title>"])
def test_pages_with_nothing(html: bytes) -> None:
    assert extract(html, URL).nodes == [] or html == b"plain words"


def test_same_bytes_same_nodes() -> None:
    assert read(TEASERS) == read(TEASERS)


def test_a_paragraph_that_is_one_link_goes_and_one_that_holds_a_link_stays() -> None:
    link = "<p><a href=/x>ANOTHER STORY THAT HAPPENED ELSEWHERE TODAY</a></p>"
    found = texts(f"{link}<p>As <a href=/y>the ministry said on Monday</a>, it will open.</p>")
    assert "As the ministry said on Monday, it will open." in found
    assert not [text for text in found if "ANOTHER" in text]
