"""What a person sees without a terminal: a line every 30 seconds, and a table of all stages at the end."""

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
    clock, output = _Clock(), io.StringIO()
    monkeypatch.setattr(progress, "time", clock)
    shown = Progress()
    shown.console = Console(file=output, width=100)
    shown.begin("web.decide", 10, 4)  # an earlier run committed four parts
    clock.now += 20
    shown.part("web.decide", _sidecar(4, 200, 30))
    shown.part("web.decide", _sidecar(5, 200, 10))
    shown.tick()
    assert output.getvalue() == ""
    clock.now += 20
    shown.tick()
    assert output.getvalue() == "web.decide 6/10 parts 2000 rows 80 s left\n"  # 2 parts in 40 s, 4 to go
    shown.begin("web.sign", 1, 0)
    shown.part("web.sign", Sidecar(0, 8, {}))
    shown.end("web.sign")
    shown.end("web.extract")  # had no parts to run
    shown.close()
    lines = [line.split() for line in output.getvalue().splitlines()[1:] if line.strip() and "─" not in line]
    assert lines == [
        ["stage", "parts", "rows", "dropped", "quarantined", "seconds", "rows/s"],
        ["web.decide", "2", "of", "6", "2,000", "40", "2", "40.0", "50"],
        ["web.sign", "1", "8", "0.0", "8,000"],
    ]


def test_a_run_without_work_prints_nothing() -> None:
    shown = Progress()
    output = io.StringIO()
    shown.console = Console(file=output)
    shown.end("web.extract")
    shown.tick()
    shown.close()
    assert output.getvalue() == ""


def test_the_inputs_that_a_reader_refuses_are_dropped() -> None:
    shown, output = Progress(), io.StringIO()
    shown.console = Console(file=output, width=100)
    shown.begin("t.read", 2, 0)
    for part, refused in enumerate((3, 1)):  # a part is one input row, whatever it refuses
        files = {"documents": File("d", 90, 1, ""), "refused": File("r", refused, 1, "")}
        counts = {"refused": {"reason": {"bad_row": refused}}, "documents": {"lang": {"en": 90}}}
        shown.part("t.read", Sidecar(part, 1, files, counts))
    shown.close()
    row = next(line.split() for line in output.getvalue().splitlines() if "t.read" in line)
    assert row[1:6] == ["2", "of", "2", "180", "4"]
