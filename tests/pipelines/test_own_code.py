"""A user's own code in whole runs: code that fails, code that changes, code that prints, at each level."""

import decimal
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from filters.decide import Decide
from filters.own import own_score
from filters.rules import Rule, Rules, load
from manifests.inspect import samples
from manifests.runfiles import RunFiles
from pipelines.commands.run import execute
from pipelines.commands.show import run_tables
from pipelines.engine.progress import Progress
from pipelines.engine.run import RunError
from pipelines.recipe.load import parse
from tests.filters.make import documents, zipped
from tests.pipelines.conftest import without_proxies
from tests.pipelines.conversation_sets import llava_row
from tests.trainer.pictures import picture

Row = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
N = 6  # documents, each with one image

OWN = '''
import asyncio, functools, os, subprocess, sys
import own_code_words
from own_code_facade import exported

print("printed while the module is imported")

def raises(value): raise RuntimeError("no")
def half(value):
    """Fails for a document about an even number, and for an image that is a PNG file of even size."""
    number = len(value.bytes) if hasattr(value, "picture") else int(number_of(value))
    return 1 if number % 2 else [][number]
def dies(value): os._exit(7)
def cancelled(value): raise asyncio.CancelledError
def number_of(value): return getattr(value, "text", value).split("number ")[1].split("?")[0]
def as_text(value): return "high"

def share(text): return sum(word in text for word in own_code_words.WORDS)
def longer(document, n): return len(document.text) > n
long_enough = functools.partial(longer, n=10)

class Wide:
    level = "image"
    def __init__(self, limit):
        print("printed in a constructor")
        self.limit = limit
    def __call__(self, image):
        print("printed for an image")
        os.write(1, b"written to the file descriptor\\n")
        subprocess.run(["echo", "printed by another program"], check=True)
        return image.width > self.limit

def vandal(document):
    """Changes what it is given."""
    for node in document.nodes:
        node["text"] = node["image"] = "gone"
    return 1

def key(document):
    print("printed for a key")
    return document.url

class Lines:
    suffix = ".txt"
    def __call__(self, samples):
        print("printed by a writer")
        for sample in samples:
            print("printed for a sample")
            yield b"a line\\n"
'''
READERS = """
from manifests.nodes import text_node

def release(row):
    print("printed by a format")
    if row["n"] == 1:
        raise {"runtime": RuntimeError, "assertion": AssertionError, "value": ValueError}[row["error"]]("no")
    if row["n"] == 2:
        return None, ["no node"]
    return None, [text_node(f"The mill number {row['n']} stands by the river.")]
release.suffixes = (".jsonl",)

class NoBytes:
    suffix = ".txt"
    def __init__(self, what): self.what = what
    def __call__(self, samples):
        list(samples)
        return {"text": ["a line"], "number": [3], "nothing": None}[self.what]
"""
FACADE = "from own_code_inner import exported\n"
INNER = "def exported(text): return 1\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conversation set with images, and the modules of a user. The tests' runs share the folder `run`."""
    path = tmp_path_factory.mktemp("own_code")
    rows = []
    for i in range(N):
        (path / f"{i}.png").write_bytes(picture(i)[0])
        rows.append(llava_row(f"{i}.png", i))
    (path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_modules(path)
    return path


def write_modules(folder: Path, **changes: str) -> None:
    modules = {"own_code": OWN, "own_code_readers": READERS, "own_code_facade": FACADE, "own_code_inner": INNER}
    modules |= {"own_code_words": 'WORDS = ["number 1"]\n'}
    for name, text in {**modules, **changes}.items():
        (folder / f"{name}.py").write_text(text)


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder as the current one, with its modules as they were written first and not yet imported."""
    without_proxies(monkeypatch)
    write_modules(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.startswith("own_code")]:
        monkeypatch.delitem(sys.modules, name)
    return folder


def recipe(**source: Any) -> Row:
    off: Row = {level: {r.score: None for r in getattr(load("conversations"), level)} for level in ("document", "node")}
    rules = dict(source.pop("rules", {}))
    off["document"] |= rules.pop("document", {})
    return {
        "name": "own",
        "sources": {"set": {"kind": "conversations", "files": "rows.jsonl", "rules": {**off, **rules}, **source}},
        "mixtures": {},
    }


def score(function: str, level: str, name: str = "own") -> Row:
    return {"name": name, "function": f"own_code:{function}", "level": level}


def run(**source: Any) -> Row:
    table = parse(recipe(**source), "recipe")
    stats = execute(table, "run", on="local", workers=2, progress=Progress(quiet=True))
    of_source: Row = stats["sources"]["set"]
    return of_source


def from_the_shell(folder: Path, **source: Any) -> tuple[Row, dict[str, int], str]:
    """The statistics that `panoramix run --json` prints, the parts that it ran, and what else it printed."""
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe(**source), sort_keys=False))
    command = [sys.executable, "-m", "pipelines", "run", "recipe.yaml", "--out", "run", "--on", "local", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    stats = json.loads(result.stdout)
    assert result.returncode == (not stats["sources"]["set"]["samples"]), result.stderr
    parts = json.loads((folder / "run" / "run.json").read_text())["parts"]
    return stats["sources"]["set"], {name: n for name, n in parts.items() if n}, result.stderr


def ledger(table: str) -> list[Row]:
    files = [str(path) for path in sorted(Path("run/ledger").glob(f"set-{table}-*"))]
    return ds.dataset(files).to_table().to_pylist() if files else []


# --- code that fails --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "function"),
    [
        ("text", "raises"),
        ("document", "raises"),
        ("image", "raises"),
        ("document", "as_text"),
        ("text", "dies"),  # ends the process: the rows are quarantined
        ("image", "cancelled"),  # asyncio.CancelledError is no Exception, and ends the process as well
    ],
)
def test_a_score_that_fails_on_every_row_stops_the_run(here: Path, level: str, function: str) -> None:
    """Every row would pass its rule, because null passes. A second run says the same."""
    rules = {"image" if level == "image" else "document": {"own": {"min": 1}}}
    told_of = "conversations" if level == "image" else "set"  # images are scored for all sources of a kind
    for _ in range(2):
        with pytest.raises(RunError) as error:
            run(scores=[score(function, level)], rules=rules)
        why = {"raises": "RuntimeError: no", "as_text": "ValueError: could not convert string to float: 'high'"}
        last = f"the last error: {why[function]}" if function in why else "ledger/quarantine.parquet has the causes"
        assert str(error.value) == f"{told_of}: the function own_code:{function} failed on all {N} rows; {last}"
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("level", ["text", "document"])
def test_a_score_that_fails_on_some_rows_keeps_them_unless_a_rule_asks(here: Path, level: str) -> None:
    failing = {f"{n}" for n in range(0, N, 2)}
    kept = run(scores=[score("half", level)], rules={"document": {"own": {"min": 1}}})
    assert (kept["samples"], kept["dropped"]) == (N, {})
    stats = json.loads(Path("run/stats.json").read_text())
    (told,) = stats["own_code"]
    assert (told["step"], told["path"], told["failed"], told["rows"]) == ("set.score.own", "own_code:half", 3, N)
    assert told["error"].startswith(("IndexError: ", "TypeError: "))
    assert f"set: the function own_code:half failed on 3 of {N} rows; the last error: {told['error']}" in "".join(
        line for line in run_tables(stats) if isinstance(line, str)
    )
    asked = run(scores=[score("half", level)], rules={"document": {"own_failed": {"max": 0}}})
    assert (asked["samples"], asked["dropped"]) == (N - len(failing), {"own_failed_high": len(failing)})
    dropped = [row for row in ledger("documents") if row["reason"] == "own_failed_high"]
    assert {(row["score"], row["threshold"]) for row in dropped} == {(1, 0)}


def test_an_image_score_that_fails_on_some_images_keeps_them_unless_a_rule_asks(here: Path) -> None:
    failing = sum(len(picture(i)[0]) % 2 == 0 for i in range(N))
    assert 0 < failing < N
    kept = run(scores=[score("half", "image")], rules={"image": {"own": {"min": 1}}})
    assert (kept["samples"], kept["dropped"], kept["images_dropped"].get("own_low")) == (N, {}, None)


def test_a_duplicate_key_that_fails_on_every_document_stops_the_run(here: Path) -> None:
    with pytest.raises(RunError, match=rf"^set: the function own_code:raises failed on all {N} rows; "):
        run(duplicate_key="own_code:raises")


def test_a_score_that_changes_a_document_changes_its_own_copy(here: Path) -> None:
    run()
    before = [(s["id"], s["rendered"]) for s in samples(RunFiles("run"), "set", 99)]
    assert run(scores=[score("vandal", "document"), score("share", "text", "hits")])["samples"] == len(before) == N
    assert [(s["id"], s["rendered"]) for s in samples(RunFiles("run"), "set", 99)] == before


@pytest.mark.parametrize("error", ["runtime", "assertion", "value"])
def test_a_release_format_that_fails_on_a_row_loses_that_row_alone(here: Path, error: str, tmp_path: Path) -> None:
    rows = [{"n": n, "error": error} for n in range(5)]
    (tmp_path / "release.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"kind": "web", "releases": [{"format": "own_code_readers:release", "files": str(tmp_path)}]}
    table = parse({"name": "release", "sources": {"web": source}, "mixtures": {}}, "recipe")
    stats = execute(table, str(tmp_path / "run"), on="local", workers=2, progress=Progress(quiet=True))
    refused, quarantined = stats["sources"]["web"]["refused"], stats["quarantined"]
    of_a_row = ({"bad_row": 2}, {}) if error == "value" else ({"bad_row": 1}, {"web.releases": 1})
    assert (refused, quarantined) == of_a_row
    assert stats["sources"]["web"]["documents"] == 3


@pytest.mark.parametrize("what", ["text", "number", "nothing"])
def test_a_writer_that_yields_no_bytes_is_told_in_one_line(here: Path, what: str) -> None:
    output = {"name": "wrong", "writer": "own_code_readers:NoBytes", "arguments": {"what": what}}
    with pytest.raises(RunError, match=r"set.output.wrong.train, part 0: `own_code_readers:NoBytes` .*bytes") as error:
        run(outputs=[output])
    assert "\n" not in str(error.value)


VALUES: list[Any] = []


def any_value(text: str) -> Any:
    value = VALUES[int(text)]
    if isinstance(value, type) and issubclass(value, BaseException):
        raise value("no")
    return value


numbers = st.one_of(st.floats(), st.integers(), st.booleans(), st.decimals(), st.fractions(), st.complex_numbers())
others = st.one_of(
    st.text(), st.binary(), st.lists(st.integers()), st.dictionaries(st.text(), st.integers()), st.none()
)
errors = st.sampled_from([ValueError, SystemExit, MemoryError, RecursionError, StopIteration, UnicodeError, OSError])


@given(st.lists(st.one_of(numbers, others, errors), min_size=1, max_size=20))
@example([10**400, -(10**400), 1e300, 2**63, float("inf"), float("nan"), decimal.Decimal("sNaN")])
@example([np.float16(1), np.array(1.0), np.array([2.0]), np.array([[1.0, 2.0]]), np.ma.masked, np.bool_(True)])
@example(["1.5", "nan", b"2", bytearray(b"x"), ...])
def test_any_value_is_a_number_or_null(values: list[Any]) -> None:
    """A row has a number, or null without a failure (None), or null with one. Null passes every rule."""
    VALUES[:] = values
    batch = documents(*[[str(i)] for i in range(len(values))])
    ((_, scores), *_) = own_score("own", f"{__name__}:any_value")(batch)
    rows = scores.to_pylist()
    assert len(rows) == len(values)
    for value, row in zip(values, rows, strict=True):
        assert row["own_failed"] in (0, 1)
        assert (row["own"] is None) == (value is None or row["own_failed"] == 1)
        assert row["own"] is None or not math.isnan(row["own"])
    rules = Rules(document=(Rule("own", -math.inf, math.inf),))
    ((_, decisions),) = Decide(rules)(zipped(batch, scores))
    assert all(decisions["keep"].to_pylist())


# --- code that changes, and code that prints --------------------------------------------------------------------------


def test_changed_code_is_called_again_and_what_it_prints_is_not_on_stdout(here: Path) -> None:
    """Each `panoramix run --json` prints JSON alone. After a change, no step before the scores runs again."""
    source = {
        "scores": [
            score("share", "text", "hits"),
            score("exported", "text", "exported"),
            score("long_enough", "document", "long"),
            {**score("Wide", "image", "wide"), "arguments": {"limit": 1}},
        ],
        "rules": {
            "document": {"hits": {"max": 0}, "exported": {"min": 1}, "long": {"min": 1}},
            "image": {"wide": {"min": 1}},
        },
        "duplicate_key": "own_code:key",
        "outputs": [{"name": "lines", "writer": "own_code:Lines"}],
    }
    stats, _, printed = from_the_shell(here, **source)
    assert (stats["samples"], stats["dropped"]) == (N - 1, {"hits_high": 1})
    what = ("for an image", "in a constructor", "while the module is imported", "by another program", "for a key")
    for line in (*what, "by a writer", "for a sample"):
        assert f"printed {line}" in printed
    assert "written to the file descriptor" in printed

    write_modules(here, own_code_words='WORDS = ["number 1", "number 2"]\n')
    stats, parts, _ = from_the_shell(here, **source)
    assert (stats["samples"], stats["dropped"]) == (N - 2, {"hits_high": 2})
    assert "set.score.hits" in parts and not {"set.read", "set.score", "conversations.keys"} & parts.keys()

    write_modules(here, own_code_inner="def exported(text): return 0\n")
    stats, parts, _ = from_the_shell(here, **source)
    assert stats["dropped"] == {"exported_low": N - 1, "hits_high": 1} and "set.score.exported" in parts

    write_modules(here, own_code=OWN.replace("n=10)", "n=100000)"))
    stats, parts, _ = from_the_shell(here, **source)
    assert stats["dropped"] == {"long_low": N - 1, "hits_high": 1} and "set.score.long" in parts

    write_modules(here, own_code=OWN.replace("image.width > self.limit", "0"))
    stats, parts, _ = from_the_shell(here, **source)
    assert stats["images_dropped"]["wide_low"] == N - 1 and stats["samples"] == 0 and "conversations.own.wide" in parts
