"""One record of an archive: a page as it was fetched, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pipelines.warc import arc
from pipelines.warc.bytestream import END_OF_HEADERS, BrokenError, ByteStream
from pipelines.warc.message import MAX_PAYLOAD, decoded, headers

#: why a record was refused
REASONS = ("warc_truncated", "warc_corrupt", "warc_header", "record_too_large", "bad_encoding")


@dataclass(frozen=True, slots=True)
class Record:
    """One response (or resource). ``offset`` and ``length``: its bytes in the file as stored, compressed where the file
    is.
    """

    url: str
    fetched_at: datetime | None
    mime: str  # of the response, lower case, without parameters; empty where it states none
    status: int  # HTTP status; 200 for a resource record
    payload: bytes  # transfer and content encodings undone
    headers: Mapping[str, str]  # HTTP headers, names in lower case, repeated ones joined by ", "
    offset: int
    length: int
    truncated: str | None = None  # the WARC-Truncated field: length, time, disconnect, unspecified
    warc: Mapping[str, str] = field(default_factory=dict)  # WARC headers, names in lower case

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
    """Where a file is broken, and how: ``reason`` is one of REASONS. ``url`` is the record's, as far as it could be
    read.
    """

    reason: str
    offset: int
    length: int
    url: str | None = None


def read_warc(stream: ByteStream, head: bytes) -> Record | Refusal | None:
    """The record whose headers were just read; None for a type that is none of ours."""
    _, warc = headers(head)
    url = warc.get("warc-target-uri", "").strip().strip("<>")
    stated = warc.get("content-length", "").strip()
    if not stated.isdigit():
        raise _broken("warc_header", url)
    size = int(stated)
    kind = warc.get("warc-type", "").strip().lower()
    try:
        if kind != "response" and (kind != "resource" or not url.startswith(("http://", "https://"))):
            stream.skip(size)
            return None
        if size > MAX_PAYLOAD:
            stream.skip(size)
            return Refusal("record_too_large", 0, 0, url)
        block = stream.take(size)
    except BrokenError as e:
        raise _broken(e.args[0], url) from e
    if kind == "response" and not block.startswith(b"HTTP/"):  # a name server's answer
        return None
    return _made(url, block, kind == "response", warc.get("warc-date", ""), warc.get("content-type", ""), warc)


def read_arc(stream: ByteStream, head: bytes) -> Record | Refusal | None:
    """The record whose line was just read; None for what is no page. The oldest files hold bodies without HTTP headers."""
    line = arc.parse(head)
    try:
        if not line.url.startswith(("http://", "https://")):
            stream.skip(line.length)
            return None
        if line.length > MAX_PAYLOAD:
            stream.skip(line.length)
            return Refusal("record_too_large", 0, 0, line.url)
        block = stream.take(line.length)
    except BrokenError as e:
        raise _broken(e.args[0], line.url) from e
    return _made(line.url, block, block.startswith(b"HTTP/"), line.date, line.mime, {})


def _made(url: str, block: bytes, message: bool, date: str, mime: str, warc: Mapping[str, str]) -> Record | Refusal:
    """The record of a block: an HTTP message, or else a body of type ``mime``."""
    status, http, payload = 200, {"content-type": mime}, block
    if message:
        end = END_OF_HEADERS.search(block)
        first, http = headers(block[: end.end()] if end else block)
        payload = block[end.end() :] if end else b""
        words = first.split(None, 2)
        status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        plain = decoded(payload, http)
        if plain is None:
            return Refusal("bad_encoding", 0, 0, url)
        payload = plain
    return Record(
        url=url,
        fetched_at=_time(date),
        mime=http.get("content-type", "").split(";")[0].split(",")[0].strip().lower(),
        status=status,
        payload=payload,
        headers=http,
        offset=0,
        length=0,
        truncated=warc.get("warc-truncated"),
        warc=warc,
    )


def _broken(reason: str, url: str) -> BrokenError:
    e = BrokenError(reason)
    e.url = url or None  # type: ignore[attr-defined]
    return e


def _time(value: str) -> datetime | None:
    try:
        out = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return out.replace(tzinfo=UTC) if out.tzinfo is None else out.astimezone(UTC)
