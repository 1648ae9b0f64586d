"""Extraction of articles: boilerplate is removed, the body is kept, and the metadata of the head is read."""

import pytest

from pipelines.html.page import extract
from tests.pipelines.html.pages import PROSE, URL, page, read, texts

TEASERS = "".join(
    f"<div><h3><a href=/{i}>Another story number {i}</a></h3><p><a href=/{i}>It happened on day {i}.</a></p></div>"
    for i in range(6)
)


@pytest.mark.parametrize(
    "junk",
    [
        "<nav><a href=/x>JUNK elsewhere</a></nav>",
        "<div class='post-share'>JUNK Share this on whatever network you like best, now</div>",
        "<div id=comments>"
        "<p>JUNK I do not agree at all, and will say so at length, here and elsewhere, for ever and ever.</p></div>",
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
        "<div class=author-box><h4>JUNK Writer</h4>"
        "<p>JUNK has written of lakes and of boats for thirty years, and lives at none.</p></div>",
        "<form><p>JUNK Tell us a name <input name=n></p><p>JUNK and where we may write to you <input type=email>"
        "</p><p>JUNK town <input></p></form>",
    ],
)
def test_boilerplate_is_removed(junk: str) -> None:
    paragraphs = texts(junk)
    assert not [text for text in paragraphs if "JUNK" in text or text == "—"]
    assert [text.split(".")[0] for text in paragraphs if text.split(".")[0] in ("First", "Then", "Last")] == [
        "First",
        "Then",
        "Last",
    ]


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
def test_a_class_name_with_a_part_like_boilerplate_is_kept(wrapper: str) -> None:
    html = (
        f"<body><div class='{wrapper}'><p>{PROSE}</p><p>{PROSE} Again.</p></div><div><p>{PROSE} Other.</p></div></body>"
    ).encode()
    assert f"{PROSE} Again." in [node.text for node in extract(html, URL).nodes]


@pytest.mark.parametrize(
    "wrapper",
    [
        "class='layout sidebar-right'",
        "class='l-outer l-outer--nav'",
        "class='post-7 post type-post hentry category-social tag-comments'",
        "class='Page_main__2pNav'",
        "class='sc-1 kAdBoX'",
        "role=tablist",
    ],
)
def test_a_frame_around_the_article_is_not_boilerplate(wrapper: str) -> None:
    """The names of the frame describe other content of the frame. The page has more running text beside the article."""
    notice = f"<div class=notice>{f'<p>We use small files. {PROSE}</p>' * 8}</div>"
    body = (
        f"<h1>A lake</h1><p>{PROSE} One.</p><p>{PROSE} Two.</p><p>{PROSE} Three.</p><p>{PROSE} Four.</p>"
        f"<p>{PROSE} Five.</p>"
    )
    html = f"<body><div {wrapper}><div class=article-text>{body}</div></div>{notice}</body>".encode()
    paragraphs = [node.text for node in extract(html, URL).nodes]
    assert [f"{PROSE} {n}." in paragraphs for n in ("One", "Five")] == [True, True]


def test_a_lightbox_with_a_picture_is_kept_and_one_with_a_text_is_removed() -> None:
    nodes = read(
        "<div class=my-lightbox><a href=/big.jpg><img src=big.jpg></a></div>"
        f"<div class=my-lightbox><img src=letter.jpg><p>JUNK Our letter comes every week. {PROSE}</p></div>"
    ).nodes
    assert [node.image for node in nodes if node.image] == ["https://site.org/blog/post/big.jpg"]
    assert not [node for node in nodes if node.text and "JUNK" in node.text]


def test_a_heading_whose_id_has_its_own_words_is_kept() -> None:
    assert "Related work" in texts(f"<h2 id=related-work>Related work</h2><p>{PROSE} Also.</p>")


def test_invisible_break_marks_are_removed() -> None:
    assert "Italiens Weine reifen" in texts("<p>Ita\u00adli\u00adens\ufeff Weine\u200b reifen</p>")


def test_standfirst_and_picture_in_a_header_outside_the_article_are_read() -> None:
    html = (
        f"<body><header><a href=/><img src=logo.png></a><h1>Title</h1><h2>{PROSE[:120]}</h2>"
        "<img src=lead.jpg width=900 height=600>"
        f"<img src=writer.jpg width=80 height=80><img src=icon-share.png></header>"
        f"<main><article class=article-body><p>{PROSE}</p><p>{PROSE} Again.</p><p>{PROSE} More.</p></article>"
        "</main></body>"
    ).encode()
    assert [node.text or node.image for node in extract(html, URL).nodes][:3] == [
        PROSE[:120],
        "https://site.org/blog/post/lead.jpg",
        PROSE,
    ]


def test_a_body_that_the_page_names_is_read_completely() -> None:
    """A list of entries has most of the text, as in a live report. The opening of the report stands beside the list."""
    entries = "".join(f"<div class=entry><p>{PROSE} {i}</p><p>{PROSE} {i}.</p></div>" for i in range(12))
    opening = f"<div class=opening><p>Opening. {PROSE}</p><p>{PROSE} Second.</p></div>"
    html = f"<body><div class=article-body>{opening}<div class=entries>{entries}</div></div></body>".encode()
    assert f"Opening. {PROSE}" in [node.text for node in extract(html, URL).nodes]


def test_an_article_with_a_name_of_boilerplate_is_read_on_a_page_without_other_text() -> None:
    html = f"<body><div class=sidebar><p>{PROSE}</p><p>{PROSE} Again.</p></div><p>short</p></body>".encode()
    assert f"{PROSE} Again." in [node.text for node in extract(html, URL).nodes]


def test_standfirst_and_lead_picture_above_the_body_are_read() -> None:
    html = (
        f"<body><main><h1>Title</h1><p class=standfirst>{PROSE[:120]}</p><figure><img src=lead.jpg></figure>"
        "<div class=byline>By A. Writer</div>"
        f"<div class=article-body><p>{PROSE}</p><p>{PROSE} Again.</p><p>{PROSE} More.</p></div></main></body>"
    ).encode()
    contents = [node.text or node.image for node in extract(html, URL).nodes]
    assert contents[:4] == ["Title", PROSE[:120], "https://site.org/blog/post/lead.jpg", PROSE]


def test_a_lead_picture_beside_the_body_is_read() -> None:
    html = (
        f"<body><article><header><h1>Title</h1><div><figure><img src=lead.jpg><figcaption>The lake in May"
        "</figcaption></figure></div></header>"
        f"<section class=article-body><p>{PROSE}</p><p>{PROSE} Again.</p><p>{PROSE} More.</p></section>"
        "</article></body>"
    ).encode()
    contents = [node.text or node.image for node in extract(html, URL).nodes]
    assert contents[-5:-2] == ["https://site.org/blog/post/lead.jpg", "The lake in May", PROSE]


def test_all_pieces_of_a_body_are_read() -> None:
    piece = "<div class=row><div class=col><p>{0} {1}</p><p>{0} {1} again</p></div></div>"
    html = f"<body><article>{''.join(piece.format(PROSE, i) for i in range(4))}</article></body>".encode()
    assert len([node for node in extract(html, URL).nodes if node.kind == "text"]) == 8


def test_a_caption_that_stands_three_times_is_read_once() -> None:
    inside = "<div><div class=caption>A view of the harbour at night, from the tower</div></div>" * 3
    assert len([t for t in texts(inside) if t.startswith("A view")]) == 1


def test_a_repeated_paragraph_of_the_body_is_kept() -> None:
    refrain = "And the water rose, and the water fell, and nobody slept."
    assert len([t for t in texts(f"<p>{refrain}</p>" * 3) if t == refrain]) == 3


def test_the_metadata_of_a_page() -> None:
    head = (
        "<meta property=og:title content='The  lake'>"
        "<meta property=article:published_time content=2021-03-04T05:06:07Z>"
        "<link rel=license href=//creativecommons.org/licenses/by/4.0/>"
        "<meta name=robots content='index, NoAI, noimageai'>"
        "<meta name=tdm-reservation content=1>"
    )
    document = read(head=head)
    assert (document.title, document.lang, document.date) == ("The lake", "en", "2021-03-04")
    assert document.license == "https://creativecommons.org/licenses/by/4.0/"
    assert document.optout == ["noai", "noimageai", "tdm-reservation"]


def test_a_license_in_the_body_and_signals_in_headers_are_read() -> None:
    html = page("<a rel='nofollow license' href=https://e.org/l>CC</a>")
    document = extract(html, URL, None, {"x-robots-tag": "otherbot: noindex, ourbot: noai", "tdm-reservation": "1"})
    assert (document.license, document.optout) == ("https://e.org/l", ["noai", "tdm-reservation"])


def test_signals_after_a_broken_head_are_read() -> None:
    html = page(head="<noscript><img src=//t/p.gif></noscript>").replace(b"<title>The lake</title>", b"")
    html = html.replace(b"</head>", b"<title>Late</title><meta name=robots content=noai></head>")
    document = extract(html, URL)
    assert (document.title, document.optout) == ("Late", ["noai"])


@pytest.mark.parametrize(
    ("value", "lang"),
    [("de-AT", "de"), ("EN_us", "en"), ("und", None), ("", None), ("english", None), ("pt-BR, en", "pt")],
)
def test_the_declared_language(value: str, lang: str | None) -> None:
    assert extract(page().replace(b"lang=en-GB", f'lang="{value}"'.encode()), URL).lang == lang


@pytest.mark.parametrize(
    "html", [b"", b" ", b"\0" * 50, b"<", b"<html>", b"<frameset>", b"plain words", b"\xff\xfe", b"<title>only</title>"]
)
def test_pages_without_content_have_no_nodes(html: bytes) -> None:
    assert extract(html, URL).nodes == [] or html == b"plain words"


def test_the_same_bytes_give_the_same_nodes() -> None:
    assert read(TEASERS) == read(TEASERS)


def test_a_paragraph_that_is_only_a_link_is_removed() -> None:
    link = "<p><a href=/x>ANOTHER STORY THAT HAPPENED ELSEWHERE TODAY</a></p>"
    paragraphs = texts(f"{link}<p>As <a href=/y>the ministry said on Monday</a>, it will open.</p>")
    assert "As the ministry said on Monday, it will open." in paragraphs
    assert not [text for text in paragraphs if "ANOTHER" in text]


@pytest.mark.parametrize(
    "line",
    [
        "Follow the lake on Facebook, Twitter or Instagram for more of it.",
        "Would you like to read more? Sign up for our weekly newsletter today.",
        "Jetzt den Newsletter vom See abonnieren und nichts verpassen, was dort geschieht.",
        "Copyright 2020 The Lake. All rights reserved, and none of it may be printed.",
    ],
)
def test_a_request_of_the_publisher_is_removed_only_at_the_end(line: str) -> None:
    body = "".join(f"<p>{PROSE} {i}.</p>" for i in range(8))
    paragraphs = [
        node.text
        for node in extract(
            f"<article><h1>T</h1><p>{PROSE}</p><p>{line}</p>{body}<p>{line}</p></article>".encode(), URL
        ).nodes
    ]
    assert paragraphs.count(line) == 1 and paragraphs.index(line) == 2


def test_a_quoted_post_is_kept_with_its_links() -> None:
    post = (
        "<blockquote><p>Boats are on. <a href=https://t.co/abc>https://t.co/abc</a></p>— A boat (@boat) "
        "<a href=/p>May 4, 2022</a></blockquote>"
    )
    assert "Boats are on. https://t.co/abc" in texts(f"<div class=social-media-embed>{post}</div>")


def test_a_repeated_standfirst_is_read_once_and_the_address_of_the_page_is_left_out() -> None:
    html = (
        f"<body><header><h1>Title</h1><h2>{PROSE[:120]}</h2></header><article class=article-body>"
        f"<p>{PROSE[:120]}</p><p>{PROSE}</p><p>{URL}</p>"
        f"<p>{PROSE} Again.</p><p>{PROSE} More.</p></article></body>"
    ).encode()
    paragraphs = [node.text for node in extract(html, URL).nodes]
    assert (paragraphs.count(PROSE[:120]), paragraphs.count(URL)) == (1, 0)


def test_an_unclosed_anchor_is_not_a_link() -> None:
    chapters = "".join(f"<h2><a name=c{i}>Chapter {i}</h2><p>{PROSE} {i}.</p>" for i in range(4))
    assert [text for text in texts(chapters) if text.startswith("Chapter")] == [f"Chapter {i}" for i in range(4)]
    assert f"{PROSE} 3." in texts(chapters)


def test_lines_with_checkboxes_and_a_picture_with_its_author_are_kept() -> None:
    lines = "".join(f"<li><input type=checkbox> {i} spoons of flour</li>" for i in range(1, 5))
    inside = (
        f"<div class=ingredients><ul>{lines}</ul></div><div class=image-author-license><img src=a.jpg>"
        f"<p>{PROSE} Here.</p></div>"
    )
    nodes = read(inside).nodes
    assert [node.text for node in nodes if node.role == "item"] == [f"{i} spoons of flour" for i in range(1, 5)]
    assert [node.image for node in nodes if node.image] == ["https://site.org/blog/post/a.jpg"]
    assert f"{PROSE} Here." in [node.text for node in nodes]


@pytest.mark.parametrize(
    ("image", "is_lead"),
    [
        ("<figure><img src=lead.jpg width=900 height=600><figcaption>The lake in May</figcaption></figure>", True),
        ("<img src=cropped-lake.jpg width=900 height=600>", False),
        ("<img src=flat.jpg width=1400 height=275>", False),
        ("<img src=small.jpg width=200 height=150>", False),
        ("<img src=unknown.jpg>", False),
        ("<img src=one.jpg width=900 height=600><img src=two.jpg width=900 height=600>", False),
    ],
)
def test_only_a_captioned_picture_above_the_headline_is_a_lead_picture(image: str, is_lead: bool) -> None:
    body = f"<p>{PROSE}</p><p>{PROSE} Again.</p><p>{PROSE} More.</p>"
    html = f"<body><div class=top>{image}</div><h1>Title</h1><div class=article-body>{body}</div></body>".encode()
    contents = [node.text or node.image for node in extract(html, URL).nodes]
    assert contents[: -3 or None] == (["https://site.org/blog/post/lead.jpg", "The lake in May"] if is_lead else [])
