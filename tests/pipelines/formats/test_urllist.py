"""Lists of image addresses and captions, in each kind of file, read as pairs."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.schema import document_id
from manifests.stage import InputError
from pipelines.formats.pieces import INPUTS, pieces
from pipelines.formats.urllist import REASONS, UrlList
from tests.pipelines.html.test_stages import run

ROWS = [
    ("https://e.com/a.jpg", "A boat\nat dawn"),
    ("ftp://e.com/b.jpg", "bad address"),
    ("https://e.com/c.jpg", " "),
    ("HTTPS://E.com/d.jpg#x", 'He said "yes", twice'),
]


def read(path: Path, stage: UrlList = UrlList()) -> dict[str, Any]:  # noqa: B008
    size = path.stat().st_size if path.exists() else 0
    return run(stage, pieces({"path": str(path), "file": path.name, "size": size, "changed": ""}), INPUTS)


def lists(tmp_path: Path) -> dict[str, Path]:
    out = {}
    for name, delimiter in (("csv", ","), ("tsv", "\t")):
        out[name] = tmp_path / f"list.{name}"
        with out[name].open("w", newline="") as f:
            csv.writer(f, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("URL", "TEXT"), *ROWS])
    out["jsonl"] = tmp_path / "list.jsonl.gz"
    out["jsonl"].write_bytes(gzip.compress("\n".join(json.dumps({"url": u, "caption": t}) for u, t in ROWS).encode()))
    out["parquet"] = tmp_path / "list.parquet"
    pq.write_table(
        pa.table({"url": [u for u, _ in ROWS], "text": [t for _, t in ROWS], "width": [1] * 4}), out["parquet"]
    )
    return out


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_each_kind_of_file_gives_the_same_pairs(tmp_path: Path, kind: str) -> None:
    path = lists(tmp_path)[kind]
    out = read(path)
    assert [(d["nodes"][0]["image"], d["nodes"][1]["text"]) for d in out["documents"]] == [
        ("https://e.com/a.jpg", "A boat at dawn"), ("https://e.com/d.jpg", 'He said "yes", twice'),
    ]  # fmt: skip
    assert [(r["url"], r["reason"], r["provenance"]["file"], r["provenance"]["offset"]) for r in out["refused"]] == [
        ("ftp://e.com/b.jpg", "bad_url", path.name, 1), ("https://e.com/c.jpg", "no_text", path.name, 2),
    ]  # fmt: skip
    assert out["documents"][0]["id"] == document_id("pairs", "https://e.com/a.jpg", b"A boat at dawn")


def test_quotes_in_a_tsv_are_text(tmp_path: Path) -> None:
    path = tmp_path / "cc.tsv"
    path.write_text('caption\turl\n"a sign that says\thttps://e.com/a.jpg\nsecond\thttps://e.com/b.jpg\nshort row\n')
    out = read(path)
    assert [d["nodes"][1]["text"] for d in out["documents"]] == ['"a sign that says', "second"]
    assert [r["reason"] for r in out["refused"]] == ["bad_row"]


def test_columns_are_read_by_name_and_bad_lines_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(
        '{"link": "https://e.com/a.jpg", "words": "some words"}\nnot json\n[1]\n{"link": 5, "words": "x"}\n\n'
    )
    out = read(path, UrlList(url_column="link", text_column="words"))
    assert (len(out["documents"]), [r["reason"] for r in out["refused"]]) == (1, ["bad_row", "bad_row", "bad_url"])


@pytest.mark.parametrize(
    ("name", "text"), [("a.csv", "url,words\n"), ("a.tsv", "link\ttext\n"), ("a.jsonl", '{"a": 1}\n')]
)
def test_a_missing_column_is_one_line(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=rf"{name}: no (url|text) column .* recipe key `(url|text)_column`") as e:
        read(tmp_path / name)
    assert "\n" not in str(e.value)


def test_an_unknown_kind_of_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.doc: not a \.csv"):
        read(tmp_path / "a.doc")


def test_a_list_of_bad_addresses_alone_and_a_list_without_rows(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("url,text\nnot-a-url,Some text here\nftp://x/y.jpg,Another text here\n")
    out = read(tmp_path / "bad.csv")
    assert out["documents"] == [] and [r["reason"] for r in out["refused"]] == ["bad_url"] * 2
    (tmp_path / "none.csv").write_text("url,text\n")
    assert read(tmp_path / "none.csv") == {"documents": [], "refused": []}


def test_the_rest_of_a_broken_list_is_refused(tmp_path: Path) -> None:
    text = "url\ttext\n" + "".join(f"https://e.com/{i * 7919}.jpg\tpicture {i}\n" for i in range(20_000))
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(gzip.compress(text.encode())[:-2000])
    out = read(path)
    assert len(out["documents"]) > 1000 and [r["reason"] for r in out["refused"]][-1] == "file_broken"
    assert {r["reason"] for r in out["refused"]} <= set(REASONS)


def test_row_groups_are_divided_among_parts(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    addresses = [f"https://e.com/{i}.jpg" for i in range(9)]
    pq.write_table(pa.table({"url": addresses, "text": ["some words"] * 9}), path, row_group_size=2)
    parts = [{"path": str(path), "file": "a", "piece": i, "pieces": 3} for i in range(3)]
    outs = [run(UrlList(), [part], INPUTS)["documents"] for part in parts]
    assert all(outs) and [d["nodes"][0]["image"] for out in outs for d in out] == addresses
    assert len(read(path, UrlList(limit=3))["documents"]) == 3


def test_a_table_without_a_header(tmp_path: Path) -> None:
    rows = "".join(f"a boat {i}\thttps://e.com/{i}.jpg\n" for i in range(3))
    (tmp_path / "a.tsv").write_text(rows)
    with pytest.raises(InputError, match=r"no url column .* with the recipe key `columns`, as in \[text, url\]"):
        read(tmp_path / "a.tsv")
    out = read(tmp_path / "a.tsv", UrlList(columns=("text", "url")))
    assert [d["nodes"][0]["image"] for d in out["documents"]] == [f"https://e.com/{i}.jpg" for i in range(3)]
    (tmp_path / "a.csv").write_bytes(b"")
    assert read(tmp_path / "a.csv") == {"documents": [], "refused": []}


def test_cells_as_other_projects_store_them(tmp_path: Path) -> None:
    urls = [f"https://e.com/{i}.jpg" for i in range(4)]
    texts = [["one", "two"], [], ["", "three"], ["four"]]
    pq.write_table(pa.table({"url": urls, "caption": texts}), tmp_path / "lists.parquet")
    out = read(tmp_path / "lists.parquet")
    assert [d["nodes"][1]["text"] for d in out["documents"]] == ["one", "three", "four"]
    binary = [b"one", b"caf\xe9", "zwölf".encode(), None]
    pq.write_table(pa.table({"url": [u.encode() for u in urls], "text": binary}), tmp_path / "bytes.parquet")
    out = read(tmp_path / "bytes.parquet")
    assert [d["nodes"][1]["text"] for d in out["documents"]] == ["one", "zwölf"]
    assert [r["reason"] for r in out["refused"]] == ["bad_row", "no_text"]
    pq.write_table(
        pa.table({"url": ["https://e.com/page"], "image_url": urls[:1], "text": ["x"]}), tmp_path / "p.parquet"
    )
    assert read(tmp_path / "p.parquet")["documents"][0]["nodes"][0]["image"] == urls[0]


def test_rows_of_a_json_file_may_lack_columns_but_not_all(tmp_path: Path) -> None:
    rows: list[Any] = [
        {"url": "https://e.com/a.jpg"},
        {"url": "https://e.com/b.jpg", "caption": "x"},
        {"url": [[1] * 9]},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)) + '\n{"url": ' + "[" * 99_999 + "\n")
    out = read(tmp_path / "a.jsonl")
    assert [d["provenance"]["offset"] for d in out["documents"]] == [1]
    assert [r["reason"] for r in out["refused"]] == ["no_text", "bad_url", "bad_row"]
