"""What happens to a part that failed. This module decides alone: no backend repeats anything by itself.

=========  =================================  ===================================================================
kind       position                           action
=========  =================================  ===================================================================
lost       any: the worker or node is gone    repeat the part, not counted (10 times)
fatal      any                                stop the run: the machine, the program or an input is at fault
any        a row, or a sub-row                quarantine it and repeat the part without it (at most 100 of a part)
any        a batch of a map                   repeat the part, that batch row by row, to find the row
exception  within an exchange                 stop the run: the code of the stage is at fault
any other  neither a row nor a batch          repeat the part, 3 attempts in all; double the time or the memory
=========  =================================  ===================================================================

A worker that SIGKILL ends counts as lost. After five times on the same part it counts as a crash at its row, because
the kernel sends SIGKILL to a process that uses all memory.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from pipelines.engine.commit import Sidecar
from pipelines.engine.stage import BATCH, OUTSIDE, WHOLE_ROW, Quarantined, Task
from pipelines.engine.usage import Usage

Kind = Literal["exception", "crash", "hang", "memory", "lost", "fatal"]

LOST = 10
KILLED = 5
TRIES = 3
ROWS = 100


class RunError(Exception):
    """The run cannot continue. The message names the stage, the part and what to do. Committed parts are kept."""


@dataclass(frozen=True)
class PartResult:
    """How a part ended: committed, or failed at a position with a cause."""

    sidecar: Sidecar | None
    row: int = 0
    sub: int = OUTSIDE
    kind: Kind = "exception"
    cause: str = ""
    detail: str = ""
    usage: Usage = field(default_factory=Usage)  # of an attempt that committed


def next_attempt(task: Task, result: PartResult) -> tuple[Task, str]:
    """The next attempt at a failed part, and a line about it. Raises RunError if there is to be none."""
    step, where = task.step, task.label
    if result.kind == "lost" and task.lost + 1 < (LOST if result.sub == OUTSIDE else KILLED):
        return replace(task, lost=task.lost + 1), f"{where}: {result.cause}; again"
    stop = RunError(f"{where}: {result.cause}\n{result.detail}".rstrip())
    if result.kind == "fatal":
        raise stop
    if result.sub >= 0 or (step.is_map and result.sub == WHOLE_ROW):
        if len(task.skip) >= ROWS:
            causes = "\n".join(f"  row {row}, {cause}" for row, _, cause, _ in task.skip[-10:])
            raise RunError(f"{where}: more than {ROWS} rows of this part end its process; the last were\n{causes}")
        # a table of `same_rows` needs a null row from the engine, which stands for the row with all its sub-rows
        sub = WHOLE_ROW if step.same_rows else result.sub
        row = f"row {result.row}" + (f", sub-row {result.sub}" if result.sub >= 0 else "")
        skip = (*task.skip, Quarantined(result.row, sub, result.cause))
        return replace(task, skip=skip), f"{where}, {row}: {result.cause}; quarantined"
    if step.is_map and result.sub == BATCH and result.row not in task.suspects:
        suspects = (*task.suspects, result.row)
        return replace(task, suspects=suspects), f"{where}: {result.cause}; looking for the row"
    if result.kind == "exception" and result.sub != OUTSIDE:
        raise stop
    if task.tries + 1 >= TRIES:
        raise RunError(f"{where}: {result.cause}, {TRIES} times\n{result.detail}".rstrip())
    if result.kind == "hang":
        step = replace(step, deadline_s=2 * step.deadline_s)
    if result.kind == "memory":
        step = replace(step, memory=2 * step.memory)
    return replace(task, step=step, tries=task.tries + 1), f"{where}: {result.cause}; again"
