"""Large files of rows, from the recipe to the ledger. Their pieces are parts of a run; every row keeps its number."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from pipelines.commands.run import execute
from pipelines.formats import pieces as dividing
from pipelines.recipe.load import read

SENTENCE = "The mill by the river number {0} turns in the rain and grinds {0} sacks of corn for the valley in autumn."


def recipe(folder: Path) -> Path:
    rows = [{"text": "\n\n".join(SENTENCE.format(i * 31 + k) for k in range(4))} for i in range(300)]
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\nno row\n")
    (folder / "small.jsonl").write_text('{"text": ""}\n')
    with open(folder / "list.csv", "w", newline="") as f:
        csv.writer(f).writerows([("url", "text"), *((f"ftp://e.com/{i}", f"a\nboat, {i}") for i in range(300))])
    texts = {"kind": "text", "files": [str(folder / "a.jsonl"), str(folder / "small.jsonl")]}
    sources = {"texts": texts, "pairs": {"kind": "pairs", "urls": [str(folder / "list.csv")]}}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({"name": "large", "sources": sources, "mixtures": {}}))
    return path


def ledger(run: Path, source: str, table: str) -> list[dict[str, Any]]:
    return [row for p in sorted(run.glob(f"ledger/{source}-{table}-*")) for row in pq.read_table(p).to_pylist()]


def test_pieces_of_large_files_are_parts_and_give_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe(tmp_path)
    runs = []
    for name, size in (("whole", 1 << 20), ("pieces", 2000)):
        monkeypatch.setattr(dividing, "PIECE", size)
        execute(read(path), str(tmp_path / name), on="local")
        runs.append(
            {(s, t): ledger(tmp_path / name, s, t) for s in ("texts", "pairs") for t in ("documents", "refused")}
        )
        parts = json.loads((tmp_path / name / "run.json").read_text())["parts"]
        assert (
            ("texts.ranges" in parts) == (name == "pieces") == (parts["texts.read"] > 10) == (parts["pairs.listed"] > 3)
        )
    whole, divided = runs
    assert whole == divided
    assert len(whole["texts", "documents"]) == 300
    assert [r["provenance"]["offset"] for r in whole["pairs", "refused"]] == list(range(300))
    assert [(r["reason"], r["url"].rpartition("/")[2]) for r in whole["texts", "refused"]] == [
        ("bad_row", "300"),
        ("no_text", "0"),
    ]
    before = (tmp_path / "pieces/manifest.json").read_bytes()
    execute(read(path), str(tmp_path / "pieces"), on="local")
    assert (tmp_path / "pieces/manifest.json").read_bytes() == before
