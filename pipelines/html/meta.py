"""The facts in the head of a page: title, language, date, licence, base address, and opt-out signals."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin

from manifests.nodes import Page
from manifests.urls import canonical
from pipelines.html.urls import absolute

_LANG = re.compile(r"\s*([A-Za-z]{2,3})(?:[-_][A-Za-z0-9-_]*)?\s*\Z")
_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?!\d)")
_DATES = (
    "article:published_time", "datepublished", "og:published_time", "dc.date", "dc.date.issued", "dcterms.created",
    "date", "pubdate", "publishdate", "sailthru.date", "parsely-pub-date",
)  # fmt: skip
_TITLES = ("og:title", "twitter:title", "dc.title", "title")
#: names in a robots meta that include this crawler
_ROBOTS = frozenset(("robots", "googlebot", "google-extended", "ccbot", "gptbot", "anthropic-ai", "ai"))
#: directives that reserve a page or its images against training
DIRECTIVES = ("noai", "noimageai", "noml", "noimageindex")


def directives(value: str) -> list[str]:
    """Opt-out directives in a robots meta or an `X-Robots-Tag` header; an agent's name before a colon is skipped."""
    words = {word.rsplit(":", 1)[-1].strip() for word in re.split(r"[,;\s]+", value.lower())}
    return [name for name in DIRECTIVES if name in words]


def read(tree: Any, url: str, headers: Mapping[str, str], marked: bool = True) -> tuple[Page, str]:
    """The page without its nodes, and the base address of its references (`<base href>`, else `url`).

    headers: HTTP headers with lower-case names. marked: whether the source has the word "license" at all.
    """
    page, base = Page(), url
    signals = directives(headers.get("x-robots-tag", ""))
    if headers.get("tdm-reservation", "").strip() == "1":
        signals.append("tdm-reservation")
    root = tree.root
    if root is not None and root.tag == "html":
        page.lang = language(root.attributes.get("lang") or root.attributes.get("xml:lang") or "")
    facts: dict[str, str] = {}  # the first content of each meta, and the title
    based = False
    license_link = None
    for node in _elements(tree):
        tag = node.tag
        if tag == "meta":
            get = node.attributes.get
            name, value = get("name") or get("property") or get("itemprop") or get("http-equiv"), get("content")
            if name and value:
                name = name.strip().lower()
                if name in _ROBOTS:
                    signals += directives(value)
                elif name == "tdm-reservation" and value.strip() == "1":
                    signals.append("tdm-reservation")
                else:
                    facts.setdefault(name, value)
        elif tag == "title":
            facts.setdefault("title", node.text())
        elif tag == "base" and not based and (href := node.attributes.get("href")):
            based, base = True, _base(url, href)
        elif tag == "link" and license_link is None:
            rel = (node.attributes.get("rel") or "").lower().split()
            license_link = node.attributes.get("href") if "license" in rel else None
    if page.lang is None:
        page.lang = language(facts.get("content-language") or facts.get("og:locale") or facts.get("dc.language") or "")
    page.title = _line(next((facts[name] for name in _TITLES if facts.get(name, "").strip()), ""))
    page.date = next((iso for name in _DATES if name in facts and (iso := date(facts[name]))), None)
    page.license = _license(tree, base, license_link, marked)
    page.license = page.license or _line(facts.get("dc.rights.license") or facts.get("dcterms.license") or "")
    page.optout = sorted(set(signals))
    return page, base


def _elements(tree: Any) -> Iterator[Any]:
    """The elements of the head; also of the body where the head has no title: a stray element ends a head early."""
    if tree.head is None:
        return
    titled = False
    node = tree.head.first_child
    while node is not None:
        titled = titled or node.tag == "title"
        yield node
        node = node.next
    if not titled and tree.body is not None:
        yield from tree.body.css("meta,title,link,base")


def language(value: str) -> str | None:
    """The primary tag of the first BCP 47 tag in `value`, lower case; None where it is none."""
    m = _LANG.match(value.split(",")[0])
    tag = m[1].lower() if m else None
    return None if tag in ("und", "zxx", "mul", "xx") else tag


def date(value: str) -> str | None:
    """The day in an ISO 8601 date or date-time, as YYYY-MM-DD; None where there is none from 1990 to 2100."""
    m = _DATE.search(value)
    if m is None or not ("1990" <= m[1] <= "2100" and "01" <= m[2] <= "12" and "01" <= m[3] <= "31"):
        return None
    return f"{m[1]}-{m[2]}-{m[3]}"


def _line(text: str) -> str | None:
    return " ".join(text.split())[:1000] or None


def _base(url: str, href: str) -> str:
    try:
        joined = urljoin(url, href.strip())
    except ValueError:
        return url
    return joined if joined.startswith(("http://", "https://")) else url


def _license(tree: Any, base: str, link: str | None, marked: bool) -> str | None:
    if link is None and marked and (anchor := tree.css_first("a[rel~=license]")) is not None:
        link = anchor.attributes.get("href")
    return (absolute(base, link) or canonical(link)) if link else None
