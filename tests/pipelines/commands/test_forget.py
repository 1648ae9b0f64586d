"""Takedowns in a complete run.

A forgotten item is in no shard, no kept row of the ledger and no report, also after later runs. All else is unchanged.
"""

import json
import pathlib

import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

from pipelines import cli
from pipelines.commands.forget import forget
from pipelines.commands.run import execute
from pipelines.engine.progress import Progress
from pipelines.outputs import UNFINISHED
from pipelines.recipe.load import BUNDLED, read
from pipelines.recipe.resolve import resolve
from pipelines.recipe.schema import RecipeError
from shards.forget import entry
from shards.publish.hub import PublishError, publish
from shards.publish.verify import verify
from tests.pipelines.conftest import RECIPE, SampleRun, without_proxies


def _texts(run: SampleRun) -> dict[str, str]:
    """Id -> text. Slots are joined, because the paragraphs around a removed image become one slot."""
    packed = [d for c in ("web", "pairs", "pdf") for d in run.packed(c)]
    return {d["id"]: "\n\n".join(t for t in d.get("texts") or [d.get("caption") or d.get("text")] if t) for d in packed}


@pytest.mark.slow
def test_forgotten_items_are_removed_and_stay_removed(
    sample_run: SampleRun, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_proxies(monkeypatch)  # a request would fail, so no image is fetched again
    folder = sample_run.copy(tmp_path / "run")
    documents = sample_run.packed("web")
    by_id = documents[0]
    by_url = next(d for d in documents if d["url"].split("/")[2] != by_id["url"].split("/")[2])
    picture = next(
        m
        for d in documents
        if d["n_images"] > 1 and d["id"] not in (by_id["id"], by_url["id"])
        for m in d["image_meta"]
    )
    host = sample_run.packed("pairs")[0]["url"].split("/")[2]
    items = [by_id["id"], by_url["url"], picture["sha256"], host, "nowhere.example"]
    command = CliRunner().invoke(cli.app, ["forget", str(folder), *items, "--json", "--on", "local"])
    assert command.exit_code == 0, command.output
    summary = json.loads(command.stdout.splitlines()[-1])
    assert summary["without_effect"] == ["nowhere.example"]
    assert summary["documents"] >= 2
    assert summary["images"] >= 1
    after = SampleRun(folder, sample_run.settings)
    assert list(verify(folder)) == []
    texts = _texts(after)
    assert by_id["id"] not in texts
    assert all(d["url"] != by_url["url"] for d in after.packed("web"))
    metas = [m for d in after.packed("web") for m in d["image_meta"]]
    assert picture["sha256"] not in [m["sha256"] for m in metas] + [d["sha256"] for d in after.packed("pairs")]
    assert not [m for m in metas if m["url"].split("/")[2] == host] + [
        d for d in after.packed("pairs") if host in (d["url"].split("/")[2], d["page_url"].split("/")[2])
    ]
    assert {r["reason"] for r in after.ledger("web", "documents") if r["id"] == by_id["id"]} == {"forgotten"}
    before = _texts(sample_run)
    assert set(texts) <= set(before)
    assert len(texts) > 0.8 * len(before)
    # no image was fetched again
    assert {p.name for p in folder.glob("stages/fetch-*")} == {p.name for p in sample_run.folder.glob("stages/fetch-*")}
    assert all(before[i] == t for i, t in texts.items())
    assert by_id["url"] not in (folder / "report.html").read_text()
    # a further run applies the list and has nothing to do
    manifest = (folder / "manifest.json").read_bytes()
    execute(read(str(RECIPE), sample_run.settings), str(folder), on="local")
    assert (folder / "manifest.json").read_bytes() == manifest
    publish(folder, "me/demo", dry_run=True)
    # shards that do not match the list are not published
    (folder / "forgotten.parquet").unlink()
    with pytest.raises(PublishError, match="the shards were made before the last takedown"):
        publish(folder, "me/demo", dry_run=True)


def test_a_block_list_is_checked_before_the_run_starts(tmp_path: pathlib.Path) -> None:
    (tmp_path / "list.txt").write_text("# asked for\nexample.com\nwhat is this\n")
    (tmp_path / "urls.csv").write_text("url,text\nhttp://a.example/x.jpg,a caption\n")
    path = str(BUNDLED / "pairs.yaml")
    settings = [f"pairs.urls={tmp_path}/urls.csv"]
    with pytest.raises(RecipeError, match=r"forget: .*list\.txt, line 3: 'what is this' is none of these: an id"):
        resolve(read(path, [*settings, f"forget={tmp_path}/list.txt"]))
    with pytest.raises(RecipeError, match=r"forget: no file .*absent\.txt"):
        resolve(read(path, [*settings, f"forget={tmp_path}/absent.txt"]))


@pytest.mark.slow
def test_items_of_a_block_list_are_not_fetched_or_packed(
    sample_run: SampleRun, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_proxies(monkeypatch)
    folder = sample_run.copy(tmp_path / "run")
    host = sample_run.packed("web")[0]["url"].split("/")[2]
    (tmp_path / "list.txt").write_text(f"{host}\n")
    execute(read(str(RECIPE), [*sample_run.settings, f"forget={tmp_path}/list.txt"]), str(folder), on="local")
    after = SampleRun(folder, sample_run.settings)
    assert not [d["url"] for c in ("web", "pairs", "pdf") for d in after.packed(c) if d["url"].split("/")[2] == host]
    for path in folder.glob("stages/web.links-*/manifest.json"):
        about = json.loads(path.read_text())
        if "forgotten" in about["inputs"]:
            break
    else:
        raise AssertionError("the links stage was not given the list")


# ---- from the run's own tables alone


def _run(folder: pathlib.Path) -> tuple[pathlib.Path, str]:
    """A finished run of 60 texts of two files with one name, in a folder of its own; and its recipe."""
    for name in ("a", "b"):
        (folder / "in" / name).mkdir(parents=True)
        rows = [{"text": f"Note {n} of {name} tells of the tide at {n} hours. " * 3} for n in range(30)]
        (folder / "in" / name / "notes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = {"kind": "text", "files": ["in/a/notes.jsonl", "in/b/notes.jsonl"], "preset": "conversations"}
    recipe = {"name": "notes", "sources": {"notes": {**table, "near": {"enabled": False}}}, "shards": {"bytes": 20_000}}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    assert _call("run", "recipe.json", "--out", "run", "--workers", "1").exit_code == 0
    return folder / "run", "recipe.json"


def _call(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def _addresses(run: pathlib.Path) -> set[str]:
    return {row["url"] for path in run.glob("index/*.parquet") for row in pq.read_table(path).to_pylist()}


def test_a_takedown_needs_neither_the_inputs_nor_the_folder_of_the_recipe(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run, recipe = _run(tmp_path)
    assert len(_addresses(run)) == 60
    (tmp_path / "in").rename(tmp_path / "gone")
    monkeypatch.chdir("/")
    result = _call("forget", run, " TEXT:in/a/notes.jsonl/7#x", "nowhere.example", "--workers", "1")
    assert result.exit_code == 0, result.output
    assert "nowhere.example: covers nothing; it is on the list for further runs" in result.stderr
    # the other file of that name keeps its row
    assert "text:in/a/notes.jsonl/7" not in _addresses(run) and "text:in/b/notes.jsonl/7" in _addresses(run)
    assert len(_addresses(run)) == 59 and list(verify(run)) == []
    assert "2 of 3" in result.stdout or "shards are new" in result.stdout
    assert publish(run, "me/notes", dry_run=True).problems == []
    # a later run has nothing to do, and gives the same bytes
    (tmp_path / "gone").rename(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    names = ("manifest.json", "stats.json", "report.html", "README.md", "ledger/files.parquet")
    before = [(run / name).read_bytes() for name in names]
    times = (run / "run.json").read_bytes()
    assert _call("run", recipe, "--out", "run").exit_code == 0
    assert [(run / name).read_bytes() for name in names] == before and (run / "run.json").read_bytes() == times


def test_a_takedown_without_effect_changes_nothing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run, _ = _run(tmp_path)
    before = {path: path.read_bytes() for path in run.iterdir() if path.is_file()}
    result = _call("forget", run, "https://a.example/x", "nowhere.example", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["without_effect"] == ["a.example/x", "nowhere.example"]
    assert "a.example/x: covers nothing" in result.stderr and "nowhere.example: covers nothing" in result.stderr
    after = {path: path.read_bytes() for path in run.iterdir() if path.is_file()}
    assert {p.name: d for p, d in after.items() if p.name != "lock"} == {
        p.name: d for p, d in before.items() if p.name != "lock"
    }
    assert publish(run, "me/notes", dry_run=True).problems == []
    nothing = _call("forget", run)
    assert nothing.exit_code == 2 and "nothing to forget" in nothing.stderr


@pytest.mark.parametrize("again", [[], ["text:in/a/notes.jsonl/7"]])
@pytest.mark.parametrize("without_manifest", [False, True])
def test_an_interrupted_takedown_is_finished_by_the_next_call(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, again: list[str], without_manifest: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    run, _ = _run(tmp_path)

    def interrupted(*arguments: object, **more: object) -> None:
        if without_manifest:
            (run / "manifest.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.commands.forget.assemble", interrupted)
        with pytest.raises(KeyboardInterrupt):
            forget(str(run), [entry("text:in/a/notes.jsonl/7")], on="local", workers=1, progress=Progress(quiet=True))
    with pytest.raises(ValueError, match=r"before the last takedown|no manifest"):
        publish(run, "me/notes", dry_run=True)
    result = _call("forget", run, *again, "--workers", "1")
    assert result.exit_code == 0, result.output
    assert "text:in/a/notes.jsonl/7" not in _addresses(run) and len(_addresses(run)) == 59
    assert list(verify(run)) == [] and publish(run, "me/notes", dry_run=True).problems == []
    assert not (run / UNFINISHED).exists()
