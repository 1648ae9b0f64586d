"""`make chaos`: kill drivers and workers at random moments; the bytes must be those of an undisturbed run.

    python -m tests.chaos --on local --drivers 25 --workers 25 --seed 1
    python -m tests.chaos --sample --drivers 5 --workers 5

The plan is small: literal numbers, a recording (its bytes differ each time, so a record with the wrong data would be
noticed), scores, an exchange and a join. A driver's folder is used until its run has finished, so that resumed runs are
killed too. Checked after each run: every file is what its record says; every file but the recording's equals that of
the clean run; and no part that was committed when a driver died was run again. `--sample` runs the sample recipe, from
the crawl to the shards, over a crawl and a fetch that are recorded once, and compares all files of the run.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.engine.progress import Progress
from pipelines.engine.run import run
from pipelines.engine.stage import Step, aligned, by_part, shuffle
from pipelines.engine.storage import SCRATCH
from tests.pipelines.engine.toys import Join, Keys, Numbers, Score, Sums, World

ROOT = pathlib.Path(__file__).resolve().parents[1]
PARTS, ROWS = 12, 200


@dataclass(frozen=True)
class Slow:
    """A stage that sleeps before every batch, so that a kill meets it at work."""

    stage: Any
    seconds: float

    @property
    def tables(self) -> Any:
        return self.stage.tables

    def __call__(self, rows: Any, ctx: Any = None) -> Any:
        time.sleep(self.seconds)
        yield from self.stage(rows, ctx)


def plan(parts: int = PARTS, seconds: float = 0.02) -> list[Step]:
    starts = [pa.table({"start": [p * ROWS], "stop": [(p + 1) * ROWS]}) for p in range(parts)]
    numbers = aligned("numbers", "numbers")
    return [
        Step("numbers", Numbers(), rows=lambda outputs: starts),
        Step("world", Slow(World(), seconds), {"numbers": numbers}, recorded=True),
        Step("score", Slow(Score(add=1), seconds), {"numbers": numbers}, same_rows=("scores",), batch_rows=64),
        Step("keys", Keys(50), {"numbers": numbers, "scores": aligned("scores", "score")}),
        Step("sums", Slow(Sums(), seconds), {"keyed": shuffle("keyed", "keys")}, per_part=("rows", 300)),
        Step(
            "join",
            Slow(Join(), seconds),
            {"sums": by_part("sums", "sums"), "numbers": numbers},
            same_rows=("totals",),
        ),
    ]


def drive(root: str, on: str, progress: Progress | None = None) -> None:
    """Run the small plan: the driver that is killed."""

    def start() -> Any:
        if on == "local":
            from pipelines.engine.local import Local

            return Local(2)
        from pipelines.engine.on_ray import OnRay

        return OnRay(on)

    outcome = run(plan(), root, start, progress=progress or Progress(quiet=True))
    print(json.dumps(sum(outcome.parts.values())), flush=True)


def drive_sample(root: str, on: str) -> None:
    """Run the sample recipe. Its crawl and fetch are recorded already: there is no web."""
    from pipelines.commands.run import execute
    from pipelines.recipe.load import read

    times = pathlib.Path(root) / "run.json"
    times.unlink(missing_ok=True)  # a run writes it again if it runs any part
    recipe = read(
        str(ROOT / "pipelines" / "recipes" / "sample.yaml"), [f"pairs.urls={pathlib.Path(root).parent / 'pairs.csv'}"]
    )
    execute(recipe, root, on=on, workers=2, progress=Progress(quiet=True))
    print(sum(json.loads(times.read_bytes())["parts"].values()) if times.exists() else 0, flush=True)


def record_sample(folder: pathlib.Path) -> pathlib.Path:
    """A run's folder that holds the recorded steps of the sample recipe and nothing else."""
    from pipelines.sample import serve, write_pairs

    write_pairs(folder / "pairs.csv")
    with serve() as web:
        env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")} | {
            "http_proxy": web.proxy,
            "HTTP_PROXY": web.proxy,
        }
        subprocess.run(
            [sys.executable, "-c", DRIVE, "drive_sample", str(folder / "first"), "local"],
            cwd=ROOT,
            env=env,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    for record in (folder / "first" / "stages").glob("*.json"):
        for generation in json.loads(record.read_bytes())["generations"]:
            shutil.copytree(folder / "first" / generation, folder / "recorded" / generation)
        shutil.copy(record, folder / "recorded" / "stages")
    return folder / "recorded"


DRIVE = (
    "import sys, tests.chaos; from pipelines.commands.exit import leave; "
    "leave(lambda: getattr(tests.chaos, sys.argv[1])(*sys.argv[2:]))"
)


class WrongError(AssertionError):
    """A promise of docs/reliability.md is broken."""


class Chaos:
    def __init__(
        self,
        on: str,
        folder: pathlib.Path,
        seed: int,
        workers_of: int | None = None,
        recorded: pathlib.Path | None = None,
        say: Any = print,
    ):
        """`workers_of`: the process whose descendants are workers, by default the driver. `recorded`: the steps
        that the sample recipe has recorded; if given, the sample recipe is run.
        """
        self.on, self.folder, self.random, self.say = on, folder, random.Random(seed), say
        self.workers_of, self.recorded = workers_of, recorded
        began = time.monotonic()
        self._finish(folder / "clean")
        self.seconds = time.monotonic() - began
        self.clean, self.parts = contents(folder / "clean"), len(records(folder / "clean"))
        say(f"clean run on {on}: {self.seconds:.1f} s, {self.parts} parts, {len(self.clean)} files, seed {seed}")

    def _start(self, root: pathlib.Path) -> subprocess.Popen[str]:
        if self.recorded and not root.exists():
            shutil.copytree(self.recorded, root, copy_function=os.link)
        call = "drive_sample" if self.recorded else "drive"
        return subprocess.Popen(
            [sys.executable, "-c", DRIVE, call, str(root), self.on], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )

    def _finish(self, root: pathlib.Path, process: subprocess.Popen[str] | None = None) -> int:
        """The number of parts that the run had to run."""
        process = process or self._start(root)
        output, _ = process.communicate(timeout=300)
        if process.returncode:
            raise WrongError(f"the driver of {root} ended with {process.returncode}")
        return int(output.split()[-1])  # Ray may print something before

    def drivers(self, kills: int) -> None:
        n, done = 0, 0
        while done < kills:
            root = self.folder / f"driver-{n}"
            n += 1
            while done < kills:
                process = self._start(root)
                moment = self.random.uniform(0.3, self.seconds)
                try:
                    process.wait(moment)
                except subprocess.TimeoutExpired:
                    os.kill(process.pid, signal.SIGKILL)
                    process.communicate()
                    done += 1
                    committed = f"{len(records(root)):2d} of {self.parts} parts committed"
                    self.say(f"driver {done:2d} killed after {moment:5.2f} s: {committed}")
                    continue
                break  # the run finished before its moment
            committed = len(records(root))
            parts = self._finish(root)
            # on a cluster, parts in flight may outlive their driver
            if self.on == "local" and parts + committed != self.parts:
                raise WrongError(f"{root}: {committed} parts were committed and {parts} of {self.parts} run again")
            self._compare(root)

    def workers(self, kills: int) -> None:
        n, done = 0, 0
        while done < kills:
            root = self.folder / f"worker-{n}"
            n += 1
            process = self._start(root)
            mine = 0
            while process.poll() is None and done < kills and mine < 4:
                time.sleep(self.random.uniform(0.1, self.seconds / 3))
                pids = _workers(self.workers_of or process.pid)
                if process.poll() is None and pids:
                    victim = self.random.choice(pids)
                    try:
                        os.kill(victim, signal.SIGKILL)
                    except ProcessLookupError:
                        continue
                    done, mine = done + 1, mine + 1
                    self.say(f"worker {done:2d} killed: {len(records(root)):2d} of {self.parts} parts committed")
            self._finish(root, process)
            self._compare(root)

    def _compare(self, root: pathlib.Path) -> None:
        compare(root, self.clean)
        self.say(f"{root.name}: finished; {len(self.clean)} files, sha256 equal to the clean run's")


def compare(root: pathlib.Path, clean: dict[str, str]) -> None:
    """Raises WrongError unless every file is what its record says and, but for recordings, what the clean run has."""
    for record in records(root):
        for f in json.loads(record.read_bytes())["files"].values():
            if hashlib.sha256((root / f["name"]).read_bytes()).hexdigest() != f["sha256"]:
                raise WrongError(f"{root / f['name']} is not what {record} says")
    actual = contents(root)
    different = {name for name in actual.keys() | clean.keys() if actual.get(name) != clean.get(name)}
    if different:
        raise WrongError(f"{root}: not the bytes of the clean run: {sorted(different)[:5]}")


def records(root: pathlib.Path) -> list[pathlib.Path]:
    return sorted(p for p in root.glob("stages/*/*.json") if p.stem.isdigit())


def contents(root: pathlib.Path) -> dict[str, str]:
    """sha256 of every record, of every file that a record names, and of the files of the run outside its stages.

    The files of the small plan's recording are left out.
    """
    names = set(root.glob("stages/*-*/manifest.json")) | set(root.glob("stages/*-*/parts.parquet"))
    for manifest in root.glob("stages/*-*/parts.parquet"):
        names |= {root / f for f in pq.read_table(manifest)["file"].to_pylist() if f}
    names |= set(records(root))
    names |= {
        p
        for p in root.rglob("*")
        if p.is_file() and p.relative_to(root).parts[0] not in ("stages", SCRATCH, "lock", "run.json")
    }
    inside = {str(p.relative_to(root)): p for p in names if not p.parent.name.startswith("world-")}
    return {name: hashlib.sha256(p.read_bytes()).hexdigest() for name, p in sorted(inside.items())}


def _workers(pid: int) -> list[int]:
    """Descendants of `pid` that run parts: isolated children, and the Ray workers that own them."""
    pids = []
    try:
        for p in psutil.Process(pid).children(recursive=True):
            try:
                line = " ".join(p.cmdline())
            except psutil.Error:
                continue
            if "pipelines.engine.isolate import child" in line or line.startswith(("ray::_run", "ray::_ModelActor")):
                pids.append(p.pid)
    except psutil.NoSuchProcess:
        pass
    return sorted(pids)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--on", choices=["local", "ray"], default="local")
    parser.add_argument("--sample", action="store_true", help="the sample recipe, on this machine")
    parser.add_argument("--drivers", type=int, default=25)
    parser.add_argument("--workers", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    say = lambda line: print(line, flush=True)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        if arguments.sample:
            _both(
                Chaos(
                    "local", pathlib.Path(folder), arguments.seed, recorded=record_sample(pathlib.Path(folder)), say=say
                ),
                arguments,
            )
        elif arguments.on == "ray":
            from tests.pipelines.engine.cluster import cluster

            with cluster(2) as nodes:
                _both(
                    Chaos(nodes.address, pathlib.Path(folder), arguments.seed, nodes.processes[0].pid, say=say),
                    arguments,
                )
        else:
            _both(Chaos("local", pathlib.Path(folder), arguments.seed, say=say), arguments)


def _both(chaos: Chaos, arguments: argparse.Namespace) -> None:
    chaos.drivers(arguments.drivers)
    chaos.workers(arguments.workers)
    chaos.say(
        f"{arguments.drivers} drivers and {arguments.workers} workers killed: every output equals the clean run's"
    )


if __name__ == "__main__":
    main()
