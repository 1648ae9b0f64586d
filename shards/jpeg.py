"""JPEG files by their markers (ITU-T T.81, annex B), without decoding a pixel: what the picture is, and the file
without what is about it.

A photograph carries EXIF (where it was taken, by whose camera), XMP, IPTC and thumbnails of what was later cropped
away. None of it is needed to show the picture, so packing leaves it out, and the pixels stay those of the original, bit
for bit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..SOF15 without DHT, JPG and DAC
_APP0, _APP1, _APP2, _APP14, _APP15 = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM and RSTn: a marker without a segment
#: behind the compressed data of a scan: 0xFF that is neither stuffed (00), a restart (D0..D7), nor fill
_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
_JFIF_HEAD = 14  # bytes of JFIF's fields up to the size of its thumbnail


class JpegError(ValueError):
    """Bytes that do not hold together as a JPEG."""


class Frame(NamedTuple):
    width: int  #: pixels, as stored
    height: int
    components: int  #: 1 grey, 3 colour, 4 CMYK
    orientation: int  #: EXIF's; 1 where there is none, 0 where only XMP has one


class _Segment(NamedTuple):
    marker: int
    start: int  #: of the first 0xFF before it
    body: int  #: of what follows its length
    end: int


def frame(data: bytes) -> Frame:
    """What the file's header says. Raises JpegError."""
    turn, found = 1, None
    for segment in _segments(data, scans=False):
        if segment.marker == _APP1 and data.startswith(b"Exif\0", segment.body):
            turn = _orientation(data[segment.body + 6 : segment.end])
        elif segment.marker == _APP1 and turn == 1 and b"tiff:Orientation" in data[segment.body : segment.end]:
            turn = 0
        elif segment.marker in _FRAMES and segment.end - segment.body >= 6:
            height, width = (int.from_bytes(data[segment.body + i : segment.body + i + 2], "big") for i in (1, 3))
            found = (width, height, data[segment.body + 5])
    if found is not None and found[0] and found[1]:
        return Frame(*found, turn)
    raise JpegError("no frame header")


def bare(data: bytes) -> bytes:
    """The same picture alone: without EXIF, XMP, IPTC, comments, thumbnails, and whatever follows its end (a phone's
    further pictures).

    What decoding depends on stays as it is: JFIF's and Adobe's markers (colour space), ICC profiles, tables, frames and
    scans. The same object where there is nothing to leave out. Raises JpegError where the markers do not hold together
    up to the end of the image.
    """
    kept: list[bytes] = [data[:2]]
    for segment in _segments(data):
        whole = data[segment.start : segment.end]
        if (
            segment.marker == _APP0
            and data.startswith(b"JFIF\0", segment.body)
            and segment.end - segment.body >= _JFIF_HEAD
        ):
            if any(data[segment.body + 12 : segment.body + 14]):  # a thumbnail: its size becomes 0 x 0
                whole = b"\xff\xe0\0\x10" + data[segment.body : segment.body + 12] + b"\0\0"
        elif segment.marker == _COM or _APP0 <= segment.marker <= _APP15:
            colour = segment.marker == _APP2 and data.startswith(b"ICC_PROFILE\0", segment.body)
            if not colour and not (segment.marker == _APP14 and data.startswith(b"Adobe", segment.body)):
                continue
        kept.append(whole)
        if segment.marker == _EOI:
            joined = b"".join(kept)
            return data if len(joined) == len(data) else joined
    raise JpegError("no end of image")


def _segments(data: bytes, scans: bool = True) -> Iterator[_Segment]:
    """Every segment in order, up to the end of the first image, or without `scans` up to its pixels, which take the
    time.

    A scan's compressed data belongs to its segment.
    """
    if data[:2] != b"\xff\xd8":
        raise JpegError("no start of image")
    at, size = 2, len(data)
    while True:
        start = at
        while at < size and data[at] == 0xFF:
            at += 1
        if at == start or at >= size:
            raise JpegError(f"no marker at byte {start}")
        marker = data[at]
        at += 1
        if marker in _ALONE:
            yield _Segment(marker, start, at, at)
            continue
        if marker == _EOI:
            yield _Segment(marker, start, at, at)
            return
        if marker == _SOS and not scans:
            return
        length = int.from_bytes(data[at : at + 2], "big")
        end = at + length
        if length < 2 or end > size or marker in (0x00, _SOI):
            raise JpegError(f"no segment at byte {start}")
        if marker == _SOS:
            found = _MARKER.search(data, end)
            if found is None:
                raise JpegError("no end of image")
            yield _Segment(marker, start, at + 2, found.start())
            at = found.start()
        else:
            yield _Segment(marker, start, at + 2, end)
            at = end


def _orientation(tiff: bytes) -> int:
    """The orientation tag (0x0112) of a TIFF header's first directory; 1 where it cannot be found."""
    order = {b"II": "little", b"MM": "big"}.get(tiff[:2])
    if order is None:
        return 1

    def number(at: int, bytes_: int) -> int:
        return int.from_bytes(tiff[at : at + bytes_], order)  # type: ignore[arg-type]

    first = number(4, 4)
    for i in range(min(number(first, 2), 512)):
        entry = first + 2 + 12 * i
        if number(entry, 2) == 0x0112:
            value = number(entry + 8, 2)
            return value if 1 <= value <= 8 else 1
    return 1
