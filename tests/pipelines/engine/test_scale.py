"""The cost of a driver and its workers for large runs."""

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
from pipelines.engine.retry import PartResult
from pipelines.engine.stage import Step, Task, aligned

from .test_run import go
from .toys import Lines, Numbers, Upper

ROOT = pathlib.Path(__file__).resolve().parents[3]


class NoWork:
    """A backend that runs nothing: it reports every part as committed at once."""

    slots = 1000

    def __init__(self) -> None:
        self.busy: list[Task] = []

    def at_once(self, gpus: float) -> int:
        return self.slots

    def submit(self, task: Task) -> None:
        self.busy.append(task)

    def wait(self, seconds: float) -> list[tuple[Task, PartResult]]:
        done, self.busy = self.busy, []
        return [(w, PartResult(Sidecar(w.part, 1, {"numbers": _file(w)}))) for w in done]

    def close(self) -> None:
        pass


def _file(task: Task) -> File:
    return File(f"{task.folder}/{task.part:05d}-numbers-0123456789.parquet", 100, 1000, f"{task.part:064x}")


def test_a_plan_of_many_parts_costs_little_for_each(tmp_path: pathlib.Path) -> None:
    began = time.process_time()
    outcome = go(tmp_path, _wide(20_000), NoWork)
    assert time.process_time() - began < 6  # 60 s for a million would be 1.2
    assert len(outcome.outputs["numbers"].parts) == 20_000


@pytest.mark.slow
def test_a_million_parts_in_a_minute_and_a_gigabyte(tmp_path: pathlib.Path) -> None:
    code = (
        "import json, pathlib, re, sys, time\n"
        "from tests.pipelines.engine.test_scale import NoWork, _wide\n"
        "from tests.pipelines.engine.test_run import go\n"
        "began = time.process_time()\n"  # of one thread, so it is the wall time on an idle machine
        "output = go(pathlib.Path(sys.argv[1]), _wide(1_000_000), NoWork).outputs['numbers']\n"
        # not ru_maxrss, which starts with the value of the parent process
        "peak = int(re.search(r'VmHWM:\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())[1]) / 1024\n"
        "print(json.dumps([time.process_time() - began, peak, len(output.parts)]))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    seconds, megabytes, parts = json.loads(output)
    print(f"{parts} parts: {seconds:.1f} s, {megabytes:.0f} MB")
    assert parts == 1_000_000
    assert seconds < 60
    assert megabytes < 1000


def _wide(parts: int) -> list[Step]:
    rows = pa.table({"start": pa.array(range(parts), pa.int64()), "stop": pa.array(range(1, parts + 1), pa.int64())})
    return [Step("numbers", Numbers(), rows=lambda outputs: rows)]


def test_a_finished_run_of_a_thousand_parts_is_quick(tmp_path: pathlib.Path) -> None:
    files: dict[str, bytes] = {}

    class Writes(NoWork):
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
    def parts(outputs: Any) -> list[pa.Table]:
        return [pa.table({"rows": [rows], "words": [12], "seed": [s]}) for s in range(2)]

    upper = Step("upper", Upper(), {"lines": aligned("lines", "lines")}, adds_up={"lines": ("kept", "gone")})
    return [Step("lines", Lines(), rows=parts), upper]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_input(tmp_path: pathlib.Path) -> None:
    """Parts with 16 times the rows: the peak memory of any child; each stage has one child."""
    peaks = {}
    for times in (1, 16):
        backend = _Measured(1)
        go(tmp_path / str(times), _lines(30_000 * times), lambda b=backend: b)  # type: ignore[misc]
        peaks[times] = backend.peak
    print(f"peak {peaks[1]} MB with the input, {peaks[16]} MB with 16 times the input")
    assert peaks[16] <= 1.2 * peaks[1]


class _Measured(Local):
    """Records the peak memory of all children, in MB."""

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
