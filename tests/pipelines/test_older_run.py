"""A run of commit 8968b3d resumes with today's code, and its source is renamed, without a request to the network.

`data/run-of-8968b3d.tar.xz` holds the manifest, the shards and the recorded stages of a crawl of three pages.
"""

import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
import yaml

from filters.rules import RuleError
from pipelines.commands.run import execute
from pipelines.commands.sweep import sweep_run
from pipelines.engine.progress import Progress
from pipelines.recipe.load import read
from shards.loader import Loader
from shards.publish.verify import verify
from tests.pipelines.crawl.server import serving

ARCHIVE = Path(__file__).parent / "data" / "run-of-8968b3d.tar.xz"
RECIPE: dict[str, Any] = {
    "name": "old",
    "sources": {
        "web": {
            "kind": "web",
            "seeds": ["http://mill.example/"],
            "crawl": {"delay_s": 0},
            "preset": "interleaved",
            "near": {"enabled": False},
        },
        "pairs": {"kind": "pairs", "from": "web"},
    },
    "fetch": {"robots": False},
    "mixtures": {},
}


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path / "run", filter="data")
    return tmp_path / "run"


def run(folder: Path, table: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """The statistics, and the names of the steps that made parts."""
    path = folder.parent / "recipe.yaml"
    path.write_text(yaml.safe_dump(table))
    stats = execute(read(str(path)), str(folder), on="local", workers=1, progress=Progress(quiet=True))
    return stats, {name for name, parts in json.loads((folder / "run.json").read_text())["parts"].items() if parts}


def renamed(table: dict[str, Any]) -> dict[str, Any]:
    web, pairs = table["sources"]["web"], table["sources"]["pairs"]
    return {**table, "sources": {"mills": web, "captions": {**pairs, "from": "mills"}}}


def test_an_older_run_resumes_and_is_renamed_without_a_request(old_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with serving() as (web, port):
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        stats, active = run(old_run, RECIPE)
        assert web.paths() == []
        assert "web.crawl" not in active and "web.extract" in active
        assert {name: s["samples"] for name, s in stats["sources"].items()} == {"web": 3, "pairs": 3}
        assert list(verify(old_run)) == []

        stats, active = run(old_run, renamed(RECIPE))
        assert web.paths() == []
        steps = {name.partition(".")[2] for name in active}
        # the name enters at the selection, so the steps before it find their output
        assert steps == {"select", "train"} | (steps & {"validation"})
        assert {name: s["samples"] for name, s in stats["sources"].items()} == {"mills": 3, "captions": 3}
        assert list(verify(old_run)) == []
        assert not list(old_run.glob("shards/web*"))


def test_the_shards_of_an_older_run_are_read_by_layout(old_run: Path) -> None:
    for name, layout in (("interleaved", "interleaved"), ("pairs", "pairs")):
        mixture = {"sources": {name: {"weight": 1, "sequence_length": 4096}}, "batch_sequences": 1}
        samples = [s for batch in Loader(old_run, mixture, epochs=1) for q in batch.sequences for s in q]
        assert len(samples) == 3 and {(s.source, s.layout) for s in samples} == {(name, layout)}
    assert list(verify(old_run)) == []


def test_a_sweep_of_an_older_run_says_what_to_do(old_run: Path) -> None:
    with pytest.raises(RuleError, match="made by an older version; run its recipe again first"):
        sweep_run(str(old_run), "words.min=1..9")


@pytest.mark.parametrize("order", [("mills", "web"), ("web", "mills")])
def test_a_new_source_with_the_old_name_does_not_get_the_old_crawl(
    old_run: Path, monkeypatch: pytest.MonkeyPatch, order: tuple[str, ...]
) -> None:
    """The source `web` is renamed to `mills`, and another crawl is called `web`, in one change of the recipe."""
    for name in ("https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    old = RECIPE["sources"]["web"]
    sources = {"mills": old, "web": {**old, "seeds": ["http://other.example/"]}}
    with serving() as (web, port):
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        text = " ".join(f"Sentence number {n} of the page is about the harbour and its boats." for n in range(9))
        web.pages["/"] = ({"Content-Type": "text/html"}, f"<article><h1>Other</h1><p>{text}</p></article>".encode())
        run(old_run, {**RECIPE, "sources": {name: sources[name] for name in order}})
        assert {host for host, _ in web.asked} == {"other.example"}
    urls = {name: {row["url"].split("/")[2] for row in ledger(old_run, name)} for name in order}
    assert urls == {"mills": {"mill.example"}, "web": {"other.example"}}


def ledger(folder: Path, source: str) -> list[dict[str, Any]]:
    files = sorted(str(p) for p in folder.glob(f"ledger/{source}-documents-*.parquet"))
    rows: list[dict[str, Any]] = ds.dataset(files).to_table().to_pylist()
    return rows
