"""What a driver and its workers cost when there is much to do."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

import pyarrow as pa
import pytest

from pipelines.engine.commit import File, Sidecar
from pipelines.engine.local import Local
from pipelines.engine.part import Task
from pipelines.engine.retry import PartResult
from pipelines.engine.stage import Step, aligned

from .test_run import go
from .toys import Lines, Numbers, Upper

ROOT = pathlib.Path(__file__).resolve().parents[3]


class Nothing:
    """A backend that does no work: every part is said to be committed at once."""

    slots = 1000

    def __init__(self) -> None:
        self.busy: list[Task] = []

    def at_once(self, gpus: float) -> int:
        return self.slots

    def submit(self, work: Task) -> None:
        self.busy.append(work)

    def wait(self, seconds: float) -> list[tuple[Task, PartResult]]:
        done, self.busy = self.busy, []
        return [(w, PartResult(Sidecar(w.part, 1, {"numbers": _file(w)}))) for w in done]

    def close(self) -> None:
        pass


def _file(work: Task) -> File:
    return File(f"{work.folder}/{work.part:05d}-numbers-0123456789.parquet", 100, 1000, f"{work.part:064x}")


def test_a_plan_of_many_parts_costs_little_a_part(tmp_path: pathlib.Path) -> None:
    began = time.process_time()
    outcome = go(tmp_path, _wide(20_000), Nothing)
    assert time.process_time() - began < 6  # 60 s for a million would be 1.2
    assert len(outcome.outputs["numbers"].parts) == 20_000


@pytest.mark.slow
def test_a_million_parts_in_a_minute_and_a_gigabyte(tmp_path: pathlib.Path) -> None:
    code = (
        "import json, pathlib, re, sys, time\n"
        "from tests.pipelines.engine.test_scale import Nothing, _wide\n"
        "from tests.pipelines.engine.test_run import go\n"
        "began = time.process_time()\n"  # of one thread, so the time it takes on a machine that does nothing else
        "made = go(pathlib.Path(sys.argv[1]), _wide(1_000_000), Nothing).outputs['numbers']\n"
        # not ru_maxrss: that begins at what the process which started this one had
        "peak = int(re.search(r'VmHWM:\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())[1]) / 1024\n"
        "print(json.dumps([time.process_time() - began, peak, len(made.parts)]))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    seconds, megabytes, parts = json.loads(said)
    print(f"{parts} parts: {seconds:.1f} s, {megabytes:.0f} MB")
    assert parts == 1_000_000
    assert seconds < 60
    assert megabytes < 1000


def _wide(parts: int) -> list[Step]:
    rows = pa.table({"start": pa.array(range(parts), pa.int64()), "stop": pa.array(range(1, parts + 1), pa.int64())})
    return [Step("numbers", Numbers(), rows=lambda made: rows)]


def test_nothing_to_do_in_a_thousand_parts_is_quick(tmp_path: pathlib.Path) -> None:
    files: dict[str, bytes] = {}

    class Writes(Nothing):
        def wait(self, seconds: float) -> list[tuple[Task, PartResult]]:
            for w in self.busy:
                os.makedirs(tmp_path / w.folder, exist_ok=True)
                (tmp_path / _file(w).name).write_bytes(files.setdefault("", b"x" * 1000))
            return super().wait(seconds)

    go(tmp_path, _wide(1000), Writes)
    began = time.process_time()
    assert go(tmp_path, _wide(1000), Writes).parts == {}
    assert time.process_time() - began < 3


def _lines(rows: int) -> list[Step]:
    def parts(made: Any) -> list[pa.Table]:
        return [pa.table({"rows": [rows], "words": [12], "seed": [s]}) for s in range(2)]

    upper = Step("upper", Upper(), {"lines": aligned("lines", "lines")}, adds_up={"lines": ("kept", "gone")})
    return [Step("lines", Lines(), rows=parts), upper]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_input(tmp_path: pathlib.Path) -> None:
    """Parts of 16 times the rows: the most any child held, one child a stage."""
    peaks = {}
    for times in (1, 16):
        watched = _Watched(1)
        go(tmp_path / str(times), _lines(30_000 * times), lambda w=watched: w)  # type: ignore[misc]
        peaks[times] = watched.peak
    print(f"peak {peaks[1]} MB with the input once, {peaks[16]} MB with 16 times as much")
    assert peaks[16] <= 1.2 * peaks[1]


class _Watched(Local):
    """Remembers the most memory any child has held, in MB."""

    peak = 0

    def wait(self, seconds: float) -> list[tuple[Task, PartResult]]:
        for _, child in self.busy:
            assert child.process is not None
            self.peak = max(self.peak, _high_water(child.process.pid))
        ended = super().wait(0.02)
        for child in self.idle:
            if child.process is not None:
                self.peak = max(self.peak, _high_water(child.process.pid))
        return ended


def _high_water(pid: int) -> int:
    with open(f"/proc/{pid}/status") as f:
        return next((int(line.split()[1]) >> 10 for line in f if line.startswith("VmHWM")), 0)
