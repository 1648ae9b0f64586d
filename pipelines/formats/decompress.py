"""Decompression that gives every byte before a damaged place (of bz2 and Zstandard, all but the last one).

A decompressor checks what it has written only after the fact: one call may write thousands of good bytes, meet the
damage, and return none of them. So where a call fails, the stream is opened again and read byte by byte to the place.
"""

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import zstandard

STEP = 1 << 14  # bytes that are decompressed by one call
_CHUNK = 1 << 16  # compressed bytes that are read by one call
_END = b"end of the stream"
_FRAME = zstandard.ZstdCompressor(write_checksum=True).compress(_END)


class Bytes(io.RawIOBase):
    """The bytes of a decompressing stream.

    A damaged place looks like the end of the stream once, after all bytes before it; the next read raises its error.
    """

    def __init__(self, new: Callable[[], Any]) -> None:
        """new: opens the stream, at its beginning; its `read1` returns at most so many bytes, none at the end."""
        self.new, self.stream = new, new()
        self.given = 0
        self.fault: Exception | None = None
        self.ended = False  # the damaged place has looked like the end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.ended and self.fault is not None:
            raise self.fault
        if self.fault is not None:
            self.ended = True
            return 0
        try:
            data = self.stream.read1(len(buffer))
        except Exception as e:
            self.fault = e
            data = self._before_the_fault(len(buffer))
            self.ended = not data
        buffer[: len(data)] = data
        self.given += len(data)
        return len(data)

    def _before_the_fault(self, most: int) -> bytes:
        data = bytearray()
        try:
            stream, skip = self.new(), self.given
            while skip > 0:
                skip -= len(stream.read1(min(skip, STEP)))
            stream.chunk = 1  # a checksum that is read with the last data fails that data
            while len(data) < most and (byte := stream.read1(1)):
                data += byte
        except Exception:  # the same fault, which a later read raises
            return bytes(data)
        return bytes(data)


def buffered(new: Callable[[], Any]) -> io.BufferedReader:
    """The stream of `Bytes`, for readers of lines."""
    raw: Any = Bytes(new)
    return io.BufferedReader(raw, STEP)


def to_end(stream: io.BufferedReader) -> None:
    """Read what is left. Raises the error of a damaged place that looked like the end."""
    while stream.read(_CHUNK):
        pass
    stream.read(1)


class Members:
    """A file of gzip members, or of bz2 or xz streams, one after the other; zeros between them are padding."""

    def __init__(self, file: Any, new: Callable[[], Any]) -> None:
        """new: makes a decompressor of one member."""
        self.file, self.new, self.member = file, new, new()
        self.begun = False  # the member has had bytes
        self.waiting = b""  # compressed bytes that no member has had
        self.chunk = _CHUNK  # of which a member is given so many at a time

    def read1(self, most: int) -> bytes:
        while True:
            if self.member.eof:
                self.waiting = self.member.unused_data + self.waiting
                self.member, self.begun = self.new(), False
            needs_input = getattr(self.member, "needs_input", True)
            if needs_input and not self.waiting:
                self.waiting = self.file.read(_CHUNK)
            ended = needs_input and not self.waiting
            if not self.begun:
                self.waiting = self.waiting.lstrip(b"\0")
                if ended:
                    return b""
                if not self.waiting:
                    continue
            self.begun = True
            given = self.waiting[: self.chunk] if needs_input else b""
            data: bytes = self.member.decompress(given, most)
            # zlib returns what it did not take, the others keep it
            self.waiting = getattr(self.member, "unconsumed_tail", b"") + self.waiting[len(given) :]
            if data:
                return data
            if ended and not self.member.eof:
                raise EOFError("the compressed data has no end")


class Frames:
    """A file of Zstandard frames. The decompressor is silent about a cut, so a frame is added that must come out."""

    def __init__(self, file: Any) -> None:
        self.file, self.added = file, False
        self.reader: Any = zstandard.ZstdDecompressor().stream_reader(self, read_across_frames=True)  # type: ignore
        self.held = b""  # the last bytes, which may be those of the added frame
        self.fault: Exception | None = None

    def read(self, size: int) -> bytes:
        """Compressed bytes, for the decompressor."""
        data: bytes = self.file.read(size)
        if data or self.added:
            return data
        self.added = True
        return _FRAME

    def read1(self, most: int) -> bytes:
        if self.fault is not None:
            raise self.fault
        try:
            while data := self.reader.read1(most):
                held: bytes = self.held + data
                data, self.held = held[: -len(_END)], held[-len(_END) :]
                if data:
                    return bytes(data)
            if self.held != _END:
                raise EOFError("the compressed data has no end")
        except Exception as e:
            self.fault = e
            return self.held
        return b""


#: makes the decompressing stream of a file, by the ending of its name
STREAMS: Mapping[str, Callable[[Any], Any]] = {
    ".gz": lambda file: Members(file, lambda: zlib.decompressobj(wbits=31)),
    ".bz2": lambda file: Members(file, bz2.BZ2Decompressor),
    ".xz": lambda file: Members(file, lzma.LZMADecompressor),
    ".zst": Frames,
}
