"""The engine on toy stages: the same bytes in all cases, one row lost for one bad row, no part run twice."""

import fcntl
import functools
import hashlib
import pathlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from pipelines.engine import isolate
from pipelines.engine.local import Local
from pipelines.engine.progress import Progress
from pipelines.engine.run import Outcome, RunError, State, run, states
from pipelines.engine.stage import Step, aligned, by_part, shuffle
from pipelines.engine.storage import SCRATCH, Store

from .stops import killed_after
from .toys import SCORES, Join, Keys, Numbers, Pages, Score, Sums, World

PARTS, ROWS = 5, 200
WORLD = Step("world", World(), {"numbers": aligned("numbers", "numbers")}, recorded=True)  # after `numbers`


def plan(score: Any = Score(), modulo: int = 10, memory: int = 6 << 30) -> list[Step]:  # noqa: B008
    def rows(outputs: Any) -> list[pa.Table]:
        return [pa.table({"start": [p * ROWS], "stop": [(p + 1) * ROWS]}) for p in range(PARTS)]

    return [
        Step("numbers", Numbers(), rows=rows),
        Step(
            "score",
            score,
            {"numbers": aligned("numbers", "numbers")},
            same_rows=("scores",),
            batch_rows=64,
            memory=memory,
        ),
        Step("keys", Keys(modulo), {"numbers": aligned("numbers", "numbers"), "scores": aligned("scores", "score")}),
        Step("sums", Sums(), {"keyed": shuffle("keyed", "keys")}, per_part=("rows", 200)),
        Step(
            "join",
            Join(),
            {"sums": by_part("sums", "sums"), "numbers": aligned("numbers", "numbers")},
            same_rows=("totals",),
        ),
    ]


class Warm(Local):
    """Keeps its children after a run, so that tests do not wait for new ones."""

    def close(self) -> None:
        for _, child in self.busy:
            child.close()
        self.idle += [child for _, child in self.busy]
        self.busy = []


@functools.cache
def warm() -> Warm:
    return Warm(2)


def go(root: pathlib.Path | str, steps: list[Step], start: Callable[[], Any] = warm, **more: Any) -> Outcome:
    return run(steps, str(root), start, **{"progress": Progress(quiet=True), **more})


def files(root: pathlib.Path) -> dict[str, str]:
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted((root / "stages").rglob("*"))
        if p.is_file()
    }


def totals(root: pathlib.Path, outcome: Outcome) -> dict[int, int | None]:
    t = outcome.outputs["join"].read(Store(str(root)), "totals")
    return dict(zip(t["n"].to_pylist(), t["total"].to_pylist(), strict=True))


def expected(modulo: int = 10, without: tuple[int, ...] = (), add: int = 0) -> dict[int, int | None]:
    groups = {
        g: sum(n + add for n in range(PARTS * ROWS) if n % modulo == g and n not in without) for g in range(modulo)
    }
    return {n: None if n in without else groups[n % modulo] for n in range(PARTS * ROWS)}


def test_each_row_gets_the_sum_of_its_group(tmp_path: pathlib.Path) -> None:
    outcome = go(tmp_path, plan())
    assert totals(tmp_path, outcome) == expected()
    assert len(outcome.outputs["sums"].parts) == 5  # 1,000 rows at 200 a part


def test_a_second_run_runs_and_rewrites_nothing(tmp_path: pathlib.Path) -> None:
    go(tmp_path, plan())
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file() and p.name != "lock"}

    def refuse() -> Any:
        raise AssertionError("a backend was started")

    outcome = go(tmp_path, plan(), refuse)
    assert outcome.parts == {}
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file() and p.name != "lock"} == before


def test_a_changed_parameter_redoes_only_the_steps_after_it(tmp_path: pathlib.Path) -> None:
    go(tmp_path, plan())
    outcome = go(tmp_path, plan(modulo=7))
    assert set(outcome.parts) == {"keys", "sums", "join"}
    assert totals(tmp_path, outcome) == expected(7)


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("segv", "SIGSEGV"),
        ("abrt", "SIGABRT"),
        ("bus", "SIGBUS"),
        ("raise", "cannot score 333"),
        ("hang", "hang"),
        ("eat", "memory"),
    ],
)
def test_a_bad_row_costs_that_row(
    tmp_path: pathlib.Path, fault: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolate, "time", _Leaps(tmp_path / "hangs"))
    outcome = go(
        tmp_path, plan(Score(bad=333, how=fault, hangs=str(tmp_path / "hangs")), memory=600 << 20), lambda: Local(1)
    )
    assert totals(tmp_path, outcome) == expected(without=(333,))
    ((part, row, _, cause),) = outcome.outputs["score"].quarantined
    assert (part, row) == (1, 133)
    assert word in cause


class _Leaps:
    """The clock of the isolation: a day passes when a stage has created its file and hangs. Only one child may run."""

    def __init__(self, hangs: pathlib.Path):
        self.hangs = hangs

    def monotonic(self) -> float:
        if self.hangs.exists():
            self.hangs.unlink()
            return time.monotonic() + 86_400
        return time.monotonic()


def test_a_bad_sub_row_costs_that_sub_row(tmp_path: pathlib.Path) -> None:
    """Pages of a document: the other pages of the same row come out."""
    steps = [plan()[0], Step("pages", Pages(bad=(333, 2)), {"numbers": aligned("numbers", "numbers")})]
    outcome = go(tmp_path, steps)
    pages = outcome.outputs["pages"].read(Store(str(tmp_path)), "pages").to_pylist()
    assert [(r["n"], r["page"]) for r in pages] == [
        (n, p) for n in range(PARTS * ROWS) for p in range(3) if (n, p) != (333, 2)
    ]
    assert outcome.outputs["pages"].quarantined == [(1, (133, 2, "crash: SIGSEGV", {}))]


def test_the_number_of_slots_does_not_change_bytes(tmp_path: pathlib.Path) -> None:
    go(tmp_path / "a", plan(), lambda: Local(1))
    go(tmp_path / "b", plan(), lambda: Local(3))
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_too_many_bad_rows_stop_the_run_with_their_causes(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RunError, match="every number is bad"):
        go(tmp_path, plan(_AllBad()))


def test_lost_rows_stop_the_run(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RunError, match="200 rows went in and 199 came out"):
        go(tmp_path, plan(_Loses()))


def test_a_second_driver_is_refused(tmp_path: pathlib.Path) -> None:
    go(tmp_path, plan())
    with open(tmp_path / "lock", "a+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="another driver"):
            go(tmp_path, plan())


def test_a_run_in_a_folder_with_other_things_leaves_them_alone(tmp_path: pathlib.Path) -> None:
    theirs = [tmp_path / name for name in ("tmp/a.txt", "scratch/b.txt", "notes.md")]
    for path in theirs:
        path.parent.mkdir(exist_ok=True)
        path.write_text("not of this run")
    go(tmp_path, plan())
    assert all(path.read_text() == "not of this run" for path in theirs)
    assert not (tmp_path / SCRATCH).exists()


def test_states_show_what_is_done(tmp_path: pathlib.Path) -> None:
    assert [s.state for s in states(plan(), str(tmp_path), 16)] == ["to do"] + ["waits"] * 4
    outputs = go(tmp_path, plan()).outputs
    size = {n: sum(f.stat().st_size for f in (tmp_path / m.folders[0]).glob("*-*")) for n, m in outputs.items()}
    by_name = {s.stage: s for s in states(plan(), str(tmp_path), 16)}
    assert by_name["join"] == State(
        "join", "done", ("sums", "numbers"), 5, 5, size["sums"] + size["numbers"], size["join"]
    )
    folder = tmp_path / outputs["keys"].folders[0]
    (folder / "manifest.json").unlink()
    (folder / "00003.json").unlink()
    keys, sums = states(plan(), str(tmp_path), 16)[2:4]
    assert (keys.state, keys.parts, keys.done, keys.bytes_in) == ("to do", 5, 4, size["numbers"] + size["score"])
    assert 0 < keys.bytes < size["keys"]
    assert sums == State("sums", "waits", ("keys",))


def test_two_active_steps_run_the_parts_that_each_lacks(tmp_path: pathlib.Path) -> None:
    """Two steps are active at once, one with more parts than the other, both half done."""
    steps = [
        plan()[0],
        Step("few", Numbers(), rows=lambda outputs: [pa.table({"start": [p], "stop": [p + 9]}) for p in range(3)]),
    ]
    outcome = go(tmp_path, steps)
    for name, parts in (("numbers", (1, 3, 4)), ("few", (0,))):
        folder = tmp_path / outcome.outputs[name].folders[0]
        (folder / "manifest.json").unlink()
        for part in parts:
            (folder / f"{part:05d}.json").unlink()
    before = files(tmp_path)
    assert go(tmp_path, steps).parts == {"numbers": 3, "few": 1}
    assert before.items() <= files(tmp_path).items()


def test_a_killed_driver_is_resumed_to_the_same_bytes(tmp_path: pathlib.Path) -> None:
    go(tmp_path / "clean", plan(Score(add=1)))
    for parts in (3, 9):
        killed_after(parts, tmp_path / "killed", "plan(Score(add=1))")
    assert (
        len(list(tmp_path.glob("killed/stages/*/0000?.json"))) >= 12
    )  # of 25: the parts of the first two drivers were kept
    outcome = go(tmp_path / "killed", plan(Score(add=1)))
    assert totals(tmp_path / "killed", outcome) == expected(add=1)
    clean, killed = files(tmp_path / "clean"), files(tmp_path / "killed")
    assert {k: v for k, v in killed.items() if k in clean} == clean


@dataclass(frozen=True)
class _AllBad:
    tables: ClassVar[Mapping[str, pa.Schema]] = {"scores": SCORES}

    def __call__(self, batch: pa.RecordBatch, ctx: Any = None) -> Any:
        raise ValueError("every number is bad")
        yield


@dataclass(frozen=True)
class _Loses:
    tables: ClassVar[Mapping[str, pa.Schema]] = {"scores": pa.schema([("score", pa.int64())])}

    def __call__(self, batch: pa.RecordBatch, ctx: Any = None) -> Any:
        n = batch["n"].to_pylist()
        yield "scores", pa.record_batch({"score": pa.array([x for x in n if x != 333], pa.int64())})
