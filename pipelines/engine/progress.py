"""What a person sees of a run on stderr: bars on a terminal, else a line every 30 seconds; a table at the end."""

import time
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from pipelines.engine.commit import Sidecar

LINE_S = 30.0
#: the table of the inputs of a reader that became no document
REFUSED = "refused"


class Progress:
    """The driver calls it when a step begins or ends and when a part is committed.

    A bar of rich holds the numbers of each step: all parts and committed parts; and of this run the time, rows, dropped
    rows and quarantined rows.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet)
        self.live = self.console.is_terminal and not quiet
        columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TextColumn("parts"))
        times = (TimeElapsedColumn(), TextColumn("{task.fields[rows]} rows"), TimeRemainingColumn())
        clock = lambda: time.monotonic()  # looked up at each call, so that a test can replace the clock
        self.bars = Bars(*columns, *times, console=self.console, transient=True, disable=not self.live, get_time=clock)
        self.steps: dict[str, Task] = {}
        self.last_line = time.monotonic()
        self.bars.start()

    def begin(self, step: str, parts: int, done: int) -> None:
        numbers: dict[str, Any] = {"before": done, "rows": 0, "dropped": 0, "quarantined": 0}
        self.bars.add_task(step, total=parts, completed=done, **numbers)
        self.steps[step] = self.bars.tasks[-1]

    def part(self, step: str, sidecar: Sidecar) -> None:
        task = self.steps[step]
        task.fields["rows"] += sidecar.rows
        task.fields["quarantined"] += len(sidecar.quarantined)
        for table, file in sidecar.files.items():
            # input rows, not something within them; the table of a reader has only the rows that it refused
            if table == REFUSED or (file.rows == sidecar.rows_in and REFUSED not in sidecar.files):
                reasons = sidecar.counts.get(table, {}).get("reason", {})
                task.fields["dropped"] += sum(n for reason, n in reasons.items() if reason != "kept")
        self.bars.advance(task.id)

    def end(self, step: str) -> None:
        if step in self.steps:  # a step without parts to run has not begun
            self.bars.stop_task(self.steps[step].id)
            self.bars.update(self.steps[step].id, visible=False)

    def note(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def tick(self) -> None:
        if not self.live and time.monotonic() - self.last_line > LINE_S:
            self.last_line = time.monotonic()
            self.note("; ".join(_line(t) for t in self.steps.values() if t.stop_time is None))

    def close(self) -> None:
        """Print one row for each step. The seconds are wall time from the first part to the manifest; steps overlap."""
        self.bars.stop()
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for name in ("stage", "parts", "rows", "dropped", "quarantined", "seconds", "rows/s"):
            table.add_column(name, justify="left" if name == "stage" else "right", no_wrap=True)
        for task in self.steps.values():
            parts, left, seconds = _numbers(task)
            rows, *losses = (task.fields[name] for name in ("rows", "dropped", "quarantined"))
            done = f"{parts}" if task.stop_time is not None else f"{parts} of {parts + left}"
            lost = (f"{n:,}" if n else "" for n in losses)
            table.add_row(task.description, done, f"{rows:,}", *lost, f"{seconds:.1f}", f"{rows / seconds:,.0f}")
        if self.steps:
            self.console.print(table)


def _numbers(task: Task) -> tuple[int, int, float]:
    """Parts that this run committed; parts that are left; seconds."""
    return int(task.completed - task.fields["before"]), int(task.remaining or 0), max(task.elapsed or 0.0, 1e-3)


def _line(task: Task) -> str:
    parts, left, seconds = _numbers(task)
    time_left = f" {seconds / parts * left:.0f} s left" if parts else ""
    return f"{task.description} {task.completed:.0f}/{task.total:.0f} parts {task.fields['rows']} rows{time_left}"
