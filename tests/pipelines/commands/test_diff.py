"""`panoramix diff`: which documents have another outcome in another run, by hand-written ledgers and by real runs."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from manifests.ledger import DOCUMENTS, QUARANTINE
from manifests.runfiles import RunFiles
from manifests.schema import REFUSED
from pipelines.cli import app
from pipelines.commands.moved import ABSENT, moved, summary
from pipelines.commands.run import execute
from pipelines.commands.show import cut, cut_apart
from pipelines.engine.progress import Progress
from pipelines.recipe.load import read
from tests.pipelines.test_counts import texts
from tests.pipelines.test_several_sources import none_of

Row = dict[str, Any]


def ledger(folder: Path, **tables: list[Row]) -> RunFiles:
    """A folder with the ledger of a run. tables: documents, refused, packing, quarantine."""
    (folder / "ledger").mkdir(parents=True)
    names = {"documents": "web-documents-00000", "refused": "web-refused-00000", "packing": "web.train-refused-00000"}
    schemas = {"documents": DOCUMENTS, "quarantine": QUARANTINE}
    for name, rows in tables.items():
        table = pa.Table.from_pylist([{"source": "web", **row} for row in rows], schemas.get(name, REFUSED))
        pq.write_table(table, folder / "ledger" / f"{names.get(name, name)}.parquet")
    return RunFiles(folder)


def document(id: str, reason: str | None = None, split: str = "train") -> Row:
    return {
        "id": id,
        "url": f"http://{id}/",
        "keep": reason is None,
        "split": None if reason else split,
        "reason": reason,
    }


def outcomes(first: RunFiles, second: RunFiles) -> dict[tuple[str | None, str], tuple[str, str]]:
    rows = moved(first, second).to_pylist()
    out = {(r["id"], r["url"]): (r["first"], r["second"]) for r in rows}
    assert len(out) == len(rows)
    return out


def test_each_kind_of_move(tmp_path: Path) -> None:
    place = {"file": "a.jsonl", "offset": 3}
    first = ledger(
        tmp_path / "first",
        documents=[
            document("same"), document("same dropped", "words_low"), document("rule"), document("reason", "words_low"),
            document("split"), document("gone"), document("refused"), document("packed"),
        ],
        refused=[{"url": None, "reason": "bad_row", "provenance": place}],
    )  # fmt: skip
    second = ledger(
        tmp_path / "second",
        documents=[
            document("same"), document("same dropped", "words_low"), document("rule", "words_low"),
            document("reason", "near_duplicate"), document("split", split="validation"), document("new"),
            document("packed"),
        ],
        refused=[
            {"url": "http://refused/", "reason": "optout", "provenance": {"file": "b", "offset": 1}},
            {"url": None, "reason": "file_broken", "provenance": place},
        ],
        packing=[{"url": "http://packed/", "reason": "sample_too_large", "provenance": {"file": "b", "offset": 2}}],
        quarantine=[{"stage": "web.extract", "cause": "crash", "url": "http://crash/", "part": 0, "row": 0, "sub": 0}],
    )  # fmt: skip
    assert outcomes(first, second) == {
        ("rule", "http://rule/"): ("kept, train", "dropped, words_low"),
        ("reason", "http://reason/"): ("dropped, words_low", "dropped, near_duplicate"),
        ("split", "http://split/"): ("kept, train", "kept, validation"),
        ("gone", "http://gone/"): ("kept, train", ABSENT),
        ("new", "http://new/"): (ABSENT, "kept, train"),
        ("refused", "http://refused/"): ("kept, train", "refused, optout"),
        (None, "a.jsonl/3"): ("refused, bad_row", "refused, file_broken"),
        (None, "http://packed/"): (ABSENT, "refused at packing, sample_too_large"),
        (None, "http://crash/"): (ABSENT, "quarantined, web.extract"),
    }
    back = outcomes(second, first)
    assert back == {key: (b, a) for key, (a, b) in outcomes(first, second).items()}
    assert moved(first, first).num_rows == moved(second, second).num_rows == 0


def test_copies_of_a_document_are_compared_by_their_number(tmp_path: Path) -> None:
    copies = [document("a"), document("a", "duplicate_url"), document("a", "duplicate_url")]
    first, second = (
        ledger(tmp_path / "first", documents=copies),
        ledger(tmp_path / "second", documents=copies[1:][::-1]),
    )
    assert outcomes(first, second) == {("a", "http://a/"): ("kept, train", ABSENT)}
    third = ledger(tmp_path / "third", documents=[document("a", "words_low"), *copies[1:]])
    assert outcomes(first, third) == {("a", "http://a/"): ("kept, train", "dropped, words_low")}


REASONS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([None, "words_low", "language"])), max_size=8)


@settings(max_examples=25, deadline=None)
@given(one=REASONS, other=REASONS)
def test_the_moves_lead_from_one_run_to_the_other(
    tmp_path_factory: pytest.TempPathFactory, one: list[tuple[str, str | None]], other: list[tuple[str, str | None]]
) -> None:
    folder = tmp_path_factory.mktemp("moves")
    runs = [ledger(folder / str(i), documents=[document(*row) for row in rows]) for i, rows in enumerate((one, other))]
    rows = moved(*runs).to_pylist()
    counts = [
        Counter((id, f"dropped, {reason}" if reason else "kept, train") for id, reason in run) for run in (one, other)
    ]
    for row in rows:
        assert row["first"] != row["second"]
        counts[0][row["id"], row["first"]] -= 1
        counts[0][row["id"], row["second"]] += 1
    assert {k: n for k, n in counts[0].items() if n and k[1] != ABSENT} == dict(counts[1])
    assert sum(group["documents"] for group in summary(moved(*runs))) == len(rows)
    assert len(rows) <= max(len(one), len(other)) + len(one)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rules = none_of("fineweb")
    books = {"kind": "text", "rules": rules, "files": texts("t.jsonl", range(9), row4="one two three")}
    names = [f"runs-of-the-team/experiment-{i}-with-a-long-name" for i in (1, 2)]
    for name, limit in zip(names, (None, {"min": 42}), strict=True):
        changed = {**books, "rules": {**rules, "document": {**rules["document"], "words": limit}}}
        Path("recipe.yaml").write_text(yaml.safe_dump({"name": "t", "sources": {"books": changed}, "mixtures": {}}))
        execute(read("recipe.yaml"), name, on="local", workers=1, progress=Progress(quiet=True))
    result = CliRunner().invoke(app, ["diff", *names, "--jsonl", "moved.jsonl"])
    assert result.exit_code == 0, result.output
    assert "ment-1-" in result.stdout and "ment-2-" in result.stdout and "kept, train" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    rows = [json.loads(line) for line in Path("moved.jsonl").read_text().splitlines()]
    assert all(set(row) == {"source", "id", "url", "first", "second"} for row in rows)
    assert "8 documents in moved.jsonl" in result.stderr
    assert {(r["source"], r["first"], r["second"]) for r in rows} == {("books", "kept, train", "dropped, words_low")}
    assert {r["url"] for r in rows} == {f"http://h{n}.example/" for n in range(9) if n != 4}
    data = json.loads(CliRunner().invoke(app, ["diff", *names, "--json"]).stdout)
    (group,) = data["documents"]
    assert (group["documents"], group["first"], group["second"]) == (8, "kept, train", "dropped, words_low")
    assert {r["what"] for r in data["numbers"]} >= {"dropped: words_low", "packed: train", "samples"}
    equal = CliRunner().invoke(app, ["diff", names[0], names[0]])
    assert equal.stdout.count("\n") == 1 and "the runs are equal" in equal.stdout


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("runs/a", "runs/b"),
        ("a" * 50 + "1" + "b" * 50, "a" * 50 + "2" + "b" * 50),
        ("x" * 40, "x" * 41),
        ("a" + "x" * 60, "b" + "x" * 60),
        ("x" * 60 + "a", "x" * 60 + "b"),
        ("s3://bucket/long/way/to/run-1/of/the/second/team", "s3://bucket/long/way/to/run-2/of/the/second/team"),
    ],
)
def test_long_names_of_two_runs_are_cut_and_still_differ(first: str, second: str) -> None:
    a, b = cut_apart(first, second, 20)
    assert a != b and len(a) <= 20 and len(b) <= 20
    assert cut_apart(second, first, 20) == (b, a)
    assert len(cut(first, 20)) <= 20 and cut("short", 20) == "short"


@given(st.text("ab/", min_size=1, max_size=60), st.text("ab/", min_size=1, max_size=60), st.integers(16, 30))
def test_any_two_names_differ_after_the_cut(first: str, second: str, width: int) -> None:
    a, b = cut_apart(first, second, width)
    assert (a == b) == (first == second) and max(len(a), len(b)) <= width
