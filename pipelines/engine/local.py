"""Backend: parts run in long-lived processes of this machine, each behind the fence."""

from __future__ import annotations

import os
import time

from pipelines.engine.fence import Child, Ended
from pipelines.engine.part import Work


class Local:
    """`submit` at most `slots` parts at a time; `wait` for those that have ended."""

    def __init__(self, slots: int | None = None):
        self.slots = slots or len(os.sched_getaffinity(0))
        self.idle = [Child() for _ in range(self.slots)]
        self.busy: list[tuple[Work, Child]] = []

    def submit(self, work: Work) -> None:
        child = self.idle.pop()
        child.start(work)
        self.busy.append((work, child))

    def wait(self, seconds: float) -> list[tuple[Work, Ended]]:
        """Parts that ended, as soon as there are any; none after `seconds`."""
        until = time.monotonic() + seconds
        while True:
            ended = [(work, child, e) for work, child in self.busy if (e := child.poll()) is not None]
            if ended or time.monotonic() > until:
                break
            time.sleep(0.005)
        for work, child, _ in ended:
            self.busy.remove((work, child))
            self.idle.append(child)
        return [(work, e) for work, _, e in ended]

    def close(self) -> None:
        for _, child in self.busy:
            child.close()
        for child in self.idle:
            child.close()
