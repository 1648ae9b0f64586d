"""Web sources from Common Crawl and from releases, from the recipe to the ledger. No image can be fetched."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import yaml

from filters.rules import load
from pipelines.commands.run import execute
from pipelines.engine.run import RunError
from pipelines.plan import plan
from pipelines.recipe.load import read
from pipelines.recipe.resolve import resolve
from pipelines.recipe.schema import RecipeError
from tests.pipelines.crawl.conftest import Local
from tests.pipelines.crawl.test_commoncrawl import FILE, archive, serve
from tests.pipelines.crawl.test_index import ROW, index
from tests.pipelines.formats.test_releases import MMC4, OBELICS, parquet


def write_recipe(folder: Path, web: dict[str, Any]) -> Path:
    path = folder / "recipe.yaml"
    off = {level: {rule.score: None for rule in getattr(load("obelics"), level)} for level in ("document", "node")}
    rules = {**off, "document": {**off["document"], "images": {"min": 0}}}
    fetch = {"allow_private": "127.0.0.0/8", "robots": False, "deadline_s": 2}
    near = {"enabled": False}
    sources = {"web": {"kind": "web", "rules": rules, "near": near, **web}}
    path.write_text(yaml.safe_dump({"name": "test", "sources": sources, "fetch": fetch, "mixtures": {}}))
    return path


def run(folder: Path, web: dict[str, Any]) -> dict[str, Any]:
    """Runs the recipe and returns the statistics of the source `web`."""
    recipe = read(str(write_recipe(folder, web)))
    stats = execute(recipe, str(folder / "run"), on="local", workers=1)
    return dict(stats["sources"]["web"])


def ledger(run: Path, name: str) -> list[dict[str, Any]]:
    files = sorted(str(f) for f in (run / "ledger").glob(f"{name}-*.parquet"))
    rows: list[dict[str, Any]] = ds.dataset(files).to_table().to_pylist() if files else []
    return rows


@pytest.fixture
def captures_table(local: Local, tmp_path: Path) -> dict[str, Any]:
    """The table `web.commoncrawl`: an index of six pages in one WARC file and of one page in a missing file."""
    raw, rows = archive()
    serve(local, raw)
    captures = [
        {
            **ROW,
            "url": r["url"],
            "warc_filename": FILE,
            "warc_record_offset": r["offset"],
            "warc_record_length": r["length"],
        }
        for r in rows
    ]
    captures[1]["content_languages"] = "deu"
    return {
        "index": index(tmp_path, [*captures, {**ROW, "url": "https://gone.example/", "warc_filename": "gone.gz"}]),
        "prefix": local.base,
    }


def test_pages_are_chosen_in_an_index(local: Local, captures_table: dict[str, Any], tmp_path: Path) -> None:
    web = {"commoncrawl": {**captures_table, "where": {"content_languages": "eng"}}}
    stats = run(tmp_path, web)
    assert (stats["documents"], stats["refused"]) == (5, {"range_missing": 1})
    urls = {r["url"] for r in ledger(tmp_path / "run", "web-documents")}
    assert urls == {f"https://e.com/{i}" for i in (0, 2, 3, 4, 5)}
    (refused,) = ledger(tmp_path / "run", "web-refused")
    assert (refused["url"], refused["reason"]) == ("https://gone.example/", "range_missing")
    assert refused["provenance"]["file"] == "gone.gz"
    # a choice of more pages fetches the new page and requests the missing file again
    local.web.asked.clear()
    web["commoncrawl"]["where"] = {}
    assert run(tmp_path, web)["documents"] == 6
    assert sorted(p for p in local.web.paths() if not p.endswith(".jpg")) == [f"/{FILE}", "/gone.gz"]


def test_a_limit_counts_only_the_index_files_of_the_chosen_crawl(tmp_path: Path) -> None:
    for crawl in "abc":
        (tmp_path / f"crawl={crawl}").mkdir()
        (tmp_path / f"crawl={crawl}/x.parquet").touch()
    for crawl in "abc":
        web = {"commoncrawl": {"index": str(tmp_path / "*/*.parquet"), "where": {"crawl": crawl}}}
        steps = plan(resolve(read(str(write_recipe(tmp_path, web)))), str(tmp_path / "run"), limit=1).steps
        (rows,) = (step.rows for step in steps if step.name == "web.index")
        assert rows is not None
        (table,) = rows({})
        assert f"crawl={crawl}/" in table["path"][0].as_py()


def test_an_empty_choice_gives_one_line(captures_table: dict[str, Any], tmp_path: Path) -> None:
    for where, says in (
        ({"fetch_status": 500}, "where chooses nothing"),
        ({"crawl": "CC-MAIN-1999-01"}, "no file of the crawl and subset"),
    ):
        recipe = read(str(write_recipe(tmp_path, {"commoncrawl": {**captures_table, "where": where}})))
        with pytest.raises(RunError, match=says):
            execute(recipe, str(tmp_path / "run"), on="local", workers=1)


def test_releases_are_treated_as_pages(tmp_path: Path) -> None:
    parquet(tmp_path / "o.parquet", OBELICS)
    (tmp_path / "m.jsonl").write_text(json.dumps({**MMC4, "image_info": []}) + "\n")
    pq.write_table(
        pa.Table.from_pylist([{"url": "https://e.com/lake.html", "texts": ["Again."], "images": [None]}]),
        tmp_path / "h.parquet",
    )
    releases = [
        {"format": "obelics", "files": str(tmp_path / "o.parquet")},
        {"format": "mmc4", "files": str(tmp_path / "*.jsonl")},
        {"format": "mint1t", "files": str(tmp_path / "h.parquet")},
    ]
    recipe = read(str(write_recipe(tmp_path, {"releases": releases})))
    stats = execute(recipe, str(tmp_path / "run"), on="local", workers=1)["sources"]["web"]
    assert (stats["documents"], stats["refused"]) == (4, {"bad_row": 2, "no_text": 1})
    reasons = {r["reason"] for r in ledger(tmp_path / "run", "web-documents") if r["url"] == "https://e.com/lake.html"}
    assert None in reasons and len(reasons) == 2  # one of two documents with one address is a duplicate
    steps = plan(resolve(recipe), str(tmp_path / "run"), limit=1).steps
    (step,) = (s for s in steps if s.name == "web.releases")
    assert step.rows is not None and len(step.rows({})) == 1 and step.stage.limit == 1


@pytest.mark.parametrize(
    ("web", "says"),
    [
        ({}, "web: no input; give .* web.commoncrawl .* web.releases"),
        (
            {"commoncrawl": {"index": "INDEX", "where": {"url_hosts": "x"}}},
            "web.commoncrawl.where.url_hosts: no column of the index",
        ),
        ({"commoncrawl": {"index": "nowhere/*.parquet"}}, "web.commoncrawl.index: nowhere/.* matches no file"),
        ({"releases": [{"format": "obelisk", "files": "x"}]}, "web.releases.0.format: .*did you mean `obelics`"),
        (
            {"releases": [{"format": "obelics", "files": "nowhere.parquet"}]},
            "web.releases.0.files: nowhere.parquet matches no file",
        ),
        ({"releases": [{"format": "obelics", "file": "x"}]}, "web.releases.0.file: no such key; did you mean `files`"),
    ],
)
def test_a_wrong_recipe_gives_one_line(tmp_path: Path, web: dict[str, Any], says: str) -> None:
    text = write_recipe(tmp_path, web).read_text().replace("INDEX", index(tmp_path))
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(RecipeError, match=says):
        resolve(read(str(tmp_path / "recipe.yaml")))
