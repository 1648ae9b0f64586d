"""The `panoramix` command on a finished run: data on stdout, messages on stderr, the result as the exit code."""

import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.sample import FAULTS
from tests.pipelines.conftest import PROXIES, RECIPE, ROOT, SampleRun

RUN_COMMANDS: dict[str, list[str]] = {
    "stats": [],
    "report": ["-o", "report.html"],
    "samples": [],
    "explain": ["http://skywatch.example/"],
    "diff": [],
    "verify": [],
    "publish": ["me/mine", "--dry-run"],
}


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def rows(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def sets(run: SampleRun) -> list[str]:
    return [argument for setting in run.settings for argument in ("--set", setting)]


def fault(name: str) -> str:
    return next(f.urls[0] for f in FAULTS if f.name == name)


# ---- every command


def commands() -> dict[str, Any]:
    return typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", commands())
def test_the_help_of_every_command_explains_it_and_each_option(command: str) -> None:
    result = call(command, "--help")
    assert result.exit_code == 0
    sentence = " ".join((commands()[command].help or "").split(".")[0].split())
    assert len(sentence) > 20 and sentence[:40] in " ".join(result.stdout.split())
    group = getattr(commands()[command], "commands", {"": commands()[command]})
    for one in group.values():
        for option in one.params:
            assert getattr(option, "help", None) or option.name in ("number", "help"), (command, option.name)


@pytest.mark.parametrize(
    "arguments", [["rnu"], ["stats"], ["run"], ["samples", ".", "-n", "none"], ["run", "x.yaml", "--limit", "0"]]
)
def test_wrong_usage_gives_exit_code_2(arguments: list[str]) -> None:
    result = call(*arguments)
    assert (result.exit_code, result.stdout) == (2, "") and result.stderr


@pytest.mark.parametrize("command", RUN_COMMANDS)
def test_a_folder_without_a_run_gives_one_line_that_names_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    result = call(command, "empty", *(["empty"] if command == "diff" else []), *RUN_COMMANDS[command])
    text = result.stdout + result.stderr
    assert result.exit_code == 2, text
    assert ("empty" in text and "manifest.json" in text) or "stats.json" in text
    assert "Traceback" not in text and len(" ".join(text.split())) < 300
    assert os.listdir(tmp_path) == ["empty"] and os.listdir(tmp_path / "empty") == []


# ---- commands that read a run


def test_stats(sample_run: SampleRun) -> None:
    assert json.loads(call("stats", sample_run.folder, "--json").stdout) == sample_run.stats
    table = call("stats", sample_run.folder)
    assert (table.exit_code, table.stderr) == (0, "")
    for source, s in sample_run.stats["sources"].items():
        (line,) = (
            x for x in table.stdout.splitlines() if x.strip("│┃ ").startswith(source) and f"{s['samples']:,}" in x
        )
        assert f"{s['funnel'][0][1]:,}" in line


def test_report(sample_run: SampleRun, tmp_path: pathlib.Path) -> None:
    result = call("report", sample_run.folder, "-o", tmp_path / "r.html")
    assert (result.exit_code, result.stdout) == (0, "")
    page = (tmp_path / "r.html").read_text("utf-8")
    assert page == (sample_run.folder / "report.html").read_text("utf-8")
    assert page.lower().startswith("<!doctype html>") and "duplicate_text" in page and "data:image/webp;base64," in page
    assert "src='http" not in page and 'src="http' not in page  # the report is one file


def test_samples(sample_run: SampleRun) -> None:
    documents = rows(call("samples", sample_run.folder, "--json", "-n", 5))
    for document, packed in zip(documents, sample_run.packed("web"), strict=False):
        assert {k: document[k] for k in packed} == packed
    assert len(documents) == 5
    table = call("samples", sample_run.folder, "--source", "pairs", "-n", 1)
    assert sample_run.packed("pairs")[0]["caption"] in table.stdout and table.exit_code == 0
    pages = rows(call("samples", sample_run.folder, "--json", "--source", "pdf", "-n", 10_000))
    assert [d["id"] for d in pages] == [d["id"] for d in sample_run.packed("pdf")]
    assert call("samples", sample_run.folder, "pairs", "-n", 1).stdout == table.stdout
    wrong = call("samples", sample_run.folder, "paris")
    assert (wrong.exit_code, wrong.stdout) == (2, "") and "pairs" in wrong.stderr


def test_explain_a_kept_document_by_url_and_by_id(sample_run: SampleRun) -> None:
    row = sample_run.index("web")[0]
    by_url, by_id = (rows(call("explain", sample_run.folder, what, "--json")) for what in (row["url"], row["id"]))
    for lines in (by_url, by_id):
        (document,) = (r for r in lines if r.get("tokens") is not None and r["id"] == row["id"])
        assert document["keep"] and document["images"] == row["n_images"]
        (place,) = (r for r in lines if r.get("key") and r["id"] == row["id"])
        assert (place["key"], place["source"], place["split"], place["offset"]) == (
            row["key"],
            "web",
            row["split"],
            row["offset"],
        )
    assert f"kept, in {row['split']}" in call("explain", sample_run.folder, row["id"]).stdout


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("more than 30 images", "dropped, images_high"),
        ("too few words", "dropped, words_low"),
        ("German", "dropped, language"),
        ("meta robots noai", "never became a document, optout"),
        ("dead page", "crawled, http_404"),
        ("dead link", "http_404"),
        ("banner", "dropped, aspect_high"),
        ("X-Robots-Tag: noai", "optout"),
        ("password", "never became a document, encrypted"),
    ],
)
def test_explain_says_why_an_item_is_missing(sample_run: SampleRun, name: str, says: str) -> None:
    result = call("explain", sample_run.folder, fault(name))
    assert result.exit_code == 0 and says in result.stdout
    assert all(r["says"] in result.stdout for r in rows(call("explain", sample_run.folder, fault(name), "--json")))


def test_explain_names_the_survivor_of_a_duplicate(sample_run: SampleRun) -> None:
    duplicates = [r for r in sample_run.ledger("web", "documents") if r["survivor"]]
    assert duplicates
    for r in duplicates:
        lines = call("explain", sample_run.folder, r["id"]).stdout
        assert r["reason"] in lines and f"a duplicate of {r['survivor']}" in lines


def test_explain_of_an_unknown_address_gives_exit_code_1(sample_run: SampleRun) -> None:
    result = call("explain", sample_run.folder, "http://nowhere.example/")
    assert (result.exit_code, result.stdout) == (1, "") and "not among what the run read" in result.stderr


def test_diff_of_equal_runs_is_one_line(sample_run: SampleRun) -> None:
    same = call("diff", sample_run.folder, sample_run.folder, "--json")
    assert (same.exit_code, json.loads(same.stdout)) == (0, {"numbers": [], "documents": []})
    line = call("diff", sample_run.folder, sample_run.folder)
    assert (line.exit_code, line.stderr) == (0, "") and line.stdout.startswith("the runs are equal")


def test_diff_of_a_run_without_a_ledger_compares_its_numbers(sample_run: SampleRun, tmp_path: pathlib.Path) -> None:
    other = json.loads(json.dumps(sample_run.stats))
    other["sources"]["web"]["dropped"]["words_low"] += 7
    del other["sources"]["pdf"]
    (tmp_path / "stats.json").write_text(json.dumps(other))
    result = call("diff", sample_run.folder, tmp_path, "--json")
    assert "only numbers are compared" in result.stderr
    differences = {(r["source"], r["what"]): r["second"] - r["first"] for r in json.loads(result.stdout)["numbers"]}
    assert differences[("web", "dropped: words_low")] == 7 and {s for s, _ in differences} == {"web", "pdf"}
    assert differences[("pdf", "samples")] == -sample_run.stats["sources"]["pdf"]["samples"]
    assert "words_low" in call("diff", sample_run.folder, tmp_path).stdout


def test_stats_of_the_input_files(sample_run: SampleRun) -> None:
    files = json.loads(call("stats", sample_run.folder, "--files", "--json").stdout)
    numbers = ("kept", "dropped", "refused", "broken", "quarantined")
    for name, s in sample_run.stats["sources"].items():
        own = [row for row in files if row["source"] == name]
        assert sum(row["in"] for row in own) == s["in"]
        assert sum(row["kept"] for row in own) == sum(s["packed"].values())
    assert all(row["in"] == sum(row[n] for n in numbers) for row in files)
    shares = [row["kept"] / (row["in"] or 1) for row in files]
    assert shares == sorted(shares)
    table = call("stats", sample_run.folder, "--files").stdout
    assert all(row["file"][-6:] in table for row in files[:20]) and "images_low" in table
    assert max(map(len, table.splitlines())) <= 80


def test_verify(sample_run: SampleRun, tmp_path: pathlib.Path) -> None:
    good = call("verify", sample_run.folder)
    assert (good.exit_code, good.stdout) == (0, "")
    assert "every shard is what the manifest says" in " ".join(good.stderr.split())
    folder = sample_run.copy(tmp_path / "run")
    (folder / "shards/pdf/train-000000.tar").unlink()
    broken = call("verify", folder, "--json")
    assert broken.exit_code == 1
    assert [(r["path"], r["kind"]) for r in rows(broken)] == [("shards/pdf/train-000000.tar", "missing")]


def test_publish_without_sending(sample_run: SampleRun, tmp_path: pathlib.Path) -> None:
    # publish writes files into the run's folder for a moment, so this test uses a copy
    folder = sample_run.copy(tmp_path / "run")
    result = call("publish", folder, "me/mine", "--dry-run", "--json")
    assert result.exit_code == 0
    assert "shards/pairs/train-000000.tar" in json.dumps(json.loads(result.stdout))


# ---- running


def test_plan_shows_the_state_of_each_step_and_starts_nothing(
    sample_run: SampleRun, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.commands.run.backend", None)
    arguments = ["run", RECIPE, *sets(sample_run), "--plan", "--json"]
    unchanged = json.loads(call(*arguments, "--out", sample_run.folder).stdout)
    assert {r["state"] for r in unchanged} == {"done", "recorded"}
    assert {r["stage"] for r in unchanged if r["state"] == "recorded"} == {"web.crawl", "fetch"}
    changed = json.loads(
        call(*arguments, "--out", sample_run.folder, "--set", "web.rules.document.words.min=500").stdout
    )
    states = {r["stage"]: r["state"] for r in changed}
    expected = {"web.crawl": "recorded", "web.score": "done", "web.decide": "to do", "web.sign": "waits"}
    assert {step: states[step] for step in expected} == expected
    new = json.loads(call(*arguments, "--out", tmp_path / "new").stdout)
    assert {r["stage"]: r["state"] for r in new}["web.crawl"] == "to do"
    assert not (tmp_path / "new").exists()
    assert "web.crawl" in call(*arguments[:-1], "--out", sample_run.folder).stdout


def test_refresh_of_a_step_that_is_not_recorded_names_the_recorded_steps(
    sample_run: SampleRun, tmp_path: pathlib.Path
) -> None:
    result = call("run", RECIPE, *sets(sample_run), "--out", tmp_path / "new", "--refresh", "web.score")
    error = " ".join(result.stderr.split())
    assert (
        (result.exit_code, result.stdout) == (2, "") and "--refresh web.score" in error and "fetch, web.crawl" in error
    )
    assert not (tmp_path / "new").exists()


def test_a_second_run_from_the_shell_ends_in_under_three_seconds(sample_run: SampleRun) -> None:
    """A new process imports everything and finds nothing to do. The test measures processor time, not wall time."""
    env = {k: v for k, v in os.environ.items() if k not in PROXIES}
    arguments = ["run", str(RECIPE), *sets(sample_run), "--out", str(sample_run.folder), "--json", "--on", "local"]
    command = [sys.executable, "-m", "pipelines", *arguments]
    before, began = os.times(), time.monotonic()
    with sample_run.exclusive():
        process = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    after, wall = os.times(), time.monotonic() - began
    used = after.children_user + after.children_system - before.children_user - before.children_system
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout) == sample_run.stats
    assert used < 3, f"{used:.1f} s of processor time, {wall:.1f} s by the clock"


@pytest.mark.parametrize("name", ["a.html", "b.htm"])
def test_extract_one_file(tmp_path: pathlib.Path, name: str) -> None:
    prose = "The tide mill stands on the marsh, and its wheel has not turned since the spring of the great flood. "
    (tmp_path / name).write_text(
        f"<html><head><title>Mill</title></head><body><article><h1>The mill</h1><p>{prose * 3}</p>"
        f"<img src='http://pictures.example/mill.jpg' width=640 height=480 alt='A mill'><p>{prose * 4}</p>"
        "</article></body></html>"
    )
    result = call("extract", tmp_path / name, "-o", tmp_path / "out.jsonl")
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    (document,) = (json.loads(x) for x in (tmp_path / "out.jsonl").read_text().splitlines())
    assert set(document) >= {"url", "texts", "images"} and len(document["texts"]) == len(document["images"])
    assert "http://pictures.example/mill.jpg" in document["images"] and prose.strip() in " ".join(
        t or "" for t in document["texts"]
    )


def test_pages_of_one_pdf_and_a_broken_one(tmp_path: pathlib.Path) -> None:
    pymupdf = pytest.importorskip("pymupdf")
    with pymupdf.open() as document:
        document.new_page().insert_text((72, 100), "The tide mill stands on the marsh.", fontsize=14)
        document.save(tmp_path / "mill.pdf")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4\nnothing more")
    good = call("pages", tmp_path / "mill.pdf", "-o", tmp_path / "out")
    assert good.exit_code == 0 and "reason" not in rows(good)[0]
    assert {"mill-p0001.jpg", "mill-p0001.json"} <= set(os.listdir(tmp_path / "out"))
    both = call("pages", tmp_path / "mill.pdf", tmp_path / "broken.pdf", "-o", tmp_path / "out")
    assert both.exit_code == 1 and [r["reason"] for r in rows(both) if "reason" in r] == ["corrupt"]
    absent = call("pages", tmp_path / "nowhere.pdf", "-o", tmp_path / "out")
    assert absent.exit_code == 1 and [r["reason"] for r in rows(absent)] == ["missing"]
