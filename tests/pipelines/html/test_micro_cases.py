"""Small cases of images and nodes that OBELICS' published extraction loses or reads wrongly."""

import pytest

from pipelines.html.page import extract
from tests.pipelines.html.pages import PROSE, URL, images, read, texts

AT = "https://site.org/blog/post/"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<figure><img src=a.jpg><figcaption>A boat</figcaption></figure>", AT + "a.jpg"),
        (
            "<picture><source srcset='a.avif' type=image/avif><source srcset='a-800.webp 800w' type=image/webp>"
            "<img src=a.jpg></picture>",
            AT + "a.jpg",
        ),
        (
            "<picture><source srcset='s.jpg 400w, l.jpg 1200w'><img src='data:image/gif;base64,R0lGOD'></picture>",
            AT + "l.jpg",
        ),
        (
            "<picture><source srcset='s.avif' type=image/avif><source srcset='s.webp 1x, l.webp 2x'><img></picture>",
            AT + "l.webp",
        ),
        ("<img srcset='s.jpg 320w, m.jpg 1024w, xl.jpg 4000w'>", AT + "m.jpg"),
        ("<img srcset='xl.jpg 4000w, xxl.jpg 8000w'>", AT + "xl.jpg"),
        ("<img srcset='one.jpg, two.jpg 2x, four.jpg 4x'>", AT + "two.jpg"),
        ("<img src=s.jpg srcset='s.jpg 320w, m.jpg 1024w'>", AT + "m.jpg"),
        ("<img src=m.jpg srcset='s.jpg 320w, m.jpg 700w, l.jpg 1600w'>", AT + "m.jpg"),
        ("<img src=https://c.net/w_300,h_200/a.jpg>", "https://c.net/w_300,h_200/a.jpg"),
        (
            "<img srcset='https://c.net/w_300,h_200/a.jpg 300w, https://c.net/w_900,h_600/a.jpg 900w'>",
            "https://c.net/w_900,h_600/a.jpg",
        ),
        ("<img src='data:image/gif;base64,R0' data-src=real.jpg>", AT + "real.jpg"),
        ("<img src=/img/blank.gif data-original=real.jpg>", AT + "real.jpg"),
        ("<img src=placeholder.png data-lazy-srcset='a.jpg 300w, b.jpg 900w'>", AT + "b.jpg"),
        ("<img src='data:,' data-anything='https://c.net/deep/real.jpeg?w=1'>", "https://c.net/deep/real.jpeg?w=1"),
        ("<img class=lazy src=tiny.jpg><noscript><img src=full.jpg></noscript>", AT + "full.jpg"),
        ("<noscript><img src=only.jpg>Please enable scripts</noscript>", AT + "only.jpg"),
        ("<amp-img src=amp.jpg width=600 height=400 layout=responsive></amp-img>", AT + "amp.jpg"),
        ("<img src=../b.jpg>", "https://site.org/blog/b.jpg"),
        ("<img src=/c.jpg#frag>", "https://site.org/c.jpg"),
        ("<img src=//cdn.org/d.jpg>", "https://cdn.org/d.jpg"),
        ("<p>text <a href=/big><span><img src=in-link.jpg></span></a> text</p>", AT + "in-link.jpg"),
        ("<ul><li>one item<img src=li.jpg></li></ul>", AT + "li.jpg"),
        ("<table><tr><td>cell<td><img src=td.jpg></table>", AT + "td.jpg"),
        ("<figure><div class=lightbox-overlay><img src=zoom.jpg></div></figure>", AT + "zoom.jpg"),
        ("<img src=w.jpg width=570 height=0>", AT + "w.jpg"),
        (
            "<div class=hero style=\"background-image: url('/big/hero.jpg'); height: 400px\" role=img></div>",
            "https://site.org/big/hero.jpg",
        ),
        ("<figure><span></span><div style='background:#eee url(f.webp) center/cover'></div></figure>", AT + "f.webp"),
        ("<img src=south-transitway.jpg data-src=other.jpg>", AT + "other.jpg"),
        ("<img src=empty-chair.jpg>", AT + "empty-chair.jpg"),
        ("<img src=pixel-6-pro.png>", AT + "pixel-6-pro.png"),
        ("<img src=theme-blank.gif data-anything=real.jpg>", AT + "real.jpg"),
        ("<img src=drawn.jpg class=article-logo width=890 height=590>", AT + "drawn.jpg"),
    ],
)
def test_the_address_of_an_image(html: str, expected: str) -> None:
    assert [node.image for node in images(html)] == [expected]


@pytest.mark.parametrize(
    "html",
    [
        "<img src='data:image/png;base64,iVBORw0KGgo='>",
        "<img src=pixel.gif width=1 height=1>",
        "<img src=i.png width=16 height=16>",
        "<img src=x.jpg class=avatar>",
        "<img src=x.jpg style='display: none'>",
        "<img src=x.jpg hidden>",
        "<img src=drawing.svg>",
        "<img src=javascript:x>",
        "<img>",
        "<div class=share-buttons><img src=tweet.png></div>",
        "<aside><img src=teaser.jpg><a href=/x>Another story altogether</a></aside>",
        "<template><img src=t.jpg></template>",
        "<video poster=p.jpg><img src=v.jpg></video>",
        "<svg><image href=a.jpg></image></svg>",
        "<div style='background-image:url(behind.jpg)'>"
        "<p>Words before a picture that is there to fill the space behind them.</p></div>",
        "<div style='background-image:url(data:image/png;base64,iVBORw0KGgo=)'></div>",
        "<div style='background-image:url(bullet.png);width:16px;height:16px'></div>",
        "<div style='list-style-image:url(bullet.png)'></div>",
        "<div class=icon style='background:url(arrow.png)'></div>",
    ],
)
def test_elements_that_are_not_images_of_the_content(html: str) -> None:
    assert images(html) == []


def test_a_base_element_changes_relative_addresses() -> None:
    assert [n.image for n in images("<img src=a.jpg>", head="<base href='//static.org/v2/'>")] == [
        "https://static.org/v2/a.jpg"
    ]
    assert [n.image for n in images("<img src=a.jpg>", head="<base href='ftp://x/'>")] == [AT + "a.jpg"]


def test_the_facts_of_an_image_element() -> None:
    (node,) = images(
        "<figure><img src=a.jpg alt=' Two\n boats ' title=Boats width=640 style='height: 480px'>"
        "<figcaption>Boats at <b>dawn</b>, 1931</figcaption></figure>"
    )
    assert (node.alt, node.title, node.caption, node.width, node.height) == (
        "Two boats",
        "Boats",
        "Boats at dawn, 1931",
        640,
        480,
    )


def test_a_caption_by_class_is_a_node_and_a_field_of_its_image() -> None:
    inside = "<div class=wp-caption><img src=a.jpg><p class=wp-caption-text>A boat, seen from the pier</p></div>"
    nodes = read(inside).nodes
    at = next(i for i, node in enumerate(nodes) if node.kind == "image")
    assert nodes[at].caption == "A boat, seen from the pier"
    assert (nodes[at + 1].role, nodes[at + 1].text) == ("caption", "A boat, seen from the pier")
    assert (nodes[at - 1].text or "").startswith("First.")
    assert (nodes[at + 2].text or "").startswith("Then.")


def test_an_image_splits_its_paragraph_at_its_position() -> None:
    nodes = read("<p>before the picture <img src=a.jpg> after the picture</p>").nodes
    contents = [node.text or node.image for node in nodes]
    assert contents[2:5] == ["before the picture", AT + "a.jpg", "after the picture"]


def test_one_line_break_is_a_blank_and_two_are_a_paragraph() -> None:
    assert f"c d {PROSE}" in texts(f"<p>c<br class=x>d {PROSE}</p>")
    lines = texts("<div>one line<br><br/> another line<br>&nbsp;<br>a third</div>")
    assert [t for t in lines if "line" in t or "third" in t] == ["one line", "another line", "a third"]


def test_elements_have_their_roles() -> None:
    inside = (
        "<h2>Boats</h2><ul><li>rowing boats</li><li><p>sailing boats</p></li></ul><blockquote>"
        "<p>It is the sea, he said.</p></blockquote>"
        "<pre>def f(x):\n    return x\n\n</pre><dl><dt>keel</dt><dd>the lowest part</dd></dl>"
        "<table><caption>Depths</caption><tr><th>Place<th>Depth</tr><tr><td>North<td>40 m</tr></table><p>inline "
        "<code>x = 1</code> code</p>"
    )
    nodes = [(node.role, node.text) for node in read(inside).nodes]
    for expected in [
        ("heading", "A morning at the lake"),
        ("heading", "Boats"),
        ("item", "rowing boats"),
        ("item", "sailing boats"),
        ("quote", "It is the sea, he said."),
        ("code", "def f(x):\n    return x"),
        ("item", "keel"),
        ("item", "the lowest part"),
        ("caption", "Depths"),
        ("table", "Place | Depth"),
        ("table", "North | 40 m"),
        ("paragraph", "inline x = 1 code"),
    ]:
        assert expected in nodes


def test_a_page_within_one_form_is_read() -> None:
    """ASP.NET writes every page within a form. OBELICS' published code loses the contents of a form."""
    html = (
        f"<body><form id=aspnetForm><div class=content><h1>Boats</h1><p>{PROSE}</p><img src=a.jpg>"
        f"<p>{PROSE} Again.</p></div></form></body>"
    )
    contents = [node.text or node.image for node in extract(html.encode(), URL).nodes]
    assert contents == ["Boats", PROSE, AT + "a.jpg", f"{PROSE} Again."]


def test_a_headline_in_a_header_element_is_read() -> None:
    html = f"<article><header><h1>In the header</h1></header><p>{PROSE}</p><p>{PROSE} Again.</p></article>".encode()
    assert "In the header" in [node.text for node in extract(html, URL).nodes]


def test_inline_elements_do_not_split_words_and_separate_words_stay_apart() -> None:
    assert "unhappy people" in texts("<p>un<b>happ</b>y <i>people</i></p>")
    assert "one two" in texts("<p>one<!-- c --> <!-- d -->two</p>")
    assert "so he said. Photo: A" in texts("<p><span>so he said.</span><span class=credit>Photo: A</span></p>")
    assert "iPhone v1.2 of HTML5" in texts(
        "<p><span>i</span>Phone <span>v1.</span><span>2</span> of <span>HTML</span>5</p>"
    )


def test_a_read_more_link_is_a_break() -> None:
    kinds = [node.kind for node in read(f"<p class=more-link><a href=/x>read on</a></p><p>{PROSE} Other.</p>").nodes]
    assert "break" in kinds and kinds[-1] == "text"
