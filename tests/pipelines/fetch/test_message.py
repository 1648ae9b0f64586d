"""The decoding of content codings, piece by piece."""

import gzip
import zlib
from collections.abc import Iterator

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipelines.fetch.message import PIECE, CodingError, decode, header_fields


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-15)


ENCODERS = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("gzip", lambda data: gzip.compress(data[:7]) + gzip.compress(data[7:])),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("br", brotli.compress),
    ("zstd", zstandard.compress),
]


def split(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


@given(st.sampled_from(ENCODERS), st.binary(max_size=200), st.integers(1, 300), st.integers(1, 40))
def test_any_pieces_give_the_same_body(encoder: tuple[str, object], data: bytes, repeat: int, size: int) -> None:
    coding, encode = encoder
    body = data * repeat
    assert b"".join(decode(coding, split(encode(body), size))) == body  # type: ignore[operator]


@pytest.mark.parametrize(("coding", "encode"), ENCODERS)
@pytest.mark.parametrize("length", [0, 1, PIECE - 1, PIECE, PIECE + 1, 4 * PIECE])
def test_the_size_of_a_piece_is_limited(coding: str, encode: object, length: int) -> None:
    pieces = list(decode(coding, [encode(bytes(length))]))  # type: ignore[operator]
    assert sum(map(len, pieces)) == length
    # brotli's limit is not exact
    assert max(map(len, pieces), default=0) <= (2 * PIECE if coding == "br" else PIECE)


@pytest.mark.parametrize(("coding", "encode"), [e for e in ENCODERS if e[0] != "zstd"])
def test_data_that_ends_too_early(coding: str, encode: object) -> None:
    text = b"".join(b"line %d\n" % i for i in range(1000))
    out = b""
    with pytest.raises(EOFError):  # noqa: PT012  (the test also needs the pieces before the error)
        for piece in decode(coding, split(encode(text)[:-20], 50)):  # type: ignore[operator]
            out += piece
    assert text.startswith(out) and len(out) > 1000


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_data_in_another_coding(coding: str) -> None:
    with pytest.raises(CodingError):
        list(decode(coding, [b"\xff\xff no such coding"]))


def test_a_caller_can_stop_before_the_end() -> None:
    def endless() -> Iterator[bytes]:
        data = gzip.compress(bytes(64 * PIECE))
        while True:
            yield data

    pieces = decode("gzip", endless())
    assert sum(len(next(pieces)) for _ in range(100)) <= 100 * PIECE


def test_header_fields_are_parsed() -> None:
    text = "A: 1\r\n b-c :  two \r\nno colon\r\n: no name\r\nX: a\r\n b\r\n\tc\r\nA: 2\r\n\r\n"
    assert header_fields(" folded: into nothing\r\n") == []
    assert header_fields(text.replace(" b-c", "b-c")) == [("A", "1"), ("b-c", "two"), ("X", "a b c"), ("A", "2")]
