"""JPEG files by their markers (ITU-T T.81, annex B), without decoding: size and orientation, and removal of metadata.

A photograph carries EXIF (its place and camera), XMP, IPTC, and thumbnails that may show what was cropped away. None of
it is needed to show the picture, so packing removes it. The pixels remain those of the original, bit for bit.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..SOF15 without DHT, JPG and DAC
_APP0, _APP1, _APP2, _APP14, _APP15 = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM and RSTn: a marker without a segment
#: the end of the compressed data of a scan: 0xFF that is neither stuffed (00), nor a restart (D0..D7), nor fill
_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
_JFIF_HEAD = 14  # bytes of JFIF's fields up to the size of its thumbnail


class JpegError(ValueError):
    """Bytes that are not a complete JPEG."""


class Frame(NamedTuple):
    width: int  #: pixels, as stored
    height: int
    components: int  #: 1 grey, 3 colour, 4 CMYK
    orientation: int  #: of EXIF; 1 if there is none, 0 if only XMP has one


class _Segment(NamedTuple):
    marker: int
    start: int  #: of the first 0xFF before the marker
    body: int  #: after the length
    end: int


def frame(data: bytes) -> Frame:
    """Size, components and orientation, from the file's header. Raises JpegError."""
    orientation, size = 1, None
    for segment in _segments(data, scans=False):
        if segment.marker == _APP1 and data.startswith(b"Exif\0", segment.body):
            orientation = _orientation(data[segment.body + 6 : segment.end])
        elif segment.marker == _APP1 and orientation == 1 and b"tiff:Orientation" in data[segment.body : segment.end]:
            orientation = 0
        elif segment.marker in _FRAMES and segment.end - segment.body >= 6:
            height, width = (int.from_bytes(data[segment.body + i : segment.body + i + 2], "big") for i in (1, 3))
            size = (width, height, data[segment.body + 5])
    if size is not None and size[0] and size[1]:
        return Frame(*size, orientation)
    raise JpegError("no frame header")


def bare(data: bytes) -> bytes:
    """The same picture without EXIF, XMP, IPTC, comments, thumbnails, and bytes after its end, such as more pictures.

    Everything that decoding depends on stays: the markers of JFIF and Adobe (colour space), ICC profiles, tables,
    frames and scans. Returns the same object if there is nothing to remove. Raises JpegError if the markers are not
    complete up to the end of the image.
    """
    out: list[bytes] = [data[:2]]
    for marker, start, body, end in _segments(data):
        content = data[start:end]
        if marker == _APP0 and data.startswith(b"JFIF\0", body) and end - body >= _JFIF_HEAD:
            if any(data[body + 12 : body + 14]):  # a thumbnail: its size becomes 0 x 0
                content = b"\xff\xe0\0\x10" + data[body : body + 12] + b"\0\0"
        elif marker == _COM or _APP0 <= marker <= _APP15:
            colour = marker == _APP2 and data.startswith(b"ICC_PROFILE\0", body)
            if not colour and not (marker == _APP14 and data.startswith(b"Adobe", body)):
                continue
        out.append(content)
        if marker == _EOI:
            joined = b"".join(out)
            return data if len(joined) == len(data) else joined
    raise JpegError("no end of image")


def _segments(data: bytes, scans: bool = True) -> Iterator[_Segment]:
    """Every segment in order, up to the end of the first image; without `scans`, which take the time, up to its pixels.

    The compressed data of a scan belongs to the scan's segment.
    """
    if data[:2] != b"\xff\xd8":
        raise JpegError("no start of image")
    offset, size = 2, len(data)
    while True:
        start = offset
        while offset < size and data[offset] == 0xFF:
            offset += 1
        if offset == start or offset >= size:
            raise JpegError(f"no marker at byte {start}")
        marker = data[offset]
        offset += 1
        if marker in _ALONE or marker == _EOI:
            yield _Segment(marker, start, offset, offset)
            if marker == _EOI:
                return
            continue
        if marker == _SOS and not scans:
            return
        length = int.from_bytes(data[offset : offset + 2], "big")
        end = offset + length
        if length < 2 or end > size or marker in (0x00, _SOI):
            raise JpegError(f"no segment at byte {start}")
        if marker == _SOS:
            after = _MARKER.search(data, end)
            if after is None:
                raise JpegError("no end of image")
            end = after.start()
        yield _Segment(marker, start, offset + 2, end)
        offset = end


def _orientation(tiff: bytes) -> int:
    """The orientation tag (0x0112) of the first directory of a TIFF header; 1 if there is none."""
    if tiff[:2] not in (b"II", b"MM"):
        return 1

    def number(offset: int, size: int) -> int:
        return int.from_bytes(tiff[offset : offset + size], "little" if tiff[:2] == b"II" else "big")

    first = number(4, 4)
    for i in range(min(number(first, 2), 512)):
        entry = first + 2 + 12 * i
        if number(entry, 2) == 0x0112:
            value = number(entry + 8, 2)
            return value if 1 <= value <= 8 else 1
    return 1
