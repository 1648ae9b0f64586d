"""The choice of captures in an index with Common Crawl's columns."""

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.schema import key64
from pipelines.crawl.index import CHOSEN, INDEX, ChoiceError, Choose, field_of, wanted, where

ROW: dict[str, Any] = {
    "url": "https://a.example/",
    "url_host_registered_domain": "a.example",
    "fetch_time": datetime.datetime(2024, 3, 1, 12, tzinfo=datetime.UTC),
    "fetch_status": 200,
    "content_mime_detected": "text/html",
    "content_languages": "eng",
    "content_truncated": None,
    "warc_filename": "crawl-data/CC-MAIN-2024-10/segments/1/warc/a.warc.gz",
    "warc_record_offset": 100,
    "warc_record_length": 2000,
}
SCHEMA = pa.schema(
    [
        ("url", pa.string()), ("url_host_registered_domain", pa.string()), ("fetch_time", pa.timestamp("ms")),
        ("fetch_status", pa.int16()), ("content_mime_detected", pa.string()), ("content_languages", pa.string()),
        ("content_truncated", pa.string()), ("warc_filename", pa.string()), ("warc_record_offset", pa.int32()),
        ("warc_record_length", pa.int32()),
    ]
)  # fmt: skip
CAPTURES = [
    ROW,
    {**ROW, "url": "https://a.example/de", "content_languages": "deu,eng"},
    {
        **ROW,
        "url": "https://a.example/both",
        "content_languages": "eng,deu",
        "warc_filename": "b.warc.gz",
        "warc_record_offset": 5,
    },
    {**ROW, "url": "https://a.example/gone", "fetch_status": 404},
    {**ROW, "url": "https://a.example/x.pdf", "content_mime_detected": "application/pdf"},
    {**ROW, "url": "https://b.example/", "url_host_registered_domain": "b.example", "content_truncated": "length"},
    {**ROW, "url": "https://c.example/", "url_host_registered_domain": "c.example", "content_languages": None},
    {
        **ROW,
        "url": "https://d.example/",
        "url_host_registered_domain": "d.example",
        "fetch_time": datetime.datetime(2024, 4, 1),
    },
]


def index(
    folder: Path, rows: list[dict[str, Any]] = CAPTURES, crawl: str = "CC-MAIN-2024-10", subset: str = "warc"
) -> str:
    path = folder / f"crawl={crawl}" / f"subset={subset}" / "part-00000.gz.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path, row_group_size=3)
    return str(path)


def choose(paths: list[str], conditions: dict[str, Any], limit: int | None = None) -> list[dict[str, Any]]:
    batch = pa.RecordBatch.from_pylist([{"path": p, "file": p, "size": 1, "changed": ""} for p in paths], INDEX)
    out = []
    for name, rows in Choose(field_of(where(conditions)), limit)(batch):
        assert name == "chosen" and isinstance(rows, pa.RecordBatch) and rows.schema == CHOSEN
        out += rows.to_pylist()
    return out


def choose_urls(folder: Path, conditions: dict[str, Any], limit: int | None = None) -> list[str]:
    return [r["url"].removeprefix("https://") for r in choose([index(folder)], conditions, limit)]


ALL = ["a.example/", "a.example/de", "a.example/both", "b.example/", "c.example/", "d.example/"]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, ALL),  # the default: successful pages of HTML
        ({"content_languages": "eng"}, ["a.example/", "a.example/both", "b.example/", "d.example/"]),
        ({"content_languages": ["eng", "deu"]}, [u for u in ALL if u != "c.example/"]),
        ({"content_languages": None}, ["c.example/"]),
        ({"url_host_registered_domain": ["b.example", "c.example"]}, ["b.example/", "c.example/"]),
        ({"content_truncated": None, "url_host_registered_domain": ["a.example", "b.example"]}, ALL[:3]),
        ({"content_mime_detected": "application/pdf"}, ["a.example/x.pdf"]),
        ({"fetch_status": {"min": 400}}, ["a.example/gone"]),
        ({"fetch_time": {"min": "2024-03-15", "max": datetime.date(2024, 5, 1)}}, ["d.example/"]),
        ({"warc_record_offset": {"max": 50}}, ["a.example/both"]),
        ({"crawl": "CC-MAIN-2024-10"}, ALL),
        ({"crawl": "CC-MAIN-2024-18"}, []),
        ({"subset": "robotstxt"}, []),
    ],
)
def test_conditions_choose_captures(tmp_path: Path, conditions: dict[str, Any], expected: list[str]) -> None:
    assert choose_urls(tmp_path, conditions) == expected


def test_a_row_names_its_record_and_the_captures_of_a_file_share_a_key(tmp_path: Path) -> None:
    rows = choose([index(tmp_path)], {"content_languages": "eng"})
    place = {"file": ROW["warc_filename"], "offset": 100, "length": 2000}
    assert rows[0] == {"key": key64(ROW["warc_filename"]), "url": ROW["url"], **place}
    assert [r["key"] for r in rows] == [key64(r["file"]) for r in rows]


def test_a_limit_counts_in_each_file(tmp_path: Path) -> None:
    assert choose_urls(tmp_path, {}, limit=2) == ALL[:2]


def test_crawl_and_subset_of_a_file_are_read_from_its_path() -> None:
    path = "s3://commoncrawl/cc-index/table/cc-main/warc/crawl=CC-MAIN-2024-10/subset=crawldiagnostics/x.parquet"
    assert wanted(path, {"crawl": ["CC-MAIN-2024-10"]})
    assert not wanted(path, where({}))
    assert wanted("some/index.parquet", where({}))


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"content_language": "eng"}, "content_language: no column of the index; did you mean 'content_languages'"),
        ({"content_languages": []}, "content_languages: an empty list"),
        ({"content_languages": {"min": "a"}}, "content_languages: a value, a list"),
        ({"fetch_status": "200"}, "fetch_status: '200' is no whole number"),
        ({"fetch_status": {"least": 200}}, "fetch_status: a value, a list"),
        ({"fetch_time": {"min": "yesterday"}}, "fetch_time: 'yesterday' is no time"),
    ],
)
def test_a_wrong_condition_is_an_error_of_one_line(conditions: dict[str, Any], message: str) -> None:
    with pytest.raises(ChoiceError) as e:
        where(conditions)
    assert str(e.value).startswith(message)


def test_a_file_that_is_not_an_index_is_an_error_of_one_line(tmp_path: Path) -> None:
    pq.write_table(pa.table({"url": ["x"]}), tmp_path / "other.parquet")
    with pytest.raises(ChoiceError, match=r"other\.parquet: no column 'warc_filename'"):
        choose([str(tmp_path / "other.parquet")], {})
