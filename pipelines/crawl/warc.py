"""WARC files, record by record; what is broken costs itself, never what stands before or after it.

A WARC file is a row of records; a ``.warc.gz`` compresses each one as a gzip member of its own (ISO 28500:2017, annex D). That is why a
file can be cut anywhere without an index: a slice ``(offset, length)`` owns the records whose first byte lies in it, and finds its first by
looking for a gzip header that inflates to ``WARC/`` (in a plain file: a line ``WARC/1.x`` followed by WARC headers). The same search finds the
next record behind a corrupt one. A gzip header inside other compressed data that also inflates to ``WARC/`` does not occur by chance (2**-24
a byte for the three magic bytes alone).

Memory is one record: payloads above MAX_PAYLOAD are skipped and refused.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import fsspec

from pipelines.crawl.bytestream import CHUNK, END_OF_HEADERS, BrokenError, ByteStream, Member, Plain
from pipelines.crawl.message import MAX_PAYLOAD, decoded, headers

#: why a record was refused
REASONS = ("warc_truncated", "warc_corrupt", "warc_header", "record_too_large", "bad_encoding")

_MAGIC = b"\x1f\x8b\x08"
_RECORD_START = re.compile(rb"(?:^|\n)(WARC/[01]\.\d+\r?\n)")


@dataclass(frozen=True, slots=True)
class Record:
    """One response (or resource). ``offset`` and ``length``: its bytes in the file as stored, compressed where the file is."""

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
    """Where a file is broken, and how: ``reason`` is one of REASONS. ``url`` is the record's, as far as it could be read."""

    reason: str
    offset: int
    length: int
    url: str | None = None


def records(path: str, offset: int = 0, length: int | None = None) -> Iterator[Record | Refusal]:
    """The responses and resources of the slice ``[offset, offset + length)`` of a WARC file, plain or gzip, in file order.

    ``path``: local or anything fsspec opens. ``length`` None: to the end of the file. Other record types (request, metadata, revisit, ...)
    are passed over in silence. Raises OSError where the file itself cannot be opened or read.
    """
    with fsspec.open(path, "rb") as f:
        f.seek(0)
        head = f.read(3)
        stop = None if length is None else offset + length
        if head[:2] == _MAGIC[:2]:
            yield from _gzip_records(f, offset, stop)
        else:
            yield from _plain_records(f, offset, stop)


def slices(size: int, target: int = 64 << 20) -> list[tuple[int, int]]:
    """Cut a file of ``size`` bytes into slices ``(offset, length)`` of about ``target`` bytes, for ``records``."""
    n = max(1, round(size / target))
    bounds = [size * i // n for i in range(n + 1)]
    return [(a, b - a) for a, b in pairwise(bounds)]


# --- the two layouts --------------------------------------------------------------------------------------------------


def _gzip_records(f: Any, offset: int, stop: int | None) -> Iterator[Record | Refusal]:
    start: int | None = 0 if offset == 0 else _next_member(f, offset, stop)
    rest = b""
    at = -1  # file position behind ``rest``
    while start is not None and (stop is None or start < stop):
        if at < 0:
            f.seek(start)
            rest, at = b"", start
        if not rest:
            rest = f.read(CHUNK)
            at += len(rest)
            if not rest:
                return
        if len(rest) < 3:
            more = f.read(CHUNK)
            rest += more
            at += len(more)
        if rest[:3] != _MAGIC:
            if not rest.strip(b"\0") and not f.read(1):  # padding
                return
            after = _next_member(f, start + 1, stop)
            yield Refusal("warc_corrupt", start, (after or _end(f, stop)) - start)
            start, at = after, -1
            continue
        member = Member(f, rest)
        found: list[Record | Refusal] = []
        try:
            while True:
                head = member.head()
                if head is None:
                    break
                if found:  # more than one record a member: hand on what stands complete
                    yield _placed(found.pop(), start, member.used)
                item = _read(member, head)
                if item is not None:
                    found.append(item)
        except BrokenError as e:
            if found:
                yield _placed(found.pop(), start, member.used)
            after = _next_member(f, start + 1, stop) if e.args[0] != "warc_truncated" else _next_member(f, start + 3, stop)
            yield Refusal(e.args[0], start, (after or _end(f, stop)) - start, getattr(e, "url", None))
            start, at = after, -1
            continue
        if found:
            yield _placed(found.pop(), start, member.used)
        start += member.used
        rest = member.rest
        at = start + len(rest)


def _plain_records(f: Any, offset: int, stop: int | None) -> Iterator[Record | Refusal]:
    start: int | None = 0 if offset == 0 else _next_plain(f, offset, stop)
    while start is not None and (stop is None or start < stop):
        f.seek(start)
        stream = Plain(f, start)
        try:
            while True:
                head = stream.head()
                if head is None:
                    return
                start = stream.place - len(head)
                if stop is not None and start >= stop:
                    return
                item = _read(stream, head)
                if item is not None:
                    yield _placed(item, start, stream.place - start)
        except BrokenError as e:
            start = max(start, stream.place) if e.args[0] == "warc_header" else start
            after = _next_plain(f, start + 1, stop)
            yield Refusal(e.args[0], start, (after or _end(f, stop)) - start, getattr(e, "url", None))
            start = after


def _placed(item: Record | Refusal, offset: int, length: int) -> Record | Refusal:
    object.__setattr__(item, "offset", offset)
    object.__setattr__(item, "length", length)
    return item


def _end(f: Any, stop: int | None) -> int:
    size = int(f.seek(0, 2))
    return size if stop is None else min(size, stop)


def _next_member(f: Any, place: int, stop: int | None) -> int | None:
    """The first gzip member at or behind ``place`` (and before ``stop``) that inflates to a WARC record."""
    f.seek(place)
    window = b""
    while True:
        data = f.read(CHUNK)
        if not data:
            final = True
        else:
            final = False
            window += data
        begin = 0
        while (i := window.find(_MAGIC, begin)) >= 0 and (final or i + 512 <= len(window)):
            if stop is not None and place + i >= stop:
                return None
            if _is_record(window[i : i + 4096]):
                return place + i
            begin = i + 1
        if final:
            return None
        keep = i if i >= 0 else max(len(window) - 2, begin)
        place += keep
        window = window[keep:]
        if stop is not None and place >= stop:
            return None


def _is_record(data: bytes) -> bool:
    try:
        return zlib.decompressobj(31).decompress(data, 5) == b"WARC/"
    except zlib.error:
        return False


def _next_plain(f: Any, place: int, stop: int | None) -> int | None:
    """The first record at or behind ``place`` in a plain file: a version line that headers with a type and a length follow."""
    back = min(place, 1)  # a record starts a line: look at the byte before
    place -= back
    f.seek(place)
    window = b""
    while True:
        data = f.read(CHUNK)
        window += data
        begin = 0
        while (m := _RECORD_START.search(window, begin)) is not None:
            begin = m.start(1) + 1
            if stop is not None and place + m.start(1) >= stop:
                return None
            if m.start(1) == 0 and back:
                continue
            if data and len(window) - m.start(1) < 65536:
                begin = m.start()
                break  # its headers may not be read yet
            ahead = window[m.start(1) : m.start(1) + 65536]
            end = END_OF_HEADERS.search(ahead)
            if end is not None and b"\nwarc-type:" in (low := ahead[: end.end()].lower()) and b"\ncontent-length:" in low:
                return place + m.start(1)
        if not data:
            return None
        keep = m.start() if m is not None else max(0, len(window) - 16)
        if keep:
            back = 0
        place += keep
        window = window[keep:]
        if stop is not None and place >= stop:
            return None


# --- one record -------------------------------------------------------------------------------------------------------


def _read(stream: ByteStream, head: bytes) -> Record | Refusal | None:
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
    status, http, payload = 200, {"content-type": warc.get("content-type", "")}, block
    if kind == "response":
        if not block.startswith(b"HTTP/"):  # a name server's answer
            return None
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
        fetched_at=_time(warc.get("warc-date", "")),
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


