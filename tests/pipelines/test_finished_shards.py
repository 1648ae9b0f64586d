"""Publishing during a run: finished shards go out under their final names, the rest follows, no file is sent twice."""

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


class Interrupt(Progress):
    """Interrupts the run when the first shard of pairs is committed."""

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
    result = CliRunner().invoke(cli.app, ["publish", str(folder), f"file://{to}", *options])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_finished_shards_are_published_and_the_rest_later(
    sample_run: SampleRun, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_proxies(monkeypatch)
    folder, to = sample_run.copy(tmp_path / "run"), tmp_path / "there"
    recipe = read(str(RECIPE), [*sample_run.settings, *SMALL])
    with pytest.raises(KeyboardInterrupt):
        execute(recipe, str(folder), on="local", workers=1, progress=Interrupt(quiet=True))
    with finished_shards(str(folder)) as part:
        assert list(verify(part)) == []
        manifest = json.loads((part / "manifest.json").read_text())
        finished, total = manifest["so_far"]["pairs/train"]
        assert 1 <= finished < total
        mixture = {"sources": {"pairs": {"weight": 1, "sequence_length": 2048}}, "batch_sequences": 1}
        keys = {s.key for b in Loader(part, mixture, epochs=1) for q in b.sequences for s in q}
        assert len(keys) == sum(s["samples"] for s in manifest["sources"]["pairs"]["splits"]["train"])
    assert not list(folder.glob(".publish-*"))
    _publish(folder, to, "--so-far")
    assert list(verify(to)) == []
    assert "The run that makes this dataset is not finished" in (to / "README.md").read_text()
    times = {path: (to / path).stat().st_mtime_ns for path in _shards(manifest)}
    execute(recipe, str(folder), on="local", workers=1, progress=Progress(quiet=True))
    assert not (folder / UNFINISHED).exists()
    with pytest.raises(RunError, match="no run is at work in this folder"), finished_shards(str(folder)):
        pass
    _publish(folder, to)
    assert list(verify(to)) == []
    complete = json.loads((to / "manifest.json").read_text())
    assert _shards(manifest).items() < _shards(complete).items()
    assert {path: (to / path).stat().st_mtime_ns for path in times} == times  # no file was sent again
    assert "is not finished" not in (to / "README.md").read_text()


def test_a_folder_without_a_run_gives_one_clear_line(tmp_path: pathlib.Path) -> None:
    result = CliRunner().invoke(cli.app, ["publish", str(tmp_path), "me/demo", "--so-far"])
    assert result.exit_code == 2
    assert "no run is at work in this folder, and none was interrupted" in result.output.replace("\n", " ")
