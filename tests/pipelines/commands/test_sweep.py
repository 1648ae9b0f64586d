"""`panoramix sweep` on a finished run: at the limits of the run, the counts are those of the run."""

import itertools
import json
import time

import pytest
from typer.testing import CliRunner

from filters.rules import RuleError
from manifests.runfiles import RunFilesError
from pipelines.cli import app
from pipelines.commands.sweep import sweep_run
from tests.pipelines.conftest import SampleRun


@pytest.mark.parametrize(
    ("source", "rule"),
    [("web", "words.min=0..40:5"), ("web", "node.stop_words=0..0.5:0.1"), ("pairs", "words.min=1..5:1")],
)
def test_the_limit_of_the_run_gives_the_counts_of_the_run(sample_run: SampleRun, source: str, rule: str) -> None:
    began = time.process_time()
    name, what, current, rows = sweep_run(str(sample_run.folder), rule, source)
    assert time.process_time() - began < 2
    assert name == source
    (now,) = [r for r in rows if r["threshold"] == current]
    funnel = dict(sample_run.stats["sources"][source]["funnel"])
    assert now["kept"] == funnel["after text rules"]
    assert now["documents"] == funnel["documents"]
    if what.level == "document" and what.limit == "min":
        assert [r["kept"] for r in rows] == sorted((r["kept"] for r in rows), reverse=True)


def test_a_sweep_of_an_image_score(sample_run: SampleRun) -> None:
    _, _, current, rows = sweep_run(str(sample_run.folder), "side_min=0..400:50")
    kept = {r["threshold"]: r["kept_images"] for r in rows}
    assert kept[0] > kept[400]
    assert current in kept


@pytest.mark.parametrize(
    ("rule", "at"),
    [("words.min=20..80:30", 0), ("words.min=0..9:3", 4), ("side_min=100..400:60", 1), ("node.words.min=1..9:2", 2)],
)
def test_the_limit_of_the_run_has_a_row_off_the_grid(sample_run: SampleRun, rule: str, at: int) -> None:
    _, _, current, rows = sweep_run(str(sample_run.folder), rule)
    thresholds = [r["threshold"] for r in rows]
    assert current is not None and thresholds == sorted(thresholds) and thresholds.index(current) == at
    steps = {b - a for a, b in itertools.pairwise(t for t in thresholds if t != current)}
    assert len(steps) == 1  # the grid without it
    assert f"{current:g} (now)" in CliRunner().invoke(app, ["sweep", str(sample_run.folder), rule]).stdout


def test_a_score_without_a_rule_has_a_row_without_limit(sample_run: SampleRun) -> None:
    for rule, last in (("document.uppercase.max=0..1:0.5", -1), ("document.uppercase.min=0..1:0.5", 0)):
        swept = json.loads(CliRunner().invoke(app, ["sweep", str(sample_run.folder), rule, "--json"]).stdout)
        assert sorted(t for t in swept["thresholds"] if t is not None) == [0, 0.5, 1] and swept["current"] is None
        assert swept["thresholds"][last] is None
        funnel = dict(sample_run.stats["sources"]["web"]["funnel"])
        assert swept["rows"][last]["kept"] == max(r["kept"] for r in swept["rows"]) == funnel["after text rules"]
        assert "no limit (now)" in CliRunner().invoke(app, ["sweep", str(sample_run.folder), rule]).stdout


def test_the_command(sample_run: SampleRun) -> None:
    result = CliRunner().invoke(app, ["sweep", str(sample_run.folder), "words.min=10..20:10"])
    assert result.exit_code == 0
    assert "10 (now)" in result.stdout
    uppercase = CliRunner().invoke(app, ["sweep", str(sample_run.folder), "document.uppercase.max=0..1", "--json"])
    assert uppercase.exit_code == 0 and json.loads(uppercase.stdout)["rows"][-1]["kept"] > 0
    wrong = CliRunner().invoke(app, ["sweep", str(sample_run.folder), "wrods=1..2"])
    assert wrong.exit_code == 2
    assert "no rule on `wrods`; did you mean `words`?" in " ".join(wrong.stderr.split())
    with pytest.raises(RuleError, match="this run has no source `book`"):
        sweep_run(str(sample_run.folder), "words.min=1..2", "book")
    with pytest.raises(RunFilesError, match="no finished run"):
        sweep_run(str(sample_run.folder / "shards"), "words.min=1..2")
