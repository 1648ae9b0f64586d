"""The bytes a WARC record parser reads from: one gzip member, or a plain file; buffered, and bounded."""

from __future__ import annotations

import re
import zlib
from abc import ABC, abstractmethod
from typing import Any

MAX_HEADERS = 1 << 20
CHUNK = 1 << 18

END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")


class BrokenError(Exception):
    """The data cannot be read on; ``args[0]`` is the reason."""


class ByteStream(ABC):
    """What the record parser reads from: ``fill`` appends more bytes to ``buffer`` and answers False at the end."""

    def __init__(self) -> None:
        self.buffer = bytearray()

    @abstractmethod
    def fill(self) -> bool: ...

    def take(self, n: int) -> bytes:
        """Exactly ``n`` bytes; fewer raise."""
        while len(self.buffer) < n:
            if not self.fill():
                raise BrokenError("warc_truncated")
        out = bytes(self.buffer[:n])
        del self.buffer[:n]
        return out

    def skip(self, n: int) -> None:
        while n > 0:
            if not self.buffer and not self.fill():
                raise BrokenError("warc_truncated")
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
        while (m := END_OF_HEADERS.search(self.buffer, start)) is None:
            if len(self.buffer) > MAX_HEADERS:
                raise BrokenError("warc_header")
            start = max(0, len(self.buffer) - 4)
            if not self.fill():
                raise BrokenError("warc_truncated")
        out = bytes(self.buffer[: m.end()])
        if not out.startswith(b"WARC/"):
            raise BrokenError("warc_header")
        del self.buffer[: m.end()]
        return out


class Member(ByteStream):
    """One gzip member of ``f``; ``rest`` is what was read behind its end, ``used`` its compressed bytes once it has
    ended.
    """

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
                raise BrokenError("warc_truncated")
        try:
            self.buffer += self.inflate.decompress(self.pending, CHUNK * 4)
        except zlib.error as e:
            raise BrokenError("warc_corrupt") from e
        self.pending = self.inflate.unconsumed_tail
        return True

    @property
    def rest(self) -> bytes:
        return self.inflate.unused_data

    @property
    def used(self) -> int:
        return self.read - len(self.inflate.unused_data if self.inflate.eof else self.pending)


class Plain(ByteStream):
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
