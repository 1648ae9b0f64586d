"""Takedowns from published copies: on a disk, on other storage, and on the Hub (the local one of ../shared)."""

import json
from pathlib import Path
from typing import Any

import fsspec
import pytest

from manifests.parquet import read_parquet
from manifests.runfiles import RunFiles
from shards import forget, manifest, tar
from shards.publish.hub import publish
from shards.publish.takedown import take_down
from shards.publish.verify import verify
from tests.shards import made
from tests.shards.publish.test_hub import hub, python, repository_state

__all__ = ["hub"]  # a fixture

Row = dict[str, Any]
PAIRS = "shards/pairs/train-000000.tar"


@pytest.fixture(params=["disk", "memory"])
def copy(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The published copy of a run with two shards of pairs and one of documents."""
    run = made.run(tmp_path / "run", {"interleaved": [3], "pairs": [4, 1]})
    memory = fsspec.filesystem("memory")
    if memory.exists("/takedown"):
        memory.rm("/takedown", recursive=True)
    url = f"file://{tmp_path}/copy" if request.param == "disk" else "memory://takedown/copy"
    publish(run, url)
    return url.removeprefix("file://")


def entries(*texts: str) -> list[forget.Entry]:
    return [forget.entry(text) for text in texts]


def samples(root: str) -> dict[str, Row]:
    """Id -> the index row of each sample, with its bytes."""
    files, out = RunFiles(root), {}
    for source in manifest.read(files).sources.values():
        for shard in (shard for shards in source.splits.values() for shard in shards):
            for row in read_parquet(files.read(shard.index)).to_pylist():
                row["data"] = files.range(shard.path, row["offset"], row["offset"] + row["size"])
                out[row["id"]] = row
    return out


def contents(root: str) -> dict[str, bytes]:
    fs, base = fsspec.core.url_to_fs(root)
    return {path[len(base) :]: fs.cat_file(path) for path in fs.find(base)}


def test_covered_samples_leave_and_all_others_keep_their_bytes(copy: str) -> None:
    before = samples(copy)
    urls = {row["url"]: id for id, row in before.items()}
    id, url = urls["https://pair-10001.example/page"], " HTTPS://me:x@Page-1.example:443/./page#top"
    old = manifest.read(RunFiles(copy))
    result = take_down(copy, entries(id, url, "nowhere.example"))
    assert {key: result[key] for key in ("samples", "documents", "shards", "rewritten", "without_effect", "url")} == {
        "samples": 2, "documents": 2, "shards": 3, "rewritten": 2, "without_effect": ["nowhere.example"], "url": copy,
    }  # fmt: skip
    after = samples(copy)
    assert before.keys() - after.keys() == {id, urls["https://page-1.example/page"]}
    for kept, row in after.items():
        moved = ("offset", "sample_index")
        assert {k: v for k, v in row.items() if k not in moved} == {
            k: v for k, v in before[kept].items() if k not in moved
        }
    assert list(verify(copy, "webdataset")) == []
    new = manifest.read(RunFiles(copy))
    assert new.raw["forgotten"] != old.raw.get("forgotten")
    assert [s.samples for s in new.shards("pairs", "train")] == [3, 1]
    shown = tar.groups(tar.scan(RunFiles(copy).open("preview/pairs-000000.tar"), "preview"), "preview")
    assert len(list(shown)) == 4
    assert " 4 " in RunFiles(copy).text("README.md")


def test_without_an_effect_nothing_changes(copy: str) -> None:
    before = contents(copy)
    result = take_down(copy, entries("nowhere.example", "0" * 32, "https://pair-10001.example/other"))
    assert (result["rewritten"], len(result["without_effect"])) == (0, 3)
    assert contents(copy) == before


@pytest.mark.parametrize("how", ["hash", "address"])
def test_a_covered_image_takes_its_sample_along_and_an_empty_shard_goes(copy: str, how: str) -> None:
    (last,) = manifest.read(RunFiles(copy)).shards("pairs", "train")[1:]
    (row,) = (row for row in samples(copy).values() if row["key"].startswith("000001") and row["source"] == "pairs")
    _, parts = tar.parse(row["data"], "sample")
    fields = json.loads(parts["json"])
    result = take_down(copy, entries(f"sha256:{fields['sha256']}" if how == "hash" else fields["url"]))
    assert (result["samples"], result["rewritten"], result["without_effect"]) == (1, 1, [])
    assert not any(path.lstrip("/") in (last.path, f"{last.path}.idx", last.index) for path in contents(copy))
    assert len(manifest.read(RunFiles(copy)).shards("pairs", "train")) == 1
    assert list(verify(copy)) == []


def test_a_host_covers_the_images_of_all_documents(copy: str) -> None:
    result = take_down(copy, entries("i.example"))
    assert {row["n_images"] for row in samples(copy).values()} == {0}
    assert result["without_effect"] == [] and list(verify(copy)) == []


@pytest.mark.parametrize("copy", ["memory"], indirect=True)
@pytest.mark.parametrize("at", range(14))
def test_an_interrupted_takedown_is_finished_by_the_same_call(
    copy: str, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil_copy = copy.replace("copy", "other")
    fs, base = fsspec.core.url_to_fs(copy)
    fs.copy(base, base.replace("copy", "other"), recursive=True)
    asked = entries("https://pair-10001.example/page", "https://page-1.example/page")
    take_down(shutil_copy, asked)
    put, left = fs.put_file, [at]

    def interrupted(source: str, target: str) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        put(source, target)

    monkeypatch.setattr(fs, "put_file", interrupted)
    try:
        take_down(copy, asked)
    except KeyboardInterrupt:
        monkeypatch.setattr(fs, "put_file", put)
        assert take_down(copy, asked)["rewritten"] > 0
    expected, actual = contents(shutil_copy), contents(copy)
    names = ("/README.md", "/manifest.json")  # the card has the name of the copy; the manifest is compared below
    assert {k: v for k, v in actual.items() if k not in names} == {k: v for k, v in expected.items() if k not in names}
    assert manifest.read(RunFiles(copy)).sources == manifest.read(RunFiles(shutil_copy)).sources
    assert list(verify(copy)) == []


def test_the_report_and_a_ledger_no_longer_tell_of_it(copy: str, tmp_path: Path) -> None:
    fs, base = fsspec.core.url_to_fs(copy)
    by_url = {row["url"]: id for id, row in samples(copy).items()}
    gone, kept = (by_url[f"https://pair-{n}.example/page"] for n in (10001, 10002))
    cards = "".join(f"<article><h3>{i}</h3>\n<small class=id>{i}</small></article>" for i in (gone, kept))
    dropped = f"<article><a href='https://pair-10001.example/page'>x</a><small class=id>{'f' * 32}</small></article>"
    fs.pipe(f"{base}/report.html", f"<p>before{cards}{dropped}after".encode())
    from manifests.ledger import DOCUMENTS, TEXTS
    from tests.manifests.test_inspect import table

    both = [{"id": i, "source": "pairs", "url": "https://x.example/", "keep": True, "tokens": 3} for i in (gone, kept)]
    table(tmp_path / "made", "ledger/pairs-documents-00000.parquet", DOCUMENTS, both)
    texts = [{"id": i, "node": 1, "reason": "words_low", "text": "words"} for i in (gone, kept)]
    table(tmp_path / "made", "ledger/pairs-texts-00000.parquet", TEXTS, texts)
    fs.put(f"{tmp_path}/made/ledger/", f"{base}/ledger/", recursive=True)
    take_down(copy, entries(gone, "https://pair-10001.example/page"))
    assert fs.cat_file(f"{base}/report.html").decode() == (
        f"<p>before<article><h3>{kept}</h3>\n<small class=id>{kept}</small></article>after"
    )
    files = RunFiles(copy)
    first, second = read_parquet(files.read("ledger/pairs-documents-00000.parquet")).to_pylist()
    assert (first["keep"], first["reason"], first["tokens"]) == (False, "forgotten", None) and second["keep"]
    assert read_parquet(files.read("ledger/pairs-texts-00000.parquet"))["id"].to_pylist() == [kept]


ON_THE_HUB = """
import json, sys
from shards.forget import entry
from shards.publish.takedown import take_down
print(json.dumps(take_down("hf://datasets/me/demo", [entry(t) for t in json.loads(sys.argv[2])], endpoint=sys.argv[1])))
"""
CALL = """
import json, sys
from typer.testing import CliRunner
from pipelines.cli import app
result = CliRunner().invoke(app, sys.argv[1:])
print(json.dumps([result.exit_code, result.output]))
"""
PUBLISHED = """
import sys
from shards.publish.hub import publish
publish(sys.argv[1], "hf://datasets/me/demo", endpoint=sys.argv[2], token="t")
"""


@pytest.mark.real
@pytest.mark.parametrize("xet", [True, False])
def test_on_the_hub_a_takedown_is_one_pull_request(hub: str, tmp_path: Path, xet: bool) -> None:
    run = made.run(tmp_path / "run", {"interleaved": [3], "pairs": [4, 1]})
    python(PUBLISHED, hub, tmp_path, xet, str(run), hub)
    before = repository_state(hub)["files"]["main"]
    (nothing,) = python(ON_THE_HUB, hub, tmp_path, xet, hub, json.dumps(["nowhere.example"]))
    assert nothing["rewritten"] == 0 and "refs/pr/1" not in repository_state(hub)["files"]
    asked = [
        "https://pair-10001.example/page",
        "https://pair-10004.example/page",
    ]  # the second one has a shard alone
    (result,) = python(ON_THE_HUB, hub, tmp_path, xet, hub, json.dumps(asked))
    assert (result["samples"], result["rewritten"]) == (2, 2) and result["url"].endswith("/discussions/1")
    files = repository_state(hub)["files"]
    assert files["main"] == before
    changed = {path for path in before if files["refs/pr/1"].get(path) != before[path]}
    assert {PAIRS, f"{PAIRS}.idx", "manifest.json", "README.md", "preview/pairs-000000.tar"} <= changed
    assert (
        not any("interleaved" in path for path in changed) and "shards/pairs/train-000001.tar" not in files["refs/pr/1"]
    )
    url = "hf://datasets/me/demo"
    for command in (
        ["stats"],
        ["samples", "-n", "1"],
        ["verify"],
        ["explain", "pair-10001.example"],
        ["gc", "--dry-run"],
    ):
        ((code, output),) = python(CALL, hub, tmp_path, xet, command[0], url, *command[1:])
        assert code == {"gc": 2, "stats": 2}.get(command[0], 0), output
