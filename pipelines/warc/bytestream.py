"""The bytes that the record parsers read: one gzip member, or a plain file. Reads are buffered and bounded."""

import re
import zlib
from collections.abc import Callable
from typing import Any

CHUNK = 1 << 18

END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")


class BrokenError(Exception):
    """The data cannot be parsed from here on. ``url``: of the record, where it has been read."""

    def __init__(self, reason: str, url: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.url = reason, url or None


class ByteStream:
    """A file that is not compressed, from offset ``place`` on, where it stands. ``place`` stays that of ``buffer``."""

    def __init__(self, file: Any, place: int) -> None:
        self.file = file
        self.end = place
        self.buffer = bytearray()

    @property
    def place(self) -> int:
        return self.end - len(self.buffer)

    def fill(self) -> bool:
        """Append more bytes to the buffer. False at the end of the data."""
        data = self.file.read(CHUNK)
        self.buffer += data
        self.end += len(data)
        return bool(data)

    def take(self, n: int) -> bytes:
        """The next ``n`` bytes. Raises BrokenError if there are fewer."""
        while len(self.buffer) < n:
            self._fill()
        out = bytes(self.buffer[:n])
        del self.buffer[:n]
        return out

    def skip(self, n: int) -> None:
        while n > 0:
            if not self.buffer:
                self._fill()
            step = min(n, len(self.buffer))
            del self.buffer[:step]
            n -= step

    def head(self, end: re.Pattern[bytes], limit: int, valid: Callable[[bytes], object]) -> bytes | None:
        """The head of the next record, up to the first match of ``end``; None where only line ends are left.

        Raises BrokenError, with the head still in the buffer, where it is longer than ``limit`` or not ``valid``.
        """
        while not self.buffer or self.buffer[0] in b"\r\n":
            if not self.buffer and not self.fill():
                return None
            del self.buffer[: len(self.buffer) - len(self.buffer.lstrip(b"\r\n"))]
        start = 0
        while (match := end.search(self.buffer, start)) is None:
            if len(self.buffer) > limit:
                raise BrokenError("warc_header")
            start = max(0, len(self.buffer) - 4)
            self._fill()
        out = bytes(self.buffer[: match.end()])
        if not valid(out):
            raise BrokenError("warc_header")
        del self.buffer[: match.end()]
        return out

    def _fill(self) -> None:
        if not self.fill():
            raise BrokenError("warc_truncated")


class Member(ByteStream):
    """The content of one gzip member of ``file``, whose first bytes are ``start``."""

    def __init__(self, file: Any, start: bytes) -> None:
        super().__init__(file, 0)
        self.bytes_read = len(start)
        self.pending = start
        self.inflate = zlib.decompressobj(31)

    def fill(self) -> bool:
        if self.inflate.eof:
            return False
        if not self.pending:
            self.pending = self.file.read(CHUNK)
            self.bytes_read += len(self.pending)
            if not self.pending:
                raise BrokenError("warc_truncated")
        try:
            self.buffer += self.inflate.decompress(self.pending, CHUNK * 4)
        except zlib.error as error:
            raise BrokenError("warc_corrupt") from error
        self.pending = self.inflate.unconsumed_tail
        return True

    @property
    def rest(self) -> bytes:
        """What was read behind the member's end."""
        return self.inflate.unused_data

    @property
    def length(self) -> int:
        """Compressed bytes used up to now; of the whole member once it has ended."""
        return self.bytes_read - len(self.rest if self.inflate.eof else self.pending)
