"""The whole sample web as one table: address -> what it answers. Nothing here depends on time, port or process."""

from __future__ import annotations

import functools
import gzip
import io
import random
from collections.abc import Iterable
from urllib.parse import parse_qs, urlsplit

from PIL import Image

from pipelines.sample import oddities, papers
from pipelines.sample.answers import HTML, Answer, Maker, failure, page
from pipelines.sample.articles import Article, library
from pipelines.sample.faults import CAMPAIGN
from pipelines.sample.layouts import LAYOUTS, Link, Neighbours
from pipelines.sample.pairs import shelf
from pipelines.sample.pictures import Picture, render
from pipelines.sample.styles import sheet
from pipelines.sample.topics import TOPICS

CLOSED, DRAFT = "closed.example", "http://riverlog.example/drafts/unfinished.html"

#: robots.txt of the hosts that say more than "welcome"
ROBOTS = {
    CLOSED: "User-agent: *\nDisallow: /\n",
    "riverlog.example": "User-agent: *\nCrawl-delay: 0.02\nDisallow: /drafts/\n",
    "tally.example": "User-agent: BadBot\nDisallow: /\n\nUser-agent: *\nDisallow: /private/\nAllow: /\n",
}

HOSTS = (*(t.host for t in TOPICS), oddities.HOST, oddities.MIRROR, papers.HOST, "pictures.example", CLOSED)


def _neighbours(article: Article) -> Neighbours:
    """Links of a page; they follow from its title and host alone, so that a mirror has the same."""
    rng = random.Random(f"near {article.topic.host} {article.title}")
    articles, _ = library()
    near = [a for a in articles if a.topic.host == article.topic.host and a.title != article.title]
    far = [a for a in articles if a.topic.host != article.topic.host]
    related = [(a.url, a.title) for a in rng.sample(near, 5)] if near else []
    return Neighbours(related, [(a.url, a.title) for a in rng.sample(far, 3)])


@functools.lru_cache(maxsize=512)
def article_page(article: Article, extra_head: str = "") -> str:
    """The page of an article in its host's layout; of a host without one, the semantic layout."""
    layout = LAYOUTS.get(article.topic.host, LAYOUTS["skywatch.example"])
    head = extra_head
    if article.topic.host == "workbench.example":
        head += '<link rel="license" href="https://creativecommons.org/licenses/by/4.0/">'
    return layout(article, _neighbours(article), head)


def picture_answer(picture: Picture) -> Answer:
    return Answer(200, picture.mime, render(picture), "image")


def _index(title: str, motto: str, links: Iterable[Link]) -> Answer:
    rows = "".join(f'<li><a href="{u.replace("&", "&amp;")}">{t}</a></li>\n' for u, t in links)
    return Answer(
        200,
        HTML,
        f'<!DOCTYPE html><html lang="en"><head><title>{title}</title></head><body><header><a href="/">{title}</a></header>'
        f"<main><h1>{title}</h1><p>{motto}</p><ul>\n{rows}</ul></main><footer>Copyright {title}</footer></body></html>\n".encode(),
        "index",
    )


def _sitemap(urls: Iterable[str]) -> bytes:
    rows = "".join(f"<url><loc>{u.replace('&', '&amp;')}</loc></url>\n" for u in urls)
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    return f"{head}{rows}</urlset>\n".encode()


@functools.lru_cache(maxsize=1)
def address_book() -> dict[str, Maker]:
    """Every address that answers, without its fragment."""
    book: dict[str, Maker] = {}

    def put(url: str, maker: Maker) -> None:
        if url in book:
            raise ValueError(f"two answers for {url}")
        book[url] = maker

    articles, sketches = library()
    drawn = {**sketches.pictures, **{p.url: p for p in shelf()}, **oddities.pictures()}
    for url, picture in drawn.items():
        put(url, functools.partial(picture_answer, picture))
    for article in articles:
        put(article.url, functools.partial(_page_of, article))
    for url, maker in {**oddities.answers(article_page), **papers.answers()}.items():
        put(url, maker)

    listed: dict[str, list[Link]] = {host: [] for host in HOSTS}
    for article in articles:
        listed[article.topic.host].append((article.url, article.title))
    for host, links in {
        oddities.HOST: oddities.links(),
        oddities.MIRROR: oddities.mirror_links(),
        papers.HOST: papers.links(),
    }.items():
        listed[host] += links
    put(CAMPAIGN, book[CAMPAIGN.split("?")[0]])
    listed["allotment.example"].append((CAMPAIGN, "From our newsletter"))
    listed["riverlog.example"].append((DRAFT, "A draft"))
    listed[CLOSED].append((f"http://{CLOSED}/vault", "The vault"))
    put(
        f"http://{CLOSED}/vault",
        lambda: page("<title>Vault</title><p>Nobody who reads robots.txt has ever seen this sentence."),
    )

    topics = {t.host: t for t in TOPICS}
    for host, links in listed.items():
        site, motto = (
            (topics[host].site, topics[host].motto) if host in topics else (host.split(".")[0].title(), "Odds and ends")
        )
        across = [(f"http://{h}/", h) for h in HOSTS if h != host] if host in (oddities.HOST, "tally.example") else []
        put(f"http://{host}/", functools.partial(_index, site, motto, [*links, *across]))
        put(
            f"http://{host}/about",
            functools.partial(_index, f"About {site}", f"{site} is made by a few friends. {motto}.", []),
        )
        put(f"http://{host}/archive", functools.partial(_index, f"Archive of {site}", "Everything by date.", links))
        put(f"http://{host}/contact", functools.partial(_index, "Contact", "Write to us.", []))
        put(f"http://{host}/style.css", functools.partial(Answer, 200, "text/css", sheet(host).encode(), "style"))
        rules = ROBOTS.get(host, "User-agent: *\nDisallow:\n") + f"\nSitemap: http://{host}/sitemap.xml\n"
        put(
            f"http://{host}/robots.txt",
            functools.partial(Answer, 200, "text/plain; charset=utf-8", rules.encode(), "robots"),
        )
        _put_sitemaps(put, host, [u for u, _ in links])
    put(DRAFT, lambda: page("<title>Draft</title><p>This page is not ready to be read."))
    return book


def _page_of(article: Article) -> Answer:
    return page(article_page(article))


def _put_sitemaps(put: object, host: str, urls: list[str]) -> None:
    """One host has a sitemap index, one a compressed sitemap, the others a plain one."""
    assert callable(put)
    plain = functools.partial(Answer, 200, "application/xml")
    if host == "skywatch.example":
        half = len(urls) // 2
        parts = {f"http://{host}/sitemap-{i}.xml": urls[:half] if i == 1 else urls[half:] for i in (1, 2)}
        for address, some in parts.items():
            put(address, functools.partial(plain, _sitemap(some), "sitemap"))
        rows = "".join(f"<sitemap><loc>{u}</loc></sitemap>" for u in parts)
        text = f'<?xml version="1.0"?>\n<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{rows}</sitemapindex>\n'
        put(f"http://{host}/sitemap.xml", functools.partial(plain, text.encode(), "sitemap"))
    elif host == "workbench.example":
        packed = gzip.compress(_sitemap(urls), mtime=0)
        put(f"http://{host}/sitemap-all.xml.gz", functools.partial(Answer, 200, "application/gzip", packed, "sitemap"))
        text = (
            '<?xml version="1.0"?>\n<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
            f"<sitemap><loc>http://{host}/sitemap-all.xml.gz</loc></sitemap></sitemapindex>\n"
        )
        put(f"http://{host}/sitemap.xml", functools.partial(plain, text.encode(), "sitemap"))
    else:
        put(f"http://{host}/sitemap.xml", functools.partial(plain, _sitemap(urls), "sitemap"))


def answer(url: str) -> Answer:
    """What a GET of an absolute address brings. A picture's address with ``?w=N`` brings it N pixels wide."""
    url = url.split("#")[0]
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if host not in HOSTS:
        return failure(502, "Bad gateway: no such host")
    port = "" if parts.port in (None, 80) else f":{parts.port}"
    url = f"http://{host}{port}{parts.path or '/'}" + (f"?{parts.query}" if parts.query else "")
    maker = address_book().get(url)
    if maker is not None:
        return maker()
    wanted = parse_qs(parts.query).get("w", [""])[0]
    whole = address_book().get(url.split("?")[0])
    if whole is not None and wanted.isdigit() and 16 <= int(wanted) <= 2000:
        return _narrowed(whole(), int(wanted))
    return failure(404, "Not found")


def _narrowed(whole: Answer, width: int) -> Answer:
    if whole.kind != "image":
        return whole
    image = Image.open(io.BytesIO(whole.body)).convert("RGB")
    out = io.BytesIO()
    image.resize((width, max(1, round(image.height * width / image.width)))).save(out, "JPEG", quality=80)
    return Answer(200, "image/jpeg", out.getvalue(), "image")
