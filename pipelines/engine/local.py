"""Backend: parts run in long-lived processes of this machine, each behind the fence."""

from __future__ import annotations

import glob
import os
import time
from multiprocessing import connection

from pipelines.engine.fence import Child, sweep
from pipelines.engine.part import Task
from pipelines.engine.retry import PartResult

_LOOK_S = 0.05  # how often deadlines and memory are looked at


class Local:
    """`submit` at most `slots` parts at a time; `wait` for those that have ended."""

    def __init__(self, slots: int | None = None):
        sweep()
        self.slots = slots or len(os.sched_getaffinity(0))
        self.idle = [Child() for _ in range(self.slots)]
        self.busy: list[tuple[Task, Child]] = []

    def at_once(self, gpus: float) -> int:
        """How many parts that want such a share of a GPU can run side by side; on a machine without any, as many as
        there are slots.
        """
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        there = (
            len([d for d in visible.split(",") if d]) if visible is not None else len(glob.glob("/dev/nvidia[0-9]*"))
        )
        return max(1, int(there / gpus)) if gpus and there else self.slots

    def submit(self, work: Task) -> None:
        # a child that holds this stage's model already, if there is one
        child = (
            next((c for c in reversed(self.idle) if c.stage == work.stage), None)
            if hasattr(work.stage, "open")
            else None
        )
        child = child or self.idle[-1]
        self.idle.remove(child)
        child.start(work)
        self.busy.append((work, child))

    def wait(self, seconds: float) -> list[tuple[Task, PartResult]]:
        """Parts that ended, as soon as there are any; none after `seconds`."""
        until = time.monotonic() + seconds
        while True:
            ended = [(work, child, e) for work, child in self.busy if (e := child.poll()) is not None]
            if ended or time.monotonic() > until:
                break
            connection.wait([child.pipe for _, child in self.busy], _LOOK_S)
        for work, child, _ in ended:
            self.busy.remove((work, child))
            self.idle.append(child)
        return [(work, e) for work, _, e in ended]

    def close(self) -> None:
        for _, child in self.busy:
            child.close()
        for child in self.idle:
            child.close()
