"""The table of what becomes of a part that failed, line by line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipelines.engine.part import BATCH, OUTSIDE, WHOLE_ROW, Task
from pipelines.engine.retry import KILLED, LOST, ROWS, TRIES, Kind, PartResult, RunError, next_attempt
from pipelines.engine.stage import Step, shuffle

STEP = Step("score", None, same_rows=("scores",))
MAP = Task(STEP, "/run", "stages/score-x", 3, 3)
FANS_OUT = replace(MAP, step=replace(STEP, same_rows=()))
EXCHANGE = replace(MAP, step=Step("score", None, {"keyed": shuffle("keyed", "keys")}))


def _failed(kind: Kind, row: int = 0, sub: int = OUTSIDE) -> PartResult:
    return PartResult(None, row, sub, kind, f"{kind}: why")


@pytest.mark.parametrize(
    ("work", "ended", "taught"),
    [
        (MAP, _failed("lost", 7, WHOLE_ROW), {"lost": 1}),
        (MAP, _failed("crash", 7, WHOLE_ROW), {"skip": ((7, WHOLE_ROW, "crash: why"),)}),
        (MAP, _failed("hang", 7, 2), {"skip": ((7, WHOLE_ROW, "hang: why"),)}),  # the null row stands for all of it
        (FANS_OUT, _failed("hang", 7, 2), {"skip": ((7, 2, "hang: why"),)}),
        (EXCHANGE, _failed("crash", 7, 2), {"skip": ((7, 2, "crash: why"),)}),
        (MAP, _failed("crash", 64, BATCH), {"suspects": (64,)}),
        (MAP, _failed("memory", 64, BATCH), {"suspects": (64,)}),
        (MAP, _failed("crash"), {"tries": 1}),
        (EXCHANGE, _failed("crash", 0, BATCH), {"tries": 1}),
        (EXCHANGE, _failed("hang", 0, BATCH), {"tries": 1, "step": replace(EXCHANGE.step, deadline_s=1200)}),
        (EXCHANGE, _failed("memory", 0, BATCH), {"tries": 1, "step": replace(EXCHANGE.step, memory=12 << 30)}),
        (EXCHANGE, _failed("exception"), {"tries": 1}),  # a store that did not answer
    ],
)
def test_tried_again_with_what_was_learned(work: Task, ended: PartResult, taught: dict[str, Any]) -> None:
    more, said = next_attempt(work, ended)
    assert more == replace(work, **taught)
    assert said.startswith("score, part 3")
    assert ended.cause in said


@pytest.mark.parametrize(
    ("work", "ended"),
    [
        (MAP, _failed("fatal", 7, WHOLE_ROW)),
        (EXCHANGE, _failed("exception", 0, BATCH)),
        (replace(MAP, tries=TRIES - 1), _failed("crash")),
        (replace(MAP, lost=LOST - 1, tries=TRIES - 1), _failed("lost")),
    ],
)
def test_the_run_stops(work: Task, ended: PartResult) -> None:
    with pytest.raises(RunError, match=rf"^score, part 3: {ended.cause}"):
        next_attempt(work, ended)


def test_a_row_that_the_kernel_kills_for_is_found_in_the_end() -> None:
    """SIGKILL says nothing of a row, until it has come on the same one too often."""
    work = MAP
    for _ in range(KILLED - 1):
        work, _ = next_attempt(work, _failed("lost", 7, WHOLE_ROW))
    more, _ = next_attempt(work, _failed("lost", 7, WHOLE_ROW))
    assert more.skip == ((7, WHOLE_ROW, "lost: why"),)


def test_a_part_whose_rows_all_end_the_process_stops_the_run_with_their_causes() -> None:
    work = MAP
    for row in range(ROWS):
        work, _ = next_attempt(work, _failed("crash", row, WHOLE_ROW))
    with pytest.raises(RunError, match=rf"more than {ROWS} rows .*\n.*row 90, crash: why"):
        next_attempt(work, _failed("crash", ROWS, WHOLE_ROW))
