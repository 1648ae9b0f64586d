"""The same plan on Ray clusters: the same bytes, one row lost for one bad row, and nodes that are lost."""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pipelines.engine.run import RunError
from tests.chaos import Chaos, contents, drive

from .cluster import ROOT, Cluster, cluster
from .stops import driver
from .test_run import expected, files, go, plan, totals
from .toys import Score

pytestmark = pytest.mark.slow


def test_ray_gives_the_bytes_of_the_local_backend(tmp_path: pathlib.Path) -> None:
    from pipelines.engine.on_ray import OnRay

    go(tmp_path / "local", plan(Score(bad=333)))
    outcome = go(tmp_path / "ray", plan(Score(bad=333)), lambda: OnRay(None, 2))
    assert totals(tmp_path / "ray", outcome) == expected(without=(333,))
    assert files(tmp_path / "ray") == files(tmp_path / "local")


@pytest.fixture(scope="module")
def two() -> Iterator[Cluster]:
    with cluster(2, dashboard=True) as nodes:
        yield nodes


def test_a_model_lives_in_a_pool_of_actors(tmp_path: pathlib.Path, two: Cluster) -> None:
    """Two nodes of one core each load the model at most twice for five parts; without a GPU its share is ignored."""
    (tmp_path / "loads").mkdir()
    code = (
        "import sys\n"
        "from pipelines.engine.on_ray import OnRay\n"
        "from tests.pipelines.engine.test_run import go, plan\n"
        "from tests.pipelines.engine.toys import Model\n"
        "steps = plan(Model(sys.argv[1]))\n"
        "steps[1] = __import__('dataclasses').replace(steps[1], gpus=0.5)\n"
        "print(go(sys.argv[2], steps, lambda: OnRay(sys.argv[3])).outputs['score'].rows('scores'))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "loads"), str(tmp_path / "run"), two.address]
    assert (
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120).stdout.strip()
        == "1000"
    )
    loads = [p.read_text() for p in (tmp_path / "loads").iterdir()]
    assert 1 <= len(loads) <= 2
    assert set(loads) == {"loaded\n"}


def test_the_client_address(tmp_path: pathlib.Path, two: Cluster) -> None:
    drive(str(tmp_path / "local"), "local")
    process = driver(f"from tests.chaos import drive\ndrive({str(tmp_path / 'client')!r}, {two.client!r})")
    process.communicate(timeout=180)
    assert process.returncode == 0
    assert contents(tmp_path / "client") == contents(tmp_path / "local")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "cluster"])
def test_a_cluster_that_does_not_answer_is_one_line(tmp_path: pathlib.Path, address: str) -> None:
    from pipelines.engine.on_ray import OnRay

    with pytest.raises(RunError, match=rf"^--on {address}: no Ray cluster answers there .* `ray start --head`"):
        go(tmp_path, plan(), lambda: OnRay(address))


def test_a_submitted_job(tmp_path: pathlib.Path, two: Cluster) -> None:
    """`ray job submit --working-dir .` and the command line, as in docs/clusters.md."""
    ray = os.path.join(os.path.dirname(sys.executable), "ray")
    given = tmp_path / "list.csv"
    given.write_text("url,caption\nhttp://127.0.0.1:9/a.jpg,a picture that nobody can fetch because nothing listens\n")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"name: submitted\npairs:\n  urls: [{given}]\n")
    command = [
        ray,
        "job",
        "submit",
        f"--address={two.jobs}",
        "--working-dir",
        str(ROOT / "pipelines" / "recipes"),
        "--",
    ]
    command += [
        sys.executable,
        "-m",
        "pipelines",
        "run",
        str(recipe),
        "--out",
        str(tmp_path / "run"),
        "--on",
        "ray",  # the address that Ray gives to a job
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    # the list's image cannot be fetched, so the command ends with 1
    assert "gave nothing" in done.stdout, done.stdout[-3000:] + done.stderr[-3000:]
    assert json.loads((tmp_path / "run" / "stats.json").read_bytes())["name"] == "submitted"


def test_chaos_on_a_cluster(tmp_path: pathlib.Path, two: Cluster) -> None:
    chaos = Chaos(two.address, tmp_path, seed=5, workers_of=two.processes[0].pid)
    chaos.drivers(5)
    chaos.workers(5)


def test_a_lost_node_is_not_counted_against_a_part(tmp_path: pathlib.Path) -> None:
    """A node dies when the driver has seen twenty parts; the other node runs the parts that were in flight."""
    drive(str(tmp_path / "local"), "local")
    with cluster(2) as nodes:
        process = driver(
            f"from tests.chaos import drive\ndrive({str(tmp_path / 'ray')!r}, {nodes.address!r}, Stops(20, pause))"
        )
        assert process.stdout is not None
        assert "paused\n" in iter(process.stdout.readline, "")  # Ray may print something before
        nodes.kill(1)
        output, _ = process.communicate("go on\n", timeout=240)
        assert process.returncode == 0
    assert output.split()[-1] == "68"
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
