"""docs/extending.md: each example is written to files as it stands there, and run."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
import yaml
from PIL import Image
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from filters.rules import load

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text()
PROSE = "The mill stands by the river and its wheel turns slowly in the rain. Who owns it? Nobody knows."
RUN = """
import json, sys
{before}
from pipelines.commands.run import execute
from pipelines.recipe.load import read
stats = execute(read("recipe.yaml"), "run", on="local", workers=1)
print(json.dumps(stats["sources"]))
"""


def section(title: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The modules (by file name) and the recipes of a section."""
    (body,) = re.findall(rf"^## {title}.*?(?=^## |\Z)", PAGE, re.M | re.S)
    python = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", body, re.S)
    recipes = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", body, re.S)]
    assert python
    return dict(python), recipes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pages = {
        "http://a.example/9780306406157.html": PROSE,
        "http://b.example/x/9780306406157": PROSE.replace("mill", "barn"),
    }
    with open(tmp_path / "pages.warc.gz", "wb") as f:
        writer = WARCWriter(f, gzip=True)
        for url, text in pages.items():
            body = f"<article><h1>It</h1><p>{text}</p><p>It was written in May.</p></article>"
            html = f"<html lang=en><body>{body}</body></html>"
            headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
            writer.write_record(
                writer.create_warc_record(url, "response", io.BytesIO(html.encode()), http_headers=headers)
            )
    return tmp_path


def run(folder: Path, modules: dict[str, str], sources: dict[str, Any], before: str = "") -> dict[str, Any]:
    """The statistics by source of a run in a fresh process, below `folder`."""
    for name, text in modules.items():
        (folder / name).write_text(text)
    for table in sources.values():
        off = {
            level: {r.score: None for r in getattr(load(table.get("preset", "obelics")), level)}
            for level in ("document", "node")
        }
        own = table.get("rules", {}).get("document", {})
        table["rules"] = {**off, "document": {**off["document"], "images": {"min": 0}, **own}}
        if "near" not in table and table["kind"] == "web":
            table["near"] = {"enabled": False}
    recipe = {"name": "t", "sources": sources, "mixtures": {}, "shards": {"validation": 0}, "fetch": {"robots": False}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    command = [sys.executable, "-c", RUN.format(before=before)]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={"PYTHONPATH": f"{ROOT}:.", "PATH": ""}
    )
    assert done.returncode == 0, done.stderr
    stats: dict[str, Any] = json.loads(done.stdout)
    return stats


def reasons(folder: Path, source: str) -> list[str | None]:
    files = sorted(str(p) for p in (folder / "run" / "ledger").glob(f"{source}-documents-*.parquet"))
    return [r["reason"] for r in ds.dataset(files).to_table().to_pylist()]


def test_a_score(folder: Path) -> None:
    modules, (recipe,) = section("A score")
    recipe["sources"]["web"]["rules"]["document"]["questions"] = {"max": 0}
    run(folder, modules, recipe["sources"])
    assert reasons(folder, "web") == ["questions_high"] * 2


def test_a_score_of_images(folder: Path) -> None:
    from filters.own import own_score

    modules, _ = section("A score")
    (folder / "my_images.py").write_text(modules["my_images.py"])
    sys.path.append(str(folder))
    try:
        stage = own_score("brightness", "my_images:Brightness", None, {"side": 4})
    finally:
        sys.path.remove(str(folder))
    import pyarrow as pa

    white = io.BytesIO()
    Image.new("RGB", (9, 9), "white").save(white, "PNG")
    batch = pa.RecordBatch.from_arrays([pa.array([white.getvalue(), b"no image"], pa.binary())], names=["image"])
    assert stage.level == "image"
    ((_, scores),) = stage(batch)
    assert scores["brightness"].to_pylist() == [255.0, None]


def test_a_release_format(folder: Path) -> None:
    modules, (recipe,) = section("A release format")
    (folder / "dump").mkdir()
    rows = [{"link": "http://c.example/", "body": PROSE, "pictures": []}, {"link": None}]
    (folder / "dump" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    stats = run(folder, modules, recipe["sources"])
    assert (stats["web"]["samples"], stats["web"]["refused"]) == (1, {"bad_row": 1})


def test_a_duplicate_rule(folder: Path) -> None:
    modules, (recipe,) = section("A duplicate rule")
    stats = run(folder, modules, recipe["sources"])
    assert sorted(map(str, reasons(folder, "web"))) == ["None", "duplicate_key"]
    assert stats["web"]["samples"] == 1


def test_an_output(folder: Path) -> None:
    modules, (recipe,) = section("An output")
    run(folder, modules, recipe["sources"])
    (path,) = (folder / "run" / "outputs" / "web" / "captions").glob("*.jsonl")
    assert path.name == "train-000000.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 2 and all("river" in line["text"] for line in lines)


def test_a_kind_of_source(folder: Path) -> None:
    modules, _ = section("A kind of source")
    (folder / "n").mkdir()
    for name, text in {"a": PROSE, "b": PROSE, "c": "Another note."}.items():
        (folder / "n" / f"{name}.txt").write_text(text)
    stats = run(folder, modules, {"notes": {"kind": "notes", "files": "n", "preset": "fineweb"}}, "import my_kind")
    assert (stats["notes"]["documents"], stats["notes"]["samples"], stats["notes"]["layout"]) == (3, 2, "text")
    assert sorted(map(str, reasons(folder, "notes"))) == ["None", "None", "duplicate_text"]


def test_the_table_counts_the_lines_of_the_examples() -> None:
    """Lines of code: those that are neither blank nor a comment."""
    rows = dict(re.findall(r"^\| (a[n]? [a-z ]+) \| (\d+)", PAGE, re.M))
    titles = {
        "a score": ("A score", "my_scores.py"),
        "a release format": ("A release format", "my_format.py"),
        "a duplicate rule": ("A duplicate rule", "my_keys.py"),
        "an output": ("An output", "my_output.py"),
        "a kind of source": ("A kind of source", "my_kind.py"),
    }
    counted = {}
    for row, (title, name) in titles.items():
        lines = section(title)[0][name].splitlines()
        counted[row] = str(sum(bool(line.strip()) and not line.lstrip().startswith("#") for line in lines))
    assert counted == rows
