"""WARC and ARC files, record by record. A broken record costs itself, never a record before or after it.

A WARC file is a sequence of records; a ``.warc.gz`` file compresses each record as a gzip member of its own (ISO
28500:2017, annex D). So a file can be cut anywhere without an index: a slice ``(offset, length)`` owns the records
whose first byte lies in it. The reader finds the first one by looking for a gzip header that inflates to ``WARC/`` (in
a plain file: a line ``WARC/1.x`` that WARC headers follow), and finds the record behind a corrupt one in the same way.
Other compressed data does not hold a gzip header that inflates to ``WARC/`` by chance (2**-24 a byte for the three
magic bytes alone).

Memory holds one record: payloads above MAX_PAYLOAD are skipped and refused.

warcio reads as fast (2,900 against 2,800 real pages a second on one core), but has no slices and stops at a corrupt
member.
"""

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import fsspec

from pipelines.warc import arc
from pipelines.warc.bytestream import CHUNK, END_OF_HEADERS, BrokenError, ByteStream, Member
from pipelines.warc.record import REASONS, Record, Refusal, read_arc, read_warc, read_warc_head

__all__ = ["REASONS", "Record", "Refusal", "records", "warc_slices"]

SLICE = 64 << 20  # bytes of a WARC file in one partition

_MAGIC = b"\x1f\x8b\x08"


def warc_slices(file: Mapping[str, Any], size: int = SLICE) -> list[dict[str, Any]]:
    """The slices of a WARC file, of at most ``size`` bytes: a row for each, with `offset` and `length` in bytes.

    file: a row with the file's `size` in bytes. Its columns (path, file, size, changed) stand in every slice.
    """
    starts = range(0, max(file["size"], 1), size)
    return [{**file, "offset": start, "length": min(size, file["size"] - start)} for start in starts]


def records(path: str, offset: int = 0, length: int | None = None) -> Iterator[Record | Refusal]:
    """The responses and resources of the slice ``[offset, offset + length)`` of a WARC or ARC file, in file order.

    path: a local file, or anything that fsspec opens; plain or gzip. length None: to the end of the file. Records of
    other types (request, metadata, revisit, ...) are left out without a row. Raises OSError where the file itself
    cannot be opened or read.
    """
    with fsspec.open(path, "rb") as file:
        head = file.read(512)
        stop = None if length is None else offset + length
        compressed = head[:2] == _MAGIC[:2]
        start = _inflated(head, len(arc.FIRST)) if compressed else head
        is_arc = path.lower().endswith((".arc", ".arc.gz")) or start.startswith(arc.FIRST)
        yield from (_gzip_records if compressed else _plain_records)(file, offset, stop, ARC if is_arc else WARC)


@dataclass(frozen=True)
class Layout:
    """How records of one kind of file begin, and how they are read."""

    read_head: Callable[[ByteStream], bytes | None]
    read: Callable[[ByteStream, bytes], Record | Refusal | None]
    is_member_start: Callable[[bytes], bool]  # whether the first bytes of an inflated member begin a record
    start: re.Pattern[bytes]  # what may begin a record in a plain file
    is_record_start: Callable[[bytes], bool]  # whether it does, by the bytes from there on


def _gzip_records(file: Any, offset: int, stop: int | None, layout: Layout) -> Iterator[Record | Refusal]:
    start: int | None = 0 if offset == 0 else _next_member(file, offset, stop, layout)
    rest: bytes | None = None  # bytes from `start` on that have been read; None: the file stands elsewhere
    while start is not None and (stop is None or start < stop):
        if rest is None:
            file.seek(start)
            rest = b""
        if len(rest) < len(_MAGIC):
            rest += file.read(CHUNK)
        if not rest:
            return
        item: Record | Refusal | None = None
        try:
            if not rest.startswith(_MAGIC):
                if not rest.strip(b"\0") and not file.read(1):  # padding
                    return
                raise BrokenError("warc_corrupt")
            member = Member(file, rest)
            while (head := layout.read_head(member)) is not None:
                if item is not None:  # several records in one member
                    yield replace(item, offset=start, length=member.length)
                    item = None
                item = layout.read(member, head)
        except BrokenError as error:
            if item is not None:
                yield replace(item, offset=start, length=member.length)
            skip = len(_MAGIC) if error.reason == "warc_truncated" else 1
            following = _next_member(file, start + skip, stop, layout)
            yield Refusal(error.reason, start, (following or _end(file, stop)) - start, error.url)
            start, rest = following, None
            continue
        if item is not None:
            yield replace(item, offset=start, length=member.length)
        start += member.length
        rest = member.rest


def _plain_records(file: Any, offset: int, stop: int | None, layout: Layout) -> Iterator[Record | Refusal]:
    start: int | None = 0 if offset == 0 else _next_plain(file, offset, stop, layout)
    while start is not None and (stop is None or start < stop):
        file.seek(start)
        stream = ByteStream(file, start)
        try:
            while (head := layout.read_head(stream)) is not None:
                start = stream.place - len(head)
                if stop is not None and start >= stop:
                    return
                item = layout.read(stream, head)
                if item is not None:
                    yield replace(item, offset=start, length=stream.place - start)
            return
        except BrokenError as error:
            if error.reason == "warc_header":
                start = max(start, stream.place)
            following = _next_plain(file, start + 1, stop, layout)
            yield Refusal(error.reason, start, (following or _end(file, stop)) - start, error.url)
            start = following


def _end(file: Any, stop: int | None) -> int:
    size = int(file.seek(0, 2))
    return size if stop is None else min(size, stop)


def _next_member(file: Any, place: int, stop: int | None, layout: Layout) -> int | None:
    """The offset of the first gzip member at or behind ``place`` that inflates to a record."""
    return _search(file, place, stop, _MEMBER, 4096, lambda data: layout.is_member_start(_inflated(data, 1024)))


def _next_plain(file: Any, place: int, stop: int | None, layout: Layout) -> int | None:
    """The offset of the first record at or behind ``place`` in a plain file."""
    return _search(file, place, stop, layout.start, 65_536, layout.is_record_start)


def _search(
    file: Any, place: int, stop: int | None, pattern: re.Pattern[bytes], ahead: int, accept: Callable[[bytes], bool]
) -> int | None:
    """The offset of the first match of ``pattern``, at or behind ``place`` and before ``stop``, that ``accept`` takes.

    accept: gets the ``ahead`` bytes from the match on, fewer at the end of the file.
    """
    base = max(place - 1, 0)  # the byte before is read too: a pattern may ask whether a line begins
    begin = place - base
    file.seek(base)
    window = b""
    while stop is None or base + begin < stop:
        data = file.read(CHUNK)
        window += data
        while match := pattern.search(window, begin):
            begin = match.start()
            if data and begin + ahead > len(window):
                break
            if stop is not None and base + begin >= stop:
                return None
            if accept(window[begin : begin + ahead]):
                return base + begin
            begin += 1
        if not data:
            return None
        if match is None:  # a match may begin in the last bytes, and end in the next ones
            begin = max(begin, len(window) - ahead)
        cut = max(begin - 1, 0)
        base, window, begin = base + cut, window[cut:], begin - cut
    return None


def _inflated(data: bytes, limit: int) -> bytes:
    """The first bytes of a gzip member's content; none where the data is not gzip."""
    try:
        return zlib.decompressobj(31).decompress(data, limit)
    except zlib.error:
        return b""


def _is_warc_start(data: bytes) -> bool:
    """Whether headers with a type and a length follow the version line."""
    end = END_OF_HEADERS.search(data)
    if end is None:
        return False
    head = data[: end.end()].lower()
    return b"\nwarc-type:" in head and b"\ncontent-length:" in head


_MEMBER = re.compile(re.escape(_MAGIC))
_WARC_START = re.compile(rb"(?<![^\n])WARC/[01]\.\d+\r?\n")
WARC = Layout(read_warc_head, read_warc, lambda data: data.startswith(b"WARC/"), _WARC_START, _is_warc_start)
ARC = Layout(arc.read_head, read_arc, arc.is_member_start, arc.START, arc.is_record_start)
