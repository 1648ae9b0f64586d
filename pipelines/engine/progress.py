"""What a person sees of a run on stderr: live lines on a terminal, otherwise a line every 30 seconds; at the end a
table of all stages.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table

from pipelines.engine.commit import Sidecar

SAY_S = 30.0


@dataclass
class _Stage:
    """A stage at work, or done: what this run has made of it."""

    parts: int
    before: int  # parts that an earlier run has committed
    began: float
    seconds: float | None = None
    made: int = 0
    rows: int = 0
    dropped: int = 0
    quarantined: int = 0

    def add(self, sidecar: Sidecar) -> None:
        self.made += 1
        self.rows += max([sidecar.rows_in, *(f.rows for f in sidecar.files.values())])
        for table, f in sidecar.files.items():
            if f.rows == sidecar.rows_in:  # of the rows that came in, not of what is within them
                self.dropped += sum(
                    n for reason, n in sidecar.counts.get(table, {}).get("reason", {}).items() if reason != "kept"
                )
        self.quarantined += len(sidecar.quarantined)

    @property
    def so_far(self) -> float:
        return max(time.monotonic() - self.began if self.seconds is None else self.seconds, 1e-3)

    @property
    def done(self) -> str:
        return f"{self.before + self.made}/{self.parts} parts"

    @property
    def left(self) -> str:
        return f"{self.so_far / self.made * (self.parts - self.before - self.made):.0f} s left" if self.made else ""


class Progress:
    """Told by the driver when steps begin and end and parts are committed."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet)
        self.live = (
            Live(console=self.console, refresh_per_second=2, transient=True)
            if self.console.is_terminal and not quiet
            else None
        )
        self.stages: dict[str, _Stage] = {}
        self.said = time.monotonic()
        if self.live:
            self.live.start()

    def begin(self, step: str, parts: int, done: int) -> None:
        self.stages[step] = _Stage(parts, done, time.monotonic())

    def part(self, step: str, sidecar: Sidecar) -> None:
        self.stages[step].add(sidecar)

    def end(self, step: str) -> None:
        if step in self.stages:  # else there was nothing to do
            self.stages[step].seconds = self.stages[step].so_far

    def note(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def tick(self) -> None:
        at_work = {name: s for name, s in self.stages.items() if s.seconds is None}
        if self.live:
            self.live.update(_lines(at_work))
        elif time.monotonic() - self.said > SAY_S:
            self.said = time.monotonic()
            self.note("; ".join(" ".join(f"{n} {s.done} {s.rows} rows {s.left}".split()) for n, s in at_work.items()))

    def close(self) -> None:
        if self.live:
            self.live.stop()
        if self.stages:
            self.console.print(_summary(self.stages))


def _lines(stages: dict[str, _Stage]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, s in stages.items():
        bar = "█" * (20 * (s.before + s.made) // s.parts)
        dropped = f"{s.dropped} dropped" if s.dropped else ""
        table.add_row(
            name, f"{bar:░<20}", s.done, f"{s.so_far:.0f} s", f"{s.rows / s.so_far:.0f} rows/s", dropped, s.left
        )
    return table


def _summary(stages: dict[str, _Stage]) -> Table:
    """Wall time from a stage's first part to its manifest; stages overlap."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("stage", "parts", "rows", "dropped", "quarantined", "seconds", "rows/s"):
        table.add_column(name, justify="left" if name == "stage" else "right", no_wrap=True)
    for name, s in stages.items():
        unfinished = "" if s.seconds is not None else f" of {s.parts - s.before}"
        counts = (
            f"{s.made}{unfinished}",
            f"{s.rows:,}",
            f"{s.dropped:,}" if s.dropped else "",
            f"{s.quarantined}" if s.quarantined else "",
        )
        table.add_row(name, *counts, f"{s.so_far:.1f}", f"{s.rows / s.so_far:,.0f}")
    return table
