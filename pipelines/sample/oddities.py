"""The host of everything odd: pages that carry the broken images, and pages that are themselves the fault."""

from __future__ import annotations

import functools
import html
import random
from collections.abc import Callable, Mapping
from dataclasses import replace

from pipelines.sample import broken, foreign
from pipelines.sample.answers import Answer, Maker, failure, page, redirect
from pipelines.sample.articles import Article, Block, compose, library
from pipelines.sample.faults import IMAGE_FAULTS
from pipelines.sample.layouts import Link
from pipelines.sample.pairs import shelf, shelf_book
from pipelines.sample.pictures import Picture, Sketchbook, render
from pipelines.sample.prose import Topic
from pipelines.sample.topics import TOPICS

HOST, MIRROR = "corner.example", "mirror.example"

#: pages that work, once their images are found the hard way
_KEPT = ("lazy", "responsive", "noscript", "base", "deep", "unclosed", "please-do-not", "please-share")
_TEXTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "leuchtturm": ("Der alte Leuchtturm", foreign.GERMAN),
    "le-marche": ("Le marché du samedi", foreign.FRENCH),
    "lorem": ("Lorem ipsum", foreign.LOREM),
    "keywords": ("Best offers", foreign.KEYWORDS),
    "spam": ("Free for you", foreign.SPAM),
    "breathless": ("By the water", foreign.BREATHLESS),
    "signs": ("Figures", foreign.SIGNS),
    "old-letters": ("The café on the corner", foreign.OLD_LETTERS),
    "wrong-letters": ("The back room", tuple(reversed(foreign.OLD_LETTERS))),
    "three-words": ("Soon", ("More is coming soon.",)),
    "echo": ("Echo", ("the water went down and the water went down and " * 12 + "then it stopped.",)),
    "chorus": ("Chorus", foreign.OLD_SONG * 2),
}  # fmt: skip


def _url(name: str) -> str:
    return f"http://{HOST}/odd/{name}.html"


def _here(topic: Topic, host: str = HOST) -> Topic:
    return replace(topic, host=host, site="The Odd Corner")


def _article(name: str, number: int, book: Sketchbook, pictures: int, parts: int = 3) -> Article:
    """A page of honest prose at an odd address."""
    topic = TOPICS[number % len(TOPICS)]
    subject = topic.subjects[(number * 5 + 3) % len(topic.subjects)]
    return compose(_here(topic), subject, _url(name), "odd " + name, book, pictures, parts)


def _changed(article: Article, name: str) -> Article:
    """The same article with one or two words in a hundred exchanged: a Jaccard similarity of about 0.85 in shingles of
    five words.
    """
    rng = random.Random("changed " + name)
    other = ("quite", "small", "often", "perhaps", "rather", "indeed")
    blocks = []
    for block in article.blocks:
        words = block.text.split(" ") if block.kind == "p" else []
        for _ in range(len(words) * 2 // 100):
            words[rng.randrange(len(words))] = rng.choice(other)
        blocks.append(replace(block, text=" ".join(words)) if words else block)
    return replace(article, url=_url(name), topic=_here(article.topic), blocks=tuple(blocks), remarks=())


@functools.lru_cache(maxsize=1)
def _pages() -> tuple[dict[str, Article], Sketchbook]:
    """Every article of the two odd hosts by address."""
    book = Sketchbook("odd", after=shelf_book())
    made: dict[str, Article] = {}

    def put(article: Article) -> None:
        made[article.url] = article

    broken_urls = [u for fault in IMAGE_FAULTS for u in fault.urls]
    for i in range(0, len(broken_urls), 2):
        article = _article(f"broken-{i // 2 + 1}", i, book, 2)
        bad = [Block("figure", picture=broken.stand_in(u)) for u in broken_urls[i : i + 2]]
        blocks = list(article.blocks)
        blocks[2:2] = bad[:1]
        blocks[7:7] = bad[1:]
        put(replace(article, blocks=tuple(blocks)))
    for i, name in enumerate(_KEPT):
        put(_article(name, i + 3, book, 2))
    put(_article("no-pictures", 20, book, 0))
    wall = _article("wall-of-pictures", 21, book, 0)
    put(replace(wall, blocks=(*wall.blocks, *(Block("figure", picture=p, style="alt") for p in shelf()[:34]))))
    parts = [_article(f"long-read-{i}", 22 + i, book, 0, parts=5) for i in range(4)]
    figure = Block("figure", picture=book.new(f"http://{HOST}/images/", "night", ()))
    put(replace(parts[0], url=_url("long-read"), blocks=(figure, *(b for p in parts for b in p.blocks))))
    for i, (name, (title, texts)) in enumerate(_TEXTS.items()):
        figure = Block("figure", picture=book.new(f"http://{HOST}/images/", ("boats", "street", "still")[i % 3], ()))
        if name in ("leuchtturm", "le-marche", "three-words"):
            figure = replace(figure, style="alt")
        topic = replace(_here(TOPICS[0]), motto=title)
        # the two pages of old letters hold the same words, and so much besides that neither is a copy of the other
        more = _article(name, 40 + i, book, 0).blocks if name.endswith("letters") else ()
        told = (Block("p", texts[0]), figure, *(Block("p", t) for t in texts[1:]), *more)
        put(Article(_url(name), topic, title, "Anonymous", "2021-03-04", told))
    articles, _ = library()
    for i in range(1, 4):
        put(_changed(articles[i * 31 + 2], f"nearly-{i}"))
    for i in range(1, 5):
        put(replace(articles[i * 37 + 5], url=f"http://{MIRROR}/copy/{i}.html"))
    return made, book


def pictures() -> dict[str, Picture]:
    """New pictures that stand on the odd pages, by address."""
    base = Picture(f"http://{HOST}/base/dir/relative-1.jpg", "map", "orange", 4, "road")
    return {**_pages()[1].pictures, base.url: base}


def _lazy(text: str, article: Article) -> str:
    blank = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
    return text.replace('<img src="', f'<img class="lazyload" loading="lazy" src="{blank}" data-src="')


def _responsive(text: str, article: Article) -> str:
    """The first image only in a source of a picture element, the others only in srcset."""
    for i, picture in enumerate(article.pictures):
        url, width = html.escape(picture.url), picture.size[0]
        old = f'<img src="{url}"'
        sets = f"{url}?w=320 320w, {url} {width}w"
        text = text.replace(
            old, f'<picture><source srcset="{sets}"><img data-n="{i}"' if i == 0 else f'<img srcset="{sets}"'
        )
        if i == 0:
            at = text.index(">", text.index('data-n="0"')) + 1
            text = text[:at] + "</picture>" + text[at:]
    return text


def _noscript(text: str, article: Article) -> str:
    for picture in article.pictures:
        at = text.index(f'<img src="{html.escape(picture.url)}"')
        end = text.index(">", at) + 1
        text = text[:at] + "<noscript>" + text[at:end] + "</noscript>" + text[end:]
    return text


def _base(text: str, article: Article) -> str:
    text = text.replace("<head>", f'<head><base href="http://{HOST}/base/dir/">')
    figure = '<figure><img src="relative-1.jpg" alt=""><figcaption>A map in orange, with four islands and a road</figcaption></figure>'
    return text.replace("</article>", figure + "</article>")


def _deep(text: str, article: Article) -> str:
    return text.replace("<article>", "<article>" + "<div>" * 1500, 1).replace(
        "</article>", "</div>" * 1500 + "</article>", 1
    )


def _unclosed(text: str, article: Article) -> str:
    return text.replace("</p>", "").replace("</li>", "").replace("</figure>", "</figure></b></span>")


def _noai(text: str, article: Article) -> str:
    return text.replace("<head>", '<head><meta name="robots" content="noai, noimageai">')


def _please_share(text: str, article: Article) -> str:
    plea = (
        "<p>Please share this post on Facebook, Twitter, Instagram and Pinterest, subscribe to the mailing list, follow our account, and sign up "
        "or log in to comment or to download more content.</p>"
    )
    return text.replace("</article>", plea + "</article>", 1)


_TWISTS: Mapping[str, Callable[[str, Article], str]] = {
    "lazy": _lazy, "responsive": _responsive, "noscript": _noscript, "base": _base, "deep": _deep, "unclosed": _unclosed,
    "please-do-not": _noai, "please-share": _please_share,
}  # fmt: skip


def _answer(article: Article, name: str, render_page: Callable[[Article, str], str]) -> Answer:
    text = render_page(article, "")
    if name in ("leuchtturm", "le-marche"):
        text = text.replace('<html lang="en">', f'<html lang="{"de" if name == "leuchtturm" else "fr"}">')
    if name in ("old-letters", "wrong-letters"):
        declared = "windows-1252" if name == "old-letters" else "utf-8"
        text = text.replace(
            '<meta charset="utf-8">', f'<meta http-equiv="Content-Type" content="text/html; charset={declared}">'
        )
        return Answer(200, "text/html", text.encode("cp1252"), "page")
    return page(_TWISTS[name](text, article) if name in _TWISTS else text)


def answers(render_page: Callable[[Article, str], str]) -> dict[str, Maker]:
    """Every odd address; ``render_page`` makes an article's HTML."""
    made: dict[str, Maker] = dict(broken.answers())
    for url, article in _pages()[0].items():
        made[url] = functools.partial(_answer, article, url.rsplit("/", 1)[-1].removesuffix(".html"), render_page)
    made[_url("old-address")] = lambda: redirect(_url("broken-1"), 301)
    made[_url("demolished")] = lambda: failure(410, "Gone")
    made[_url("roundabout")] = lambda: redirect(_url("roundabout-2"))
    made[_url("roundabout-2")] = lambda: redirect(_url("roundabout"))
    for i in (1, 2):
        picture = broken.stand_in(f"http://closed.example/pictures/vault-{i}.jpg")
        made[picture.url] = functools.partial(_vault, picture)
    return made


def _vault(picture: Picture) -> Answer:
    return Answer(200, picture.mime, render(picture), "image")


def links() -> list[Link]:
    """What the index of the odd host points to, dead links and detours included."""
    made = [(url, article.title) for url, article in _pages()[0].items() if f"//{HOST}/" in url]
    made += [(_url(n), "An older page") for n in ("old-address", "nobody-home", "demolished", "roundabout")]
    made += [
        ("http://closed.example/vault", "The vault"),
        ("http://riverlog.example/drafts/unfinished.html", "A draft"),
    ]
    return [*made, (made[0][0] + "#comments", "The same page, lower down")]


def mirror_links() -> list[Link]:
    return [(url, article.title) for url, article in _pages()[0].items() if f"//{MIRROR}/" in url]
