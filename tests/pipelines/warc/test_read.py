"""Reading of WARC: files, slices of files, broken members and encodings."""

import gzip
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.warc.message import MAX_PAYLOAD
from pipelines.warc.read import SLICE, Record, Refusal, records, warc_slices


def response(
    url: str, body: bytes, http: str = "Content-Type: text/html", status: str = "200 OK", extra: str = ""
) -> bytes:
    block = f"HTTP/1.1 {status}\r\n{http}\r\n\r\n".encode() + body
    head = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2024-05-06T07:08:09Z\r\n{extra}"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def other(kind: str) -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://e.com/\r\nContent-Length: 4\r\n\r\n"
    return f"{head}abcd\r\n\r\n".encode()


def pages(n: int, size: int = 300) -> list[bytes]:
    return [response(f"https://e.com/{i}", (f"<p>{i} " + "x" * ((i * 37) % size)).encode()) for i in range(n)]


def write(path: Path, members: list[bytes], packed: bool = True) -> str:
    path.write_bytes(b"".join(gzip.compress(m, mtime=0) if packed else m for m in members))
    return str(path)


def urls(items: list[Record | Refusal]) -> list[str | None]:
    return [item.url for item in items if isinstance(item, Record)]


@pytest.mark.parametrize("packed", [True, False])
def test_records_are_in_order_with_their_offset_and_length(tmp_path: Path, packed: bool) -> None:
    members = [other("warcinfo"), *pages(5), other("request"), other("revisit")]
    path = write(tmp_path / "a.warc", members, packed)
    items = list(records(path))
    assert urls(items) == [f"https://e.com/{i}" for i in range(5)]
    first = items[0]
    assert isinstance(first, Record)
    assert (first.mime, first.status, first.ok, first.payload[:4]) == ("text/html", 200, True, b"<p>0")
    assert first.fetched_at is not None and first.fetched_at.isoformat() == "2024-05-06T07:08:09+00:00"
    raw = Path(path).read_bytes()
    for item in items:
        assert isinstance(item, Record)
        member = raw[item.offset : item.offset + item.length]
        assert (gzip.decompress(member) if packed else member).startswith(b"WARC/1.0\r\nWARC-Type: response")
        # a record can be read by its offset and length alone, as in an index of Common Crawl
        assert urls(list(records(path, item.offset, item.length))) == [item.url]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("size", [1, 57, 200, 1000, SLICE])
def test_slices_have_each_record_once(tmp_path: Path, packed: bool, size: int) -> None:
    path = write(tmp_path / "a.warc", pages(40), packed)
    file = {"path": path, "size": Path(path).stat().st_size}
    slices = warc_slices(file, size)
    assert slices[0]["offset"] == 0 and sum(piece["length"] for piece in slices) == file["size"]
    assert all(piece["length"] <= size and file.items() <= piece.items() for piece in slices)
    items = [item for piece in slices for item in records(path, piece["offset"], piece["length"])]
    assert items == list(records(path))


def test_an_empty_file_has_one_empty_slice() -> None:
    assert warc_slices({"path": "a.warc", "size": 0}) == [{"path": "a.warc", "size": 0, "offset": 0, "length": 0}]


@pytest.mark.parametrize("before", [(1 << 18) - 60, (1 << 18) - 3, (1 << 18) + 5, (2 << 18) - 1])
def test_a_record_across_two_reads_of_the_file_is_complete(tmp_path: Path, before: int) -> None:
    text = b"x WARC/1.0\r\nWARC-Type: response\r\n" + b"y" * before
    path = write(tmp_path / "a.warc", [text + b"\n", *pages(2)], packed=False)
    assert urls(list(records(path, 1))) == ["https://e.com/0", "https://e.com/1"]


def test_a_truncated_member_loses_only_its_own_record(tmp_path: Path) -> None:
    path = write(tmp_path / "a.warc.gz", pages(4))
    raw = Path(path).read_bytes()
    Path(path).write_bytes(raw[:-20])
    items = list(records(path))
    assert urls(items) == [f"https://e.com/{i}" for i in range(3)]
    assert isinstance(items[-1], Refusal)
    assert (items[-1].reason, items[-1].url) == ("warc_truncated", "https://e.com/3")
    assert items[-1].offset + items[-1].length == len(raw) - 20


def test_a_truncated_plain_file_loses_only_its_last_record(tmp_path: Path) -> None:
    path = write(tmp_path / "a.warc", pages(4), packed=False)
    raw = Path(path).read_bytes()
    Path(path).write_bytes(raw[:-30])
    items = list(records(path))
    assert urls(items) == [f"https://e.com/{i}" for i in range(3)]
    assert [item.reason for item in items if isinstance(item, Refusal)] == ["warc_truncated"]


@pytest.mark.parametrize("where", [0, 12, 40])
def test_a_corrupt_member_loses_only_its_own_record(tmp_path: Path, where: int) -> None:
    members = [gzip.compress(p, mtime=0) for p in pages(6)]
    bad = bytearray(members[2])
    bad[where : where + 6] = b"\xff" * 6
    path = tmp_path / "a.warc.gz"
    path.write_bytes(b"".join([*members[:2], bytes(bad), *members[3:]]))
    items = list(records(str(path)))
    assert urls(items) == [
        "https://e.com/0",
        "https://e.com/1",
        "https://e.com/3",
        "https://e.com/4",
        "https://e.com/5",
    ]
    refusals = [item for item in items if isinstance(item, Refusal)]
    assert [(r.reason, r.offset, r.length) for r in refusals] == [
        ("warc_corrupt", len(members[0] + members[1]), len(members[2]))
    ]


def test_a_wrong_length_in_a_plain_file_loses_only_that_record(tmp_path: Path) -> None:
    members = pages(4)
    members[1] = members[1].replace(b"Content-Length: ", b"Content-Length: x")
    path = write(tmp_path / "a.warc", members, packed=False)
    items = list(records(path))
    assert urls(items) == ["https://e.com/0", "https://e.com/2", "https://e.com/3"]
    assert [(r.reason, r.url) for r in items if isinstance(r, Refusal)] == [("warc_header", "https://e.com/1")]


def test_many_records_in_one_member(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(gzip.compress(b"".join(pages(5))))
    assert urls(list(records(str(path)))) == [f"https://e.com/{i}" for i in range(5)]


def test_an_empty_file_has_no_records_and_a_foreign_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert list(records(str(tmp_path / "empty"))) == []
    (tmp_path / "text").write_bytes(b"hello world\n" * 20)
    items = list(records(str(tmp_path / "text")))
    assert [type(item) for item in items] == [Refusal]
    with pytest.raises(FileNotFoundError):
        list(records(str(tmp_path / "none")))


def body_of(tmp_path: Path, body: bytes, http: str) -> Record | Refusal:
    (item,) = records(write(tmp_path / "a.warc.gz", [response("http://e.com/", body, http)]))
    return item


@pytest.mark.parametrize(
    ("body", "http"),
    [
        (b"5\r\n<p>ab\r\n6;x=1\r\ncdefgh\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
        # the archive has the decoded body with the header of the encoding
        (b"<p>abcdefgh", "Transfer-Encoding: chunked"),
        (gzip.compress(b"<p>abcdefgh", mtime=0), "Content-Encoding: gzip"),
        (b"<p>abcdefgh", "Content-Encoding: gzip"),
        (zlib.compress(b"<p>abcdefgh"), "Content-Encoding: deflate"),
        (zlib.compress(b"<p>abcdefgh", wbits=-15), "Content-Encoding: deflate"),
        (b"<p>abcdefgh", "Content-Encoding: br"),
        (b"<p>abcdefgh", "Content-Encoding: utf-8"),
    ],
)
def test_an_encoded_body_is_decoded(tmp_path: Path, body: bytes, http: str) -> None:
    item = body_of(tmp_path, body, http)
    assert isinstance(item, Record)
    assert item.payload == b"<p>abcdefgh"


def test_a_body_in_brotli_or_zstd_is_decoded(tmp_path: Path) -> None:
    brotli = pytest.importorskip("brotli")
    zstandard = pytest.importorskip("zstandard")
    for body, name in ((brotli.compress(b"<p>text " * 20), "br"), (zstandard.compress(b"<p>text " * 20), "zstd")):
        item = body_of(tmp_path, body, f"Content-Encoding: {name}")
        assert isinstance(item, Record) and item.payload == b"<p>text " * 20
        broken = body_of(tmp_path, b"\x81" + body[:9], f"Content-Encoding: {name}")
        assert isinstance(broken, Refusal) and broken.reason == "bad_encoding"


def test_data_after_a_wrong_chunk_size_is_kept_unchanged(tmp_path: Path) -> None:
    item = body_of(tmp_path, b"4\r\n<p>a\r\nzz not a size\r\nrest", "Transfer-Encoding: chunked")
    assert isinstance(item, Record) and item.payload == b"<p>azz not a size\r\nrest"


def test_a_truncated_gzip_body_has_its_beginning(tmp_path: Path) -> None:
    text = b"".join(b"<p>line %d" % i for i in range(5000))
    item = body_of(tmp_path, gzip.compress(text, mtime=0)[:-500], "Content-Encoding: gzip")
    assert isinstance(item, Record) and text.startswith(item.payload) and len(item.payload) > 1000


def test_a_decompression_bomb_is_truncated_at_the_limit(tmp_path: Path) -> None:
    item = body_of(tmp_path, gzip.compress(b"a" * (MAX_PAYLOAD + 1000), 9), "Content-Encoding: gzip")
    assert isinstance(item, Record) and len(item.payload) == MAX_PAYLOAD


def test_a_record_without_digest_with_a_bad_uri_and_odd_headers_is_read(tmp_path: Path) -> None:
    odd = response(
        "<not a uri>",
        b"x",
        "content-TYPE: Text/HTML ; charset=x\r\nX-Robots-Tag: noai\r\nx-robots-tag: noimageai\r\nfolded: a\r\n b",
    )
    (item,) = records(write(tmp_path / "a.warc.gz", [odd]))
    assert isinstance(item, Record)
    assert item.url == "not a uri"
    assert item.mime == "text/html"
    assert item.headers["x-robots-tag"] == "noai, noimageai"
    assert item.headers["folded"] == "a b"


def test_a_record_has_its_status_and_truncation(tmp_path: Path) -> None:
    (item,) = records(
        write(
            tmp_path / "a.warc.gz",
            [response("http://e.com/", b"x", status="404 Gone", extra="WARC-Truncated: length\r\n")],
        )
    )
    assert isinstance(item, Record)
    assert (item.status, item.ok, item.truncated) == (404, False, "length")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 2000), st.booleans())
def test_damage_raises_no_error_and_loses_no_record_before_it(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, packed: bool
) -> None:
    members = [gzip.compress(p, mtime=0) if packed else p for p in pages(5)]
    raw = bytearray(b"".join(members))
    at = min(at, len(raw))
    raw[at : at + len(noise)] = noise
    path = tmp_path_factory.mktemp("w") / "a.warc"
    path.write_bytes(bytes(raw))
    uris = urls(list(records(str(path))))
    ends = [sum(map(len, members[: i + 1])) for i in range(5)]
    intact = [f"https://e.com/{i}" for i in range(5) if ends[i] <= at]
    if len(raw) > 2 and at > 2:  # the first bytes decide whether the file is read as gzip
        assert uris[: len(intact)] == intact


@pytest.mark.parametrize(
    "digest", ["", "WARC-Payload-Digest: sha1:AAAA\r\n", "WARC-Block-Digest: none\r\n", "WARC-Payload-Digest:\r\n"]
)
def test_a_record_with_a_missing_or_wrong_digest_is_read(tmp_path: Path, digest: str) -> None:
    (item,) = records(write(tmp_path / "a.warc.gz", [response("http://e.com/", b"<p>x", extra=digest)]))
    assert isinstance(item, Record) and item.payload == b"<p>x"


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (b"ffff\r\n<p>less than stated", b"<p>less than stated"),
        (b"3\r\n<p>\r\n", b"<p>"),  # the last chunk is missing
        (b"3\n<p>\n0\n\n", b"<p>"),  # line ends without a carriage return
        (b"-3\r\n<p>\r\n0\r\n\r\n", b"-3\r\n<p>\r\n0\r\n\r\n"),
        (b"\r\n<p>", b"\r\n<p>"),
        (b"", b""),
    ],
)
def test_a_body_with_wrong_chunks_is_decoded(tmp_path: Path, body: bytes, payload: bytes) -> None:
    item = body_of(tmp_path, body, "Transfer-Encoding: chunked")
    assert isinstance(item, Record) and item.payload == payload
