"""Documents without images, from JSON and Parquet."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.schema import document_id
from manifests.stage import InputError
from pipelines.formats.from_datatrove import FromDatatrove, inputs, parts
from pipelines.formats.pieces import INPUTS, pieces
from pipelines.formats.texts import REASONS, Texts
from tests.pipelines.html.test_stages import run

ROWS = [
    {"text": "The mill  stands\nby the river.\n \nIts wheel turns.", "url": "HTTP://E.com/mill#top"},
    {"text": "Without an address.", "url": None},
    {"text": " \n ", "url": "http://e.com/blank"},
]


def read(path: Path, stage: Texts = Texts()) -> dict[str, Any]:  # noqa: B008
    file = {"path": str(path), "file": path.name, "size": path.stat().st_size, "changed": ""}
    return run(stage, pieces(file), INPUTS)


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "jsonl.gz", "jsonl.zst", "json"])
def test_rows_are_documents_of_text(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    lines = "\n".join(map(json.dumps, ROWS)).encode()
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif ending == "json":
        path.write_text(json.dumps(ROWS))
    else:
        pack = {"jsonl.gz": gzip.compress, "jsonl.zst": zstandard.ZstdCompressor().compress}.get(ending, bytes)
        path.write_bytes(pack(lines))
    out = read(path)
    first, second = out["documents"]
    assert [node["text"] for node in first["nodes"]] == ["The mill stands by the river.", "Its wheel turns."]
    assert {node["kind"] for node in first["nodes"]} == {"text"}
    assert (first["kind"], first["url"], second["url"]) == ("text", "http://e.com/mill", f"text:{path.name}/1")
    assert first["id"] == document_id("text", "http://e.com/mill", ROWS[0]["text"].encode())  # type: ignore[union-attr]
    assert first["provenance"] == {"file": path.name, "offset": 0, "length": None, "page": None}
    assert [(r["url"], r["reason"], r["provenance"]["offset"]) for r in out["refused"]] == [
        (f"text:{path.name}/2", "no_text", 2)
    ]


def test_a_recipe_can_name_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"content": "Some words.", "link": "http://e.com/1", "url": 3}\n{"content": 5}\n[1]\n')
    out = read(path, Texts("content", "link"))
    assert [(d["url"], d["nodes"][0]["text"]) for d in out["documents"]] == [("http://e.com/1", "Some words.")]
    assert [r["reason"] for r in out["refused"]] == ["bad_row", "bad_row"]
    assert len(read(path, Texts("content", limit=1))["documents"]) == 1


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        (Texts(), r"no text column \('text'\) among 'content'; name it with the recipe key `text_column`"),
        (
            Texts("content", "link"),
            r"no url column \('link'\) among 'content'; name it with the recipe key `url_column`",
        ),
    ],
)
def test_a_missing_column_is_one_line(tmp_path: Path, stage: Texts, line: str) -> None:
    (tmp_path / "a.jsonl").write_text('{"content": "x"}\n')
    pq.write_table(pa.table({"content": ["x"]}), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        with pytest.raises(InputError, match=rf"{name}: {line}"):
            read(tmp_path / name, stage)


def test_a_source_of_text_can_use_a_datatrove_reader(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one", "id": "1"}\n')
    arguments = {"data_folder": str(tmp_path)}
    reader = "datatrove.pipeline.readers.JsonlReader"
    stage = FromDatatrove(reader, tuple(arguments.items()), kind="text")
    (table,) = parts(inputs(reader, arguments))
    out = run(stage, table.to_pylist(), table.schema)
    assert [(d["kind"], d["url"]) for d in out["documents"]] == [("text", "datatrove:a.jsonl/0")]


anything = st.text(st.characters())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.fixed_dictionaries({"text": anything | st.none(), "url": anything}), min_size=1, max_size=5))
def test_each_row_is_a_document_or_refused(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    path = tmp_path_factory.mktemp("any") / "a.json"
    path.write_text(json.dumps(rows))
    out = read(path)
    assert sorted(r["provenance"]["offset"] for r in (*out["documents"], *out["refused"])) == list(range(len(rows)))
    assert {r["reason"] for r in out["refused"]} <= set(REASONS)
