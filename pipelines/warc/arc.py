"""ARC files of version 1 and 2: the archive format before WARC (Internet Archive, "Arc File Format", 1996), which
Common Crawl wrote until 2012.

A record is one line (URL, IP address, date of 14 digits, media type, in version 2 five more fields, length in bytes),
that many bytes as they came from the network, and a line end. The first record, ``filedesc://``, describes the file.
A ``.arc.gz`` file compresses each record as a gzip member.
"""

import re

from pipelines.warc.bytestream import ByteStream

FIRST = b"filedesc://"  # a file begins with it
MAX_LINE = 1 << 16

# URLs with blanks in them were written without encoding
_LINE = re.compile(
    rb"(\S[^\r\n]*?) (\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]+) (\d{8,14}) ([^\r\n]*?) ?(\d{1,15})\r?\n"
)
_LINE_END = re.compile(rb"\n")
START = re.compile(rb"(?<![^\n])" + _LINE.pattern)


def read_head(stream: ByteStream) -> bytes | None:
    """The first line of the next record; None where only line ends are left. Raises BrokenError."""
    return stream.head(_LINE_END, MAX_LINE, _LINE.fullmatch)


def parse(line: bytes) -> tuple[str, str, str, int]:
    """-> (URL, date in ISO 8601, media type as the server stated it, bytes behind the line), of a line that `read_head`
    returned."""
    match = _LINE.fullmatch(line)
    assert match is not None
    url, date, mime, length = (match[i].decode("utf-8", "replace") for i in (1, 3, 4, 5))
    digits = date + "00000101000000"[len(date) :]  # a date without its time means midnight
    iso = f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}T{digits[8:10]}:{digits[10:12]}:{digits[12:14]}"
    return url, iso, mime.split(" ")[0], int(length)


def is_member_start(data: bytes) -> bool:
    """Whether the inflated bytes begin with a record."""
    return data.startswith(FIRST) or _LINE.match(data) is not None


def is_record_start(data: bytes) -> bool:
    """Whether a line that reads like a record's really is one, and not text of a page: by the scheme of its URL."""
    return data.startswith((b"http://", b"https://", FIRST, b"dns:"))
