"""What a person sees of a run on stderr: bars on a terminal, else a line every 30 seconds; a table at the end."""

from __future__ import annotations

import time
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Task, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table

from pipelines.engine.commit import Sidecar

LINE_S = 30.0


class Progress:
    """The driver calls it when a step begins or ends and when a part is committed.

    A bar of rich holds the numbers of each step: parts in all and committed; and of this run rows, dropped rows,
    quarantined rows and the time.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet)
        live = self.console.is_terminal and not quiet
        text = ("{task.description}", "{task.fields[parts]}", "{task.fields[rate]}", "{task.fields[left]}")
        columns = [TextColumn(t) for t in text]
        columns.insert(1, BarColumn(20))  # type: ignore[arg-type]
        clock = lambda: time.monotonic()  # looked up at each call, so that a test can replace the module's clock
        self.bars = Bars(*columns, console=self.console, transient=True, disable=not live, get_time=clock)
        self.steps: dict[str, Task] = {}
        self.last_line = time.monotonic()
        self.bars.start()

    def begin(self, step: str, parts: int, done: int) -> None:
        numbers: dict[str, Any] = {"before": done, "rows": 0, "dropped": 0, "quarantined": 0}
        self.bars.add_task(step, total=parts, completed=done, **numbers, parts="", rate="", left="")
        self.steps[step] = self.bars.tasks[-1]

    def part(self, step: str, sidecar: Sidecar) -> None:
        task = self.steps[step]
        task.fields["rows"] += sidecar.rows
        task.fields["quarantined"] += len(sidecar.quarantined)
        for table, file in sidecar.files.items():
            if file.rows == sidecar.rows_in:  # a table of input rows, not of something within them
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
        running = [t for t in self.steps.values() if t.stop_time is None]
        for task in running:
            seconds, parts = _seconds(task), _parts(task)
            left = f"{seconds / parts * task.remaining:.0f} s left" if parts and task.remaining is not None else ""
            rate = f"{task.fields['rows'] / seconds:.0f} rows/s"
            done = f"{task.completed:.0f}/{task.total:.0f} parts"
            self.bars.update(task.id, parts=done, rate=rate, left=left)
        if self.bars.disable and time.monotonic() - self.last_line > LINE_S:
            self.last_line = time.monotonic()
            lines = (f"{t.description} {t.fields['parts']} {t.fields['rows']} rows {t.fields['left']}" for t in running)
            self.note("; ".join(line.rstrip() for line in lines))

    def close(self) -> None:
        self.bars.stop()
        if self.steps:
            self.console.print(_summary(list(self.steps.values())))


def _seconds(task: Task) -> float:
    return max(task.elapsed or 0.0, 1e-3)


def _parts(task: Task) -> int:
    """Parts that this run committed."""
    return int(task.completed) - int(task.fields["before"])


def _summary(tasks: list[Task]) -> Table:
    """One row for each step. The seconds are wall time from the first part to the manifest; steps overlap."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("stage", "parts", "rows", "dropped", "quarantined", "seconds", "rows/s"):
        table.add_column(name, justify="left" if name == "stage" else "right", no_wrap=True)
    for task in tasks:
        unfinished = "" if task.stop_time is not None else f" of {int(task.total or 0) - task.fields['before']}"
        rows, seconds = task.fields["rows"], _seconds(task)
        cells = (f"{rows:,}", *(f"{task.fields[n]:,}" if task.fields[n] else "" for n in ("dropped", "quarantined")))
        rates = (f"{seconds:.1f}", f"{rows / seconds:,.0f}")
        table.add_row(task.description, f"{_parts(task)}{unfinished}", *cells, *rates)
    return table
