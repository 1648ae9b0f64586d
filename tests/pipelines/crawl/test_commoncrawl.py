"""Ranges of WARC files over HTTP and from a folder: their merging, their retries and their outcomes."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.schema import REFUSED, key64
from manifests.stage import DirectContext
from pipelines.crawl import ranges
from pipelines.crawl.commoncrawl import FETCHED, REASONS, CommonCrawl
from pipelines.crawl.index import CHOSEN
from pipelines.crawl.ranges import plan_reads
from pipelines.html.stages import Extract
from pipelines.warc.read import Record, records
from tests.pipelines.crawl.conftest import LOOPBACK, SHARED, Local
from tests.pipelines.html.pages import page
from tests.pipelines.warc.test_read import other, response

FILE = "crawl-data/CC-MAIN-2024-10/segments/1/warc/a.warc.gz"
HTML = "Content-Type: text/html; charset=utf-8"


def archive(pages: int = 6) -> tuple[bytes, list[dict[str, Any]]]:
    """A WARC file like Common Crawl's (one member each for request, response, metadata) and its index rows."""
    raw = gzip.compress(other("warcinfo"))
    rows = []
    for i in range(pages):
        url = f"https://e.com/{i}"
        raw += gzip.compress(other("request"))
        member = gzip.compress(response(url, page(f"<p>Page {i}</p><img src={i}.jpg>"), HTML))
        rows.append({"key": key64(FILE), "url": url, "file": FILE, "offset": len(raw), "length": len(member)})
        raw += member + gzip.compress(other("metadata"))
    return raw, rows


def run(
    stage: CommonCrawl, rows: list[dict[str, Any]], previous: list[str] | None = None, ctx: DirectContext | None = None
) -> dict[str, Any]:
    tables: dict[str, Any] = {"chosen": pa.Table.from_pylist(rows, CHOSEN)}
    if previous is not None:
        tables["previous"] = pa.table({"place": pa.array(previous, pa.string())})
    out: dict[str, Any] = {"warc": b"", "fetched": [], "refused": []}
    for name, data in stage(tables, ctx or DirectContext()):
        if isinstance(data, bytes):
            out[name] += data
        else:
            assert data.schema == {"fetched": FETCHED, "refused": REFUSED}[name]
            out[name] += data.to_pylist()
    assert {r["reason"] for r in out["refused"]} <= set(REASONS)
    for r in out["fetched"]:
        assert out["warc"][r["start"] : r["start"] + r["length"]][:2] == b"\x1f\x8b"
    return out


@pytest.fixture
def quick(local: Local, monkeypatch: pytest.MonkeyPatch) -> CommonCrawl:
    monkeypatch.setattr(ranges, "FIRST_PAUSE_S", 0.02)
    return CommonCrawl(prefix=local.base, tries=3, try_s=0.5, deadline_s=3, allow_private=LOOPBACK)


def serve(local: Local, raw: bytes, name: str = FILE) -> None:
    local.web.pages[f"/{name}"] = ({"Accept-Ranges": "bytes"}, raw)


@pytest.mark.parametrize("gap", [0, 1 << 16])
def test_records_read_by_range_equal_those_of_the_file(
    local: Local, quick: CommonCrawl, gap: int, tmp_path: Path
) -> None:
    raw, rows = archive()
    serve(local, raw)
    out = run(CommonCrawl(quick.prefix, allow_private=LOOPBACK, gap=gap), [rows[4], rows[0], rows[2], rows[0]])
    assert out["warc"] == b"".join(raw[r["offset"] : r["offset"] + r["length"]] for r in (rows[0], rows[2], rows[4]))
    assert [(r["url"], r["offset"]) for r in out["fetched"]] == [
        (r["url"], r["offset"]) for r in (rows[0], rows[2], rows[4])
    ]
    assert not out["refused"]
    assert len(local.web.paths()) == (3 if gap == 0 else 1)
    (tmp_path / "a.warc.gz").write_bytes(out["warc"])
    assert [r.url for r in records(str(tmp_path / "a.warc.gz")) if isinstance(r, Record)] == [
        rows[i]["url"] for i in (0, 2, 4)
    ]


def test_a_folder_gives_the_same_as_http(local: Local, quick: CommonCrawl, tmp_path: Path) -> None:
    raw, rows = archive()
    serve(local, raw)
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_bytes(raw)
    assert run(CommonCrawl(prefix=str(tmp_path)), rows) == run(quick, rows)
    assert run(CommonCrawl(prefix=f"file://{tmp_path}/"), rows) == run(quick, rows)


def test_every_failure_is_a_row(local: Local, quick: CommonCrawl) -> None:
    raw, rows = archive(3)
    serve(local, raw)
    good = rows[0]
    local.web.pages["/whole.gz"] = ({}, raw)  # a server without support of ranges sends the complete file
    local.web.pages["/plain"] = ({"Accept-Ranges": "bytes"}, b"not gzip at all" * 100)
    local.web.pages["/503"] = ({"status": "503", "Retry-After": "0"}, b"slow down")
    bad = {
        "range_missing": {**good, "file": "none.gz"},
        "range_forbidden": {**good, "file": "403"},
        "range_failed": {**good, "file": "503"},
        "range_timeout": {**good, "file": "hang"},
        "range_wrong": {**good, "file": "whole.gz"},
        "range_not_gzip": {**good, "file": "plain"},
        "index_row": {**good, "offset": -5},
    }
    beyond = {**good, "offset": len(raw) + 10}
    out = run(quick, [*bad.values(), beyond, good])
    assert [r["url"] for r in out["fetched"]] == [good["url"]]
    assert {(r["reason"], r["provenance"]["file"], r["provenance"]["offset"]) for r in out["refused"]} == {
        *((reason, r["file"], r["offset"]) for reason, r in bad.items()), ("range_wrong", FILE, len(raw) + 10),
    }  # fmt: skip
    paths = [p.strip("/") for p in local.web.paths()]
    assert (paths.count("503"), paths.count("hang"), paths.count("none.gz"), paths.count("403")) == (3, 3, 1, 1)


def test_a_failed_range_is_tried_again(local: Local, quick: CommonCrawl) -> None:
    raw, rows = archive(2)
    answers = iter(
        [({"status": "503", "Retry-After": "0"}, b""), ({"status": "500"}, b""), ({"Accept-Ranges": "bytes"}, raw)]
    )

    class Pages(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            return next(answers)

    local.web.pages = Pages({f"/{FILE}": None})
    out = run(quick, rows)
    assert (len(out["fetched"]), out["refused"]) == (2, [])
    assert len(local.web.paths()) == 3


def test_a_private_address_is_refused_unless_allowed(local: Local) -> None:
    raw, rows = archive(1)
    serve(local, raw)
    assert [r["reason"] for r in run(CommonCrawl(prefix=local.base, tries=1), rows)["refused"]] == ["range_forbidden"]
    assert local.web.paths() == []


def test_records_fetched_before_are_not_requested(local: Local, quick: CommonCrawl) -> None:
    raw, rows = archive(3)
    serve(local, raw)
    first = run(quick, rows[:2])
    local.web.asked.clear()
    out = run(quick, rows, previous=[r["place"] for r in first["fetched"]])
    assert [r["url"] for r in out["fetched"]] == [rows[2]["url"]]
    assert len(local.web.paths()) == 1
    assert run(quick, rows, previous=[r["place"] for r in first["fetched"] + out["fetched"]]) == {
        "warc": b"",
        "fetched": [],
        "refused": [],
    }


def test_zero_rows_give_no_records(quick: CommonCrawl) -> None:
    empty: dict[str, Any] = {"warc": b"", "fetched": [], "refused": []}
    assert run(quick, []) == run(quick, [], previous=[]) == empty


def test_a_quarantined_row_is_left_out(local: Local, quick: CommonCrawl) -> None:
    raw, rows = archive(3)
    serve(local, raw)
    out = run(quick, rows, ctx=DirectContext(skip=frozenset({(1, 0)})))
    assert [r["url"] for r in out["fetched"]] == [rows[0]["url"], rows[2]["url"]]


def test_documents_have_their_file_and_offset_in_common_crawl(local: Local, quick: CommonCrawl, tmp_path: Path) -> None:
    raw, rows = archive(4)
    serve(local, raw)
    out = run(quick, rows)
    (tmp_path / "00000-warc.bin").write_bytes(out["warc"])
    # the first capture is left out of the table, as if it had not been chosen
    pq.write_table(pa.Table.from_pylist(out["fetched"][1:], FETCHED), tmp_path / "00000-fetched.parquet")
    part = {
        "path": f"{tmp_path}/00000-warc.bin",
        "file": "web.commoncrawl/00000.warc.gz",
        "offset": 0,
        "length": len(out["warc"]),
    }
    batch = pa.RecordBatch.from_pylist([{**part, "origins": "00000-fetched.parquet"}])
    ((name, documents),) = list(Extract()(batch))
    assert name == "documents" and isinstance(documents, pa.RecordBatch)
    assert [
        (d["url"], d["provenance"]["file"], d["provenance"]["offset"], d["provenance"]["length"])
        for d in documents.to_pylist()
    ] == [(r["url"], FILE, r["offset"], r["length"]) for r in rows[1:]]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 500), st.integers(1, 60))),
    st.integers(0, 100),
    st.integers(1, 300),
)
def test_reads_have_every_row_once_within_the_limits_of_gap_and_size(
    rows: list[tuple[str, int, int]], gap: int, most: int
) -> None:
    rows = sorted(rows)
    plan = list(plan_reads([r[0] for r in rows], [r[1:] for r in rows], gap, most))
    assert [i for read in plan for i in read.rows] == list(range(len(rows)))
    for read in plan:
        ranges = [rows[i] for i in read.rows]
        assert {file for file, *_ in ranges} == {read.file}
        assert read.start == min(o for _, o, _ in ranges) and read.stop == max(o + n for _, o, n in ranges)
        assert read.stop - read.start <= most or len(ranges) == 1
        ends = [max(o + n for _, o, n in ranges[: k + 1]) for k in range(len(ranges))]
        assert all(o - end <= gap for (_, o, _), end in zip(ranges[1:], ends, strict=False))


@pytest.mark.real
def test_real_pages_by_a_generated_index(local: Local) -> None:
    warc = SHARED / "realweb" / "pages.warc.gz"
    if not warc.exists():
        pytest.skip(f"no real pages at {warc}")
    responses = [r for r in records(str(warc)) if isinstance(r, Record)]
    rows = [
        {"key": 0, "url": r.url, "file": "pages.warc.gz", "offset": r.offset, "length": r.length} for r in responses
    ][::3]
    serve(local, warc.read_bytes(), "pages.warc.gz")
    out = run(CommonCrawl(prefix=local.base, allow_private=LOOPBACK), rows)
    assert [(r["url"], r["offset"]) for r in out["fetched"]] == [(r["url"], r["offset"]) for r in rows]
    assert len(out["warc"]) == sum(r["length"] for r in rows) and not out["refused"]
