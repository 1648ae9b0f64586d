"""Where a page leads: its links and a sitemap's addresses, read with bounds and without a DOM.

Finding links needs no tree, and a scanner in plain Python cannot crash on a hostile page. Every scan is linear in the
page's size.
"""

from __future__ import annotations

import html
import re
import zlib
from collections.abc import Iterable, Iterator
from urllib.parse import urljoin, urlsplit

from pipelines.fetch.guard import Refused, parse

LINKS = 10_000  # of one page
SITEMAP_BYTES = 50 * 2**20  # sitemaps.org's limit for one file, uncompressed; its other one is 50,000 addresses
SITEMAP_URLS = 50_000

#: path endings that are neither pages nor PDFs: not worth a request
_SKIP = re.compile(
    r"\.(jpe?g|png|gif|webp|avif|svg|ico|bmp|tiff?|css|js|mjs|json|xml|rss|atom|txt|csv|zip|gz|bz2|xz|7z|rar|tar|tgz|exe|dmg|apk|iso|"
    r"mp[34]|m4[av]|ogg|og[gv]|wav|flac|avi|mov|mkv|webm|woff2?|ttf|otf|eot|docx?|xlsx?|pptx?|od[tsp]|epub)\Z",
    re.I,
)
_TAG = re.compile(r"<(a|area|base|meta)\b([^<>]{0,8192})>", re.I)
_ATTRIBUTE = re.compile(r"""([a-zA-Z-]{1,32})\s{0,8}=\s{0,8}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_LOC = re.compile(r"<(?:\w{1,16}:)?loc\b[^<>]{0,256}>\s{0,64}(?:<!\[CDATA\[)?([^<>\]]{1,4096})", re.I)


def host_of(url: str) -> str:
    """host[:port] of an address in lower case, the default port left out; "" for what is no http(s) address."""
    try:
        return parse(url).netloc.lower()
    except Refused:
        return ""


def canonical(url: str) -> str:
    """An address as the crawl keeps it: no fragment, host in lower case, percent-encoded. "" for what is no http(s)
    address.
    """
    try:
        return parse(url.split("#", 1)[0]).url
    except Refused:
        return ""


def page_links(body: bytes, url: str, host: str) -> list[str]:
    """The addresses on ``host`` that a page's links lead to, in order, each once. rel=nofollow and the robots meta's
    nofollow and none
    are honoured."""
    base, found = url, dict[str, None]()
    for name, attributes in _tags(_visible(body.decode("utf-8", "replace"))):
        if name == "base":
            if base == url and attributes.get("href"):
                base = _join(url, attributes["href"]) or url
        elif name == "meta":
            said = {d.strip().lower() for d in attributes.get("content", "").split(",")}
            if attributes.get("name", "").lower() == "robots" and said & {"nofollow", "none"}:
                return []
        elif "href" in attributes and "nofollow" not in attributes.get("rel", "").lower().split():
            target = canonical(_join(base, attributes["href"].strip()))
            if target and host_of(target) == host and not _SKIP.search(urlsplit(target).path):
                found[target] = None
                if len(found) >= LINKS:
                    break
    return list(found)


def _join(base: str, href: str) -> str:
    try:
        return urljoin(base, href)
    except ValueError:
        return ""


def _tags(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    for tag in _TAG.finditer(text):
        attributes: dict[str, str] = {}
        for name, double, single, bare in _ATTRIBUTE.findall(tag[2]):
            attributes.setdefault(name.lower(), html.unescape(double or single or bare))
        yield tag[1].lower(), attributes


def _visible(text: str) -> str:
    """The text without comments and scripts, whose links are none."""
    # lower() may change lengths
    lowered = text.lower() if text.isascii() else re.sub("[A-Z]", lambda m: m[0].lower(), text)
    for start, end in (("<!--", "-->"), ("<script", "</script"), ("<style", "</style")):
        kept: list[tuple[int, int]] = []
        at = 0
        while (begin := lowered.find(start, at)) >= 0:
            kept.append((at, begin))
            stop = lowered.find(end, begin + len(start))
            at = stop + len(end) if stop >= 0 else len(text)
        kept.append((at, len(text)))
        text, lowered = "".join(text[a:b] for a, b in kept), "".join(lowered[a:b] for a, b in kept)
    return text


def sitemap(body: bytes) -> tuple[bool, list[str]]:
    """-> (is an index of sitemaps, the addresses in it). Read as text: an XML parser would expand what entities a file
    declares.
    """
    if body.startswith(b"\x1f\x8b"):
        try:
            body = zlib.decompressobj(31).decompress(body, SITEMAP_BYTES)
        except zlib.error:
            return False, []
    text = body[:SITEMAP_BYTES].decode("utf-8-sig", "replace")
    if "<" not in text[:4096]:  # sitemaps.org also has plain text, an address a line
        return False, [row.strip() for row in text.splitlines()[:SITEMAP_URLS] if row.strip().startswith("http")]
    found: list[str] = []
    for match in _LOC.finditer(text):
        found.append(html.unescape(match[1].strip()))
        if len(found) >= SITEMAP_URLS:
            break
    return "<sitemapindex" in text[:4096].lower(), found


def hosts_of(seeds: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Seeds by host: [(host, its seeds)], both sorted. ValueError names a seed that is no http(s) address."""
    by_host: dict[str, set[str]] = {}
    for seed in seeds:
        try:
            target = parse(seed.split("#", 1)[0])
        except Refused as fault:
            raise ValueError(f"seed {seed!r}: {fault}; give http or https addresses") from None
        by_host.setdefault(target.netloc.lower(), set()).add(target.url)
    return [(host, sorted(urls)) for host, urls in sorted(by_host.items())]
