"""Queries about a run, on a run of four rows that the test writes."""

import json
import pathlib
import shutil
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.explain import counts, explain
from manifests.inspect import InspectError, diff, samples
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
    return [r["says"] for r in explain(RunFiles(run), query).rows]


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


def test_quarantined_rows_by_every_name_that_they_have(run: pathlib.Path) -> None:
    rows = [
        {
            "stage": "web.extract",
            "cause": "crash: SIGSEGV",
            "url": "http://d.example/",
            "file": "w.warc.gz",
            "offset": 7,
        },
        {"stage": "web.releases", "cause": "hang", "file": "r.jsonl", "offset": 3},
        {"stage": "pdf.pages", "cause": "memory", "file": "p.pdf"},
        {"stage": "web.score.own", "cause": "exception: E", "id": KEPT, "url": "http://a.example/"},
        {"stage": "web.group", "cause": "exception: E"},
    ]
    table(run, "ledger/quarantine.parquet", QUARANTINE, [{"part": 0, "row": 0, "sub": 0, **row} for row in rows])
    assert answers(run, "http://d.example/") == ["http://d.example/: quarantined in web.extract, crash: SIGSEGV"]
    assert answers(run, "w.warc.gz/7") == answers(run, "http://d.example/")
    assert (
        answers(run, "r.jsonl/3")
        == answers(run, "release:r.jsonl/3")
        == ["r.jsonl/3: quarantined in web.releases, hang"]
    )
    assert answers(run, "p.pdf") == ["p.pdf: quarantined in pdf.pages, memory"]
    (line,) = (line for line in answers(run, KEPT) if "quarantined" in line)
    assert line == "http://a.example/: quarantined in web.score.own, exception: E"
    assert answers(run, "r.jsonl") != [] and answers(run, "r.jsonl/4") == answers(run, "None/None") == []


def test_diff_has_only_the_numbers_that_changed() -> None:
    numbers = {"documents": 9, "samples": 4, "images": 2, "tokens": 7, "bytes": 8, "shards": 1}
    one = {**numbers, "refused": {}, "dropped": {"words_low": 2}, "unpacked": {}}
    other = {**one, "samples": 3, "dropped": {"language": 1}}
    rows = diff({"sources": {"web": one}}, {"sources": {"web": other, "pdf": {**one, "documents": 0}}})
    web = {r["what"]: (r["first"], r["second"]) for r in rows if r["source"] == "web"}
    assert web == {"samples": (4, 3), "dropped: words_low": (2, 0), "dropped: language": (0, 1)}
    assert {r["first"] for r in rows if r["source"] == "pdf"} == {0}
    assert diff({"sources": {"web": one}}, {"sources": {"web": one}}) == []


# ---- questions


@pytest.mark.parametrize(
    "question",
    [
        KEPT[:4],
        f" {KEPT.upper()}\n",
        "HTTP://A.Example:80/./#top",
        "http://me:secret@a.example",
        "a.example/",
        "a.example",
        "EXAMPLE.",  # no host: it has no dot
    ],
)
def test_a_document_by_each_spelling(run: pathlib.Path, question: str) -> None:
    found = any(f"document {KEPT}" in line for line in answers(run, question))
    assert found == (question != "EXAMPLE.")


@pytest.mark.parametrize("question", ["sha256:" + "CD" * 32, "cdcd", "HTTP://P.example/x/../1.jpg", "p.example"])
def test_an_image_by_each_spelling(run: pathlib.Path, question: str) -> None:
    assert f"image {IMAGE}: ok, 4x3 jpeg, sha256 {'cd' * 32}" in answers(run, question)


def test_a_document_by_the_key_of_its_sample_and_by_the_row_of_its_file(run: pathlib.Path) -> None:
    index = pq.read_table(run / "index/web-train-000000.parquet")
    pq.write_table(index.set_column(1, "key", pa.array(["v00000000000"])), run / "index/web-train-000000.parquet")
    assert answers(run, "v00000000000") == answers(run, KEPT) != []
    chat = {"source": "chat", "keep": True, "split": "train"}
    rows = [{**chat, "id": f"{n:032x}", "url": f"conversations:a%20b/rows.jsonl/{n}#2"} for n in (3, 13, 33)]
    table(run, "ledger/chat-documents-00000.parquet", DOCUMENTS, rows)
    for question in ("rows.jsonl/3", "a b/rows.jsonl/3", "conversations:a b/rows.jsonl/3", "a%20b/rows.jsonl/3#2"):
        (line,) = answers(run, question)
        assert line.startswith(f"chat document {3:032x} (conversations:a%20b/rows.jsonl/3#2): kept")
    assert answers(run, "jsonl/3") == answers(run, "conversations:a b/rows.jsonl/3#3") == []


def test_a_host_names_its_pages_and_those_of_its_subdomains_and_the_list_is_cut(run: pathlib.Path) -> None:
    urls = [
        "http://big.example/?x",
        "https://me@WWW.Big.example:8443/a",
        "http://notbig.example/",
        "http://big.example.org/",
    ]
    urls += [f"http://big.example/{n}" for n in range(30)]
    rows = [
        {"id": f"{n:032x}", "source": "web", "url": url, "keep": True, "split": "train"} for n, url in enumerate(urls)
    ]
    table(run, "ledger/web-documents-00001.parquet", DOCUMENTS, rows)
    answer = explain(RunFiles(run), "big.example", 5)
    assert [row["url"] for row in answer.rows] == [urls[0], urls[1], *urls[4:7]]
    assert counts(answer.more) == "27 documents"


def test_every_source_with_a_match_is_in_a_list_that_is_cut(run: pathlib.Path) -> None:
    for source, number in (("pairs", 50), ("web", 1), ("pdf", 3)):
        row = {"source": source, "url": "http://s.example/#page=1", "keep": False}
        rows = [{**row, "id": f"{n:032x}"} for n in range(number)]
        table(run, f"ledger/{source}-documents-00009.parquet", DOCUMENTS, rows)
    answer = explain(RunFiles(run), "http://s.example/", 10)
    assert Counter(row["source"] for row in answer.rows) == {"web": 1, "pdf": 3, "pairs": 6}
    assert counts(answer.more) == "44 documents"


def test_only_row_groups_that_may_hold_a_match_are_read(run: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"id": f"{n:032x}", "source": "web", "url": f"http://s.example/{n}", "keep": True} for n in range(100)]
    path = run / "ledger/web-documents-00001.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=DOCUMENTS), path, row_group_size=10)
    read, groups = pq.ParquetFile.read_row_group, []

    def counted(file: pq.ParquetFile, group: int, columns: list[str] | None = None, **more: Any) -> pa.Table:
        if file.metadata.num_row_groups == 10:
            groups.append((group, columns))
        return read(file, group, columns, **more)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    assert "http://s.example/42" in answers(run, f"{42:032x}")[0]
    assert groups == [(4, ["id"]), (4, None)]


def test_a_published_copy_answers_from_its_index(run: pathlib.Path) -> None:
    index = pq.read_table(run / "index/web-train-000000.parquet")
    for name, value in (("url", "http://a.example/"), ("n_images", 1), ("n_text_tokens", 5)):
        index = index.append_column(name, pa.array([value]))
    pq.write_table(index, run / "index/web-train-000000.parquet")
    shutil.rmtree(run / "ledger")
    place = f"web document {KEPT} (http://a.example/): sample 000 of web train, byte 0 of its shard, 1 images, 5 tokens"
    for question in (KEPT, KEPT[:6], "http://A.example/#x", "a.example"):
        assert answers(run, question) == [place]
    answer = explain(RunFiles(run), DUPLICATE)
    assert answer.rows == [] and "has no ledger, as a published copy" in (answer.lacks or "")


def test_a_refused_row_by_its_file_and_its_number(run: pathlib.Path) -> None:
    rows = [
        {"url": None, "reason": "bad_row", "provenance": {"file": "lists/a.csv", "offset": 40}},
        {"url": "ftp://x", "reason": "bad_url", "provenance": {"file": "lists/a.csv", "offset": 4}},
        {"url": None, "reason": "file_broken", "provenance": {"file": "other/b.csv", "offset": 40}},
    ]
    table(run, "ledger/pairs-refused-00000.parquet", REFUSED, rows)
    for question in ("a.csv/40", "lists/a.csv/40"):
        assert answers(run, question) == ["lists/a.csv/40: never became a document, bad_row"]
    assert answers(run, "a.csv/4") == ["ftp://x: never became a document, bad_url"]
    assert answers(run, "csv/40") == answers(run, "a.csv/41") == []
