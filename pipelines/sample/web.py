"""The whole sample web as one table: address -> answer. Nothing here depends on time, port or process."""

import functools
import gzip
import io
import random
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qs, urlsplit

from PIL import Image

from pipelines.sample import oddities, papers
from pipelines.sample.answers import HTML, Answer, Maker, failure, page
from pipelines.sample.articles import Article, library
from pipelines.sample.faults import CAMPAIGN
from pipelines.sample.layouts import Link, render, style_sheet
from pipelines.sample.pairs import shelf
from pipelines.sample.pictures import picture_answer
from pipelines.sample.topics import TOPICS

CLOSED, DRAFT = "closed.example", "http://riverlog.example/drafts/unfinished.html"

#: robots.txt of the hosts that forbid something or ask for a delay
ROBOTS = {
    CLOSED: "User-agent: *\nDisallow: /\n",
    "riverlog.example": "User-agent: *\nCrawl-delay: 0.02\nDisallow: /drafts/\n",
    "tally.example": "User-agent: BadBot\nDisallow: /\n\nUser-agent: *\nDisallow: /private/\nAllow: /\n",
}

HOSTS = (*(t.host for t in TOPICS), oddities.HOST, oddities.MIRROR, papers.HOST, "pictures.example", CLOSED)

_TOPIC_OF = {t.host: t for t in TOPICS}


@functools.lru_cache(maxsize=512)
def article_page(article: Article) -> str:
    """The page of an article. Its links follow from its title and host alone, so that a mirror has the same links."""
    host = article.topic.host
    rng = random.Random(f"near {host} {article.title}")
    articles, _ = library()
    near = [a for a in articles if a.topic.host == host and a.title != article.title]
    far = [a for a in articles if a.topic.host != host]
    related = [(a.url, a.title) for a in rng.sample(near, 5)] if near else []
    elsewhere = [(a.url, a.title) for a in rng.sample(far, 3)]
    license = article.topic.license
    return render(article, related, elsewhere, f'<link rel="license" href="{license}">' if license else "")


def _index(title: str, motto: str, links: Iterable[Link]) -> Answer:
    rows = "".join(f'<li><a href="{u.replace("&", "&amp;")}">{t}</a></li>\n' for u, t in links)
    text = (
        f'<!DOCTYPE html><html lang="en"><head><title>{title}</title></head><body>'
        f'<header><a href="/">{title}</a></header><main><h1>{title}</h1><p>{motto}</p><ul>\n{rows}</ul></main>'
        f"<footer>Copyright {title}</footer></body></html>\n"
    )
    return Answer(200, HTML, text.encode(), "index")


def _links() -> dict[str, list[Link]]:
    """The links of every host's index page, in order."""
    links: dict[str, list[Link]] = {host: [] for host in HOSTS}
    for article in library()[0]:
        links[article.topic.host].append((article.url, article.title))
    links[oddities.HOST] += oddities.links()
    links[oddities.MIRROR] += oddities.mirror_links()
    links[papers.HOST] += papers.links()
    links["allotment.example"].append((CAMPAIGN, "From our newsletter"))
    links["riverlog.example"].append((DRAFT, "A draft"))
    links[CLOSED].append((f"http://{CLOSED}/vault", "The vault"))
    return links


def _site(host: str, links: Sequence[Link]) -> dict[str, Maker]:
    """Path -> answer of the pages that every host has beside its articles."""
    topic = _TOPIC_OF.get(host)
    site, motto = (topic.site, topic.motto) if topic else (host.split(".")[0].title(), "Odds and ends")
    across = [(f"http://{h}/", h) for h in HOSTS if h != host] if host in (oddities.HOST, "tally.example") else []
    robots = ROBOTS.get(host, "User-agent: *\nDisallow:\n") + f"\nSitemap: http://{host}/sitemap.xml\n"
    fixed = functools.partial(functools.partial, Answer, 200)
    return {
        "/": functools.partial(_index, site, motto, [*links, *across]),
        "/about": functools.partial(_index, f"About {site}", f"{site} is made by a few friends. {motto}.", []),
        "/archive": functools.partial(_index, f"Archive of {site}", "Everything by date.", links),
        "/contact": functools.partial(_index, "Contact", "Write to us.", []),
        "/style.css": fixed("text/css", style_sheet(topic).encode(), "style"),
        "/robots.txt": fixed("text/plain; charset=utf-8", robots.encode(), "robots"),
        **{path: fixed(mime, body, "sitemap") for path, (mime, body) in _sitemaps(host, [u for u, _ in links]).items()},
    }


def _sitemaps(host: str, urls: list[str]) -> dict[str, tuple[str, bytes]]:
    """Path -> (MIME type, body). One host has a sitemap index, one a compressed sitemap, the others a plain one."""

    def sitemap(urls: Iterable[str]) -> bytes:
        rows = "".join(f"<url><loc>{u.replace('&', '&amp;')}</loc></url>\n" for u in urls)
        head = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        return f"{head}{rows}</urlset>\n".encode()

    if host == "skywatch.example":
        halves = urls[: len(urls) // 2], urls[len(urls) // 2 :]
        parts = {f"/sitemap-{n}.xml": ("application/xml", sitemap(half)) for n, half in enumerate(halves, 1)}
    elif host == "workbench.example":
        parts = {"/sitemap-all.xml.gz": ("application/gzip", gzip.compress(sitemap(urls), mtime=0))}
    else:
        return {"/sitemap.xml": ("application/xml", sitemap(urls))}
    rows = "".join(f"<sitemap><loc>http://{host}{path}</loc></sitemap>" for path in parts)
    head = '<?xml version="1.0"?>\n<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
    return {**parts, "/sitemap.xml": ("application/xml", f"{head}{rows}</sitemapindex>\n".encode())}


@functools.lru_cache(maxsize=1)
def address_book() -> dict[str, Maker]:
    """Every address that has an answer, without its fragment. Raises ValueError for an address with two answers."""
    articles, book = library()
    drawn = {**book.pictures, **{p.url: p for p in shelf()}, **oddities.pictures()}
    pages: dict[str, Maker] = {a.url: lambda a=a: page(article_page(a)) for a in articles}  # type: ignore[misc]
    vault = "<title>Vault</title><p>Nobody who reads robots.txt has ever seen this sentence."
    tables: list[dict[str, Maker]] = [
        {url: functools.partial(picture_answer, picture) for url, picture in drawn.items()},
        pages,
        oddities.answers(article_page),
        papers.answers(),
        {CAMPAIGN: pages[CAMPAIGN.split("?")[0]]},
        {f"http://{CLOSED}/vault": functools.partial(page, vault)},
        {DRAFT: functools.partial(page, "<title>Draft</title><p>This page is not ready to be read.")},
        *({f"http://{h}{path}": m for path, m in _site(h, links).items()} for h, links in _links().items()),
    ]
    answers: dict[str, Maker] = {}
    for table in tables:
        if both := answers.keys() & table.keys():
            raise ValueError(f"two answers for {min(both)}")
        answers |= table
    return answers


def answer(url: str) -> Answer:
    """The answer to a GET of an absolute address. A picture's address with ``?w=N`` brings it N pixels wide."""
    parts = urlsplit(url.split("#")[0])
    host = (parts.hostname or "").lower()
    if host not in HOSTS:
        return failure(502, "Bad gateway: no such host")
    port = "" if parts.port in (None, 80) else f":{parts.port}"
    url = f"http://{host}{port}{parts.path or '/'}" + (f"?{parts.query}" if parts.query else "")
    if maker := address_book().get(url):
        return maker()
    width = parse_qs(parts.query).get("w", [""])[0]
    original = address_book().get(url.split("?")[0])
    if original is not None and width.isdigit() and 16 <= int(width) <= 2000:
        return _resized(original(), int(width))
    return failure(404, "Not found")


def _resized(original: Answer, width: int) -> Answer:
    if original.kind != "image":
        return original
    image = Image.open(io.BytesIO(original.body)).convert("RGB")
    out = io.BytesIO()
    image.resize((width, max(1, round(image.height * width / image.width)))).save(out, "JPEG", quality=80)
    return Answer(200, "image/jpeg", out.getvalue(), "image")
