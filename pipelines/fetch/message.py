"""What HTTP answers from the network and HTTP messages in archives have in common: header fields and content codings.

A decoder is a generator. It takes pieces of the encoded body and yields pieces of the decoded body, of PIECE bytes at
most (brotli: twice as many). The caller can stop after any piece, so a decompression bomb costs no more memory than the
caller takes.
"""

import zlib
from collections.abc import Iterable, Iterator

import brotli  # type: ignore[import-untyped]
import zstandard

PIECE = 1 << 18

_GZIP = b"\x1f\x8b"


class CodingError(ValueError):
    """A body is not encoded as its header says."""


def header_fields(text: str) -> list[tuple[str, str]]:
    """Names and values in their order. A folded line (RFC 9112 5.2) continues the field before it; a line without a
    name is left out."""
    fields: list[tuple[str, str]] = []
    for line in text.split("\n"):
        name, colon, value = line.partition(":")
        if line[:1] in (" ", "\t"):
            if fields:
                fields[-1] = (fields[-1][0], f"{fields[-1][1]} {line.strip()}".strip())
        elif colon and (name := name.strip()):
            fields.append((name, value.strip()))
    return fields


def decode(coding: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Undo one content coding: gzip, x-gzip, deflate, br or zstd.

    Raises CodingError for data that is not in that coding, and EOFError where the data ends too early (zstd: only the
    data that came is yielded).
    """
    if coding == "br":
        return _brotli(pieces)
    return _zstd(pieces) if coding == "zstd" else _inflate(pieces, coding == "deflate")


def _inflate(pieces: Iterable[bytes], deflate: bool) -> Iterator[bytes]:
    """gzip, also several members; deflate with a zlib header, and without one, as some servers send it."""
    engine = zlib.decompressobj(47)  # a gzip or a zlib header
    begun = False
    first = b""  # byte of a member: only two bytes show whether it is one
    for data in pieces:
        data, first, out = first + data, b"", b""
        while data or len(out) == PIECE:  # after a full piece, zlib may hold more output without more input
            if len(data) < 2 and (engine.eof or not begun):
                first = data
                break
            if engine.eof:
                if not data.startswith(_GZIP):  # padding
                    break
                engine = zlib.decompressobj(31)
            try:
                out = engine.decompress(data, PIECE)
            except zlib.error as error:
                if begun or not deflate:
                    raise CodingError(str(error)) from None
                engine, begun = zlib.decompressobj(-15), True
                continue
            begun = True
            yield out
            data = engine.unused_data if engine.eof else engine.unconsumed_tail
    if (begun or first) and not engine.eof:
        raise EOFError(f"{'deflate' if deflate else 'gzip'} data ends too early")


def _brotli(pieces: Iterable[bytes]) -> Iterator[bytes]:
    engine = brotli.Decompressor()
    begun = False
    for data in pieces:
        begun = begun or bool(data)
        try:
            while out := engine.process(data, output_buffer_limit=PIECE):
                yield out
                data = b""  # what does not fit in one piece comes without more input
        except brotli.error as error:
            raise CodingError(str(error)) from None
    if begun and not engine.is_finished():
        raise EOFError("brotli data ends too early")


def _zstd(pieces: Iterable[bytes]) -> Iterator[bytes]:
    with zstandard.ZstdDecompressor().stream_reader(b"".join(pieces)) as reader:
        try:
            while out := reader.read(PIECE):
                yield out
        except zstandard.ZstdError as error:
            raise CodingError(str(error)) from None
