"""Publishing while a run goes on: what is finished, whole and by its final name; afterwards the rest, and nothing
twice.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines import cli
from pipelines.commands.run import execute
from pipelines.engine.progress import Progress
from pipelines.engine.run import RunError
from pipelines.outputs import UNFINISHED, finished_shards
from pipelines.recipe.load import read
from shards.loader import Loader
from shards.publish.verify import verify
from tests.pipelines.conftest import RECIPE, SampleRun, without_proxies

SMALL = ["shards.bytes=200000"]


class Cut(Progress):
    """Ends the run with the first shard of pairs that is committed."""

    def part(self, node: str, sidecar: Any) -> None:
        if node == "pairs.train":
            raise KeyboardInterrupt


def _shards(manifest: dict[str, Any]) -> dict[str, str]:
    return {
        s["path"]: s["sha256"]
        for source in manifest["sources"].values()
        for rows in source["splits"].values()
        for s in rows
    }


def _publish(folder: pathlib.Path, to: pathlib.Path, *options: str) -> str:
    done = CliRunner().invoke(cli.app, ["publish", str(folder), f"file://{to}", *options])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow
def test_what_is_finished_is_published_and_later_the_rest(
    sample_run: SampleRun, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_proxies(monkeypatch)
    folder, to = sample_run.copy(tmp_path / "run"), tmp_path / "there"
    recipe = read(str(RECIPE), [*sample_run.settings, *SMALL])
    with pytest.raises(KeyboardInterrupt):
        execute(recipe, str(folder), on="local", workers=1, progress=Cut(quiet=True))
    with finished_shards(str(folder)) as part:
        assert list(verify(part)) == []
        said = json.loads((part / "manifest.json").read_text())
        done, of = said["so_far"]["pairs/train"]
        assert 1 <= done < of
        mixture = {"sources": {"pairs": {"weight": 1, "sequence_length": 2048}}, "batch_sequences": 1}
        keys = {s.key for b in Loader(part, mixture, epochs=1) for q in b.sequences for s in q}
        assert len(keys) == sum(s["samples"] for s in said["sources"]["pairs"]["splits"]["train"])
    assert not list(folder.glob(".publish-*"))
    _publish(folder, to, "--so-far")
    assert list(verify(to)) == []
    assert "The run that makes this goes on" in (to / "README.md").read_text()
    there = {path: (to / path).stat().st_mtime_ns for path in _shards(said)}
    execute(recipe, str(folder), on="local", workers=1, progress=Progress(quiet=True))
    assert not (folder / UNFINISHED).exists()
    with pytest.raises(RunError, match="no run is at work in this folder"), finished_shards(str(folder)):
        pass
    _publish(folder, to)
    assert list(verify(to)) == []
    whole = json.loads((to / "manifest.json").read_text())
    assert _shards(said).items() < _shards(whole).items()
    assert {path: (to / path).stat().st_mtime_ns for path in there} == there  # none was sent again
    assert "goes on" not in (to / "README.md").read_text()


def test_a_folder_without_a_run_is_one_clear_line(tmp_path: pathlib.Path) -> None:
    done = CliRunner().invoke(cli.app, ["publish", str(tmp_path), "me/demo", "--so-far"])
    assert done.exit_code == 2
    assert "no run is at work in this folder, and none was interrupted" in done.output.replace("\n", " ")
