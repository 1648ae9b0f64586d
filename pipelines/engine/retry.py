"""What becomes of a part that failed. Decided here alone: no backend tries anything again by itself.

=========  =================================  ==================================================================
how        what is known                      what is done
=========  =================================  ==================================================================
lost       the worker or its step is gone     the same again, not counted (10 times a part)
fatal      the machine, program or an input   the run stops
any        a row, or a sub-row                the part without it (at most 100 of a part): it is quarantined
any        a batch of a map                   the part again, that batch row by row, to find the row
exception  an exchange or reduce at work      the run stops: its code is at fault
any other  neither row nor batch              the same again, 3 times in all: with twice the time, or twice the memory
=========  =================================  ==================================================================

A worker killed by SIGKILL counts as lost until that has happened five times on the same part: then it is the row (the
kernel kills what eats all memory), and counts as a crash.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pipelines.engine.commit import Sidecar
from pipelines.engine.part import BATCH, OUTSIDE, WHOLE_ROW, Task

Kind = Literal["exception", "crash", "hang", "memory", "lost", "fatal"]

LOST = 10
KILLED = 5
TRIES = 3
ROWS = 100


class RunError(Exception):
    """The run cannot go on; the message names the stage, the part and what to do. What was committed stays."""


@dataclass(frozen=True)
class PartResult:
    """How a part ended: committed, or failed at a row for a cause."""

    sidecar: Sidecar | None
    row: int = 0
    sub: int = OUTSIDE
    kind: Kind = "exception"
    cause: str = ""
    detail: str = ""


def again(work: Task, ended: PartResult) -> tuple[Task, str]:
    """The part as it is tried once more, and a word on it. Raises RunError where it is not."""
    where = f"{work.step}, part {work.number}"
    if ended.kind == "lost" and work.lost + 1 < (LOST if ended.sub == OUTSIDE else KILLED):
        return replace(work, lost=work.lost + 1), f"{where}: {ended.cause}; again"
    stop = RunError(f"{where}: {ended.cause}\n{ended.detail}".rstrip())
    if ended.kind == "fatal":
        raise stop
    if ended.sub >= 0 or (work.is_map and ended.sub == WHOLE_ROW):
        if len(work.skip) >= ROWS:
            causes = "\n".join(f"  row {row}, {cause}" for row, _, cause in work.skip[-10:])
            raise RunError(f"{where}: more than {ROWS} rows of this part end its process; the last were\n{causes}")
        sub = WHOLE_ROW if work.same_rows else ended.sub  # an aligned output needs its null row put in by the engine
        said = f"row {ended.row}" + (f", sub-row {ended.sub}" if ended.sub >= 0 else "")
        return replace(
            work, skip=(*work.skip, (ended.row, sub, ended.cause))
        ), f"{where}, {said}: {ended.cause}; quarantined"
    if work.is_map and ended.sub == BATCH and ended.row not in work.suspects:
        return replace(work, suspects=(*work.suspects, ended.row)), f"{where}: {ended.cause}; looking for the row"
    if ended.kind == "exception" and ended.sub != OUTSIDE:
        raise stop
    if work.tries + 1 >= TRIES:
        raise RunError(f"{where}: {ended.cause}, {TRIES} times\n{ended.detail}".rstrip())
    more = replace(work, tries=work.tries + 1)
    if ended.kind == "hang":
        more = replace(more, deadline_s=2 * work.deadline_s)
    if ended.kind == "memory":
        more = replace(more, memory=2 * work.memory)
    return more, f"{where}: {ended.cause}; again"
