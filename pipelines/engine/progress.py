"""What a person sees of a run on stderr: live lines on a terminal, otherwise a line every 30 seconds."""

from __future__ import annotations

import sys
import time
from collections import Counter

from rich.console import Console
from rich.live import Live
from rich.table import Table

from pipelines.engine.commit import Sidecar


class Progress:
    """Told by the driver when nodes begin and end and parts are committed."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet)
        self.live = Live(console=self.console, refresh_per_second=2, transient=True) if self.console.is_terminal and not quiet else None
        self.parts: dict[str, list[int]] = {}  # node -> [done, all]
        self.rows: Counter[str] = Counter()
        self.began: dict[str, float] = {}
        self.said = time.monotonic()
        if self.live:
            self.live.start()

    def begin(self, node: str, parts: int, done: int) -> None:
        self.parts[node] = [done, parts]
        self.began[node] = time.monotonic()

    def part(self, node: str, sidecar: Sidecar) -> None:
        self.parts[node][0] += 1
        self.rows[node] += max([sidecar.rows_in, *(f.rows for f in sidecar.files.values())], default=0)

    def end(self, node: str) -> None:
        if node in self.parts:
            done, _ = self.parts.pop(node)
            seconds = time.monotonic() - self.began[node]
            self.console.print(f"[dim]{node:24s} {done:5d} parts  {self.rows[node]:9d} rows  {seconds:6.1f} s[/dim]", highlight=False)

    def note(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False)

    def tick(self) -> None:
        if self.live:
            self.live.update(self._table())
        elif time.monotonic() - self.said > 30:
            self.said = time.monotonic()
            self.note("; ".join(f"{n}: {d} of {a} parts, {self.rows[n]} rows" for n, (d, a) in self.parts.items()))

    def close(self) -> None:
        if self.live:
            self.live.stop()
        sys.stderr.flush()

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for node, (done, parts) in self.parts.items():
            seconds = max(time.monotonic() - self.began[node], 1e-3)
            left = f"{seconds / done * (parts - done):.0f} s left" if done else ""
            bar = "█" * (20 * done // max(parts, 1))
            table.add_row(node, f"{bar:░<20}", f"{done}/{parts} parts", f"{self.rows[node] / seconds:.0f} rows/s", left)
        return table
