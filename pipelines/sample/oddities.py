"""The host of everything odd: pages that carry the broken images, and pages that are themselves the fault."""

import functools
import html
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pipelines.sample import broken
from pipelines.sample.answers import Answer, Maker, failure, page, redirect
from pipelines.sample.articles import Article, Block, compose, library
from pipelines.sample.faults import IMAGE_FAULTS
from pipelines.sample.layouts import Link
from pipelines.sample.pairs import shelf, shelf_book
from pipelines.sample.pictures import Picture, Sketchbook, picture_answer
from pipelines.sample.prose import Topic, read_prose
from pipelines.sample.topics import TOPICS

HOST, MIRROR = "corner.example", "mirror.example"

#: name of a page: its title and its paragraphs, which the language and quality rules must reject (but for the letters)
TEXTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    section.headings[0]: (section.headings[1], section.forms)
    for section in read_prose(Path(__file__).with_name("odd.txt"))[1]
}


def _url(name: str) -> str:
    return f"http://{HOST}/odd/{name}.html"


def _here(topic: Topic) -> Topic:
    """The topic, on the odd host."""
    site, layout = "The Odd Corner", "semantic"
    return replace(topic, host=HOST, site=site, layout=layout, folder="images", standing="", license="")


def _article(name: str, number: int, book: Sketchbook, pictures: int, parts: int = 3) -> Article:
    """A page of regular prose at an odd address."""
    topic = TOPICS[number % len(TOPICS)]
    subject = topic.subjects[(number * 5 + 3) % len(topic.subjects)]
    return compose(_here(topic), subject, _url(name), "odd " + name, book, pictures, parts)


def near_copy(article: Article, url: str, seed: str) -> Article:
    """The article without its comments, and with one or two words in a hundred replaced.

    The Jaccard similarity with the original is about 0.85 in shingles of five words.
    """
    rng = random.Random("changed " + seed)
    other = ("quite", "small", "often", "perhaps", "rather", "indeed")
    blocks = []
    for block in article.blocks:
        words = block.text.split(" ") if block.kind == "p" else []
        for _ in range(len(words) * 2 // 100):
            words[rng.randrange(len(words))] = rng.choice(other)
        blocks.append(replace(block, text=" ".join(words)) if words else block)
    return replace(article, url=url, topic=_here(article.topic), blocks=tuple(blocks), remarks=())


@functools.lru_cache(maxsize=1)
def _pages() -> tuple[dict[str, Article], Sketchbook]:
    """Every article of the two odd hosts by address."""
    book = Sketchbook("odd", after=shelf_book())
    articles: list[Article] = []

    broken_urls = [u for fault in IMAGE_FAULTS for u in fault.urls]
    for i in range(0, len(broken_urls), 2):
        article = _article(f"broken-{i // 2 + 1}", i, book, 2)
        figures = [Block("figure", picture=broken.stand_in(u)) for u in broken_urls[i : i + 2]]
        blocks = list(article.blocks)
        blocks[2:2] = figures[:1]
        blocks[7:7] = figures[1:]
        articles.append(replace(article, blocks=tuple(blocks)))
    articles += [_article(name, i + 3, book, 2) for i, name in enumerate(_CHANGED)]
    articles.append(_article("no-pictures", 20, book, 0))
    wall = _article("wall-of-pictures", 21, book, 0)
    figures = [Block("figure", picture=p, style="alt") for p in shelf()[:34]]
    articles.append(replace(wall, blocks=(*wall.blocks, *figures)))
    parts = [_article(f"long-read-{i}", 22 + i, book, 0, parts=5) for i in range(4)]
    figure = Block("figure", picture=book.new(f"http://{HOST}/images/", "night", ()))
    blocks = [figure, *(b for p in parts for b in p.blocks)]
    articles.append(replace(parts[0], url=_url("long-read"), blocks=tuple(blocks)))
    for i, (name, (title, texts)) in enumerate(TEXTS.items()):
        picture = book.new(f"http://{HOST}/images/", ("boats", "street", "still")[i % 3], ())
        # the caption is English, and must not add to the words of a foreign or short text
        figure = Block("figure", picture=picture, style="alt" if name in _ALT_CAPTIONS else "both")
        topic = replace(_here(TOPICS[0]), motto=title)
        # the two pages of old letters hold the same words, and so much besides that neither is a copy of the other
        more = _article(name, 40 + i, book, 0).blocks if name.endswith("letters") else ()
        first, *rest = (Block("p", text) for text in texts)
        articles.append(Article(_url(name), topic, title, "Anonymous", "2021-03-04", (first, figure, *rest, *more)))
    regular, _ = library()
    articles += [near_copy(regular[i * 31 + 2], _url(f"nearly-{i}"), f"nearly-{i}") for i in range(1, 4)]
    articles += [replace(regular[i * 37 + 5], url=f"http://{MIRROR}/copy/{i}.html") for i in range(1, 5)]
    return {a.url: a for a in articles}, book


_ALT_CAPTIONS = ("leuchtturm", "le-marche", "three-words")


def pictures() -> dict[str, Picture]:
    """New pictures that stand on the odd pages, by address."""
    base = Picture(f"http://{HOST}/base/dir/relative-1.jpg", "map", "orange", 4, "road")
    return {**_pages()[1].pictures, base.url: base}


_BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
_MAP = "<figcaption>A map in orange, with four islands and a road</figcaption>"
_PLEA = (
    "Please share this post on Facebook, Twitter, Instagram and Pinterest, subscribe to the mailing list, "
    "follow our account, and sign up or log in to comment or to download more content."
)

#: name of a page -> how it differs from the page that its layout gives: (text, its replacement)
_REPLACEMENTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "lazy": (('<img src="', f'<img class="lazyload" loading="lazy" src="{_BLANK}" data-src="'),),
    "base": (
        ("<head>", f'<head><base href="http://{HOST}/base/dir/">'),
        ("</article>", f'<figure><img src="relative-1.jpg" alt="">{_MAP}</figure></article>'),
    ),
    "deep": (("<article>", "<article>" + "<div>" * 1500), ("</article>", "</div>" * 1500 + "</article>")),
    "unclosed": (("</p>", ""), ("</li>", ""), ("</figure>", "</figure></b></span>")),
    "please-do-not": (("<head>", '<head><meta name="robots" content="noai, noimageai">'),),
    "please-share": (("</article>", f"<p>{_PLEA}</p></article>"),),
    "leuchtturm": (('<html lang="en">', '<html lang="de">'),),
    "le-marche": (('<html lang="en">', '<html lang="fr">'),),
}
_CHANGED = ("lazy", "responsive", "noscript", "base", "deep", "unclosed", "please-do-not", "please-share")
_CHARSETS = {"old-letters": "windows-1252", "wrong-letters": "utf-8"}  # as declared; both are sent as windows-1252


def _responsive(text: str, article: Article) -> str:
    """The first image only in a source of a picture element, the others only in srcset."""
    for i, picture in enumerate(article.pictures):
        url, width = html.escape(picture.url), picture.size[0]
        sets = f"{url}?w=320 320w, {url} {width}w"
        new = f'<picture><source srcset="{sets}"><img data-n="{i}"' if i == 0 else f'<img srcset="{sets}"'
        text = text.replace(f'<img src="{url}"', new)
    end = text.index(">", text.index('data-n="0"')) + 1
    return text[:end] + "</picture>" + text[end:]


def _noscript(text: str, article: Article) -> str:
    for picture in article.pictures:
        start = text.index(f'<img src="{html.escape(picture.url)}"')
        end = text.index(">", start) + 1
        text = text[:start] + "<noscript>" + text[start:end] + "</noscript>" + text[end:]
    return text


def _answer(article: Article, name: str, article_page: Callable[[Article], str]) -> Answer:
    text = article_page(article)
    for old, new in _REPLACEMENTS.get(name, ()):
        text = text.replace(old, new)
    if name in _CHARSETS:
        meta = f'<meta http-equiv="Content-Type" content="text/html; charset={_CHARSETS[name]}">'
        text = text.replace('<meta charset="utf-8">', meta)
        return Answer(200, "text/html", text.encode("cp1252"), "page")
    change = {"responsive": _responsive, "noscript": _noscript}.get(name)
    return page(change(text, article) if change else text)


def answers(article_page: Callable[[Article], str]) -> dict[str, Maker]:
    """Every odd address; `article_page` renders an article as HTML."""
    makers: dict[str, Maker] = dict(broken.answers())
    for url, article in _pages()[0].items():
        name = url.rsplit("/", 1)[-1].removesuffix(".html")
        makers[url] = functools.partial(_answer, article, name, article_page)
    makers[_url("old-address")] = lambda: redirect(_url("broken-1"), 301)
    makers[_url("demolished")] = lambda: failure(410, "Gone")
    makers[_url("roundabout")] = lambda: redirect(_url("roundabout-2"))
    makers[_url("roundabout-2")] = lambda: redirect(_url("roundabout"))
    for i in (1, 2):
        picture = broken.stand_in(f"http://closed.example/pictures/vault-{i}.jpg")
        makers[picture.url] = functools.partial(picture_answer, picture)
    return makers


def links() -> list[Link]:
    """The links of the odd host's index, with dead links and redirects."""
    links = [(url, article.title) for url, article in _pages()[0].items() if f"//{HOST}/" in url]
    links += [(_url(n), "An older page") for n in ("old-address", "nobody-home", "demolished", "roundabout")]
    links.append(("http://closed.example/vault", "The vault"))
    links.append(("http://riverlog.example/drafts/unfinished.html", "A draft"))
    return [*links, (links[0][0] + "#comments", "The same page, lower down")]


def mirror_links() -> list[Link]:
    return [(url, article.title) for url, article in _pages()[0].items() if f"//{MIRROR}/" in url]
