"""WARC and ARC files, record by record; what is broken costs itself, never what stands before or after it.

A WARC file is a row of records; a ``.warc.gz`` compresses each one as a gzip member of its own (ISO 28500:2017, annex
D). That is why a file can be cut anywhere without an index: a slice ``(offset, length)`` owns the records whose first
byte lies in it, and finds its first by looking for a gzip header that inflates to ``WARC/`` (in a plain file: a line
``WARC/1.x`` followed by WARC headers). The same search finds the next record behind a corrupt one. A gzip header inside
other compressed data that also inflates to ``WARC/`` does not occur by chance (2**-24 a byte for the three magic bytes
alone).

Memory is one record: payloads above MAX_PAYLOAD are skipped and refused.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import fsspec

from pipelines.warc import arc
from pipelines.warc.bytestream import CHUNK, END_OF_HEADERS, BrokenError, ByteStream, Member, Plain
from pipelines.warc.record import REASONS, Record, Refusal, read_arc, read_warc

__all__ = ["REASONS", "Record", "Refusal", "records", "slices"]

_MAGIC = b"\x1f\x8b\x08"
_RECORD_START = re.compile(rb"(?:^|\n)(WARC/[01]\.\d+\r?\n)")


def records(path: str, offset: int = 0, length: int | None = None) -> Iterator[Record | Refusal]:
    """The responses and resources of the slice ``[offset, offset + length)`` of a WARC or ARC file, plain or gzip, in
    file order.

    ``path``: local or anything fsspec opens. ``length`` None: to the end of the file. Other record types (request,
    metadata, revisit, ...) are passed over in silence. Raises OSError where the file itself cannot be opened or read.
    """
    with fsspec.open(path, "rb") as f:
        f.seek(0)
        head = f.read(512)
        stop = None if length is None else offset + length
        packed = head[:2] == _MAGIC[:2]
        named = path.lower().endswith((".arc", ".arc.gz"))
        layout = ARC if named or (_inflated(head, 11) if packed else head).startswith(arc.SIGN) else WARC
        yield from (_gzip_records if packed else _plain_records)(f, offset, stop, layout)


def slices(size: int, target: int = 64 << 20) -> list[tuple[int, int]]:
    """Cut a file of ``size`` bytes into slices ``(offset, length)`` of about ``target`` bytes, for ``records``."""
    n = max(1, round(size / target))
    bounds = [size * i // n for i in range(n + 1)]
    return [(a, b - a) for a, b in pairwise(bounds)]


# --- the two layouts --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """How records of a kind of file begin, and how one is read."""

    head: Callable[[ByteStream], bytes | None]
    read: Callable[[ByteStream, bytes], Record | Refusal | None]
    begins: Callable[[bytes], bool]  # whether the first bytes of an inflated member are a record's
    start: re.Pattern[bytes]  # group 1: what may be a record in a plain file
    starts: Callable[[bytes], bool]  # whether it is one, by what follows


def _gzip_records(f: Any, offset: int, stop: int | None, layout: Layout) -> Iterator[Record | Refusal]:
    start: int | None = 0 if offset == 0 else _next_member(f, offset, stop, layout)
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
            after = _next_member(f, start + 1, stop, layout)
            yield Refusal("warc_corrupt", start, (after or _end(f, stop)) - start)
            start, at = after, -1
            continue
        member = Member(f, rest)
        found: list[Record | Refusal] = []
        try:
            while True:
                head = layout.head(member)
                if head is None:
                    break
                if found:  # more than one record a member: hand on what stands complete
                    yield _placed(found.pop(), start, member.used)
                item = layout.read(member, head)
                if item is not None:
                    found.append(item)
        except BrokenError as e:
            if found:
                yield _placed(found.pop(), start, member.used)
            after = _next_member(f, start + (3 if e.args[0] == "warc_truncated" else 1), stop, layout)
            yield Refusal(e.args[0], start, (after or _end(f, stop)) - start, getattr(e, "url", None))
            start, at = after, -1
            continue
        if found:
            yield _placed(found.pop(), start, member.used)
        start += member.used
        rest = member.rest
        at = start + len(rest)


def _plain_records(f: Any, offset: int, stop: int | None, layout: Layout) -> Iterator[Record | Refusal]:
    start: int | None = 0 if offset == 0 else _next_plain(f, offset, stop, layout)
    while start is not None and (stop is None or start < stop):
        f.seek(start)
        stream = Plain(f, start)
        try:
            while True:
                head = layout.head(stream)
                if head is None:
                    return
                start = stream.place - len(head)
                if stop is not None and start >= stop:
                    return
                item = layout.read(stream, head)
                if item is not None:
                    yield _placed(item, start, stream.place - start)
        except BrokenError as e:
            start = max(start, stream.place) if e.args[0] == "warc_header" else start
            after = _next_plain(f, start + 1, stop, layout)
            yield Refusal(e.args[0], start, (after or _end(f, stop)) - start, getattr(e, "url", None))
            start = after


def _placed(item: Record | Refusal, offset: int, length: int) -> Record | Refusal:
    object.__setattr__(item, "offset", offset)
    object.__setattr__(item, "length", length)
    return item


def _end(f: Any, stop: int | None) -> int:
    size = int(f.seek(0, 2))
    return size if stop is None else min(size, stop)


def _next_member(f: Any, place: int, stop: int | None, layout: Layout) -> int | None:
    """The first gzip member at or behind ``place`` (and before ``stop``) that inflates to a record."""
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
            if layout.begins(_inflated(window[i : i + 4096], 1024)):
                return place + i
            begin = i + 1
        if final:
            return None
        keep = i if i >= 0 else max(len(window) - 2, begin)
        place += keep
        window = window[keep:]
        if stop is not None and place >= stop:
            return None


def _inflated(data: bytes, most: int) -> bytes:
    """The first bytes of what a gzip member holds; none where it is none."""
    try:
        return zlib.decompressobj(31).decompress(data, most)
    except zlib.error:
        return b""


def _next_plain(f: Any, place: int, stop: int | None, layout: Layout) -> int | None:
    """The first record at or behind ``place`` in a plain file."""
    back = min(place, 1)  # a record starts a line: look at the byte before
    place -= back
    f.seek(place)
    window = b""
    while True:
        data = f.read(CHUNK)
        window += data
        begin = 0
        while (m := layout.start.search(window, begin)) is not None:
            begin = m.start(1) + 1
            if stop is not None and place + m.start(1) >= stop:
                return None
            if m.start(1) == 0 and back:
                continue
            if data and len(window) - m.start(1) < 65536:
                begin = m.start()
                break  # its headers may not be read yet
            if layout.starts(window[m.start(1) : m.start(1) + 65536]):
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


def _is_warc_head(ahead: bytes) -> bool:
    """A version line that headers with a type and a length follow."""
    end = END_OF_HEADERS.search(ahead)
    return end is not None and b"\nwarc-type:" in (low := ahead[: end.end()].lower()) and b"\ncontent-length:" in low


WARC = Layout(ByteStream.head, read_warc, lambda data: data.startswith(b"WARC/"), _RECORD_START, _is_warc_head)
ARC = Layout(arc.head, read_arc, arc.begins, arc.START, arc.starts)
