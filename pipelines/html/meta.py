"""What a page says of itself in its head: title, language, date, licence, base address, and whether it may be used."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin

from manifests.nodes import Page
from pipelines.html.urls import absolute, canonical

_LANG = re.compile(r"\s*([A-Za-z]{2,3})(?:[-_][A-Za-z0-9-_]*)?\s*\Z")
_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?!\d)")
_DATES = ("article:published_time", "datepublished", "og:published_time", "dc.date", "dc.date.issued", "dcterms.created", "date", "pubdate",
          "publishdate", "sailthru.date", "parsely-pub-date")  # fmt: skip
_TITLES = ("og:title", "twitter:title", "dc.title")
#: who a robots meta may address and mean us
_ROBOTS = frozenset(("robots", "googlebot", "google-extended", "ccbot", "gptbot", "anthropic-ai", "ai"))
#: directives that reserve a page or its images against training
DIRECTIVES = ("noai", "noimageai", "noml", "noimageindex")


def directives(value: str) -> list[str]:
    """Opt-out directives in a robots meta or an ``X-Robots-Tag`` header; an agent's name before a colon is skipped."""
    words = {word.rsplit(":", 1)[-1].strip() for word in re.split(r"[,;\s]+", value.lower())}
    return [name for name in DIRECTIVES if name in words]


def read(tree: Any, url: str, headers: Mapping[str, str], marked: bool = True) -> tuple[Page, str]:
    """``marked``: whether the source holds the word license at all.

    The page without its nodes, and the base address of its references (``<base href>``, else ``url``)."""
    page, base = Page(), url
    signals: list[str] = directives(headers.get("x-robots-tag", ""))
    if headers.get("tdm-reservation", "").strip() == "1":
        signals.append("tdm-reservation")
    root = tree.root
    if root is not None and root.tag == "html":
        attributes = root.attributes
        page.lang = language(attributes.get("lang") or attributes.get("xml:lang") or "")
    said: dict[str, str] = {}
    based = False
    license_link = None
    for node in _elements(tree):
        tag = node.tag
        if tag == "meta":
            attributes = node.attributes
            name = (
                attributes.get("name")
                or attributes.get("property")
                or attributes.get("itemprop")
                or attributes.get("http-equiv")
            )
            value = attributes.get("content")
            if name and value:
                name = name.strip().lower()
                if name in _ROBOTS:
                    signals += directives(value)
                elif name == "tdm-reservation" and value.strip() == "1":
                    signals.append("tdm-reservation")
                else:
                    said.setdefault(name, value)
        elif tag == "title":
            said.setdefault("title", node.text())
        elif tag == "base" and not based:
            href = node.attributes.get("href")
            if href:
                based = True
                base = _base(url, href)
        elif tag == "link" and license_link is None:
            attributes = node.attributes
            if "license" in (attributes.get("rel") or "").lower().split():
                license_link = attributes.get("href")
    if page.lang is None:
        page.lang = language(said.get("content-language") or said.get("og:locale") or said.get("dc.language") or "")
    page.title = _line(next((said[name] for name in (*_TITLES, "title") if said.get(name, "").strip()), ""))
    page.date = next((iso for name in _DATES if name in said and (iso := date(said[name]))), None)
    page.license = _license(tree, base, license_link, marked) or _line(
        said.get("dc.rights.license") or said.get("dcterms.license") or ""
    )
    page.optout = sorted(set(signals))
    return page, base


def _elements(tree: Any) -> Iterator[Any]:
    """The elements of the head; of the whole page where the head holds no title: a stray element ends a head early, and
    the rest of it
    lands in the body."""
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
    """The primary tag of a BCP 47 tag (or of several, the first), lower case; None where it is none."""
    m = _LANG.match(value.split(",")[0])
    tag = m[1].lower() if m else None
    return None if tag in ("und", "zxx", "mul", "xx") else tag


def date(value: str) -> str | None:
    """The day in an ISO 8601 date or date-time, as ``YYYY-MM-DD``."""
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
    if link is None and marked:
        found = tree.css_first("a[rel~=license]")
        link = found.attributes.get("href") if found is not None else None
    return (absolute(base, link) or canonical(link)) if link else None
