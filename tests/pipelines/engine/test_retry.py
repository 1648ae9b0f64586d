"""The table of retries, line by line."""

from dataclasses import replace
from typing import Any

import pytest

from pipelines.engine.retry import KILLED, LOST, ROWS, TRIES, Kind, PartResult, RunError, next_attempt
from pipelines.engine.stage import BATCH, OUTSIDE, WHOLE_ROW, Quarantined, Step, Task, shuffle

STEP = Step("score", None, same_rows=("scores",))
MAP = Task(STEP, "/run", "stages/score-x", 3, 3)
FANS_OUT = replace(MAP, step=replace(STEP, same_rows=()))
EXCHANGE = replace(MAP, step=Step("score", None, {"keyed": shuffle("keyed", "keys")}))


def _failed(kind: Kind, row: int = 0, sub: int = OUTSIDE) -> PartResult:
    return PartResult(None, row, sub, kind, f"{kind}: why")


@pytest.mark.parametrize(
    ("task", "result", "changes"),
    [
        (MAP, _failed("lost", 7, WHOLE_ROW), {"lost": 1}),
        (MAP, _failed("crash", 7, WHOLE_ROW), {"skip": (Quarantined(7, WHOLE_ROW, "crash: why"),)}),
        (
            MAP,
            _failed("hang", 7, 2),
            {"skip": (Quarantined(7, WHOLE_ROW, "hang: why"),)},
        ),  # the null row stands for all sub-rows
        (FANS_OUT, _failed("hang", 7, 2), {"skip": (Quarantined(7, 2, "hang: why"),)}),
        (EXCHANGE, _failed("crash", 7, 2), {"skip": (Quarantined(7, 2, "crash: why"),)}),
        (MAP, _failed("crash", 64, BATCH), {"suspects": (64,)}),
        (MAP, _failed("memory", 64, BATCH), {"suspects": (64,)}),
        (MAP, _failed("crash"), {"tries": 1}),
        (EXCHANGE, _failed("crash", 0, BATCH), {"tries": 1}),
        (EXCHANGE, _failed("hang", 0, BATCH), {"tries": 1, "step": replace(EXCHANGE.step, deadline_s=1200)}),
        (EXCHANGE, _failed("memory", 0, BATCH), {"tries": 1, "step": replace(EXCHANGE.step, memory=12 << 30)}),
        (EXCHANGE, _failed("exception"), {"tries": 1}),  # a store that did not answer
    ],
)
def test_the_next_attempt_uses_what_the_last_one_found(task: Task, result: PartResult, changes: dict[str, Any]) -> None:
    retry, line = next_attempt(task, result)
    assert retry == replace(task, **changes)
    assert line.startswith("score, part 3")
    assert result.cause in line


@pytest.mark.parametrize(
    ("task", "result"),
    [
        (MAP, _failed("fatal", 7, WHOLE_ROW)),
        (EXCHANGE, _failed("exception", 0, BATCH)),
        (replace(MAP, tries=TRIES - 1), _failed("crash")),
        (replace(MAP, lost=LOST - 1, tries=TRIES - 1), _failed("lost")),
    ],
)
def test_the_run_stops(task: Task, result: PartResult) -> None:
    with pytest.raises(RunError, match=rf"^score, part 3: {result.cause}"):
        next_attempt(task, result)


def test_a_row_that_the_kernel_kills_for_is_quarantined_at_last() -> None:
    """SIGKILL is no fault of the row, until it has come too often at the same part."""
    task = MAP
    for _ in range(KILLED - 1):
        task, _ = next_attempt(task, _failed("lost", 7, WHOLE_ROW))
    retry, _ = next_attempt(task, _failed("lost", 7, WHOLE_ROW))
    assert retry.skip == (Quarantined(7, WHOLE_ROW, "lost: why"),)


def test_too_many_rows_that_end_the_process_stop_the_run() -> None:
    task = MAP
    for row in range(ROWS):
        task, _ = next_attempt(task, _failed("crash", row, WHOLE_ROW))
    with pytest.raises(RunError, match=rf"more than {ROWS} rows .*\n.*row 90, crash: why"):
        next_attempt(task, _failed("crash", ROWS, WHOLE_ROW))
