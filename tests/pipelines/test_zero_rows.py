"""Zero rows: every stage of a plan works on empty inputs, and a run whose rows are all refused or dropped ends well."""

import io
import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pymupdf
import pytest
import yaml
from typer.testing import CliRunner
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from filters.quality import train
from manifests.document import document, provenance
from manifests.nodes import image_node, text_node
from manifests.stage import DirectContext
from pipelines.cli import app
from pipelines.commands.run import execute
from pipelines.engine.plan import StepOutput, check
from pipelines.engine.progress import Progress
from pipelines.engine.stage import Step
from pipelines.plan import plan
from pipelines.recipe.load import read
from pipelines.recipe.resolve import resolve
from pipelines.sources import KINDS
from pipelines.sources.pdf import PART_FILES
from shards.loader import Loader
from shards.mixture import MixtureError
from shards.publish.verify import verify
from tests.filters import models
from tests.ocr import pdfs
from tests.pipelines.conftest import without_proxies
from tests.pipelines.conversation_sets import llava_row
from tests.pipelines.crawl.test_commoncrawl import archive
from tests.pipelines.test_several_sources import none_of
from tests.trainer.pictures import picture

Row = dict[str, Any]

OWN = """
class Captions:
    suffix = ".txt"
    def __call__(self, samples):
        yield from (f"{len(sample.texts)}\\n".encode() for sample in samples)

def address(document): return document.url
def letters(text): return len(text)
def links(document): return len(document.images)
def area(image): return image.width * image.height
links.level, area.level = "document", "image"
"""
SCORES = [{"name": name, "function": f"zero_rows_own:{name}"} for name in ("letters", "links", "area")]
OUTPUTS = [{"name": "captions", "writer": "zero_rows_own:Captions"}]
KEY = "zero_rows_own:address"
C4 = {
    "name": "c4",
    "filter": "datatrove.pipeline.filters.C4QualityFilter",
    "arguments": {"filter_no_terminal_punct": True},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the code of a user, which is the current folder."""
    without_proxies(monkeypatch)
    (tmp_path / "zero_rows_own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "zero_rows_own", raising=False)
    return tmp_path


# --- inputs whose rows are all refused --------------------------------------------------------------------------------


def warc(path: Path, answers: list[tuple[str, str, bytes]]) -> str:
    """A WARC file of (status line, media type, body)."""
    with open(path, "wb") as f:
        writer = WARCWriter(f, gzip=True)
        for i, (status, mime, body) in enumerate(answers):
            headers = StatusAndHeaders(status, [("Content-Type", mime)], protocol="HTTP/1.1")
            url = f"http://host{i}.example/{i}"
            writer.write_record(writer.create_warc_record(url, "response", io.BytesIO(body), http_headers=headers))
    return str(path)


def refused_pages(folder: Path) -> tuple[Row, Row]:
    missing = ("404 Not Found", "text/html", b"<html><p>There is no such page.</p></html>")
    picture = ("200 OK", "image/png", b"\x89PNG\r\n\x1a\n")
    empty = ("200 OK", "text/html", b"")
    path = warc(folder / "refused.warc.gz", [missing] * 3 + [picture] * 2 + [empty])
    return {"kind": "web", "warc": path}, {"http_error": 3, "not_html": 2, "empty_payload": 1}


def dropped_pages(folder: Path) -> tuple[Row, Row]:
    """Pages that are read, and that no rule lets pass."""
    page = ("200 OK", "text/html", b"<html><article><h1>Rain</h1><p>It rains.</p></article></html>")
    source = {"kind": "web", "warc": warc(folder / "dropped.warc.gz", [page] * 3), "preset": "obelics"}
    return source, {"images_low": 3}


def bad_addresses(folder: Path) -> tuple[Row, Row]:
    (folder / "bad.csv").write_text(
        "url,text\nnot-a-url,A mill by the river\nftp://x/y.jpg,A wheel\nhttp://a.example/,\n"
    )
    return {"kind": "pairs", "urls": str(folder / "bad.csv")}, {"bad_url": 2, "no_text": 1}


def a_list_without_rows(folder: Path) -> tuple[Row, Row]:
    (folder / "head.csv").write_text("url,text\n")
    (folder / "lines.jsonl").write_text("")
    return {"kind": "pairs", "urls": [str(folder / "head.csv"), str(folder / "lines.jsonl")]}, {}


def images_out_of_reach(folder: Path) -> tuple[Row, Row]:
    """Pairs that are read, and whose images may not be asked for."""
    lines = [f"http://127.0.0.1:9/{i}.jpg,The wheel of mill number {i} turns in the rain" for i in range(3)]
    (folder / "private.csv").write_text("\n".join(["url,text", *lines]))
    return {"kind": "pairs", "urls": str(folder / "private.csv")}, {"private_address": 3}


def drawing() -> bytes:
    """A PDF of one page without text, with a filled circle."""
    pdf = pymupdf.open()
    pdf.new_page(width=200, height=200).draw_circle((100, 100), 50, fill=(0, 0, 1))
    return pdfs.to_bytes(pdf)


def write_pdfs(folder: Path, files: Mapping[str, bytes]) -> Row:
    folder.mkdir()
    for name, data in files.items():
        (folder / f"{name}.pdf").write_bytes(data)
    return {"kind": "pdf", "paths": str(folder), "ocr": "never"}


def pdfs_without_text(folder: Path) -> tuple[Row, Row]:
    corrupt = b"%PDF-1.4\n" + bytes(300)
    files = {"blank": pdfs.blank(), "locked": pdfs.encrypted(), "corrupt": corrupt, "none": pdfs.no_pages()}
    files |= {f"drawing{i}": drawing() for i in range(3)}
    by_reason = {"no_text_layer": 3, "blank": 1, "encrypted": 1, "corrupt": 1, "no_pages": 1}
    return write_pdfs(folder / "pdfs", files), by_reason


def images_gone(folder: Path) -> tuple[Row, Row]:
    rows = [llava_row(f"gone{i}.jpg", i) for i in range(3)]
    (folder / "gone.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"kind": "conversations", "files": str(folder / "gone.jsonl")}, {"image_missing": 3}


def no_conversations(folder: Path) -> tuple[Row, Row]:
    (folder / "array.json").write_text("[]")
    (folder / "bytes.jsonl").write_text("")
    return {"kind": "conversations", "files": [str(folder / "array.json"), str(folder / "bytes.jsonl")]}, {}


def empty_texts(folder: Path) -> tuple[Row, Row]:
    (folder / "empty.jsonl").write_text('{"text": ""}\n{"text": " \\n\\n "}\n{"text": null}\n')
    return {"kind": "text", "files": str(folder / "empty.jsonl")}, {"no_text": 2, "bad_row": 1}


def a_release_without_text(folder: Path) -> tuple[Row, Row]:
    """Parquet of OBELICS: a file without rows, and one whose rows have no text."""
    lists = pa.list_(pa.string())
    table = pa.table(
        {"texts": pa.array([[None]] * 3, lists), "images": pa.array([["http://a.example/a.jpg"]] * 3, lists)}
    )
    pq.write_table(table, folder / "silent.parquet")
    pq.write_table(table.slice(0, 0), folder / "none.parquet")
    release = {"format": "obelics", "files": [str(folder / "silent.parquet"), str(folder / "none.parquet")]}
    return {"kind": "web", "releases": [release]}, {"no_text": 3}


SOURCES = {
    "pages": refused_pages,
    "short": dropped_pages,
    "release": a_release_without_text,
    "list": bad_addresses,
    "head": a_list_without_rows,
    "private": images_out_of_reach,
    "papers": pdfs_without_text,
    "answers": images_gone,
    "silence": no_conversations,
    "prose": empty_texts,
}


def evaluation(folder: Path) -> Row:
    line = {"question": "What does the wheel of the old mill by the river turn in the rain?", "answers": ["Stones"]}
    (folder / "evaluation.jsonl").write_text(json.dumps(line) + "\n")
    return {"files": str(folder / "evaluation.jsonl")}


def quality_model(folder: Path) -> str:
    texts = [[f"{word} number {i} of the town stands by the river" for i in range(40)] for word in ("A mill", "Buy")]
    train(*texts, str(folder / "quality.bin"))
    return str(folder / "quality.bin")


def everything(folder: Path) -> Row:
    """The tables of a recipe that make a plan longer: own code, models, a block-list, evaluations."""
    (folder / "blocked.txt").write_text("blocked.example\n")
    plain = {"side": 8, "mean": [0, 0, 0], "deviation": [1, 1, 1]}
    image = models.image_model(folder / "i.onnx")
    halves = {"image_model": image, "text_model": models.text_model(folder / "t.onnx"), "tokens": 12}
    return {
        "decontaminate": evaluation(folder),
        "forget": str(folder / "blocked.txt"),
        "images": {
            "pixels": True,
            "models": [{"name": "redness", "model": image, **plain}],
            "similarity": {**halves, "tokenizer": models.tokenizer(folder / "tokenizer.json"), **plain},
        },
    }


# --- every stage on empty inputs --------------------------------------------------------------------------------------


def longest_plan(folder: Path, across: str) -> list[Step]:
    """Steps of a recipe with sources of all five kinds, with every reader and every optional table."""
    web, _ = refused_pages(folder)
    release, _ = a_release_without_text(folder)
    texts, _ = empty_texts(folder)
    reader = {"reader": "datatrove.pipeline.readers.JsonlReader", "arguments": {"data_folder": str(folder / "rows")}}
    (folder / "rows").mkdir()
    (folder / "rows" / "a.jsonl").write_text('{"text": ""}\n')
    (folder / "index").mkdir()
    _, captures = archive(1)
    pq.write_table(pa.Table.from_pylist(captures), folder / "index" / "a.parquet")
    text = {"redact": ["email"], "datatrove": [C4], "quality_model": quality_model(folder)}
    own = {"scores": SCORES, "outputs": OUTPUTS, "text": text, "blocklist": str(folder / "blocked.txt")}
    own["duplicate_key"] = KEY
    rules = {"image": {"redness": {"max": 0.5}, "area": {"min": 1}}}
    pairs, _ = bad_addresses(folder)
    papers, _ = pdfs_without_text(folder)
    answers, _ = images_gone(folder)
    sources = {
        "pages": {**web, "datatrove": reader, "releases": release["releases"], **own, "rules": rules},
        "crawled": {"kind": "web", "seeds": ["http://seed.example/"]},
        "captures": {"kind": "web", "commoncrawl": {"index": str(folder / "index"), "where": {"url": None}}},
        "met": {"kind": "pairs", "from": ["pages", "crawled"]},
        "list": {**pairs, **own, "rules": rules},
        "papers": {**papers, "from": ["pages"], "scores": SCORES, "outputs": OUTPUTS, "rules": rules},
        "answers": {**answers, **own, "rules": rules},
        "prose": {**texts, "datatrove": reader, "scores": SCORES[:2], "outputs": OUTPUTS},
    }
    recipe = {"sources": sources, "dedup": {"across": across, "prefer": ["list", "met"]}, "mixtures": {}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**recipe, **everything(folder)}))
    return list(plan(resolve(read(str(folder / "recipe.yaml"))), str(folder / "run")).steps)


def stages(steps: list[Step]) -> dict[str, Any]:
    """Each step's stage as the engine calls it."""
    return {step.name: step.stage.open() if hasattr(step.stage, "open") else step.stage for step in steps}


def literal_rows(step: Step, steps: Mapping[str, Step]) -> pa.Table:
    """Rows of a step that reads files: a table with its columns. Steps of one class of stage have the same columns."""
    for other in (step, *steps.values()):
        fetches = any(name.endswith((".crawl", ".commoncrawl")) for name in other.after)
        if other.rows is not None and type(other.stage) is type(step.stage) and not fetches:
            rows = other.rows({name: StepOutput(name, ()) for name in other.after})
            table: pa.Table = rows if isinstance(rows, pa.Table) else rows[0]
            return table
    raise AssertionError(f"{step.name}: no rows")


def empty_inputs(step: Step, steps: Mapping[str, Step]) -> Any:
    """What the engine gives a stage where no upstream step yields a row."""
    if step.rows is not None:
        return literal_rows(step, steps).slice(0, 0).to_batches()
    tables: dict[str, Any] = {}
    for name, i in step.inputs.items():
        tables[name] = {} if i.how == "paths" else steps[i.steps[0]].stage.tables[i.table].empty_table()
    return side_by_side(tables) if step.is_map else tables


def side_by_side(tables: Mapping[str, pa.Table]) -> pa.RecordBatch:
    """The batch of a map: the columns of all inputs. A column of two inputs is taken from the first."""
    columns = {f.name: (f, t[f.name].combine_chunks()) for t in reversed(tables.values()) for f in t.schema}
    fields, arrays = zip(*columns.values(), strict=True)
    return pa.RecordBatch.from_arrays(list(arrays), schema=pa.schema(fields))


def fault(step: Step, stage: Any, inputs: Any) -> str | None:
    """What is wrong with a stage's answer to some inputs, in one line."""
    try:
        outputs = list(stage(inputs, DirectContext()))
    except Exception as e:
        return f"raises {type(e).__name__}: {e}"
    for name, piece in outputs:
        if isinstance(piece, bytes):
            continue
        if name not in step.stage.tables:
            return f"yields {name!r}, which it does not declare"
        if not piece.schema.equals(step.stage.tables[name]):
            return f"yields {name!r} with {piece.schema}, and declares {step.stage.tables[name]}"
    return None


@pytest.mark.parametrize("across", ["kind", "source"])
def test_every_stage_declares_its_tables_and_works_without_rows(folder: Path, across: str) -> None:
    steps = longest_plan(folder, across)
    by_name = {step.name: step for step in steps}
    check(steps)  # each input names a table that the upstream stage declares
    faults: Row = {}
    for step in steps:
        tables = getattr(step.stage, "tables", None)
        if not isinstance(tables, Mapping) or not all(isinstance(schema, pa.Schema) for schema in tables.values()):
            faults[step.name] = f"declares no tables: {tables!r}"
    assert faults == {}
    for step in steps:
        for name, i in step.inputs.items():
            schemas = [by_name[upstream].stage.tables.get(i.table) for upstream in i.steps if i.how != "paths"]
            if any(schema is None or not schema.equals(schemas[0]) for schema in schemas):
                faults[step.name] = f"input {name!r}: its steps declare different tables {i.table!r}"
    assert faults == {}
    ready = stages(steps)
    for step in steps:
        inputs = empty_inputs(step, by_name)
        cases = inputs if isinstance(inputs, list) else [inputs]
        if step.previous is not None:
            table, column = step.previous
            cases = [*cases, {**cases[0], "previous": step.stage.tables[table].empty_table().select([column])}]
        for case in cases:
            if line := fault(step, ready[step.name], case):
                faults[step.name] = line
    assert faults == {}


def test_a_source_may_have_the_name_of_any_kind(folder: Path) -> None:
    """Steps of a source and steps of a kind have different names, also where a source is called as another kind."""
    kinds = list(KINDS)
    makers = {"web": refused_pages, "pairs": bad_addresses, "pdf": pdfs_without_text, "text": empty_texts}
    makers["conversations"] = images_gone
    sources = {kind: make(folder)[0] for kind, make in makers.items()}
    own = {"outputs": OUTPUTS, "duplicate_key": KEY}
    for source in sources.values():
        source |= {**own, "scores": SCORES[:2] if source["kind"] == "text" else SCORES}
    tables = everything(folder)
    for turn in range(len(kinds)):
        named = {kinds[(i + turn) % len(kinds)]: sources[kind] for i, kind in enumerate(kinds)}
        recipe = read(str(write_recipe(folder, named, **tables)))
        for across in ("kind", "source"):
            recipe.dedup.across = across  # type: ignore[assignment]
            check(plan(resolve(recipe), str(folder / "run")).steps)


# --- rows that an upstream step quarantined ---------------------------------------------------------------------------


def documents_of_every_kind() -> pa.Table:
    from manifests.schema import DOCUMENT

    words = text_node("The wheel of the old mill by the river turns slowly in the rain, as it did a hundred years ago.")
    nodes = [image_node("http://a.example/wheel.jpg"), words]
    kinds = ("web", "pairs", "pdf", "conversations", "text")
    rows = [document(kind, f"http://a.example/{kind}", b"", nodes, provenance("a")) for kind in kinds]
    rows.append(document("web", "http://a.example/", b"", [], provenance("a")))
    return pa.Table.from_pylist(rows, DOCUMENT)


def test_a_stage_reads_null_rows_in_the_place_of_quarantined_ones(folder: Path) -> None:
    """The engine writes a null row for a row that ended the process of an upstream stage, beside the document."""
    steps = {step.name: step for step in longest_plan(folder, "kind")}
    ready, faults, rows = stages(list(steps.values())), {}, documents_of_every_kind()
    tried = Counter[str]()
    for step in steps.values():
        own_rows = {n for n, i in step.inputs.items() if any(i.table in steps[s].same_rows for s in i.steps)}
        if "documents" not in step.inputs or not own_rows or step.inputs["documents"].how != "aligned":
            continue
        inputs: Row = {}
        for name, i in step.inputs.items():
            schema = None if i.how == "paths" else steps[i.steps[0]].stage.tables[i.table]
            if name in own_rows:
                inputs[name] = pa.table([pa.nulls(rows.num_rows, f.type) for f in schema], schema=schema)
            else:
                inputs[name] = {} if schema is None else rows if name == "documents" else schema.empty_table()
        if line := fault(step, ready[step.name], side_by_side(inputs) if step.is_map else inputs):
            faults[step.name] = line
        tried[step.name.partition(".")[2]] += 1
    assert faults == {}
    assert {"decide", "sign", "links", "texts", "paragraphs", "matches", "select"} <= tried.keys()


# --- whole runs -------------------------------------------------------------------------------------------------------


def write_recipe(folder: Path, sources: Row, **tables: Any) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({"name": "zero", "sources": sources, **tables}))
    return path


def reasons(folder: Path, source: str) -> Row:
    """Rows of the ledger of a source by reason: of rows that became no document, and of documents that were dropped."""
    files = [str(p) for table in ("refused", "documents") for p in (folder / "run/ledger").glob(f"{source}-{table}-*")]
    return Counter(reason for file in files for reason in ds.dataset(file).to_table()["reason"].to_pylist())


def assert_nothing_is_kept(folder: Path, stats: Row, expected: Mapping[str, Row]) -> None:
    for name, by_reason in expected.items():
        source = stats["sources"][name]
        assert source["samples"] == source["kept"] == source["shards"] == 0
        assert {**source["refused"], **source["dropped"]} == by_reason
        assert reasons(folder, name) == by_reason
        assert source["funnel"][0] == ["read", sum(by_reason.values())]
    manifest = json.loads((folder / "run" / "manifest.json").read_text())
    assert {name: source["splits"] for name, source in manifest["sources"].items()} == {name: {} for name in expected}
    assert list(verify(folder / "run")) == [] and list(verify(folder / "run", "webdataset")) == []


@pytest.mark.parametrize("name", ["answers", "list", "pages", "papers", "private", "prose"])
def test_a_source_that_keeps_nothing_alone(folder: Path, name: str) -> None:
    """No other source fills the tables that the steps read."""
    source, by_reason = SOURCES[name](folder)
    recipe = read(str(write_recipe(folder, {name: source})))
    stats = execute(recipe, str(folder / "run"), on="local", workers=2, progress=Progress(quiet=True))
    assert_nothing_is_kept(folder, stats, {name: by_reason})


def test_sources_that_read_from_a_source_without_documents(folder: Path) -> None:
    """The PDFs that were met in no page are a step without parts."""
    source, by_reason = refused_pages(folder)
    sources = {"pages": source, "met": {"kind": "pairs", "from": "pages"}, "found": {"kind": "pdf", "from": "pages"}}
    for across in ("kind", "source"):
        recipe = read(str(write_recipe(folder, sources, dedup={"across": across})))
        stats = execute(recipe, str(folder / "run"), on="local", workers=2, progress=Progress(quiet=True))
        assert_nothing_is_kept(folder, stats, {"pages": by_reason, "met": {}, "found": {}})


@pytest.mark.parametrize("rows", [0, 2])
def test_parquet_whose_columns_are_null(folder: Path, rows: int) -> None:
    """A data frame without rows, or with missing values alone, is written with columns of Arrow's type `null`.

    Such blocks have cost other engines their schema (ray-project/ray issues 28505 and 66045).
    """
    columns = ("text", "url", "caption", "texts", "images", "metadata", "general_metadata")
    table = pa.table({name: pa.nulls(rows) for name in columns})
    pq.write_table(table, folder / "null.parquet")
    file = str(folder / "null.parquet")
    sources = {
        "prose": {"kind": "text", "files": file},
        "list": {"kind": "pairs", "urls": file},
        "answers": {"kind": "conversations", "files": file},
        "release": {"kind": "web", "releases": [{"format": "obelics", "files": file}]},
    }
    recipe = read(str(write_recipe(folder, sources)))
    stats = execute(recipe, str(folder / "run"), on="local", workers=2, progress=Progress(quiet=True))
    reason = {"prose": "bad_row", "list": "bad_url", "answers": "bad_turns", "release": "bad_row"}
    expected = {name: {reason[name]: rows} if rows else {} for name in sources}
    assert_nothing_is_kept(folder, stats, expected)


def test_a_part_of_refused_rows_beside_good_ones(folder: Path) -> None:
    """Each source has a part of refused rows alone, in front of a part with documents."""
    refused = {name: SOURCES[name](folder) for name in ("pages", "release", "answers", "prose")}
    sources = {name: source for name, (source, _) in refused.items()}
    words = " ".join(f"word{i} of the mill by the river" for i in range(20)) + "."
    page = f"<html lang=en><article><h1>The mill</h1><p>{words}</p><p>{words.upper()}</p></article></html>".encode()
    sources["pages"]["warc"] = [sources["pages"]["warc"], warc(folder / "z.warc.gz", [("200 OK", "text/html", page)])]
    sources["pages"]["rules"] = none_of("obelics")
    lists = pa.list_(pa.string())
    good = pa.table({"texts": pa.array([[words + " Again."]], lists), "images": pa.array([[None]], lists)})
    pq.write_table(good, folder / "z.parquet")
    sources["release"]["releases"][0]["files"].append(str(folder / "z.parquet"))
    sources["release"]["rules"] = none_of("obelics")
    (folder / "z.jpg").write_bytes(picture(1)[0])
    (folder / "z.jsonl").write_text(json.dumps(llava_row("z.jpg", 1)) + "\n")
    sources["answers"]["files"] = [sources["answers"]["files"], str(folder / "z.jsonl")]
    (folder / "texts.jsonl").write_text(json.dumps({"text": f"{words}\n\nA mill."}) + "\n")
    sources["prose"]["files"] = [sources["prose"]["files"], str(folder / "texts.jsonl")]
    sources["prose"]["rules"] = none_of("fineweb")
    papers = {f"a{i:02d}": drawing() for i in range(PART_FILES)}
    sources["papers"] = {**write_pdfs(folder / "pdfs", {**papers, "z": pdfs.plain()}), "rules": none_of("pdf")}
    recipe = read(str(write_recipe(folder, sources)))
    stats = execute(recipe, str(folder / "run"), on="local", workers=2, progress=Progress(quiet=True))
    assert {name: source["samples"] for name, source in stats["sources"].items()} == dict.fromkeys(sources, 1)
    for name, (_, by_reason) in refused.items():
        assert stats["sources"][name]["refused"] == by_reason
    assert stats["sources"]["papers"]["refused"] == {"no_text_layer": PART_FILES}
    assert list(verify(folder / "run")) == []


COMMANDS = {
    "stats": ["stats", "run"],
    "stats as JSON": ["stats", "run", "--json"],
    "report": ["report", "run", "-o", "report.html"],
    "diff": ["diff", "run", "run"],
    "verify": ["verify", "run"],
    "sweep": ["sweep", "run", "document.words.min=1..5", "--source", "short"],
    "sweep of images": ["sweep", "run", "image.side_min.min=1..5", "--source", "private"],
    "publish": ["publish", "run", "me/data", "--dry-run"],
    "publish to a folder": ["publish", "run", "file://PUBLISHED"],
    "verify what was published": ["verify", "PUBLISHED"],
    "gc": ["gc", "run"],
    "plan": ["run", "recipe.yaml", "--out", "run", "--on", "local", "--plan"],
    "again": ["run", "recipe.yaml", "--out", "run", "--on", "local"],
}
#: commands that need a sample or a document, with the beginning of the one line that they end with
FAULTS = {
    "samples": (["samples", "run"], "panoramix: run: the source 'answers' has no samples"),
    "explain": (["explain", "run", "http://nowhere.example/"], "http://nowhere.example/: not among"),
}


def test_all_sources_that_keep_nothing_together(folder: Path) -> None:
    """Also with own scores, models, writers, evaluations and a block-list; then each command on the finished run."""
    tables = everything(folder)
    inputs = {name: make(folder) for name, make in SOURCES.items()}
    sources = {name: {**source, "outputs": OUTPUTS, "duplicate_key": KEY} for name, (source, _) in inputs.items()}
    for source in sources.values():
        source["scores"] = SCORES[:2] if source["kind"] == "text" else SCORES
    recipe = write_recipe(folder, sources, **tables)
    result = CliRunner().invoke(app, ["run", str(recipe), "--out", "run", "--on", "local", "--workers", "2"])
    assert result.exit_code == 1, result.output + repr(result.exception)
    assert "not kept, by reason" in result.stdout and "image_missing" in result.stdout  # the table of the run
    messages = [line for line in result.stderr.splitlines() if line.startswith("panoramix: ")]
    for name, (_, by_reason) in inputs.items():
        (line,) = (line for line in messages if line.startswith((f"panoramix: {name} gave", f"panoramix: {name} (")))
        assert any(f"{n} {reason}" in line for reason, n in by_reason.items()) or "no row was read" in line, line
    stats = json.loads((folder / "run" / "stats.json").read_text())
    assert_nothing_is_kept(folder, stats, {name: by_reason for name, (_, by_reason) in inputs.items()})
    assert not (folder / "run" / "outputs").exists()
    finished = (folder / "run" / "run.json").read_bytes()
    for name, arguments in COMMANDS.items():
        arguments = [argument.replace("PUBLISHED", str(folder / "published")) for argument in arguments]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == (name == "again"), f"{name}: {result.output} {result.exception!r}"
    assert (folder / "run" / "run.json").read_bytes() == finished  # the second run had nothing to do
    for name, (arguments, line) in FAULTS.items():
        result = CliRunner().invoke(app, arguments)
        assert isinstance(result.exception, SystemExit | None) and result.exit_code in (1, 2), (
            f"{name}: {result.exception!r}"
        )
        assert result.stderr.startswith(line) and "Traceback" not in result.output, f"{name}: {result.output}"
    with pytest.raises(MixtureError) as error:
        Loader(folder / "run", "stage1")
    assert "\n" not in str(error.value)
