"""A crawl after an earlier one: pages are requested under a condition, and unchanged pages are copied."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from warcio.archiveiterator import ArchiveIterator

from pipelines.crawl.live import PAGE, SEED, Crawl, hosts_of
from pipelines.warc.read import Record, records
from tests.pipelines.crawl.conftest import Local, Origin
from tests.pipelines.crawl.test_live import page

QUICK = Crawl(delay_s=0, deadline_s=2, sitemaps=False)
MAY = "Sat, 01 May 2021 00:00:00 GMT"


def crawl(
    folder: Path, seeds: list[str], earlier: list[Path] | None = None, stage: Crawl = QUICK
) -> dict[str, dict[str, Any]]:
    """Crawls into ``folder`` (pages.parquet, warc), after the crawls in ``earlier``. Returns the rows by URL."""
    batch = pa.RecordBatch.from_pylist([{"host": h, "seeds": s} for h, s in hosts_of(seeds)], SEED)
    if earlier is not None:
        files = [[str(f / "pages.parquet"), str(f / "warc")] for f in earlier]
        batch = batch.append_column("earlier", pa.array([files] * batch.num_rows, pa.list_(pa.list_(pa.string()))))
    folder.mkdir()
    outputs = list(stage(batch))
    rows = [r for name, piece in outputs if name == "pages" for r in piece.to_pylist()]  # type: ignore[union-attr]
    (folder / "warc").write_bytes(b"".join(piece for name, piece in outputs if name == "warc"))  # type: ignore[misc]
    pq.write_table(pa.Table.from_pylist(rows, PAGE), folder / "pages.parquet")
    return {r["url"]: r for r in rows}


def record_at(folder: Path, row: dict[str, Any]) -> Record:
    """The response at the offset of a row."""
    (record,) = records(str(folder / "warc"), row["offset"], row["length"])
    assert isinstance(record, Record)
    assert record.url == row["url"]
    return record


def with_head(page_: tuple[dict[str, str], bytes], **headers: str) -> tuple[dict[str, str], bytes]:
    return {**page_[0], **{name.replace("_", "-"): value for name, value in headers.items()}}, page_[1]


@pytest.fixture
def web(proxied: Local) -> Local:
    proxied.web.pages |= {
        "a.example/": with_head(page("/by-date", "/changed", "/plain"), ETag='"one"'),
        "a.example/by-date": with_head(page("/deep"), Last_Modified=MAY),
        "a.example/changed": with_head(page(), ETag='"old"'),
        "a.example/plain": page(),
        "a.example/deep": page(),
        "b.example/": with_head(page(), ETag='W/"b"'),
    }
    return proxied


def test_unchanged_pages_are_copied_and_changed_ones_are_fetched(web: Local, tmp_path: Path) -> None:
    seeds = ["http://b.example/", "http://a.example/"]
    first = crawl(tmp_path / "1", seeds)
    assert {r["http_status"] for r in first.values()} == {200}
    assert first["http://a.example/"]["etag"] == '"one"'
    assert first["http://a.example/by-date"]["last_modified"] == MAY
    web.web.pages["a.example/changed"] = with_head(page("/found"), ETag='"new"')
    web.web.pages["a.example/found"] = page()
    second = crawl(tmp_path / "2", seeds, [tmp_path / "1"])
    assert {u.removeprefix("http://"): r["http_status"] for u, r in second.items()} == {
        "b.example/": 304, "a.example/": 304, "a.example/by-date": 304, "a.example/changed": 200,
        "a.example/plain": 200, "a.example/deep": 200, "a.example/found": 200,
    }  # fmt: skip
    assert {r["status"] for r in second.values()} == {"ok"}
    for url, row in second.items():
        record = record_at(tmp_path / "2", row)
        assert record.payload == web.web.pages[url.removeprefix("http://")][1]
        assert (row["bytes"], row["type"]) == (len(record.payload), "text/html")
        if row["http_status"] == 304:
            earlier = record_at(tmp_path / "1", first[url])
            assert (earlier.fetched_at, earlier.payload, earlier.status) == (record.fetched_at, record.payload, 200)
    with (tmp_path / "2" / "warc").open("rb") as f:
        kinds = [r.rec_type for r in ArchiveIterator(f, check_digests="raise") if r.content_stream().read() is not None]
    assert kinds == ["warcinfo", *["response", "request"] * 7]


def test_a_copied_page_is_copied_again_by_the_next_crawl(web: Local, tmp_path: Path) -> None:
    crawl(tmp_path / "1", ["http://a.example/"])
    crawl(tmp_path / "2", ["http://a.example/"], [tmp_path / "1"])
    (tmp_path / "1" / "warc").unlink()
    third = crawl(tmp_path / "3", ["http://a.example/"], [tmp_path / "2"])
    assert [third[f"http://a.example/{p}"]["http_status"] for p in ("", "by-date", "changed")] == [304] * 3
    assert third["http://a.example/by-date"]["last_modified"] == MAY  # the answer 304 has no such header


def test_a_page_whose_earlier_records_are_missing_or_damaged_is_fetched(web: Local, tmp_path: Path) -> None:
    first = crawl(tmp_path / "1", ["http://a.example/"])
    broken = bytearray((tmp_path / "1" / "warc").read_bytes())
    at = first["http://a.example/"]["offset"] + 40
    broken[at : at + 40] = bytes(40)
    (tmp_path / "1" / "warc").write_bytes(broken)
    second = crawl(tmp_path / "2", ["http://a.example/"], [tmp_path / "1"])
    assert (second["http://a.example/"]["http_status"], second["http://a.example/by-date"]["http_status"]) == (200, 304)
    (tmp_path / "2" / "warc").unlink()
    third = crawl(tmp_path / "3", ["http://a.example/"], [tmp_path / "2", tmp_path / "never"])
    assert {r["http_status"] for r in third.values()} == {200}


def test_a_304_answer_to_an_unconditional_request_is_empty(proxied: Local, tmp_path: Path) -> None:
    proxied.web.pages["c.example/"] = ({"status": "304", "Content-Length": None}, b"")  # type: ignore[dict-item]
    (row,) = crawl(tmp_path / "1", ["http://c.example/"]).values()
    assert (row["status"], row["http_status"], row["offset"]) == ("empty", 304, None)


def test_earlier_crawls_without_validators_are_ignored(web: Local, tmp_path: Path) -> None:
    crawl(tmp_path / "1", ["http://b.example/"])
    table = pq.read_table(tmp_path / "1" / "pages.parquet")
    pq.write_table(table.drop_columns(["etag", "last_modified", "offset", "length"]), tmp_path / "1" / "pages.parquet")
    assert crawl(tmp_path / "2", ["http://b.example/"], [tmp_path / "1"])["http://b.example/"]["http_status"] == 200


@pytest.mark.real
def test_the_origin_sends_no_page_twice(origin: Origin, tmp_path: Path) -> None:
    with open(origin.module.HERE / "pages.warc.gz", "rb") as file:
        urls = [r.rec_headers.get_header("WARC-Target-URI") for r in ArchiveIterator(file)]
    seeds = [u for u in urls if u.startswith("http://") and u.count("//") == 1][:15]
    stage = Crawl(delay_s=0, max_depth=0, crawl_delay_cap_s=0, deadline_s=60, sitemaps=False)
    first = crawl(tmp_path / "1", seeds, stage=stage)
    second = crawl(tmp_path / "2", seeds, [tmp_path / "1"], stage)
    fetched = {u for u, r in first.items() if r["status"] == "ok"}
    assert len(fetched) >= 10
    assert {u for u, r in second.items() if r["status"] == "ok" and r["http_status"] == 304} == fetched
    assert all(
        record_at(tmp_path / "1", first[u]).payload == record_at(tmp_path / "2", second[u]).payload for u in fetched
    )
