"""Filters and readers of datatrove and functions of the user, from the YAML to the ledger. No network is used."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
import yaml
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from filters.rules import load
from pipelines.commands.run import execute
from pipelines.plan import plan
from pipelines.recipe.load import read
from pipelines.recipe.resolve import resolve
from pipelines.recipe.schema import RecipeError

C4 = "datatrove.pipeline.filters.C4QualityFilter"
FILTER = {"name": "c4", "filter": C4, "arguments": {"min_num_sentences": 2, "filter_no_terminal_punct": False}}
LENGTH = {"name": "letters", "function": "my_scores:letters"}
MODULE = "def letters(text):\n    return sum(c.isalpha() for c in text)\n"

PARAGRAPHS = {
    "kept": [
        "The mill stands by the river and its wheel turns slowly in the rain.",
        "Its owner grinds corn for the whole of the valley in autumn.",
    ],
    "braces": [
        "The function of the mill is written down { as a program } on this page.",
        "It is a page that the filter will not let pass at all.",
    ],
    "lorem": [
        "Lorem ipsum dolor sit amet is what a printer writes for want of a text.",
        "It is found on many pages that nobody ever finished.",
    ],
    "short": ["The rain falls on the roof of the old mill and on the road.", "It rains."],
}


def page(name: str) -> bytes:
    body = "".join(f"<p>{p}</p>" for p in PARAGRAPHS[name])
    article = f"<article><h1>The page of {name}</h1>{body}</article>"
    return f"<html lang=en><head><title>{name}</title></head><body>{article}</body></html>".encode()


def warc(path: Path) -> Path:
    with open(path, "wb") as f:
        writer = WARCWriter(f, gzip=True)
        for name in PARAGRAPHS:
            headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
            about = {"WARC-Date": "2024-05-01T00:00:00Z"}
            url = f"http://{name}.example/page.html"
            writer.write_record(
                writer.create_warc_record(
                    url, "response", io.BytesIO(page(name)), http_headers=headers, warc_headers_dict=about
                )
            )
    return path


def recipe(folder: Path, web: dict[str, Any]) -> Path:
    path = folder / "recipe.yaml"
    off = {level: {rule.score: None for rule in getattr(load("obelics"), level)} for level in ("document", "node")}
    rules = {
        **off,
        "document": {**off["document"], "images": {"min": 0}, **web.pop("document", {})},
        **web.pop("rules", {}),
    }
    sources = {"web": {"kind": "web", "rules": rules, **web}}
    path.write_text(yaml.safe_dump({"name": "test", "sources": sources, "mixtures": {}}))
    return path


def ledger(run: Path, table: str = "documents", source: str = "web") -> list[dict[str, Any]]:
    files = sorted((run / "ledger").glob(f"{source}-{table}-*.parquet"))
    rows: list[dict[str, Any]] = ds.dataset([str(f) for f in files]).to_table().to_pylist()
    return rows


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module of the user."""
    (tmp_path / "my_scores.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.delitem(sys.modules, "my_scores", raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path


def test_a_filter_and_a_function_drop_documents_by_their_own_reasons(folder: Path) -> None:
    web = {
        "warc": str(warc(folder / "pages.warc.gz")),
        "text": {"datatrove": [FILTER]},
        "scores": [LENGTH],
        "document": {"c4_passes": {"min": 1}, "letters": {"min": 80}, "letters_failed": {"max": 0}},
    }
    execute(read(str(recipe(folder, web))), str(folder / "run"), on="local", workers=1)
    rows = {row["url"].split("//")[1].split(".")[0]: row for row in ledger(folder / "run")}
    assert {name: row["reason"] for name, row in rows.items()} == {
        "kept": None,
        "braces": "c4_passes_low",
        "lorem": "c4_passes_low",
        "short": "letters_low",
    }
    assert (rows["braces"]["score"], rows["braces"]["threshold"]) == (0, 1)
    assert rows["short"]["threshold"] == 80


RUN = """
import json, sys
from pipelines.commands.run import execute
from pipelines.recipe.load import read
stats = execute(read("recipe.yaml"), "run", on="local", workers=1)
print(json.dumps([json.load(open("run/run.json"))["parts"], stats["sources"]["web"]["dropped"]]))
"""


def run_in_new_process(folder: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Runs the recipe in a new process. Returns step -> parts made (of the last run that made any), and drop counts."""
    path = str(Path(__file__).resolve().parents[2])
    out = subprocess.run(
        [sys.executable, "-c", RUN], cwd=folder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert out.returncode == 0, out.stderr
    parts, dropped = json.loads(out.stdout)
    return {name: n for name, n in parts.items() if n}, dropped


def test_a_changed_function_redoes_its_score_and_the_steps_behind_it(folder: Path) -> None:
    web = {"warc": str(warc(folder / "pages.warc.gz")), "scores": [LENGTH], "document": {"letters": {"min": 80}}}
    recipe(folder, web)
    _, dropped = run_in_new_process(folder)
    assert dropped == {"letters_low": 1}
    first = (folder / "run" / "run.json").read_bytes()
    run_in_new_process(folder)
    assert (folder / "run" / "run.json").read_bytes() == first  # nothing to do
    (folder / "my_scores.py").write_text(MODULE.replace("return", "return 0 *"))
    parts, dropped = run_in_new_process(folder)
    assert dropped == {"letters_low": 4}
    assert "web.score.letters" in parts and "web.decide" in parts
    assert not {"web.extract", "web.score"} & parts.keys()


def test_a_reader_beside_pages(folder: Path) -> None:
    rows = [
        {"text": "\n".join(PARAGRAPHS["kept"]).replace("mill", "weir"), "url": "http://weir.example/"},
        {"text": "It rains."},
        {"text": ""},
    ]
    picture = {
        "id": "1",
        "type": 0,
        "url": "http://127.0.0.1:9/roof.png",
        "media_bytes": None,
        "alt": "A roof in the rain",
    }
    rows.append(
        {
            "text": "The rain runs down the roof of the mill into the road. It has not stopped since the morning.",
            "media": [picture],
        }
    )
    (folder / "texts").mkdir()
    (folder / "texts" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    reader = {"reader": "datatrove.pipeline.readers.JsonlReader", "arguments": {"data_folder": "texts"}}
    web = {
        "warc": str(warc(folder / "pages.warc.gz")),
        "datatrove": reader,
        "text": {"datatrove": [FILTER]},
        "document": {"c4_passes": {"min": 1}},
    }
    path = recipe(folder, web)
    table = yaml.safe_load(path.read_text())
    pairs = {"rules": {"document": {r.score: None for r in load("pairs").document}}}
    table["sources"]["pairs"] = {"kind": "pairs", "from": "web", **pairs}
    path.write_text(yaml.safe_dump({**table, "fetch": {"robots": False, "deadline_s": 2}}))
    stats = execute(read(str(path)), str(folder / "run"), on="local", workers=1)
    web_stats = stats["sources"]["web"]
    assert (web_stats["documents"], web_stats["refused"]) == (len(PARAGRAPHS) + 3, {"no_text": 1})
    (refused,) = ledger(folder / "run", "refused", "web")
    assert (refused["reason"], refused["provenance"]["file"]) == ("no_text", "a.jsonl")
    reasons = {row["url"]: row["reason"] for row in ledger(folder / "run")}
    alike = {reasons["http://kept.example/page.html"], reasons["http://weir.example/"]}
    assert alike == {None, "near_duplicate"}
    assert reasons["datatrove:a.jsonl/1"] == "c4_passes_low"
    assert reasons["datatrove:a.jsonl/3"] is None
    # the image that came with the text has a private address, so the fetch refuses it
    (pair,) = ledger(folder / "run", "documents", "pairs")
    assert (pair["url"], pair["reason"]) == ("datatrove:a.jsonl/3", "private_address")
    (dropped,) = ledger(folder / "run", "images")
    assert (dropped["image"], dropped["reason"]) == (picture["url"], "private_address")


def test_a_reader_alone_and_a_limit(folder: Path) -> None:
    (folder / "texts").mkdir()
    for name in "abc":
        (folder / "texts" / f"{name}.jsonl").write_text(
            "".join(json.dumps({"text": f"{name} {i}"}) + "\n" for i in range(9))
        )
    reader = {"reader": "datatrove.pipeline.readers.JsonlReader", "arguments": {"data_folder": "texts"}}
    resolved = resolve(read(str(recipe(folder, {"datatrove": reader}))))
    assert "web.extract" not in {step.name for step in plan(resolved, str(folder / "run")).steps}
    (step,) = (s for s in plan(resolved, str(folder / "run"), limit=2).steps if s.name == "web.datatrove")
    assert step.rows is not None and step.rows({})[0].num_rows == 2 and step.stage.limit == 1


@pytest.mark.parametrize(
    ("web", "line"),
    [
        (
            {"text": {"datatrove": [{**FILTER, "filter": "datatrove.pipeline.filters.C5"}]}},
            r"web.text.datatrove.0 \(c4\): `.*C5` cannot be imported",
        ),
        (
            {"text": {"datatrove": [{**FILTER, "arguments": {"colour": 1}}]}},
            r"web.text.datatrove.0 \(c4\): .*unexpected keyword argument 'colour'",
        ),
        (
            {"text": {"datatrove": [{**FILTER, "arguments": {"min_num_sentences": {"a": 1}}}]}},
            "arguments.min_num_sentences: expected .*not a dict",
        ),
        (
            {"text": {"datatrove": [{**FILTER, "filtr": "x"}]}},
            "web.text.datatrove.0.filtr: no such key; did you mean `filter`",
        ),
        (
            {"text": {"datatrove": [FILTER, FILTER]}},
            r"web.text.datatrove.1 \(c4\): there is a column 'c4_passes' already",
        ),
        ({"text": {"datatrove": [{**FILTER, "name": "C 4"}]}}, "web.text.datatrove.0.name: string should match"),
        ({"scores": [{**LENGTH, "name": "words"}]}, r"web.scores.0 \(words\): there is a column 'words' already"),
        (
            {"scores": [{"name": "x", "function": "no_such_module:f"}]},
            r"web.scores.0 \(x\): `no_such_module:f` cannot be imported",
        ),
        (
            {"scores": [{"name": "x", "function": "my_broken:f"}]},
            "`my_broken:f` cannot be imported: ZeroDivisionError: division by zero",
        ),
        ({"document": {"c4_passes": {"min": 1}}}, "web.rules.document.c4_passes: no such score"),
        ({"text": {"datatrove": [FILTER]}, "document": {"c4_pases": {"min": 1}}}, "did you mean `c4_passes`"),
        (
            {"scores": [LENGTH], "rules": {"node": {"letters": {"min": 1}}}},
            "web.rules.node.letters: a score of whole documents",
        ),
        (
            {"scores": [LENGTH], "document": {"letters": {"any_of": ["a"]}}},
            "web.rules.document.letters.any_of: a number",
        ),
        ({"rules": {"own": ["mine"], "image": {"mine": {"min": 1}}}}, "web.rules.image.mine: nothing gives this score"),
        (
            {"datatrove": {"reader": "datatrove.pipeline.readers.Nothing"}},
            "web.datatrove: `datatrove.pipeline.readers.Nothing` cannot be imported",
        ),
        ({"datatrove": {"reader": C4}}, "web.datatrove: `.*C4QualityFilter` is not a datatrove reader class"),
        (
            {
                "datatrove": {
                    "reader": "datatrove.pipeline.readers.JsonlReader",
                    "arguments": {"data_folder": "nowhere"},
                }
            },
            "web.datatrove: arguments.data_folder: no files in .*/nowhere",
        ),
    ],
)
def test_a_wrong_recipe_is_reported_before_the_run_starts(folder: Path, web: dict[str, Any], line: str) -> None:
    (folder / "my_broken.py").write_text("f = 1 / 0\n")
    path = recipe(folder, {"warc": str(warc(folder / "pages.warc.gz")), **web})
    with pytest.raises(RecipeError, match=line) as error:
        resolve(read(str(path)))
    assert "\n" not in str(error.value)
    assert sorted(p.name for p in folder.iterdir() if p.name != "__pycache__") == [
        "my_broken.py",
        "my_scores.py",
        "pages.warc.gz",
        "recipe.yaml",
    ]


def test_a_reader_without_documents(folder: Path) -> None:
    (folder / "texts").mkdir()
    (folder / "texts" / "a.jsonl").write_text('{"text": ""}\n')
    reader = {"reader": "datatrove.pipeline.readers.JsonlReader", "arguments": {"data_folder": str(folder / "texts")}}
    stats = execute(read(str(recipe(folder, {"datatrove": reader}))), str(folder / "run"), on="local", workers=1)
    assert stats["sources"]["web"]["refused"] == {"no_text": 1}
    assert (stats["sources"]["web"]["documents"], stats["sources"]["web"]["samples"]) == (0, 0)
