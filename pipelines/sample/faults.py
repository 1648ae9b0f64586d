"""The faults of the sample web: what is wrong, where, and which reason the ledger must give.

One row a fault; `urls` are all the addresses that have it, so `count` rows of the ledger carry `reason` for these
addresses. The reason ``kept`` says that the address must come through although it looks broken. Image reasons are those
of `manifests.schema.STATUSES` and, from ``side_min_low`` on, of the image rules; document reasons name a score and the
side of the limit.
"""

from dataclasses import dataclass
from typing import Literal

from pipelines.sample.articles import BADGE, library

Level = Literal["image", "document", "paragraph", "dedup", "pdf", "crawl"]


@dataclass(frozen=True)
class Fault:
    name: str
    level: Level
    reason: str
    urls: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.urls)


def _image(name: str, reason: str, *files: str) -> Fault:
    return Fault(name, "image", reason, tuple(f"http://corner.example/broken/{f}" for f in files))


def _page(name: str, reason: str, *files: str, level: Level = "document") -> Fault:
    return Fault(name, level, reason, tuple(f"http://corner.example/odd/{f}.html" for f in files))


def _paper(name: str, reason: str, *files: str) -> Fault:
    return Fault(name, "pdf", reason, tuple(f"http://papers.example/pdf/{f}.pdf" for f in files))


_VAULT = ("http://closed.example/pictures/vault-1.jpg", "http://closed.example/pictures/vault-2.jpg")

_STANDING = tuple(a.url for a in library()[0] if a.topic.standing)  # the pages with their host's standing paragraph

IMAGE_FAULTS = (
    _image("dead link", "http_404", "missing-1.jpg", "missing-2.jpg", "missing-3.jpg"),
    _image("taken away", "http_410", "gone-1.jpg", "gone-2.jpg"),
    _image("not for us", "http_403", "forbidden-1.jpg"),
    _image("broken server", "http_5xx", "error-1.jpg"),
    _image("too many requests", "http_429", "busy-1.jpg"),
    _image("endless redirect", "redirects", "endless-1.jpg"),
    _image("redirect to a private address", "private_address", "private-1.jpg"),
    Fault("literal private address", "image", "private_address", ("http://192.168.0.7/camera.jpg",)),
    _image("HTML sent as an image", "not_image", "page-1.jpg", "page-2.jpg"),
    _image("SVG sent as a JPEG", "not_image", "drawing-1.jpg"),
    _image("empty body", "empty", "nothing-1.jpg"),
    _image("half a JPEG", "truncated", "half-1.jpg"),
    _image("body shorter than announced", "truncated", "short-1.jpg"),
    _image("decompression bomb", "too_many_pixels", "bomb-1.png"),
    _image("too many bytes", "too_large", "huge-1.jpg"),
    _image("garbage inside", "undecodable", "garbage-1.png"),
    _image("X-Robots-Tag: noai", "optout", "reserved-1.jpg", "reserved-2.jpg"),
    _image("slow drip", "timeout", "drip-1.jpg"),
    _image("hang", "timeout", "hang-1.jpg"),
    _image("connection reset", "refused", "reset-1.jpg"),
    Fault("forbidden by robots.txt", "image", "robots", _VAULT),
    _image("tracking pixel", "side_min_low", "dot-1.png"),
    _image("banner", "aspect_high", "banner-1.png"),
    _image("animated GIF", "format", "dance-1.gif"),
    _image("redirect chain that works", "kept", "moved-1.jpg"),
    _image("image without a type", "kept", "untyped-1.jpg"),
    _image("image said to be HTML", "kept", "liar-1.jpg"),
)

DOCUMENT_FAULTS = (
    _page("no image", "images_low", "no-pictures"),
    _page("more than 30 images", "images_high", "wall-of-pictures"),
    _page("too few words", "words_low", "three-words"),
    _page("too many words", "words_high", "long-read"),
    _page("German", "language", "leuchtturm"),
    _page("French", "language", "le-marche"),
    _page("one phrase again and again", "char_repetition_high", "echo"),
    _page("sentences repeated", "word_repetition_high", "chorus"),
    _page("a list of key words", "stop_words_low", "keywords"),
    _page("lorem ipsum", "stop_words_low", "lorem"),
    _page("no full stops", "punctuation_low", "breathless"),
    _page("figures and signs", "special_characters_high", "signs"),
    _page("adult spam", "flagged_words_high", "spam"),
    _page("meta robots noai", "optout", "please-do-not"),
    _page("lazy images", "kept", "lazy"),
    _page("picture and srcset", "kept", "responsive"),
    _page("images in noscript", "kept", "noscript"),
    _page("base href", "kept", "base"),
    _page("windows-1252, declared", "kept", "old-letters"),
    _page("windows-1252, declared as UTF-8", "kept", "wrong-letters"),
    _page("deep nesting", "kept", "deep"),
    _page("unclosed tags", "kept", "unclosed"),
    _page("share and subscribe paragraph", "spam_words_high", "please-share", level="paragraph"),
    Fault("paragraph that every page repeats", "paragraph", "paragraph_repeated", _STANDING),
)

#: the address by which a newsletter links to an article of the same host
CAMPAIGN = library()[0][30].url + "?utm_source=newsletter&utm_medium=email"

DEDUP_FAULTS = (
    Fault("mirror", "dedup", "duplicate_text", tuple(f"http://mirror.example/copy/{i}.html" for i in range(1, 5))),
    _page("a few words changed", "near_duplicate", "nearly-1", "nearly-2", "nearly-3", level="dedup"),
    Fault("same page, campaign address", "dedup", "duplicate_url", (CAMPAIGN,)),
    Fault("in too many articles", "image", "uses_high", (BADGE.url,)),
)

PDF_FAULTS = (_paper("password", "encrypted", "locked-1", "locked-2"), _paper("cut off", "corrupt", "cut-1", "cut-2"))

CRAWL_FAULTS = (
    Fault("closed host", "crawl", "robots", ("http://closed.example/",)),
    Fault("closed folder", "crawl", "robots", ("http://riverlog.example/drafts/unfinished.html",)),
    _page("dead page", "http_404", "nobody-home", level="crawl"),
    _page("page that is gone", "http_410", "demolished", level="crawl"),
    _page("page that has moved", "redirects", "old-address", level="crawl"),
    _page("page redirects for ever", "redirects", "roundabout", level="crawl"),
)

FAULTS: tuple[Fault, ...] = (*IMAGE_FAULTS, *DOCUMENT_FAULTS, *DEDUP_FAULTS, *PDF_FAULTS, *CRAWL_FAULTS)
