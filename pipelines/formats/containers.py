"""Rows in JSON arrays, zip archives and tar archives, which are read from their beginning."""

import io
import json
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from copy import copy
from functools import partial
from tarfile import EmptyHeaderError, EOFHeaderError, HeaderError, ReadError  # type: ignore[attr-defined]
from typing import Any

from pipelines.formats.decompress import buffered, to_end
from pipelines.formats.lines import MAX_LINE, Lines, is_json, json_lines, json_object
from pipelines.formats.opened import BOM, of_contents

Row = dict[str, Any]

CHUNK = 1 << 20  # characters of a JSON array that are read at a time
_BETWEEN = " \t\r\n,["  # what stands before the first object of an array and between two objects


def json_rows(
    stream: io.BufferedReader, start: int | None = None, end: int | None = None
) -> Iterator[bytes | Row | str]:
    """JSON lines (not yet parsed), or the objects of an array; the first character tells which.

    start, end: offsets of the lines to read; all of them if None.
    """
    if start is None and is_array(stream):
        if stream.peek(len(BOM)).startswith(BOM):
            stream.read(len(BOM))
        # a byte that is no UTF-8 becomes a surrogate, which makes its row a bad one
        text = io.TextIOWrapper(stream, "utf-8", errors="surrogateescape")
        yield from _array(text)
        text.detach()  # leaves the stream open
    else:
        lines = Lines(stream, is_json)
        if start is not None and end is not None:
            lines.limit(start, end)
        yield from json_lines(lines)


def is_array(stream: io.BufferedReader) -> bool:
    """Whether JSON begins with a bracket. Nothing is consumed."""
    return stream.peek(1024).removeprefix(BOM).lstrip().startswith(b"[")


def _array(text: io.TextIOWrapper) -> Iterator[Row | str]:
    """The objects of an array, one at a time: such files are large. Arrays may follow one another.

    Raises EOFError where an array has no end, or other text follows it.
    """
    decoder = json.JSONDecoder()
    buffer, at = "", 0
    while True:
        while at < len(buffer) and buffer[at] in _BETWEEN:
            at += 1
        if buffer.startswith("]", at):
            buffer, at = buffer[at + 1 :].lstrip(), 0
            while not buffer and (more := text.read(CHUNK)):
                buffer = more.lstrip()
            if not buffer:
                return
            if not buffer.startswith("["):
                raise EOFError("text behind the array")
            continue
        start = at
        try:
            row, at = decoder.raw_decode(buffer, start)
        except (ValueError, RecursionError):
            more = text.read(max(CHUNK, len(buffer) - at)) if len(buffer) - at < MAX_LINE else ""
            if not more:
                raise EOFError("an object without an end") from None
            buffer, at = buffer[at:] + more, 0
            continue
        yield _object(row, buffer[start:at])


def _object(row: Any, source: str) -> Row | str:
    try:
        source.encode()  # fails where the file was no UTF-8
    except UnicodeEncodeError:
        return "bad_row"
    return json_object(row, "\\ud" in source.lower())


class _Member:
    """A member of a zip. Its checksum is compared at its end; zipfile compares it with the last data, and loses it."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        unchecked = copy(info)
        del unchecked.CRC
        self.stream: Any = archive.open(unchecked)
        self.expected, self.crc = info.CRC, 0

    def read1(self, most: int) -> bytes:
        data: bytes = self.stream.read1(most)
        self.crc = zlib.crc32(data, self.crc)
        if not data and self.crc != self.expected:
            raise zipfile.BadZipFile("a wrong checksum")
        return data


def zip_rows(file: io.BufferedReader) -> Iterator[bytes | Row | str]:
    """Rows of all members, which hold JSON. A member that cannot be read to its end costs its rest."""
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                try:
                    with buffered(partial(_Member, archive, info)) as stream:
                        yield from json_rows(stream)
                        to_end(stream)
                except Exception as e:
                    if not of_contents(e):
                        raise
                    yield "file_broken"


class _Header(tarfile.TarInfo):
    """A header. tarfile takes a damaged one, or none, for the end of the archive; here only zeros are."""

    @classmethod
    def fromtarfile(cls, tarfile: Any) -> Any:
        try:
            header = super().fromtarfile(tarfile)
        except HeaderError as e:
            tarfile.ended = tarfile.ended if isinstance(e, EmptyHeaderError) else isinstance(e, EOFHeaderError)
            if tarfile.ended:
                raise
            raise ReadError(str(e)) from None
        tarfile.ended = False
        return header


class _Archive(tarfile.TarFile):
    ended = False  # the last header that was read is an end of an archive


def tar_members(stream: io.BufferedReader) -> Iterator[tuple[tarfile.TarInfo, Callable[[int], bytes]]]:
    """The members of a tar, or of several in one file, in order, each with a function that reads its first bytes.

    A member is read before the next one is asked for. Raises tarfile.ReadError for a damaged place, and where the file
    ends without the mark of its end.
    """
    options: dict[str, Any] = {"tarinfo": _Header, "ignore_zeros": True, "encoding": "utf-8"}
    archive: Any = _Archive.open(fileobj=stream, mode="r|", **options)
    with archive:
        while (member := archive.next()) is not None:
            archive.members = []  # tarfile keeps them all
            yield member, partial(_content, archive, member)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, most: int) -> bytes:
    file = archive.extractfile(member)
    # a reader takes memory for as much as it is asked for
    return b"" if file is None else file.read(min(most, member.size))


def tar_rows(stream: io.BufferedReader) -> Iterator[bytes | str]:
    """A row for each member `.json`."""
    for member, content in tar_members(stream):
        if member.isfile() and member.name.endswith(".json"):
            yield content(MAX_LINE) if member.size <= MAX_LINE else "bad_row"
