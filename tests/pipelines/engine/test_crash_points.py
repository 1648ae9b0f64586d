"""Every crash point of docs/reliability.md, one after the other: the driver and its part die before the n-th thing they
do to the disk.
"""

from __future__ import annotations

import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Collection
from typing import Any

import pytest

from pipelines.engine import storage
from pipelines.engine.isolate import attempt
from pipelines.engine.part import Task
from pipelines.engine.progress import Progress
from pipelines.engine.retry import PartResult
from pipelines.engine.run import run
from tests.chaos import compare, contents, plan, records

from .stops import ROOT, die

CHANGES = ("replace", "link", "unlink")  # how pipelines/engine/storage.py makes files appear and go


class Inline:
    """A backend without processes: one part at a time, in the driver's own."""

    slots = 1

    def __init__(self) -> None:
        self.given: list[Task] = []

    def at_once(self, gpus: float) -> int:
        return 1

    def submit(self, work: Task) -> None:
        self.given.append(work)

    def wait(self, seconds: float) -> list[tuple[Task, PartResult]]:
        done, self.given = self.given, []
        return [(work, attempt(work, bytearray(24))) for work in done]

    def close(self) -> None:
        pass


class Deadly:
    """The module `os`, until the n-th change: the process dies before it is made."""

    def __init__(self, left: int):
        self.left = left

    def __getattr__(self, name: str) -> Any:
        if name in CHANGES:
            self.left -= 1
            if self.left < 0:
                die()
        return getattr(os, name)


def every(folder: pathlib.Path, refresh: bool) -> int:
    """Die before the first change, before the second, and so on until a run ends alive; after each death, finish and
    compare.

    With `refresh`, what dies is a refresh of the finished run, and the run that follows does not ask for one.
    """
    clean = folder / "clean"
    _forked(lambda: _make(clean))
    for n in itertools.count():
        root, made = folder / str(n), folder / "made"
        if refresh:
            shutil.copytree(clean, root)
        died = _forked(lambda: _make(root, n, ["world"] if refresh else ()))  # noqa: B023  called at once
        there = len(records(root))
        assert _forked(lambda: made.write_text(str(_make(root)))) == 0  # noqa: B023
        compare(root, contents(clean))
        assert int(made.read_text()) == len(records(root)) - there, f"point {n}: what was committed was made again"
        if died != -signal.SIGKILL:
            assert died == 0
            return n


def _make(root: pathlib.Path, changes: int | None = None, refresh: Collection[str] = ()) -> int:
    if changes is not None:
        storage.os = Deadly(changes)  # type: ignore[attr-defined]
    outcome = run(plan(parts=2, seconds=0), str(root), Inline, refresh=refresh, progress=Progress(quiet=True))
    return sum(outcome.parts.values())


def _forked(call: Callable[[], Any]) -> int:
    """The exit code of a process that does this; a fork, since to import everything takes longer than to run."""
    pid = os.fork()
    if not pid:
        try:
            call()
            os._exit(0)
        except BaseException as e:
            print(repr(e), file=sys.stderr, flush=True)
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


CODE = """
import pathlib, sys
from tests.pipelines.engine.test_crash_points import every
print(every(pathlib.Path(sys.argv[1]), bool(sys.argv[2:])))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [(), ("refresh",)], ids=["a run", "a refresh"])
def test_every_crash_point(tmp_path: pathlib.Path, how: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path), *how], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
