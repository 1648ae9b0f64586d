"""Bounds on hostile pages, applied to the bytes before the parser sees them.

The HTML standard makes parsing quadratic in three places: the depth of the open elements (a `<div>` searches the whole
stack for an open `<p>`), unclosed formatting elements (each paragraph opens all of them again) and the attributes of a
tag (each is compared with all others). Measured with lexbor: 20,000 nested tags take 0.8 s, 30,000 attributes 1.9 s,
2,000 unclosed `<b id=..>` make 32 MB of tree. Ordinary pages cost two passes of vector code, about 50 microseconds.
Only suspicious pages are rewritten.
"""

import re

import numpy as np

MAX_BYTES = 5 << 20  # bytes of a page that are read; Common Crawl cuts payloads at 5 MiB since 2025 (1 MiB before)
SUSPICIOUS_DEPTH = 2000  # open elements from which a page is rewritten
MAX_DEPTH = 256  # the most in a rewritten page (browsers stop at 512)
SUSPICIOUS_TAG = 32768  # bytes from which a tag is suspicious
MAX_ATTRIBUTES = 1000  # the most in a suspicious tag

_VOID = frozenset(b"area base br col embed hr img input link meta param source track wbr keygen frame".split())
# an opening of these closes an open one of the same name
_CLOSING = frozenset((b"p", b"li", b"dt", b"dd", b"tr", b"td", b"th", b"option"))
_FORMATTING = frozenset(b"a b big code em font i nobr s small strike strong tt u".split())
_TAG = re.compile(rb"<(/?)([a-zA-Z][^\s/>\x00]{0,30})(?:[^>\"']|\"[^\"]*\"|'[^']*')*+>")
_RAW = re.compile(rb"(<!--.*?(?:-->|\Z)|<(script|style|textarea|title)\b.*?(?:</\2|\Z))", re.S | re.I)


def bounded(html: bytes) -> bytes:
    """The page, cut to MAX_BYTES, without what would make its parsing superlinear. Most pages come back unchanged."""
    html = html[:MAX_BYTES]
    if len(html) < SUSPICIOUS_TAG and len(html) <= 6 * SUSPICIOUS_DEPTH:  # too short for as many tags
        return html
    opens = _opens(html)
    many = len(opens) > 2 * SUSPICIOUS_DEPTH  # fewer cost milliseconds at most
    gaps = np.diff(opens, append=len(html))
    if len(opens) and int(gaps.max()) > SUSPICIOUS_TAG:
        html = _without_long_tags(html, opens, gaps)
        opens = _opens(html)
    if many and len(opens):
        after = np.frombuffer(html, np.uint8)[opens + 1]
        letter = ((after | 32) >= 97) & ((after | 32) <= 122)
        depth = np.cumsum(letter.astype(np.int8) - (after == 47).astype(np.int8), dtype=np.int32)
        # tags without an end tag add up here, so a page of void tags looks deep; the rewriting does not change it
        if int(depth.max()) > SUSPICIOUS_DEPTH:
            html = _flattened(html)
    return html


def _opens(html: bytes) -> np.ndarray:
    """Offsets of `<`, but for a last byte."""
    return np.flatnonzero(np.frombuffer(html, np.uint8)[:-1] == 60)


def _without_long_tags(html: bytes, opens: np.ndarray, gaps: np.ndarray) -> bytes:
    """Cut tags with more than MAX_ATTRIBUTES attributes down to their name. gaps: bytes from each `<` to the next."""
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
            end = stop
        elif len(tag) > SUSPICIOUS_TAG and len(tag.split()) > MAX_ATTRIBUTES:
            end = start + len(tag) + (close >= 0)
        else:
            continue
        pieces += [html[last:start], b"<" + name[1] + b">"]
        last = end
    return b"".join([*pieces, html[last:]])


def _flattened(html: bytes) -> bytes:
    """Leave out formatting tags, and start tags deeper than MAX_DEPTH with their end tags."""
    html = _RAW.sub(b"", html)
    stack: list[bytes] = []
    refused: dict[bytes, int] = {}

    def keep(tag: re.Match[bytes]) -> bytes:
        name = tag[2].lower()
        if name in _VOID or name in _FORMATTING:
            return tag[0] if name in _VOID else b" "
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
                return tag[0]  # a paragraph closes the one before it, so all add one level
            refused[name] = refused.get(name, 0) + 1
            return b" "
        if stack and stack[-1] == name and name in _CLOSING:
            return tag[0]
        stack.append(name)
        return tag[0]

    return _TAG.sub(keep, html)
