"""ARC files: they are read in the same way as WARC files."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.warc.read import Record, Refusal, records, warc_slices

FIRST = (
    b"filedesc://a.arc 0.0.0.0 20080430204825 text/plain 76\n1 0 Alexa Internet\n"
    b"URL IP-address Archive-date Content-type Archive-length\n\n"
)


def response(
    url: str, body: bytes, http: str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", more: str = ""
) -> bytes:
    block = http.encode() + body
    return f"{url} 93.184.216.34 20080430204825 text/html{more} {len(block)}\n".encode() + block + b"\n"


def pages(n: int) -> list[bytes]:
    return [response(f"http://e.com/{i}", (f"<p>{i}\n" + "x" * ((i * 37) % 300)).encode()) for i in range(n)]


def write(path: Path, members: list[bytes], packed: bool) -> str:
    path.write_bytes(b"".join(gzip.compress(m) if packed else m for m in members))
    return str(path)


def urls(items: list[Record | Refusal]) -> list[str | None]:
    return [item.url for item in items if isinstance(item, Record)]


@pytest.mark.parametrize("packed", [True, False])
def test_records_have_their_offset_length_and_date(tmp_path: Path, packed: bool) -> None:
    path = write(
        tmp_path / "a", [FIRST, *pages(3), b"dns:e.com 1.2.3.4 20080430204825 text/dns 3\nabc\n", *pages(1)], packed
    )
    items = list(records(path))
    assert urls(items) == [f"http://e.com/{i}" for i in (0, 1, 2, 0)]
    first = items[0]
    assert isinstance(first, Record)
    assert (first.mime, first.status, first.payload[:4]) == ("text/html", 200, b"<p>0")
    assert first.fetched_at is not None and first.fetched_at.isoformat() == "2008-04-30T20:48:25+00:00"
    raw = Path(path).read_bytes()
    for item in items:
        assert isinstance(item, Record)
        record_bytes = raw[item.offset : item.offset + item.length]
        assert (gzip.decompress(record_bytes) if packed else record_bytes).startswith(b"http://e.com/")
        assert urls(list(records(path, item.offset, item.length))) == [item.url]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("size", [1, 57, 400])
def test_slices_have_each_record_once(tmp_path: Path, packed: bool, size: int) -> None:
    path = write(tmp_path / "a", [FIRST, *pages(20)], packed)
    slices = warc_slices({"path": path, "size": Path(path).stat().st_size}, size)
    items = [item for piece in slices for item in records(path, piece["offset"], piece["length"])]
    assert items == list(records(path)) and len(items) == 20


def test_headers_with_blanks_versions_and_missing_fields_are_read(tmp_path: Path) -> None:
    odd = [
        response("http://e.com/with a blank", b"x"),
        response("http://e.com/v2", b"x", more=" 200 checksum - 0 a.arc.gz"),
        response("http://e.com/old", b"<p>no headers", http=""),
        response("http://e.com/short", b"x").replace(b"20080430204825", b"20080430"),
        response("http://e.com/none", b"x").replace(b" text/html ", b"  "),
    ]
    items = list(records(write(tmp_path / "a", [FIRST, *odd], packed=True)))
    assert urls(items) == [f"http://e.com/{name}" for name in ("with a blank", "v2", "old", "short", "none")]
    assert [(r.mime, r.payload) for r in items if isinstance(r, Record)][2] == ("text/html", b"<p>no headers")
    assert isinstance(items[3], Record) and str(items[3].fetched_at) == "2008-04-30 00:00:00+00:00"


def test_a_broken_member_loses_only_its_own_record(tmp_path: Path) -> None:
    members = [gzip.compress(m) for m in [FIRST, *pages(4)]]
    for broken in (0, 2):
        bad = [m[:12] + b"\xff" * 6 + m[18:] if i == broken else m for i, m in enumerate(members)]
        path = tmp_path / f"{broken}.arc.gz"
        path.write_bytes(b"".join(bad))
        items = list(records(str(path)))
        assert urls(items) == [f"http://e.com/{i}" for i in range(4) if i + 1 != broken]
        assert [r.reason for r in items if isinstance(r, Refusal)] == ["warc_corrupt"]
    (tmp_path / "cut.arc.gz").write_bytes(b"".join(members)[:-30])
    assert [r.reason for r in records(str(tmp_path / "cut.arc.gz")) if isinstance(r, Refusal)] == ["warc_truncated"]


def test_a_wrong_length_loses_only_that_record(tmp_path: Path) -> None:
    members = pages(4)
    members[1] = members[1].replace(b" text/html ", b" text/html 9", 1)
    items = list(records(write(tmp_path / "a", [FIRST, *members], packed=True)))
    assert urls(items) == ["http://e.com/0", "http://e.com/2", "http://e.com/3"]
    assert [(r.reason, r.url) for r in items if isinstance(r, Refusal)] == [("warc_truncated", "http://e.com/1")]


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=300), st.integers(130, 2000), st.booleans())
def test_damage_raises_no_error_and_loses_no_record_before_it(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, packed: bool
) -> None:
    members = [gzip.compress(m) if packed else m for m in [FIRST, *pages(5)]]
    raw = bytearray(b"".join(members))
    at = min(at, len(raw))
    raw[at : at + len(noise)] = noise
    path = tmp_path_factory.mktemp("a") / "a.arc"
    path.write_bytes(bytes(raw))
    uris = urls(list(records(str(path))))
    ends = [sum(map(len, members[: i + 2])) for i in range(5)]
    assert uris[: sum(end <= at for end in ends)] == [f"http://e.com/{i}" for i in range(5) if ends[i] <= at]
