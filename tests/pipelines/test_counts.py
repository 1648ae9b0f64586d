"""What became of every row: rows that raise, crash or cannot be packed, broken files, copies, and the end of a run."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from manifests.runfiles import RunFiles
from pipelines.cli import app
from pipelines.commands.files import by_file
from pipelines.commands.run import execute
from pipelines.counts import FILES_NAME, read_files
from pipelines.engine.progress import Progress
from pipelines.recipe.load import read
from tests.ocr import pdfs
from tests.pipelines.conftest import ROOT, without_proxies
from tests.pipelines.conversation_sets import llava_row
from tests.pipelines.counting import assert_every_row_is_counted
from tests.pipelines.test_several_sources import none_of
from tests.pipelines.test_zero_rows import warc
from tests.trainer.pictures import picture

Row = dict[str, Any]

WORDS = (
    "mill", "river", "wheel", "rain", "autumn", "bridge", "harbour", "market", "garden", "window", "letter", "winter",
    "summer", "station",
)  # fmt: skip
OWN = """
import os, time
from manifests.nodes import text_node

def release(row):
    if row["how"] == "raises": raise RuntimeError("no")
    if row["how"] == "crashes": os._exit(7)
    return row.get("url"), [text_node(row["text"])]

def crashes(text):
    if "crash" in text: os._exit(7)
    return 1

def slow(text):
    open("begun", "w").close()
    time.sleep(600)
"""
#: read by the processes of a run when they start: packing and scoring fail for some documents
FAULTS = """
import filters.text, shards.write

sample, scores = shards.write.Pack._sample, filters.text.TextScores.__call__

def packed(self, key, document, blobs):
    if "unpackable" in str(document["nodes"]): raise RuntimeError("it does not fit")
    if "refused" in str(document["nodes"]): raise shards.write.RefusedError("sample_too_large", document["id"])
    return sample(self, key, document, blobs)

def scored(self, batch, *more):
    if "unscorable" in str(batch["nodes"].to_pylist()): raise RuntimeError("no score")
    yield from scores(self, batch, *more)

shards.write.Pack._sample, filters.text.TextScores.__call__ = packed, scored
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    without_proxies(monkeypatch)
    (tmp_path / "counts_own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "counts_own", raising=False)
    return tmp_path


def text(n: int) -> str:
    """A text that no other number has anything of."""
    words = random.Random(n).choices(WORDS, k=40)
    return " ".join(f"{word}{n}" for word in words) + "."


def lines(path: Path, rows: list[Row]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path.name


def texts(name: str, numbers: range, **odd: str) -> str:
    """A file of texts. odd: `row0="word"` adds a word to a row."""
    rows = [
        {"text": f"{text(n)} {odd.get(f'row{i}', '')}", "url": f"http://h{n}.example/"} for i, n in enumerate(numbers)
    ]
    return lines(Path(name), rows)


def write_recipe(sources: Row, **more: Any) -> str:
    Path("recipe.yaml").write_text(yaml.safe_dump({"name": "t", "sources": sources, "mixtures": {}, **more}))
    return "recipe.yaml"


def make(sources: Row, **more: Any) -> Row:
    """Statistics of the sources of a run. Its sums are checked (tests.pipelines.conftest)."""
    recipe = read(write_recipe(sources, **more))
    stats: Row = execute(recipe, "run", on="local", workers=2, progress=Progress(quiet=True))["sources"]
    return stats


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def files() -> dict[str, Row]:
    return {row["file"]: row for row in by_file(read_files(RunFiles("run")))}


BOOKS = {"kind": "text", "rules": none_of("fineweb")}


def release(**how: str) -> Row:
    rows = [{"text": text(n), "url": f"http://h{n}.example/", "how": how.get(f"row{n}", "")} for n in range(6)]
    lines(Path("r.jsonl"), rows)
    Path("b.jsonl.gz").write_bytes(gzip.compress(Path("r.jsonl").read_bytes())[:-20])
    return {
        "kind": "web",
        "releases": [{"format": "counts_own:release", "files": "r.jsonl"}],
        "preset": "interleaved",
        "rules": none_of("interleaved"),
    }


def test_rows_that_raise_or_crash_are_counted_and_explained(folder: Path) -> None:
    s = make({"web": release(row1="raises", row4="crashes")})["web"]
    assert (s["in"], s["packed"], s["quarantined"]) == (6, {"train": 4}, {"web.releases": 2})
    assert files()["r.jsonl"]["quarantined"] == 2
    assert "2 quarantined" in call("stats", "run").stdout
    for what in ("http://h1.example/", "r.jsonl/1", "release:r.jsonl/1"):
        assert "quarantined in web.releases, exception: RuntimeError: no" in call("explain", "run", what).stdout
    assert "crash: exit 7" in call("explain", "run", "r.jsonl/4").stdout
    assert "In quarantine, by step" in Path("run/report.html").read_text("utf-8")


def test_a_document_with_a_quarantined_own_score_is_kept_and_explained(folder: Path) -> None:
    books = {**BOOKS, "files": texts("t.jsonl", range(5), row2="crash")}
    s = make({"books": {**books, "scores": [{"name": "own", "function": "counts_own:crashes"}]}})["books"]
    assert (s["in"], s["packed"], s["quarantined"]) == (5, {"train": 5}, {})
    table = " ".join(call("stats", "run").stdout.split())
    assert "rows in quarantine: 1 of books.score.own" in table
    kept, why, _ = call("explain", "run", "http://h2.example/").stdout.splitlines()
    assert "kept, in train" in kept and "quarantined in books.score.own, crash: exit 7" in why


def test_documents_that_cannot_be_scored_or_packed_are_counted(folder: Path) -> None:
    (folder / "sitecustomize.py").write_text(FAULTS)
    sys.path.insert(0, str(folder))
    odd = {"row1": "unpackable", "row3": "refused", "row5": "unscorable"}
    s = make({"books": {**BOOKS, "files": [texts("t.jsonl", range(8), **odd), texts("u.jsonl", range(20, 23))]}})[
        "books"
    ]
    assert (s["in"], s["packed"]) == (11, {"train": 8})
    assert (s["dropped"], s["unpacked"]) == ({"quarantined": 1}, {"sample_too_large": 1})
    assert s["quarantined"] == {"books.train": 1}
    assert files()["t.jsonl"] | {"reasons": {}} == {
        "source": "books", "file": "t.jsonl", "in": 8, "kept": 5, "dropped": 0, "refused": 1, "broken": 0,
        "quarantined": 2, "reasons": {},
    }  # fmt: skip
    assert "quarantined in books.train, exception: RuntimeError" in call("explain", "run", "http://h1.example/").stdout
    assert "quarantined in books.score, exception: RuntimeError" in call("explain", "run", "http://h5.example/").stdout


def test_a_document_that_is_packed_several_times_is_lost_once(folder: Path) -> None:
    (folder / "sitecustomize.py").write_text(FAULTS)
    sys.path.insert(0, str(folder))
    rows = [llava_row(f"{n}.jpg", n) for n in range(6)]
    for n, row in enumerate(rows):
        Path(f"{n}.jpg").write_bytes(picture(n)[0])
        row["conversations"][1]["value"] += {1: " unpackable", 3: " refused"}.get(n, "")
    source = {"kind": "conversations", "files": lines(Path("c.jsonl"), rows), "repeat": 3}
    s = make({"sft": source}, shards={"validation": 0})["sft"]
    assert (s["in"], s["packed"], s["samples"]) == (6, {"train": 4}, 12)
    assert (s["unpacked"], s["quarantined"]) == ({"sample_too_large": 1}, {"sft.train": 1})
    assert files()["c.jsonl"]["kept"] == 4


def test_the_yield_of_each_file_and_its_order(folder: Path) -> None:
    names = [
        texts("a.jsonl", range(4)),
        texts("copies.jsonl", range(3)),
        "empty.jsonl",
        "broken.jsonl.gz",
        "bad.jsonl",
    ]
    Path("empty.jsonl").touch()
    whole = "".join(json.dumps({"text": text(n)}) + "\n" for n in range(40, 60)).encode()
    Path("broken.jsonl.gz").write_bytes(gzip.compress(whole)[:-8] + b"\xff" * 8)
    Path("bad.jsonl").write_text('"x"\n{\n')
    make({"books": {**BOOKS, "files": names}})
    rows = files()
    assert (rows["a.jsonl"]["kept"], rows["copies.jsonl"]["reasons"]) == (4, {"duplicate_url": 3})
    assert (rows["empty.jsonl"]["in"], rows["bad.jsonl"]["refused"]) == (0, 2)
    assert rows["broken.jsonl.gz"]["broken"] == 1
    shares = [row["kept"] / (row["in"] or 1) for row in rows.values()]
    assert shares == sorted(shares) and len(rows) == 5
    result = call("run", "recipe.yaml", "--out", "run", "--on", "local")
    messages = {line.split()[2] for line in result.stderr.splitlines() if " gave nothing: " in line}
    assert messages == {name for name, row in rows.items() if not row["kept"]} and len(messages) >= 3
    assert result.exit_code == 0  # the source has given something


def test_many_files_that_gave_nothing_are_said_in_a_few_lines(folder: Path) -> None:
    Path("many").mkdir()
    for n in range(30):
        Path(f"many/{n:02d}.jsonl").write_text("{\n")
    write_recipe({"books": {**BOOKS, "files": [texts("good.jsonl", range(3)), "many/*.jsonl"]}})
    result = call("run", "recipe.yaml", "--out", "run", "--on", "local")
    messages = [line for line in result.stderr.splitlines() if line.startswith("panoramix: ")]
    assert len(messages) == 11 and "20 more files gave nothing; `panoramix stats run --files`" in messages[-1]


def test_the_counts_of_files_are_made_again_only_if_something_changed(folder: Path) -> None:
    source = {**BOOKS, "files": texts("t.jsonl", range(8))}
    make({"books": source})
    before = os.stat(f"run/{FILES_NAME}")
    make({"books": source})
    assert os.stat(f"run/{FILES_NAME}").st_mtime_ns == before.st_mtime_ns
    make({"books": {**source, "rules": {"document": {**source["rules"]["document"], "words": {"min": 1000}}}}})
    assert files()["t.jsonl"]["kept"] == 0


# --- the end of a run -------------------------------------------------------------------------------------------------


def test_a_source_that_gave_nothing_ends_in_exit_1_both_times(folder: Path) -> None:
    first = {**BOOKS, "files": texts("t.jsonl", range(4))}
    write_recipe({"a": first, "b": first}, dedup={"prefer": ["a"]})
    for _ in range(2):
        result = call("run", "recipe.yaml", "--out", "run", "--on", "local")
        (line,) = (line for line in result.stderr.splitlines() if line.startswith("panoramix: "))
        assert line.startswith("panoramix: b (t.jsonl) gave nothing: none of 4 rows was kept (4 duplicate_url); ")
        assert "`dedup.prefer`" in line and result.exit_code == 1
        assert result.stdout.count("duplicate_url") == 1 and Path("run/shards/a/train-000000.tar").exists()
    as_json = call("run", "recipe.yaml", "--out", "run", "--on", "local", "--json")
    assert as_json.exit_code == 1 and set(json.loads(as_json.stdout)["sources"]) == {"a", "b"}


def test_a_source_that_another_one_reads_from_has_given_something(folder: Path) -> None:
    pdf = ("200 OK", "application/pdf", pdfs.plain())
    web = {"kind": "web", "warc": warc(folder / "p.warc.gz", [pdf])}
    write_recipe({"web": web, "papers": {"kind": "pdf", "from": "web", "ocr": "never", "rules": none_of("pdf")}})
    result = call("run", "recipe.yaml", "--out", "run", "--on", "local")
    assert result.exit_code == 0, result.output


def test_a_run_of_which_nothing_is_left_ends_with_its_table(folder: Path) -> None:
    rules = {"document": {**BOOKS["rules"]["document"], "words": {"min": 1000}}}  # type: ignore[index]
    write_recipe({"books": {"kind": "text", "rules": rules, "files": texts("t.jsonl", range(4))}})
    result = call("run", "recipe.yaml", "--out", "run", "--on", "local")
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert "4 words_low" in result.stdout
    assert "`panoramix sweep run words=FROM..TO --source books`" in result.stderr
    swept = call("sweep", "run", "words=1..3", "--source", "books")
    assert swept.exit_code == 0 and "1000 (now)" in swept.stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_how_to_go_on(folder: Path, number: int, code: int) -> None:
    books = {**BOOKS, "files": texts("t.jsonl", range(4))}
    write_recipe({"books": {**books, "scores": [{"name": "own", "function": "counts_own:slow"}]}})
    command = [sys.executable, "-m", "pipelines", "run", "recipe.yaml", "--out", "my run", "--on", "local"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not Path("begun").exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (code, ""), err
    assert "Traceback" not in err and "quarantined" in err
    again = "panoramix run recipe.yaml --out 'my run' --on local"
    last = err.rstrip().splitlines()[-1]
    assert last == f"panoramix: interrupted; committed parts are kept. Run it again to go on: {again}"
    assert list(Path("my run/stages").glob("books.read-*/manifest.json"))  # what was committed


def test_kept_documents_are_told_by_split(folder: Path) -> None:
    s = make({"books": {**BOOKS, "files": texts("t.jsonl", range(40))}}, shards={"validation": 0.3})["books"]
    assert set(s["packed"]) == {"train", "validation"} and sum(s["packed"].values()) == s["kept"] == s["in"]
    table = call("stats", "run").stdout
    assert f"{s['packed']['train']} train" in table and f"{s['packed']['validation']} valid" in table


def test_the_sums_are_checked_by_what_the_run_wrote(folder: Path) -> None:
    """The check of every run in these tests finds a row that has no number."""
    make({"books": {**BOOKS, "files": texts("t.jsonl", range(4))}})
    stats = json.loads(Path("run/stats.json").read_text())
    for change in (
        {"in": 5},
        {"packed": {"train": 3}},
        {"refused": {"bad_row": 1}},
        {"quarantined": {"books.read": 1}},
    ):
        wrong = {**stats, "sources": {"books": {**stats["sources"]["books"], **change}}}
        with pytest.raises(AssertionError):
            assert_every_row_is_counted(wrong, "run")
    assert Counter(stats["sources"]["books"]["packed"]) == {"train": 4}
