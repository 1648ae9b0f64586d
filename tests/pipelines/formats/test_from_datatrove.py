"""Documents of datatrove readers: text, media, metadata, refused rows and errors of recipes."""

import gzip
import json
import pickle
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.schema import DOCUMENT, REFUSED
from manifests.stage import DirectContext
from pipelines.engine.stage import describe
from pipelines.formats.from_datatrove import FromDatatrove, inputs, parts
from pipelines.formats.values import paragraphs as split

JSONL = "datatrove.pipeline.readers.JsonlReader"


def lines(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def read(
    reader: str, arguments: Mapping[str, Any], ctx: DirectContext | None = None, **options: Any
) -> tuple[list[Any], list[Any]]:
    """The documents and refused rows of a reader."""
    stage = pickle.loads(pickle.dumps(FromDatatrove(reader, tuple(arguments.items()), **options)))
    describe(stage)  # a fingerprint contains its fields, so they must be JSON
    out: dict[str, list[Any]] = {"documents": [], "refused": []}
    for table in parts(inputs(reader, arguments)):
        for batch in table.to_batches():
            for name, rows in stage(batch, ctx or DirectContext()):
                assert rows.schema == {"documents": DOCUMENT, "refused": REFUSED}[name]
                out[name] += rows.to_pylist()
    return out["documents"], out["refused"]


def media(url: str, kind: int = 0, **more: Any) -> dict[str, Any]:
    return {"id": url, "type": kind, "url": url, "media_bytes": None, **more}


def test_a_document_with_images(tmp_path: Path) -> None:
    row = {
        "text": "The mill  stands by\tthe river.\n\nIts wheel turns.\n",
        "id": "7",
        "media": [
            media(
                "HTTP://A.example/mill.png#top",
                alt=" The  mill ",
                metadata={"caption": "A mill", "width": 640, "height": 480},
            ),
            media("http://a.example/film.mp4", 1),
            media("mill.png"),
        ],
        "url": "http://a.example/page",
        "language": "en-GB",
        "date": "2013-05-18T05:48:59Z",
        "license": "CC-BY-4.0",
        "title": "The mill",
    }
    lines(tmp_path / "a.jsonl", [row])
    ((document,), refused) = read(JSONL, {"data_folder": str(tmp_path)})
    assert refused == []
    assert {k: document[k] for k in ("kind", "url", "lang", "license", "title", "fetched_at", "optout")} == {
        "kind": "web",
        "url": "http://a.example/page",
        "lang": "en",
        "license": "CC-BY-4.0",
        "title": "The mill",
        "fetched_at": datetime(2013, 5, 18, 5, 48, 59, tzinfo=UTC),
        "optout": [],
    }
    assert document["provenance"] == {"file": "a.jsonl", "offset": 0, "length": None, "page": None}
    nodes = [{k: v for k, v in node.items() if v is not None} for node in document["nodes"]]
    assert nodes == [
        {"kind": "text", "role": "paragraph", "text": "The mill stands by the river."},
        {"kind": "text", "role": "paragraph", "text": "Its wheel turns."},
        {
            "kind": "image",
            "image": "http://a.example/mill.png",
            "alt": "The mill",
            "caption": "A mill",
            "width": 640,
            "height": 480,
        },
    ]


def test_a_row_without_a_document_is_refused_with_its_place(tmp_path: Path) -> None:
    bad_media = {"text": "A row whose media are of no use.", "media": [{"media_bytes": None, "colour": "red"}]}
    rows = [{"text": "one"}, {"text": ""}, "{broken", {"body": "no text"}, bad_media, {"text": " \n "}, {"text": "two"}]
    lines(tmp_path / "deep" / "a.jsonl.gz", rows)
    documents, refused = read(JSONL, {"data_folder": str(tmp_path)})
    assert [(d["nodes"][0]["text"], d["url"]) for d in documents] == [
        ("one", "datatrove:deep/a.jsonl.gz/0"),
        ("two", "datatrove:deep/a.jsonl.gz/5"),
    ]
    reasons = sorted(
        (r["reason"], -1 if r["provenance"]["offset"] is None else r["provenance"]["offset"]) for r in refused
    )
    assert reasons == [("bad_row", -1), ("bad_row", 3), ("no_text", 1), ("no_text", 2), ("no_text", 4)]


def test_the_rows_before_the_damage_of_a_file_are_read(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl.gz", [{"text": f"{i} {i * 7919}"} for i in range(20_000)])
    path.write_bytes(path.read_bytes()[:30_000])
    lines(tmp_path / "b.jsonl", [{"text": "after"}])
    lines(
        tmp_path / "c.jsonl",
        [
            {"text": "whole"},
            {"text": "no bytes named", "media": [{"id": "1", "type": 0, "url": "http://a.example/b.png"}]},
        ],
    )
    documents, refused = read(JSONL, {"data_folder": str(tmp_path)})
    files = [d["provenance"]["file"] for d in documents]
    assert files.count("a.jsonl.gz") > 100 and files[-2:] == ["b.jsonl", "c.jsonl"]
    assert [(r["reason"], r["provenance"]["file"]) for r in refused] == [
        ("reader_failed", "a.jsonl.gz"),
        ("reader_failed", "c.jsonl"),
    ]
    assert refused[0]["provenance"]["offset"] == files.count("a.jsonl.gz")


def test_parquet_is_read_in_batches_and_within_limits(tmp_path: Path) -> None:
    texts = [f"document {i}" if i % 3 else "" for i in range(30)]
    pq.write_table(pa.table({"text": texts, "id": [str(i) for i in range(30)]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": ["x", "y", "z"], "id": ["0", "1", "2"]}), tmp_path / "b.parquet")
    reader, arguments = "datatrove.pipeline.readers:ParquetReader", {"data_folder": str(tmp_path), "batch_size": 4}
    documents, refused = read(reader, arguments)
    assert [d["provenance"]["offset"] for d in documents] == [i for i in range(30) if i % 3] + [0, 1, 2]
    assert [r["provenance"]["offset"] for r in refused] == list(range(0, 30, 3))
    assert len({d["url"] for d in documents}) == 23
    texts_of = lambda rows: [d["nodes"][0]["text"] for d in rows]
    assert texts_of(read(reader, arguments, limit=2)[0]) == ["document 1", "document 2", "x", "y"]
    assert texts_of(read(reader, {**arguments, "skip": 1, "limit": 1})[0]) == ["document 2", "y"]
    assert texts_of(read(reader, {**arguments, "glob_pattern": "b*"})[0]) == ["x", "y", "z"]


def test_a_quarantined_file_is_left_out(tmp_path: Path) -> None:
    for name in "ab":
        lines(tmp_path / f"{name}.jsonl", [{"text": name}])
    documents, _ = read(JSONL, {"data_folder": str(tmp_path)}, DirectContext(skip=frozenset({(0, 0)})))
    assert [d["nodes"][0]["text"] for d in documents] == ["b"]


class Count:
    """A reader without files, like the reader of the Hub."""

    limit, skip = -1, 0

    def get_document_from_dict(self, data: dict[str, Any], source_file: str, id_in_file: int) -> Any:
        from datatrove.data import Document

        return Document(**data)

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Any:
        for i in range(rank, 5, world_size):
            yield self.get_document_from_dict({"text": f"number {i}", "id": str(i)}, "count", i)


def test_a_reader_by_import_path_in_shards() -> None:
    path = f"{__name__}:Count"
    rows = inputs(path, {}, shards=2)
    assert [(r["rank"], r["world"]) for r in rows] == [(0, 2), (1, 2)]
    batches = [b for table in parts(rows) for _, b in FromDatatrove(path)(table.to_batches()[0])]
    assert [[d["nodes"][0]["text"] for d in b.to_pylist()] for b in batches] == [
        ["number 0", "number 2", "number 4"],
        ["number 1", "number 3"],
    ]
    assert batches[1]["url"].to_pylist() == [f"datatrove:{path}/00001/{i}" for i in range(2)]


@pytest.mark.parametrize(
    ("reader", "arguments", "line"),
    [
        ("datatrove.pipeline.readers.NoReader", {}, "cannot be imported"),
        ("collections.Counter", {}, "is not a datatrove reader class"),
        (JSONL, {}, "missing 1 required positional argument: 'data_folder'"),
        (JSONL, {"data_folder": "no/such/folder"}, "no files in no/such/folder|no files in .*/no/such/folder"),
        (JSONL, {"data_folder": "no/such/folder", "colour": "red"}, "unexpected keyword argument 'colour'"),
    ],
)
def test_a_reader_that_cannot_be_used_is_one_line(reader: str, arguments: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line) as error:
        inputs(reader, arguments)
    assert "\n" not in str(error.value)


def test_a_file_in_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [{"text": "x"}])
    with pytest.raises(ValueError, match="it is a folder"):
        inputs(JSONL, {"data_folder": str(path)})


def test_many_files_are_divided_into_parts(tmp_path: Path) -> None:
    for i in range(70):
        lines(tmp_path / f"{i:02d}.jsonl", [{"text": str(i)}])
    assert [t.num_rows for t in parts(inputs(JSONL, {"data_folder": str(tmp_path)}))] == [64, 6]


@given(st.text(st.characters()), st.sampled_from(["lines", "blank_lines"]))
def test_paragraphs_have_every_word_once(text: str, paragraphs: str) -> None:
    pieces = list(split(text, paragraphs))
    assert [w for p in pieces for w in p.split()] == text.split()
    assert all(p == " ".join(p.split()) and p for p in pieces)


def test_paragraphs_between_blank_lines() -> None:
    assert list(split("one\ntwo\n \n\nthree", "blank_lines")) == ["one two", "three"]


anything = st.text(st.characters())  # with lone surrogates
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | anything, lambda v: st.lists(v, max_size=3)
)


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries(
        dict.fromkeys(("url", "language", "date", "license", "title", "alt", "caption", "width"), values)
    ),
    st.text(),
)
def test_any_metadata_gives_a_row(about: dict[str, Any], text: str) -> None:
    from datatrove.data import Document, Media

    picture = Media(
        "1", 0, "http://a.example/a.png", alt=about.pop("alt"), metadata={k: about.pop(k) for k in ("caption", "width")}
    )
    row = FromDatatrove(JSONL)._document(Document(text, "1", [picture], about), "f", 0)
    assert row is not None
    assert pa.RecordBatch.from_pylist([row], DOCUMENT).num_rows == 1
