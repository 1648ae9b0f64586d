"""Queries about a run, on a run of four rows that the test writes."""

import json
import pathlib
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.inspect import InspectError, diff, explain, samples
from manifests.ledger import DOCUMENTS, IMAGES, QUARANTINE, TEXTS
from manifests.runfiles import RunFiles, RunFilesError
from manifests.schema import OUTCOME, REFUSED
from shards import tar

KEPT, DUPLICATE, IMAGE = "aa" * 16, "bb" * 16, "http://p.example/1.jpg"


def table(run: pathlib.Path, name: str, schema: pa.Schema, rows: list[dict[str, Any]]) -> None:
    (run / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), run / name)


@pytest.fixture
def run(tmp_path: pathlib.Path) -> pathlib.Path:
    fields = {"id": KEPT, "url": "http://a.example/", "texts": ["Hello", None], "images": [None, "0.jpg"],
              "image_meta": [{"width": 4, "height": 3, "alt": "a boat", "url": IMAGE}]}  # fmt: skip
    path = tmp_path / "shards" / "web" / "train-000000.tar"
    path.parent.mkdir(parents=True)
    path.write_bytes(tar.sample("000", [("json", json.dumps(fields).encode()), ("0.jpg", b"x")]) + bytes(2 * tar.BLOCK))
    index = pa.schema(
        [
            ("id", pa.string()),
            ("key", pa.string()),
            ("source", pa.string()),
            ("split", pa.string()),
            ("offset", pa.int64()),
        ]
    )
    table(tmp_path, "index/web-train-000000.parquet", index,
          [{"id": KEPT, "key": "000", "source": "web", "split": "train", "offset": 0}])  # fmt: skip
    shard = {"path": "shards/web/train-000000.tar", "index": "index/web-train-000000.parquet"}
    source = {"kind": "web", "layout": "interleaved", "tag": None, "splits": {"train": [shard]}}
    (tmp_path / "manifest.json").write_text(json.dumps({"version": 2, "sources": {"web": source}}))
    table(tmp_path, "ledger/web-documents-00000.parquet", DOCUMENTS, [
        {"id": KEPT, "source": "web", "url": "http://a.example/", "keep": True, "split": "train", "images": 1,
         "tokens": 5},
        {"id": DUPLICATE, "source": "web", "url": "http://b.example/", "keep": False, "reason": "near_duplicate",
         "score": 0.91, "survivor": KEPT},
    ])  # fmt: skip
    table(tmp_path, "ledger/web-images-00000.parquet", IMAGES,
          [{"id": KEPT, "node": 3, "image": "http://p.example/2.jpg", "reason": "side_min_low", "score": 20,
            "threshold": 150}])  # fmt: skip
    table(
        tmp_path,
        "ledger/web-texts-00000.parquet",
        TEXTS,
        [{"id": KEPT, "node": 4, "reason": "words_low", "score": 2, "text": "Share\nthis"}],
    )
    table(tmp_path, "ledger/web-refused-00000.parquet", REFUSED, [{"url": "http://c.example/", "reason": "not_html"}])
    table(tmp_path, "ledger/fetch-outcomes-00000.parquet", OUTCOME, [
        {"url": IMAGE, "status": "ok", "width": 4, "height": 3, "format": "jpeg", "sha256": "cd" * 32},
        {"url": "http://p.example/2.jpg", "status": "http_404"},
    ])  # fmt: skip
    table(tmp_path, "ledger/quarantine.parquet", QUARANTINE, [])
    return tmp_path


def answers(run: pathlib.Path, query: str) -> list[str]:
    return [r["says"] for r in explain(RunFiles(run), query)]


def test_all_rows_about_a_kept_document_by_id_and_by_url(run: pathlib.Path) -> None:
    for query in (KEPT, "http://a.example/"):
        document, image, text, place = answers(run, query)
        assert document == f"web document {KEPT} (http://a.example/): kept, in train, 1 images, 5 tokens"
        assert image.endswith("dropped, side_min_low (20, limit 150)")
        assert text.endswith("dropped, words_low (2): 'Share\\nthis'")
        assert "sample 000 of web train, byte 0" in place


def test_a_duplicate_names_its_survivor(run: pathlib.Path) -> None:
    assert answers(run, DUPLICATE) == [
        f"web document {DUPLICATE} (http://b.example/): dropped, near_duplicate (0.91), a duplicate of {KEPT}"
    ]


def test_images_and_refused_pages_by_their_address(run: pathlib.Path) -> None:
    assert answers(run, IMAGE) == [f"image {IMAGE}: ok, 4x3 jpeg, sha256 {'cd' * 32}"] == answers(run, "cd" * 32)
    outcome, dropped = answers(run, "http://p.example/2.jpg")
    assert outcome == "image http://p.example/2.jpg: http_404" and f"of document {KEPT}" in dropped
    assert answers(run, "http://c.example/") == ["http://c.example/: never became a document, not_html"]
    assert answers(run, "http://nowhere.example/") == answers(run, "") == []


def test_samples_are_read_from_the_shard(run: pathlib.Path) -> None:
    (sample,) = samples(RunFiles(run), "web", 5)
    assert (sample["key"], sample["id"]) == ("000", KEPT)
    assert sample["rendered"] == f"── 000  http://a.example/\nHello\n[image 0.jpg  4x3  a boat  {IMAGE}]\n"
    assert samples(RunFiles(run), None, 5) == [sample]  # by default the first source


def test_samples_of_a_manifest_of_version_1(run: pathlib.Path) -> None:
    sources = json.loads((run / "manifest.json").read_text())["sources"]
    manifest = {"version": 1, "configs": {"interleaved": sources["web"]["splits"]}}
    expected = samples(RunFiles(run), "web", 5)
    (run / "manifest.json").write_text(json.dumps(manifest))
    assert samples(RunFiles(run), "interleaved", 5) == samples(RunFiles(run), None, 5) == expected


def test_a_source_with_the_name_of_a_ledger_table_is_not_read_as_that_table(run: pathlib.Path) -> None:
    rows = [{"id": DUPLICATE, "source": "my-images", "url": "http://d.example/", "keep": True, "split": "train"}]
    table(run, "ledger/my-images-documents-00000.parquet", DOCUMENTS, rows)
    assert answers(run, "http://d.example/") == [
        f"my-images document {DUPLICATE} (http://d.example/): kept, in train, None images, None tokens"
    ]


def test_an_absent_source_or_run_is_one_line(run: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(InspectError, match=r"no source 'pairs'; it has web$"):
        samples(RunFiles(run), "pairs", 1)
    empty = tmp_path_factory.mktemp("empty")
    for query in (lambda: explain(RunFiles(empty), "x"), lambda: samples(RunFiles(empty), "pairs", 1)):
        with pytest.raises(RunFilesError, match="no finished run"):
            query()


def test_diff_has_only_the_numbers_that_changed() -> None:
    numbers = {"documents": 9, "samples": 4, "images": 2, "tokens": 7, "bytes": 8, "shards": 1}
    one = {**numbers, "refused": {}, "dropped": {"words_low": 2}, "unpacked": {}}
    other = {**one, "samples": 3, "dropped": {"language": 1}}
    rows = diff({"sources": {"web": one}}, {"sources": {"web": other, "pdf": {**one, "documents": 0}}})
    web = {r["what"]: (r["first"], r["second"]) for r in rows if r["source"] == "web"}
    assert web == {"samples": (4, 3), "dropped: words_low": (2, 0), "dropped: language": (0, 1)}
    assert {r["first"] for r in rows if r["source"] == "pdf"} == {0}
    assert diff({"sources": {"web": one}}, {"sources": {"web": one}}) == []
