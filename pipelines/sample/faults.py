"""The faults of the sample web: what is wrong, where, and what the ledger should say about it.

One row a fault; ``urls`` are all the addresses that have it, so ``count`` rows of the ledger carry ``reason`` for these
addresses. A reason of ``kept`` says that the address must come through although it looks like trouble. Image reasons
are those of manifests.schema.STATUSES and, from ``side_min_low`` on, of the image rules; document reasons name a score
and the side of the limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipelines.sample.articles import BADGE, library, standing_urls

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


def _broken(*names: str) -> tuple[str, ...]:
    return tuple(f"http://corner.example/broken/{n}" for n in names)


def _odd(*names: str) -> tuple[str, ...]:
    return tuple(f"http://corner.example/odd/{n}.html" for n in names)


def _paper(*names: str) -> tuple[str, ...]:
    return tuple(f"http://papers.example/pdf/{n}.pdf" for n in names)


IMAGE_FAULTS = (
    Fault("dead link", "image", "http_404", _broken("missing-1.jpg", "missing-2.jpg", "missing-3.jpg")),
    Fault("taken away", "image", "http_410", _broken("gone-1.jpg", "gone-2.jpg")),
    Fault("not for us", "image", "http_403", _broken("forbidden-1.jpg")),
    Fault("broken server", "image", "http_5xx", _broken("error-1.jpg")),
    Fault("too many requests", "image", "http_429", _broken("busy-1.jpg")),
    Fault("endless redirect", "image", "redirects", _broken("endless-1.jpg")),
    Fault("redirect to a private address", "image", "private_address", _broken("private-1.jpg")),
    Fault("literal private address", "image", "private_address", ("http://192.168.0.7/camera.jpg",)),
    Fault("HTML sent as an image", "image", "not_image", _broken("page-1.jpg", "page-2.jpg")),
    Fault("SVG sent as a JPEG", "image", "not_image", _broken("drawing-1.jpg")),
    Fault("empty body", "image", "empty", _broken("nothing-1.jpg")),
    Fault("half a JPEG", "image", "truncated", _broken("half-1.jpg")),
    Fault("body shorter than announced", "image", "truncated", _broken("short-1.jpg")),
    Fault("decompression bomb", "image", "too_many_pixels", _broken("bomb-1.png")),
    Fault("too many bytes", "image", "too_large", _broken("huge-1.jpg")),
    Fault("garbage inside", "image", "undecodable", _broken("garbage-1.png")),
    Fault("X-Robots-Tag: noai", "image", "optout", _broken("reserved-1.jpg", "reserved-2.jpg")),
    Fault("slow drip", "image", "timeout", _broken("drip-1.jpg")),
    Fault("hang", "image", "timeout", _broken("hang-1.jpg")),
    Fault("connection reset", "image", "refused", _broken("reset-1.jpg")),
    Fault(
        "forbidden by robots.txt",
        "image",
        "robots",
        ("http://closed.example/pictures/vault-1.jpg", "http://closed.example/pictures/vault-2.jpg"),
    ),
    Fault("tracking pixel", "image", "side_min_low", _broken("dot-1.png")),
    Fault("banner", "image", "aspect_high", _broken("banner-1.png")),
    Fault("animated GIF", "image", "format", _broken("dance-1.gif")),
    Fault("redirect chain that works", "image", "kept", _broken("moved-1.jpg")),
    Fault("image without a type", "image", "kept", _broken("untyped-1.jpg")),
    Fault("image said to be HTML", "image", "kept", _broken("liar-1.jpg")),
)

DOCUMENT_FAULTS = (
    Fault("no image", "document", "images_low", _odd("no-pictures")),
    Fault("more than 30 images", "document", "images_high", _odd("wall-of-pictures")),
    Fault("too few words", "document", "words_low", _odd("three-words")),
    Fault("too many words", "document", "words_high", _odd("long-read")),
    Fault("German", "document", "language", _odd("leuchtturm")),
    Fault("French", "document", "language", _odd("le-marche")),
    Fault("one phrase again and again", "document", "char_repetition_high", _odd("echo")),
    Fault("sentences repeated", "document", "word_repetition_high", _odd("chorus")),
    Fault("a list of key words", "document", "stop_words_low", _odd("keywords")),
    Fault("lorem ipsum", "document", "stop_words_low", _odd("lorem")),
    Fault("no full stops", "document", "punctuation_low", _odd("breathless")),
    Fault("figures and signs", "document", "special_characters_high", _odd("signs")),
    Fault("adult spam", "document", "flagged_words_high", _odd("spam")),
    Fault("meta robots noai", "document", "optout", _odd("please-do-not")),
    Fault("lazy images", "document", "kept", _odd("lazy")),
    Fault("picture and srcset", "document", "kept", _odd("responsive")),
    Fault("images in noscript", "document", "kept", _odd("noscript")),
    Fault("base href", "document", "kept", _odd("base")),
    Fault("windows-1252, declared", "document", "kept", _odd("old-letters")),
    Fault("windows-1252, declared as UTF-8", "document", "kept", _odd("wrong-letters")),
    Fault("deep nesting", "document", "kept", _odd("deep")),
    Fault("unclosed tags", "document", "kept", _odd("unclosed")),
    Fault("share and subscribe paragraph", "paragraph", "spam_words_high", _odd("please-share")),
    Fault("paragraph that every page repeats", "paragraph", "paragraph_repeated", standing_urls()),
)

#: the address by which a newsletter links to an article of the same host
CAMPAIGN = library()[0][30].url + "?utm_source=newsletter&utm_medium=email"

DEDUP_FAULTS = (
    Fault("mirror", "dedup", "duplicate_text", tuple(f"http://mirror.example/copy/{i}.html" for i in range(1, 5))),
    Fault("a few words changed", "dedup", "near_duplicate", _odd("nearly-1", "nearly-2", "nearly-3")),
    Fault("same page, campaign address", "dedup", "duplicate_url", (CAMPAIGN,)),
    Fault("in too many articles", "image", "uses_high", (BADGE.url,)),
)

PDF_FAULTS = (
    Fault("password", "pdf", "encrypted", _paper("locked-1", "locked-2")),
    Fault("cut off", "pdf", "corrupt", _paper("cut-1", "cut-2")),
)

CRAWL_FAULTS = (
    Fault("closed host", "crawl", "robots", ("http://closed.example/",)),
    Fault("closed folder", "crawl", "robots", ("http://riverlog.example/drafts/unfinished.html",)),
    Fault("dead page", "crawl", "http_404", ("http://corner.example/odd/nobody-home.html",)),
    Fault("page that is gone", "crawl", "http_410", ("http://corner.example/odd/demolished.html",)),
    Fault("page that has moved", "crawl", "redirects", _odd("old-address")),
    Fault("page redirects for ever", "crawl", "redirects", ("http://corner.example/odd/roundabout.html",)),
)

FAULTS: tuple[Fault, ...] = (*IMAGE_FAULTS, *DOCUMENT_FAULTS, *DEDUP_FAULTS, *PDF_FAULTS, *CRAWL_FAULTS)
