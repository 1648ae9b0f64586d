"""What a person sees: a line now and then where there is no terminal, and every stage in a table at the end."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from pipelines.engine import progress
from pipelines.engine.commit import File, Sidecar
from pipelines.engine.progress import Progress


class _Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


def _sidecar(part: int, rows: int, dropped: int) -> Sidecar:
    counts = {
        "decisions": {"reason": {"kept": rows - dropped, "words_low": dropped}},
        "nodes": {"reason": {"short": 1000}},
    }
    files = {"decisions": File("d", rows, 1, ""), "nodes": File("n", 5 * rows, 1, "")}
    return Sidecar(part, rows, files, counts, ((3, -1, "crash: SIGSEGV"),))


def test_lines_and_the_table_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, seen = _Clock(), io.StringIO()
    monkeypatch.setattr(progress, "time", clock)
    told = Progress()
    told.console = Console(file=seen, width=100)
    told.begin("web.decide", 10, 4)  # four parts are there from an earlier run
    clock.now += 20
    told.part("web.decide", _sidecar(4, 200, 30))
    told.part("web.decide", _sidecar(5, 200, 10))
    told.tick()
    assert seen.getvalue() == ""
    clock.now += 20
    told.tick()
    assert seen.getvalue() == "web.decide 6/10 parts 2000 rows 80 s left\n"  # 2 parts in 40 s, 4 to go
    told.begin("web.sign", 1, 0)
    told.part("web.sign", Sidecar(0, 8, {}))
    told.end("web.sign")
    told.end("web.extract")  # had nothing to do
    told.close()
    lines = [line.split() for line in seen.getvalue().splitlines()[1:] if line.strip() and "─" not in line]
    assert lines == [
        ["stage", "parts", "rows", "dropped", "quarantined", "seconds", "rows/s"],
        ["web.decide", "2", "of", "6", "2,000", "40", "2", "40.0", "50"],
        ["web.sign", "1", "8", "0.0", "8,000"],
    ]


def test_nothing_to_do_says_nothing() -> None:
    told = Progress()
    seen = io.StringIO()
    told.console = Console(file=seen)
    told.end("web.extract")
    told.tick()
    told.close()
    assert seen.getvalue() == ""
