"""Drivers in processes of their own that stop after a number of parts, so that no clock decides how far they get."""

import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable

from pipelines.engine.commit import Sidecar
from pipelines.engine.progress import Progress

ROOT = pathlib.Path(__file__).resolve().parents[3]


class Stops(Progress):
    """Calls `then` after `parts` parts."""

    def __init__(self, parts: int, then: Callable[[], object]):
        super().__init__(quiet=True)
        self.left, self.then = parts, then

    def part(self, step: str, sidecar: Sidecar) -> None:
        super().part(step, sidecar)
        self.left -= 1
        if not self.left:
            self.then()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def pause() -> None:
    """Print a line, then wait for a line on stdin."""
    print("paused", flush=True)
    sys.stdin.readline()


def driver(call: str) -> subprocess.Popen[str]:
    """A process that runs `call` with the names of `test_run` and of this module."""
    code = f"from tests.pipelines.engine.test_run import *\nfrom tests.pipelines.engine.stops import *\n{call}"
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def killed_after(parts: int, root: pathlib.Path | str, steps: str, more: str = "") -> None:
    """A run of `steps` that is killed after `parts` parts."""
    process = driver(f"go({str(root)!r}, {steps}, progress=Stops({parts}, die), {more})")
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL
