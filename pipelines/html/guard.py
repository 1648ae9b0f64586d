"""Bounds on hostile pages, applied to the bytes before the parser sees them.

HTML parsing is quadratic in places the standard asks for: the depth of the open elements (a ``<div>`` looks up the
whole stack for an open ``<p>``), unclosed formatting elements (each paragraph opens all of them again) and the
attributes of one tag (each is compared with all). Measured here with lexbor: 20,000 nested tags 0.8 s, 30,000
attributes 1.9 s, 2,000 unclosed ``<b id=..>`` 32 MB of tree. Ordinary pages pay two passes of vector code, about 50
microseconds; only suspicious ones are rewritten.
"""

from __future__ import annotations

import re

import numpy as np

#: bytes of a page that are read; Common Crawl itself cuts payloads at 5 MiB since 2025 (1 MiB before)
MAX_BYTES = 5 << 20
#: open elements that set the rewriting off, and how many a rewritten page may have (browsers stop at 512)
SUSPICIOUS_DEPTH = 2000
MAX_DEPTH = 256
#: bytes of one tag that make it suspicious, and the attributes it may then have
SUSPICIOUS_TAG = 32768
MAX_ATTRIBUTES = 1000

_VOID = frozenset(b"area base br col embed hr img input link meta param source track wbr keygen frame".split())
# an opening of these closes an open one of the same name
_CLOSING = frozenset((b"p", b"li", b"dt", b"dd", b"tr", b"td", b"th", b"option"))
_FORMATTING = frozenset(b"a b big code em font i nobr s small strike strong tt u".split())
_TAG = re.compile(rb"<(/?)([a-zA-Z][^\s/>\x00]{0,30})(?:[^>\"']|\"[^\"]*\"|'[^']*')*+>")
_RAW = re.compile(rb"(<!--.*?(?:-->|\Z)|<(script|style|textarea|title)\b.*?(?:</\2|\Z))", re.S | re.I)


def bounded(html: bytes) -> bytes:
    """The page, cut to MAX_BYTES, without what would make parsing it superlinear. Most pages come back as they are."""
    if len(html) > MAX_BYTES:
        html = html[:MAX_BYTES]
    if len(html) < SUSPICIOUS_TAG and len(html) <= 6 * SUSPICIOUS_DEPTH:  # too short for as many tags
        return html
    raw = np.frombuffer(html, np.uint8)
    opens = np.flatnonzero(raw[:-1] == 60)  # '<'
    many = len(opens) > 2 * SUSPICIOUS_DEPTH  # fewer cost milliseconds at worst
    if not len(opens):
        return html
    gaps = np.diff(opens, append=len(html))
    if int(gaps.max()) > SUSPICIOUS_TAG:
        html, changed = _without_long_tags(html, opens, gaps)
        if changed:
            raw = np.frombuffer(html, np.uint8)
            opens = np.flatnonzero(raw[:-1] == 60)
    if many and len(opens):
        after = raw[opens + 1]
        letter = ((after | 32) >= 97) & ((after | 32) <= 122)
        depth = np.cumsum(letter.astype(np.int8) - (after == 47).astype(np.int8), dtype=np.int32)
        # an opening without an end tag counts for ever here: pages of void tags look deep, and pass the rewriting
        # unharmed
        if int(depth.max()) > SUSPICIOUS_DEPTH:
            html = _flattened(html)
    return html


def _without_long_tags(html: bytes, opens: np.ndarray, gaps: np.ndarray) -> tuple[bytes, bool]:
    """Cut tags with more than MAX_ATTRIBUTES attributes down to their name."""
    pieces: list[bytes] = []
    last = 0
    for i in np.flatnonzero(gaps > SUSPICIOUS_TAG).tolist():
        start, stop = int(opens[i]), int(opens[i] + gaps[i])
        name = re.match(rb"<([a-zA-Z][a-zA-Z0-9-]{0,30})", html[start : start + 40])
        if name is None or name[1].lower() in (b"script", b"style", b"textarea", b"title", b"svg"):
            continue
        close = html.find(b">", start, stop)
        tag = html[start : close if close >= 0 else stop]
        quoted = html.count(b'="', start, stop) + html.count(b"='", start, stop)
        if quoted > MAX_ATTRIBUTES:  # quoted values may hold '>', so the tag may go on behind it
            pieces += [html[last:start], b"<" + name[1] + b">"]
            last = stop
        elif len(tag) > SUSPICIOUS_TAG and len(tag.split()) > MAX_ATTRIBUTES:
            pieces += [html[last:start], b"<" + name[1] + b">"]
            last = start + len(tag) + (close >= 0)
    if not pieces:
        return html, False
    return b"".join([*pieces, html[last:]]), True


def _flattened(html: bytes) -> bytes:
    """Leave out formatting tags, and openings deeper than MAX_DEPTH together with their ends."""
    html = _RAW.sub(b"", html)
    stack: list[bytes] = []
    refused: dict[bytes, int] = {}

    def keep(tag: re.Match[bytes]) -> bytes:
        name = tag[2].lower()
        if name in _VOID:
            return tag[0]
        if name in _FORMATTING:
            return b" "
        if tag[1]:
            if refused.get(name):
                refused[name] -= 1
                return b" "
            if name in stack[-32:]:
                while stack.pop() != name:
                    pass
            return tag[0]
        if len(stack) >= MAX_DEPTH:
            if name == b"p":
                return tag[0]  # a paragraph closes the one before: it adds one level, once
            refused[name] = refused.get(name, 0) + 1
            return b" "
        if stack and stack[-1] == name and name in _CLOSING:
            return tag[0]
        stack.append(name)
        return tag[0]

    return _TAG.sub(keep, html)
