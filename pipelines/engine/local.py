"""The local backend: parts run in long-lived child processes of this machine."""

import glob
import os
import time
from multiprocessing import connection

from pipelines.engine.isolate import Child, remove_stale_folders
from pipelines.engine.retry import PartResult
from pipelines.engine.stage import Task

_POLL_S = 0.05  # how often deadlines and memory are checked


class Local:
    """Runs at most `slots` parts at a time."""

    def __init__(self, slots: int | None = None):
        remove_stale_folders()
        self.slots = slots or len(os.sched_getaffinity(0))
        self.idle = [Child() for _ in range(self.slots)]
        self.busy: list[tuple[Task, Child]] = []

    def at_once(self, gpus: float) -> int:
        """How many parts with this share of a GPU can run side by side; `slots` on a machine without a GPU."""
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        devices = glob.glob("/dev/nvidia[0-9]*") if visible is None else [d for d in visible.split(",") if d]
        return max(1, int(len(devices) / gpus)) if gpus and devices else self.slots

    def submit(self, task: Task) -> None:
        child = self.idle[-1]
        if hasattr(task.step.stage, "open"):  # a child that holds the model already, if there is one
            child = next((c for c in reversed(self.idle) if c.stage == task.step.stage), child)
        self.idle.remove(child)
        child.start(task)
        self.busy.append((task, child))

    def wait(self, seconds: float) -> list[tuple[Task, PartResult]]:
        """The parts that have ended, as soon as there are any; none after `seconds`."""
        until = time.monotonic() + seconds
        while True:
            ended = [(task, child, r) for task, child in self.busy if (r := child.poll()) is not None]
            if ended or time.monotonic() > until:
                break
            connection.wait([child.pipe for _, child in self.busy], _POLL_S)
        for task, child, _ in ended:
            self.busy.remove((task, child))
            self.idle.append(child)
        return [(task, result) for task, _, result in ended]

    def close(self) -> None:
        for child in [*(c for _, c in self.busy), *self.idle]:
            child.close()
