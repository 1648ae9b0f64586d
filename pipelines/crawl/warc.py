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
from typing import Any

import fsspec

#: bytes of a payload, stored or decoded, that are taken
MAX_PAYLOAD = 64 << 20
MAX_HEADERS = 1 << 20
CHUNK = 1 << 18

#: why a record was refused
REASONS = ("warc_truncated", "warc_corrupt", "warc_header", "record_too_large", "bad_encoding")

_MAGIC = b"\x1f\x8b\x08"
_RECORD_START = re.compile(rb"(?:^|\n)(WARC/[01]\.\d+\r?\n)")
_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")


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


class _Broken(Exception):
    """The data cannot be read on; ``args[0]`` is the reason."""


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
    return [(a, b - a) for a, b in zip(bounds, bounds[1:], strict=False)]


# --- streams: the bytes of one gzip member, or of a plain file -------------------------------------------------------


class _Bytes:
    """What the record parser reads from: ``fill`` appends more bytes to ``buffer`` and answers False at the end."""

    def __init__(self) -> None:
        self.buffer = bytearray()

    def fill(self) -> bool:
        raise NotImplementedError

    def take(self, n: int) -> bytes:
        """Exactly ``n`` bytes; fewer raise."""
        while len(self.buffer) < n:
            if not self.fill():
                raise _Broken("warc_truncated")
        out = bytes(self.buffer[:n])
        del self.buffer[:n]
        return out

    def skip(self, n: int) -> None:
        while n > 0:
            if not self.buffer and not self.fill():
                raise _Broken("warc_truncated")
            step = min(n, len(self.buffer))
            del self.buffer[:step]
            n -= step

    def head(self) -> bytes | None:
        """The header block of the next record, with its blank line; None where only line ends are left."""
        while True:
            while self.buffer and self.buffer[0] in b"\r\n":
                del self.buffer[: len(self.buffer) - len(self.buffer.lstrip(b"\r\n"))]
            if self.buffer:
                break
            if not self.fill():
                return None
        start = 0
        while (m := _END_OF_HEADERS.search(self.buffer, start)) is None:
            if len(self.buffer) > MAX_HEADERS:
                raise _Broken("warc_header")
            start = max(0, len(self.buffer) - 4)
            if not self.fill():
                raise _Broken("warc_truncated")
        out = bytes(self.buffer[: m.end()])
        if not out.startswith(b"WARC/"):
            raise _Broken("warc_header")
        del self.buffer[: m.end()]
        return out


class _Member(_Bytes):
    """One gzip member of ``f``; ``rest`` is what was read behind its end, ``used`` its compressed bytes once it has ended."""

    def __init__(self, f: Any, first: bytes) -> None:
        super().__init__()
        self.f = f
        self.read = len(first)
        self.pending = first
        self.inflate = zlib.decompressobj(31)

    def fill(self) -> bool:
        if self.inflate.eof:
            return False
        if not self.pending:
            self.pending = self.f.read(CHUNK)
            self.read += len(self.pending)
            if not self.pending:
                raise _Broken("warc_truncated")
        try:
            self.buffer += self.inflate.decompress(self.pending, CHUNK * 4)
        except zlib.error as e:
            raise _Broken("warc_corrupt") from e
        self.pending = self.inflate.unconsumed_tail
        return True

    @property
    def rest(self) -> bytes:
        return self.inflate.unused_data

    @property
    def used(self) -> int:
        return self.read - len(self.inflate.unused_data if self.inflate.eof else self.pending)


class _Plain(_Bytes):
    """A plain file from where it stands; ``place`` is the file offset of the buffer's first byte."""

    def __init__(self, f: Any, place: int) -> None:
        super().__init__()
        self.f = f
        self.read_to = place

    def fill(self) -> bool:
        data = self.f.read(CHUNK)
        self.buffer += data
        self.read_to += len(data)
        return bool(data)

    @property
    def place(self) -> int:
        return self.read_to - len(self.buffer)


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
        member = _Member(f, rest)
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
        except _Broken as e:
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
        stream = _Plain(f, start)
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
        except _Broken as e:
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
            end = _END_OF_HEADERS.search(ahead)
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


def _read(stream: _Bytes, head: bytes) -> Record | Refusal | None:
    """The record whose headers were just read; None for a type that is none of ours."""
    _, warc = _headers(head)
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
    except _Broken as e:
        raise _broken(e.args[0], url) from e
    status, http, payload = 200, {"content-type": warc.get("content-type", "")}, block
    if kind == "response":
        if not block.startswith(b"HTTP/"):  # a name server's answer
            return None
        end = _END_OF_HEADERS.search(block)
        first, http = _headers(block[: end.end()] if end else block)
        payload = block[end.end() :] if end else b""
        words = first.split(None, 2)
        status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        decoded = _decoded(payload, http)
        if decoded is None:
            return Refusal("bad_encoding", 0, 0, url)
        payload = decoded
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


def _broken(reason: str, url: str) -> _Broken:
    e = _Broken(reason)
    e.url = url or None  # type: ignore[attr-defined]
    return e


def _headers(block: bytes) -> tuple[str, dict[str, str]]:
    """First line and fields of a header block; folded lines joined, names in lower case, repeated fields joined by a comma."""
    try:
        text = block.decode("utf-8")
    except UnicodeDecodeError:
        text = block.decode("latin-1")
    lines = text.split("\n")
    fields: dict[str, str] = {}
    name = ""
    for line in lines[1:]:
        if line[:1] in (" ", "\t"):
            if name:
                fields[name] += " " + line.strip()
            continue
        key, colon, value = line.partition(":")
        name = key.strip().lower() if colon else ""
        if name:
            fields[name] = f"{fields[name]}, {value.strip()}" if name in fields else value.strip()
    return lines[0].strip(), fields


def _time(value: str) -> datetime | None:
    try:
        out = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return out.replace(tzinfo=UTC) if out.tzinfo is None else out.astimezone(UTC)


def _decoded(payload: bytes, http: Mapping[str, str]) -> bytes | None:
    """Undo chunks and content encodings. Archives often keep the headers of an encoding they have undone: data that is not encoded
    as stated is taken as it is. None where it is encoded, and broken from its start."""
    if "chunked" in http.get("transfer-encoding", "").lower():
        payload = _unchunked(payload)
    for coding in reversed([c.strip().lower() for c in http.get("content-encoding", "").split(",")]):
        if coding in ("gzip", "x-gzip", "deflate"):
            if payload[:2] == b"\x1f\x8b":
                out = _inflated(payload, 31)
            elif coding == "deflate" and (payload[:1] == b"\x78" or payload[:64].lstrip()[:1] not in b"<{%"):
                out = _inflated(payload, 15) or _inflated(payload, -15)
            else:
                continue
            if not out and payload:
                return None
            payload = out
        elif coding in ("br", "zstd"):
            if payload[:64].lstrip().lower().startswith((b"<!", b"<h", b"<?", b"%pdf")):
                continue
            decoded = _brotli(payload) if coding == "br" else _zstd(payload)
            if decoded is None:
                return None
            payload = decoded
    return payload


def _unchunked(data: bytes) -> bytes:
    """RFC 9112 §7.1. Data that is not in chunks, or stops being so, is taken as it is from there on."""
    out: list[bytes] = []
    i = 0
    while i < len(data):
        end = data.find(b"\n", i, i + 1024)
        text = data[i : end if end >= 0 else i].split(b";")[0].strip()
        if not text or not re.fullmatch(rb"[0-9a-fA-F]{1,8}", text):
            return b"".join([*out, data[i:]])
        size = int(text, 16)
        if size == 0:
            break
        out.append(data[end + 1 : end + 1 + size])
        i = end + 1 + size
        i += 2 if data[i : i + 2] == b"\r\n" else data[i : i + 1] == b"\n"
    return b"".join(out)


def _inflated(data: bytes, wbits: int) -> bytes:
    """What inflates of ``data``, to MAX_PAYLOAD: a broken end costs the end."""
    inflate = zlib.decompressobj(wbits)
    out = bytearray()
    try:
        while data and not inflate.eof and len(out) < MAX_PAYLOAD:
            out += inflate.decompress(data, min(CHUNK * 4, MAX_PAYLOAD - len(out)))
            data = inflate.unconsumed_tail
    except zlib.error:
        return bytes(out)
    return bytes(out)


def _brotli(data: bytes) -> bytes | None:
    import brotli  # type: ignore[import-not-found,import-untyped,unused-ignore]

    try:
        out: bytes = brotli.decompress(data)
    except brotli.error:
        return None
    return out[:MAX_PAYLOAD]


def _zstd(data: bytes) -> bytes | None:
    import zstandard  # type: ignore[import-not-found,import-untyped,unused-ignore]

    try:
        out: bytes = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    except zstandard.ZstdError:
        return None
    return out[:MAX_PAYLOAD]
