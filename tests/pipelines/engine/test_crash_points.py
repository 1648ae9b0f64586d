"""Every crash point of docs/reliability.md: the driver and its part die before their n-th change to the disk."""

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
from pipelines.engine.progress import Progress
from pipelines.engine.retry import PartResult
from pipelines.engine.run import run
from pipelines.engine.stage import Task
from tests.chaos import compare, contents, plan, records

from .stops import ROOT, die

CHANGES = ("replace", "link", "unlink")  # the calls of pipelines/engine/storage.py that add or remove names


class Inline:
    """A backend without processes: the driver runs one part at a time."""

    slots = 1

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    def at_once(self, gpus: float) -> int:
        return 1

    def submit(self, task: Task) -> None:
        self.tasks.append(task)

    def wait(self, seconds: float) -> list[tuple[Task, PartResult]]:
        done, self.tasks = self.tasks, []
        return [(task, attempt(task, bytearray(24))) for task in done]

    def close(self) -> None:
        pass


class Deadly:
    """The module `os` in which the process dies instead of making the n-th change."""

    def __init__(self, left: int):
        self.left = left

    def __getattr__(self, name: str) -> Any:
        if name in CHANGES:
            self.left -= 1
            if self.left < 0:
                die()
        return getattr(os, name)


def every(folder: pathlib.Path, refresh: bool) -> int:
    """Die before the first change, the second and so on, until a run survives; returns the number of crashed points.

    After each death a run finishes the work, and the bytes are compared. With `refresh`, a refresh of the finished run
    dies, and the run that follows does not ask for a refresh.
    """
    clean = folder / "clean"
    _forked(lambda: _run(clean))
    for n in itertools.count():
        root, count = folder / str(n), folder / "count"
        if refresh:
            shutil.copytree(clean, root)
        died = _forked(lambda: _run(root, n, ["world"] if refresh else ()))  # noqa: B023  called at once
        before = len(records(root))
        assert _forked(lambda: count.write_text(str(_run(root)))) == 0  # noqa: B023
        compare(root, contents(clean))
        assert int(count.read_text()) == len(records(root)) - before, f"point {n}: committed parts were run again"
        if died != -signal.SIGKILL:
            assert died == 0
            return n


def _run(root: pathlib.Path, changes: int | None = None, refresh: Collection[str] = ()) -> int:
    if changes is not None:
        storage.os = Deadly(changes)  # type: ignore[attr-defined]
    outcome = run(plan(parts=2, seconds=0), str(root), Inline, refresh=refresh, progress=Progress(quiet=True))
    return sum(outcome.parts.values())


def _forked(call: Callable[[], Any]) -> int:
    """The exit code of a fork that makes this call; a new process would import everything first."""
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
