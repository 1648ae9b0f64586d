"""An answer of the sample web to one request: status, headers, body, and the way in which the body is sent."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

#: plain: as usual; short: Content-Length is larger than the body; drip: a few bytes a second; hang: no headers arrive;
#: reset: the connection is closed with a reset
Manner = Literal["plain", "short", "drip", "hang", "reset"]


@dataclass(frozen=True)
class Answer:
    status: int
    mime: str
    body: bytes
    kind: str  # for the statistics: page, image, pdf, robots, sitemap, index, style, missing, redirect, odd
    headers: Mapping[str, str] = field(default_factory=dict)
    manner: Manner = "plain"

    @property
    def etag(self) -> str:
        return '"' + hashlib.blake2b(self.body, digest_size=8).hexdigest() + '"'


Maker = Callable[[], Answer]

HTML = "text/html; charset=utf-8"


def page(text: str) -> Answer:
    return Answer(200, HTML, text.encode(), "page")


def redirect(to: str, status: int = 302) -> Answer:
    return Answer(status, HTML, b"", "redirect", {"Location": to})


def failure(status: int, words: str, headers: Mapping[str, str] | None = None) -> Answer:
    text = "<p>The page you asked for is not to be had here.</p>"
    body = f"<!doctype html><title>{status} {words}</title><h1>{words}</h1>{text}"
    return Answer(status, HTML, body.encode(), "missing", headers or {})
