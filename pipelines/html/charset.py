"""Bytes to text as browsers do: byte order mark, then the header, then the page's own meta, then a guess by the bytes.

Source: WHATWG HTML §13.2.3.2 "Determining the character encoding"; resiliparse has the Encoding Standard's labels.
"""

import codecs
import re
from functools import lru_cache

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

PRESCAN = 4096  # bytes that are searched for a meta declaration: the standard says 1024, but many pages have it later

# the Encoding Standard's names mean the wider Windows tables
_WIDER = {
    "shift_jis": "cp932", "euc_kr": "cp949", "gbk": "gb18030", "gb2312": "gb18030", "iso8859-11": "cp874",
    "big5": "big5hkscs",
}  # fmt: skip
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_META = re.compile(rb"<meta[^>]{0,500}?charset\s*=\s*[\"']?\s*([A-Za-z0-9._:-]{2,40})", re.I)
_XML = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._:-]{2,40})", re.I)
_HEADER = re.compile(r"charset\s*=\s*[\"']?\s*([A-Za-z0-9._:-]{2,40})", re.I)
_COMMENT = re.compile(rb"<!--.*?-->", re.S)


@lru_cache(maxsize=1024)
def codec(label: str) -> str | None:
    """Python's codec for a label, by the Encoding Standard (`latin1` is windows-1252); None for an unknown label."""
    try:
        name = codecs.lookup(map_encoding_to_html5(label.strip().lower(), fallback_utf8=False) or "").name
    except (ValueError, LookupError):
        return None
    return _WIDER.get(name, name)


def to_utf8(html: bytes, content_type: str | None = None) -> bytes:
    """The page in UTF-8, without a byte order mark. Bytes that its encoding does not have become U+FFFD."""
    for bom, name in _BOMS:
        if html.startswith(bom):
            body = html[len(bom) :]
            return body if name == "utf-8" else body.decode(name, "replace").encode("utf-8", "replace")
    name = _declared(html, content_type) or ""
    if name in ("utf-8", "ascii", ""):
        if _is_utf8(html) or (name == "utf-8" and _mostly_utf8(html)):
            return html  # the parser writes U+FFFD for a wrong byte, as browsers do
        name = codec(detect_encoding(html[:65536]) or "") or "cp1252"
        if name == "utf-8":
            return html
    elif name.startswith("utf-16"):
        return html  # §13.2.3.2: a meta element that was read as ASCII is wrong to say UTF-16
    return html.decode(name, "replace").encode("utf-8", "replace")


def _declared(html: bytes, content_type: str | None) -> str | None:
    if content_type and (m := _HEADER.search(content_type)) and (name := codec(m[1])):
        return name
    head = html[:PRESCAN]
    if b"<!--" in head:
        head = _COMMENT.sub(b"", head)
    if (found := _META.search(head)) or (found := _XML.search(head)):
        return codec(found[1].decode("ascii"))
    return None


def _is_utf8(html: bytes) -> bool:
    try:
        return html.isascii() or bool(html.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def _mostly_utf8(html: bytes) -> bool:
    """Whether at most one in a hundred of the non-ASCII characters of a page that declares UTF-8 is wrong."""
    text = html.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    return wrong * 100 <= len(html) - len(text) + wrong
