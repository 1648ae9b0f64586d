"""One record of an archive: a page as it was fetched, or the reason why it cannot be read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pipelines.warc import arc
from pipelines.warc.bytestream import END_OF_HEADERS, BrokenError, ByteStream
from pipelines.warc.message import MAX_PAYLOAD, decode_payload, parse_headers

#: why a record was refused
REASONS = ("warc_truncated", "warc_corrupt", "warc_header", "record_too_large", "bad_encoding")
MAX_HEADERS = 1 << 20


@dataclass(frozen=True, slots=True)
class Record:
    """One response or resource."""

    url: str
    fetched_at: datetime | None
    mime: str  # of the response, lower case, without parameters; empty where it states none
    status: int  # HTTP status; 200 for a resource record
    payload: bytes  # transfer and content codings undone
    headers: Mapping[str, str]  # HTTP headers, names in lower case, repeated ones joined by ", "
    offset: int  # with `length`: the record's bytes in the file as stored, compressed where the file is
    length: int
    truncated: str | None = None  # the WARC-Truncated field: length, time, disconnect, unspecified

    @property
    def ok(self) -> bool:
        """Whether the response is a success that carries a page."""
        return 200 <= self.status < 300

    @property
    def content_type(self) -> str | None:
        """The Content-Type header as sent."""
        return self.headers.get("content-type")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A place where a file is broken. ``reason``: one of REASONS. ``url``: of the record, where it could be read."""

    reason: str
    offset: int
    length: int
    url: str | None = None


def read_warc_head(stream: ByteStream) -> bytes | None:
    """The header block of the next record; None where only line ends are left. Raises BrokenError."""
    return stream.head(END_OF_HEADERS, MAX_HEADERS, lambda block: block.startswith(b"WARC/"))


def read_warc(stream: ByteStream, head: bytes) -> Record | Refusal | None:
    """The record behind its headers; None for a record of another type (request, metadata, revisit, ...)."""
    _, fields = parse_headers(head)
    url = fields.get("warc-target-uri", "").strip("<>")
    kind = fields.get("warc-type", "").lower()
    length = fields.get("content-length", "")
    if not length.isdigit():
        raise BrokenError("warc_header", url)
    web = kind == "resource" and url.startswith(("http://", "https://"))
    block = _block(stream, int(length), url, kind == "response" or web)
    if not isinstance(block, bytes):
        return block
    if kind == "response" and not block.startswith(b"HTTP/"):  # the answer of a name server
        return None
    mime, date = fields.get("content-type", ""), fields.get("warc-date", "")
    return _record(url, block, kind == "response", date, mime, fields.get("warc-truncated"))


def read_arc(stream: ByteStream, head: bytes) -> Record | Refusal | None:
    """The record behind its first line; None for what is no page. The oldest files have bodies without HTTP headers."""
    url, date, mime, length = arc.parse(head)
    block = _block(stream, length, url, url.startswith(("http://", "https://")))
    if not isinstance(block, bytes):
        return block
    return _record(url, block, block.startswith(b"HTTP/"), date, mime, None)


def _block(stream: ByteStream, size: int, url: str, is_page: bool) -> bytes | Refusal | None:
    """The record's bytes. Those of a record that is too large, or no page, are skipped."""
    try:
        if is_page and size <= MAX_PAYLOAD:
            return stream.take(size)
        stream.skip(size)
    except BrokenError as error:
        raise BrokenError(error.reason, url) from error
    return Refusal("record_too_large", 0, 0, url) if is_page else None


def _record(url: str, block: bytes, is_message: bool, date: str, mime: str, truncated: str | None) -> Record | Refusal:
    """The record of a block: an HTTP message, or else a body of type ``mime``."""
    status, headers, payload = 200, {"content-type": mime}, block
    if is_message:
        end = END_OF_HEADERS.search(block)
        first, headers = parse_headers(block[: end.end()] if end else block)
        words = first.split(None, 2)
        status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        decoded = decode_payload(block[end.end() :] if end else b"", headers)
        if decoded is None:
            return Refusal("bad_encoding", 0, 0, url)
        payload = decoded
    mime = headers.get("content-type", "").split(";")[0].split(",")[0].strip().lower()
    return Record(url, _time(date), mime, status, payload, headers, 0, 0, truncated)


def _time(value: str) -> datetime | None:
    try:
        out = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return out.replace(tzinfo=UTC) if out.tzinfo is None else out.astimezone(UTC)
