"""The links of a page and the URLs of a sitemap, read within bounds and without a DOM.

To find links no tree is needed, and a scanner in plain Python cannot crash on a hostile page. Every scan is linear in
the size of the page.
"""

import html
import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from urllib.parse import urlsplit

from manifests.urls import join_url
from pipelines.fetch.guard import Fault, parse, target_of

LINKS = 10_000  # of one page
SITEMAP_BYTES = 50 * 2**20  # the limit of sitemaps.org for one file, uncompressed; its other limit is 50,000 URLs
SITEMAP_URLS = 50_000

#: endings of paths that are neither pages nor PDFs, and are not requested
_SKIP = re.compile(
    r"\.(jpe?g|png|gif|webp|avif|svg|ico|bmp|tiff?|css|js|mjs|json|xml|rss|atom|txt|csv|zip|gz|bz2|xz|7z|rar|tar|tgz|exe"
    r"|dmg|apk|iso|mp[34]|m4[av]|ogg|og[gv]|wav|flac|avi|mov|mkv|webm|woff2?|ttf|otf|eot|docx?|xlsx?|pptx?|od[tsp]|epub)\Z",
    re.I,
)
_TAG = re.compile(r"<(a|area|base|meta)\b([^<>]{0,8192})>", re.I)
_ATTRIBUTE = re.compile(r"""([a-zA-Z-]{1,32})\s{0,8}=\s{0,8}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_LOC = re.compile(r"<(?:\w{1,16}:)?loc\b[^<>]{0,256}>\s{0,64}(?:<!\[CDATA\[)?([^<>\]]{1,4096})", re.I)


def authority_of(url: str) -> str:
    """host[:port] of a URL in lower case, without a default port; "" for what is no http(s) URL."""
    return target.netloc if (target := target_of(url)) else ""


def canonical(url: str) -> str:
    """A URL as the crawl stores it: host in lower case, percent-encoded, no fragment; "" for what is no http(s) URL."""
    return target.url if (target := target_of(url.split("#", 1)[0])) else ""


def page_links(body: bytes, url: str, host: str) -> list[str]:
    """The URLs on ``host`` (host[:port]) that a page links to, each once, in order. Links with rel=nofollow are left
    out; a page whose robots meta says nofollow or none has no links."""
    base = url
    links: dict[str, None] = {}
    for name, attributes in _tags(_visible(body.decode("utf-8", "replace"))):
        if name == "base":
            if base == url and attributes.get("href"):
                base = join_url(url, attributes["href"]) or url
        elif name == "meta":
            directives = {d.strip().lower() for d in attributes.get("content", "").split(",")}
            if attributes.get("name", "").lower() == "robots" and directives & {"nofollow", "none"}:
                return []
        elif "href" in attributes and "nofollow" not in attributes.get("rel", "").lower().split():
            link = canonical(join_url(base, attributes["href"].strip()))
            if link and authority_of(link) == host and not _SKIP.search(urlsplit(link).path):
                links[link] = None
                if len(links) >= LINKS:
                    break
    return list(links)


def _tags(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    for tag in _TAG.finditer(text):
        attributes: dict[str, str] = {}
        for name, double, single, bare in _ATTRIBUTE.findall(tag[2]):
            attributes.setdefault(name.lower(), html.unescape(double or single or bare))
        yield tag[1].lower(), attributes


def _visible(text: str) -> str:
    """The text without comments, scripts and styles: what looks like a link in them is none."""
    # str.lower() can change the length of text that is not ASCII
    lowered = text.lower() if text.isascii() else re.sub("[A-Z]", lambda m: m[0].lower(), text)
    for start, end in (("<!--", "-->"), ("<script", "</script"), ("<style", "</style")):
        spans: list[tuple[int, int]] = []
        place = 0
        while (begin := lowered.find(start, place)) >= 0:
            spans.append((place, begin))
            stop = lowered.find(end, begin + len(start))
            place = stop + len(end) if stop >= 0 else len(text)
        spans.append((place, len(text)))
        text, lowered = ("".join(t[a:b] for a, b in spans) for t in (text, lowered))
    return text


def sitemap(body: bytes) -> tuple[bool, list[str]]:
    """-> (whether it is an index of sitemaps, its URLs). It is scanned as text: an XML parser would expand the entities
    that the file declares."""
    if body.startswith(b"\x1f\x8b"):
        try:
            body = zlib.decompressobj(31).decompress(body, SITEMAP_BYTES)
        except zlib.error:
            return False, []
    text = body[:SITEMAP_BYTES].decode("utf-8-sig", "replace")
    if "<" not in text[:4096]:  # sitemaps.org also has plain text, one URL a line
        return False, [row.strip() for row in text.splitlines()[:SITEMAP_URLS] if row.strip().startswith("http")]
    urls = [html.unescape(match[1].strip()) for match in islice(_LOC.finditer(text), SITEMAP_URLS)]
    return "<sitemapindex" in text[:4096].lower(), urls


def hosts_of(seeds: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Seeds by host: [(host[:port], its seeds)], both sorted. ValueError names a seed that is no http(s) URL."""
    by_host: dict[str, set[str]] = {}
    for seed in seeds:
        try:
            target = parse(seed.split("#", 1)[0])
        except Fault as error:
            raise ValueError(f"seed {seed!r}: {error}; give http or https addresses") from None
        by_host.setdefault(target.netloc, set()).add(target.url)
    return [(host, sorted(urls)) for host, urls in sorted(by_host.items())]
