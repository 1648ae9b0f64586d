"""Four ways a site may be built, boilerplate and all: semantic, blog engine, tables, and divs within divs."""

from __future__ import annotations

import html
import random
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.sample.articles import Article, Block
from pipelines.sample.pictures import Picture

Link = tuple[str, str]  # address, words


@dataclass(frozen=True)
class Neighbours:
    """What the furniture of a page points to."""

    related: Sequence[Link]
    elsewhere: Sequence[Link]


_SHARE = ("Facebook", "Twitter", "Pinterest", "Reddit", "Tumblr", "E-mail")
_NAV = (("/", "Home"), ("/about", "About"), ("/archive", "Archive"), ("/contact", "Contact"))
_COOKIES = (
    "We use cookies to give you the best experience on our website. By continuing you accept our cookie policy.",
    "This site uses cookies. Read our privacy policy or change your settings at any time.",
)


def _e(text: str) -> str:
    return html.escape(text)


def _img(picture: Picture, alt: str, extra: str = "") -> str:
    width, height = picture.size
    return f'<img src="{_e(picture.url)}" alt="{_e(alt)}" width="{width}" height="{height}"{extra}>'


def _alt(block: Block) -> str:
    assert block.picture is not None
    return "" if block.style == "caption" else block.picture.caption


def _links(links: Sequence[Link], tag: str = "li") -> str:
    return "".join(f'<{tag}><a href="{_e(url)}">{_e(words)}</a></{tag}>' for url, words in links)


def _simple(block: Block) -> str:
    """Everything but figures, in plain tags."""
    if block.kind == "list":
        return "<ul>" + "".join(f"<li>{_e(line)}</li>" for line in block.text.split("\n")) + "</ul>"
    tag = {"p": "p", "h2": "h2", "quote": "blockquote"}[block.kind]
    return f"<{tag}>{_e(block.text)}</{tag}>"


def _head(article: Article, extra: str = "") -> str:
    return (
        f'<meta charset="utf-8"><title>{_e(article.title)} | {_e(article.topic.site)}</title>'
        f'<meta name="description" content="{_e(article.topic.motto)}"><meta name="author" content="{_e(article.author)}">'
        f'<link rel="canonical" href="{_e(article.url)}"><link rel="stylesheet" href="/style.css">{extra}'
        "<script>window.dataLayer = window.dataLayer || []; function track(a) { dataLayer.push(a); }</script>"
    )


def semantic(article: Article, near: Neighbours, extra_head: str = "") -> str:
    """HTML5 elements, figures with captions, comments below."""
    body = []
    for block in article.blocks:
        if block.picture is None:
            body.append(_simple(block))
        elif block.style == "alt":
            body.append(f'<p class="picture">{_img(block.picture, _alt(block))}</p>')
        else:
            body.append(
                f"<figure>{_img(block.picture, _alt(block))}<figcaption>{_e(block.picture.caption)}</figcaption></figure>"
            )
    remarks = "".join(f'<li class="comment"><b>{_e(who)}</b><p>{_e(what)}</p></li>' for who, what in article.remarks)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{_head(article, extra_head)}</head>\n<body>\n'
        f'<div class="cookie-banner" role="dialog"><p>{_COOKIES[0]}</p><button>Accept all</button></div>\n'
        f'<header class="site-header"><a class="brand" href="/">{_e(article.topic.site)}</a><nav><ul>{_links(_NAV)}</ul></nav></header>\n'
        f'<main><article><header><h1>{_e(article.title)}</h1><p class="byline">By {_e(article.author)}, '
        f'<time datetime="{article.date}">{article.date}</time></p></header>\n' + "\n".join(body) + "\n"
        f'<ul class="share">{"".join(f"<li><a href=#>{s}</a></li>" for s in _SHARE)}</ul></article>\n'
        f'<section class="comments" id="comments"><h2>{len(article.remarks)} comments</h2><ul>{remarks}</ul></section></main>\n'
        f'<aside class="sidebar"><h3>Most read</h3><ul>{_links(near.related)}</ul><h3>Newsletter</h3>'
        "<form><input type=email><button>Sign up</button></form></aside>\n"
        f"<footer><p>Copyright {article.topic.site}. All rights reserved.</p><ul>{_links(near.elsewhere)}</ul></footer>\n</body></html>\n"
    )


def blog(article: Article, near: Neighbours, extra_head: str = "") -> str:
    """What a well-known blog engine makes: wp-caption boxes, srcset, share buttons in the text, a widget column."""
    body = []
    for n, block in enumerate(article.blocks):
        if block.picture is None:
            body.append(_simple(block))
            continue
        url, width = block.picture.url, block.picture.size[0]
        image = _img(
            block.picture,
            _alt(block),
            f' class="aligncenter size-large wp-image-{300 + n}" srcset="{_e(url)} {width}w" sizes="100vw"',
        )
        if block.style == "alt":
            body.append(f'<p><a href="{_e(url)}">{image}</a></p>')
        else:
            body.append(
                f'<div id="attachment_{300 + n}" style="width: {width + 10}px" class="wp-caption aligncenter">{image}'
                f'<p id="caption-attachment-{300 + n}" class="wp-caption-text">{_e(block.picture.caption)}</p></div>'
            )
    remarks = "".join(
        f'<li class="comment"><article class="comment-body"><footer class="comment-meta"><b class="fn">{_e(who)}</b> says:</footer>'
        f'<div class="comment-content"><p>{_e(what)}</p></div><a class="comment-reply-link" href="#">Reply</a></article></li>'
        for who, what in article.remarks
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en-GB"><head>{_head(article, extra_head)}<meta name="generator" content="WordPress 5.8"></head>\n'
        f'<body class="post-template-default single single-post">\n<div id="page" class="site"><header id="masthead" class="site-header">'
        f'<p class="site-title"><a href="/">{_e(article.topic.site)}</a></p><p class="site-description">{_e(article.topic.motto)}</p>'
        f'<nav class="main-navigation"><ul class="menu">{_links(_NAV)}</ul></nav></header>\n'
        f'<div id="content"><div id="primary"><main id="main"><article class="post hentry">'
        f'<header class="entry-header"><h1 class="entry-title">{_e(article.title)}</h1><div class="entry-meta">Posted on {article.date} '
        f'by {_e(article.author)}</div></header>\n<div class="entry-content">\n' + "\n".join(body) + "\n"
        '<div class="sharedaddy"><h3 class="sd-title">Share this:</h3><ul>'
        + "".join(f'<li><a href="#" rel="nofollow">Click to share on {s}</a></li>' for s in _SHARE[:3])
        + f'</ul></div><div id="jp-relatedposts"><h3>Related</h3><ul>{_links(near.related[:3])}</ul></div>\n</div>'
        f'<footer class="entry-footer">Posted in <a href="/category">{article.topic.name}</a>. Leave a comment</footer></article>\n'
        f'<div id="comments" class="comments-area"><ol class="comment-list">{remarks}</ol></div></main></div>\n'
        f'<div id="secondary" class="widget-area"><section class="widget"><h2>Recent posts</h2><ul>{_links(near.related)}</ul></section>'
        f'<section class="widget"><h2>Blogroll</h2><ul>{_links(near.elsewhere)}</ul></section></div></div>\n'
        f'<footer class="site-footer"><div class="site-info">Proudly powered by a blog engine. {_COOKIES[1]}</div></footer></div>\n</body></html>\n'
    )


def tables(article: Article, near: Neighbours, extra_head: str = "") -> str:
    """Layout by tables, font tags, paragraphs parted by line breaks: the old web."""
    body = []
    for block in article.blocks:
        if block.picture is not None:
            caption = "" if block.style == "alt" else f"<br><font size=2><i>{_e(block.picture.caption)}</i></font>"
            body.append(f"<center>{_img(block.picture, block.picture.caption, ' border=0')}{caption}</center><br>")
        elif block.kind == "h2":
            body.append(f'<font color="#224466" size="+1"><b>{_e(block.text)}</b></font><br><br>')
        else:
            body.append(f"{_e(block.text)}<br><br>")
    rows = "".join(
        f'<tr><td bgcolor="#dde6ee"><a href="{_e(u)}">{_e(t)}</a></td></tr>' for u, t in [*_NAV, *near.related]
    )
    return (
        f'<HTML><HEAD>{_head(article, extra_head)}</HEAD>\n<BODY BGCOLOR="#FFFFFF" LINK="#003366">\n'
        f'<TABLE WIDTH="100%" BORDER=0 CELLPADDING=6><TR><TD COLSPAN=2 BGCOLOR="#336699"><FONT COLOR="#FFFFFF" SIZE="+3">'
        f"{_e(article.topic.site)}</FONT></TD></TR>\n<TR><TD WIDTH=180 VALIGN=TOP><TABLE>{rows}</TABLE></TD>\n"
        f"<TD VALIGN=TOP><H1>{_e(article.title)}</H1><FONT SIZE=2>{_e(article.author)}, {article.date}</FONT><BR><BR>\n"
        + "\n".join(body)
        + "\n"
        f'<HR><FONT SIZE=1>Back to <a href="/">start</a> | You are visitor number {sum(map(ord, article.title)) * 7} | '
        f"{' | '.join(f'<a href={_e(u)}>{_e(t)}</a>' for u, t in near.elsewhere)}</FONT></TD></TR></TABLE>\n</BODY></HTML>\n"
    )


def soup(article: Article, near: Neighbours, extra_head: str = "") -> str:
    """Nothing but divs and spans with machine-made class names."""
    rng = random.Random("soup " + article.title)

    def name() -> str:
        return f"css-{rng.randrange(16**5):05x}"

    body = []
    for block in article.blocks:
        if block.picture is not None:
            caption = (
                ""
                if block.style == "alt"
                else f'<div class="{name()} caption"><span>{_e(block.picture.caption)}</span></div>'
            )
            body.append(
                f'<div class="{name()}"><div class="{name()}">{_img(block.picture, block.picture.caption)}</div>{caption}</div>'
            )
        elif block.kind == "h2":
            body.append(f'<div class="{name()} heading" role="heading"><span>{_e(block.text)}</span></div>')
        else:
            first, _, rest = block.text.partition(" ")
            body.append(f'<div class="{name()}"><div class="{name()}"><span>{_e(first)}</span> {_e(rest)}</div></div>')
    tiles = "".join(
        f'<div class="{name()} teaser"><a href="{_e(u)}"><span>{_e(t)}</span></a></div>' for u, t in near.related
    )
    return (
        f'<!doctype html><html lang="en"><head>{_head(article, extra_head)}</head><body><div id="root"><div class="{name()} topbar">'
        f'<div class="{name()}"><a href="/">{_e(article.topic.site)}</a></div><div class="menu">{_links(_NAV, "span")}</div></div>\n'
        f'<div class="{name()} consent"><div>{_COOKIES[1]}</div><div class="button">OK</div></div>\n'
        f'<div class="{name()} page"><div class="{name()}"><h1>{_e(article.title)}</h1></div><div class="byline">{_e(article.author)} '
        f'<span>{article.date}</span></div><div class="share">{" ".join(f"<span>{s}</span>" for s in _SHARE)}</div>\n'
        + "\n".join(body)
        + "\n"
        f'<div class="{name()} promo">Subscribe to our newsletter and never miss a story. Log in or sign up.</div></div>\n'
        f'<div class="{name()} related"><div>You might also like</div>{tiles}</div>\n'
        f'<div class="{name()} footer"><div>{_links(near.elsewhere, "span")}</div><div>Terms Privacy Imprint</div></div></div></body></html>\n'
    )


LAYOUTS = {
    "skywatch.example": semantic,
    "workbench.example": semantic,
    "allotment.example": blog,
    "supper.example": blog,
    "riverlog.example": tables,
    "tramlines.example": soup,
    "tally.example": soup,
}
