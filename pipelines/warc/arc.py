"""ARC files, version 1 and 2: what archives wrote before WARC (Internet Archive, "Arc File Format", 1996; Common Crawl
until 2012).

A record is one line (address, IP, date of 14 digits, media type, in version 2 five more fields, length in bytes), that
many bytes as they came from the network, and a line end. The first record, ``filedesc://``, describes the file. A
``.arc.gz`` compresses each record as a gzip member.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipelines.warc.bytestream import BrokenError, ByteStream

SIGN = b"filedesc://"
MAX_LINE = 1 << 16

# addresses with blanks in them were written as they came
_LINE = re.compile(
    rb"(\S[^\r\n]*?) (\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]+) (\d{8,14}) ([^\r\n]*?) ?(\d{1,15})\r?\n"
)
START = re.compile(rb"(?:^|\n)(" + _LINE.pattern + rb")")


@dataclass(frozen=True)
class Line:
    """The line a record begins with. ``date``: ISO 8601; ``mime``: as the server stated it, of version 2 the fields
    behind it, too.
    """

    url: str
    date: str
    mime: str
    length: int


def head(stream: ByteStream) -> bytes | None:
    """The line of the next record, with its end; None where only line ends are left. Raises BrokenError."""
    while True:
        while stream.buffer and stream.buffer[0] in b"\r\n":
            del stream.buffer[: len(stream.buffer) - len(stream.buffer.lstrip(b"\r\n"))]
        if stream.buffer:
            break
        if not stream.fill():
            return None
    while (end := stream.buffer.find(b"\n")) < 0:
        if len(stream.buffer) > MAX_LINE:
            raise BrokenError("warc_header")
        if not stream.fill():
            raise BrokenError("warc_truncated")
    out = bytes(stream.buffer[: end + 1])
    if _LINE.fullmatch(out) is None:
        raise BrokenError("warc_header")
    del stream.buffer[: end + 1]
    return out


def parse(line: bytes) -> Line:
    """What a line that `head` answered says."""
    m = _LINE.fullmatch(line)
    assert m is not None
    url, date, mime, length = (m[i].decode("utf-8", "replace") for i in (1, 3, 4, 5))
    digits = date + "00000101000000"[len(date) :]
    when = f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}T{digits[8:10]}:{digits[10:12]}:{digits[12:14]}"
    return Line(url, when, mime.split(" ")[0], int(length))


def begins(data: bytes) -> bool:
    """Whether inflated data begins with a record."""
    return data.startswith(SIGN) or _LINE.match(data) is not None


def starts(ahead: bytes) -> bool:
    """Whether a record begins here, and not a line of a page that reads like one: an address of a kind that archives
    hold.
    """
    return ahead.startswith((b"http://", b"https://", b"filedesc://", b"dns:"))
