"""The driver: walks a plan, gives parts to a backend, decides what happens to those that fail, writes the stages'
manifests.

It holds paths and counts, never data. Kill it at any moment: what was committed stays, and the next run does the rest.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipelines.engine.lock import hold
from pipelines.engine.part import BrokenFileError, Task
from pipelines.engine.parts import Collector, Parts, merge_counts, read_committed, read_manifest, write_manifest
from pipelines.engine.plan import StepOutput, StepPlan, check, keyed_tables, plan_step
from pipelines.engine.progress import Progress
from pipelines.engine.recorded import Record
from pipelines.engine.retry import PartResult, RunError, again
from pipelines.engine.stage import Step
from pipelines.engine.storage import Store, in_a_line, of_a_store

__all__ = ["Backend", "Outcome", "RunError", "State", "clear", "committed", "run", "states"]

QUARANTINE_SHARE = 0.001
QUARANTINE_ROWS = 100


class Backend(Protocol):
    """Where parts run. The driver submits no more than `slots` at a time, and tries again itself what has failed."""

    @property
    def slots(self) -> int: ...

    def at_once(self, gpus: float) -> int: ...

    def submit(self, work: Task) -> None: ...

    def wait(self, seconds: float) -> list[tuple[Task, PartResult]]: ...

    def close(self) -> None: ...


@dataclass
class _Active:
    """A step at work: parts that wait, how many run, what is committed."""

    todo: StepPlan
    fresh: Iterator[int]
    found: Collector
    began: float
    retries: deque[Task] = field(default_factory=deque)
    running: int = 0
    worked: int = 0  # parts made in this run

    @property
    def complete(self) -> bool:
        return self.found.done == self.todo.count

    def next(self) -> Task | None:
        if self.retries:
            return self.retries.popleft()
        part = next(self.fresh, None)
        return None if part is None else self.todo.work(part)


@dataclass
class Outcome:
    """What a run did: every node's committed parts, seconds by step, and which steps had anything to do."""

    made: dict[str, StepOutput]
    seconds: dict[str, float] = field(default_factory=dict)
    worked: dict[str, int] = field(default_factory=dict)


def run(
    steps: Sequence[Step],
    root: str,
    backend: Any,
    *,
    buckets: int = 16,
    refresh: Collection[str] = (),
    progress: Progress | None = None,
) -> Outcome:
    """Make every step of a plan below `root`. `backend` is a function that starts one, called only if there is work to
    do.

    `buckets`: key ranges of the exchanges, a power of two. `refresh`: recorded steps to make anew.
    Raises RunError; nothing half-written is ever read by a later run.
    """
    check(steps)
    store = Store(root)
    with clear(root), hold(store) as lost:
        return _Driver(steps, store, backend, buckets, set(refresh), progress or Progress(), lost).run()


@contextlib.contextmanager
def clear(root: str) -> Iterator[None]:
    """A full disk, a folder that cannot be written, a bucket that is gone, a broken file: one line that names it."""
    try:
        yield
    except Exception as e:
        if not isinstance(e, BrokenFileError) and not of_a_store(e):
            raise
        raise RunError(in_a_line(e, root)) from e


class _Driver:
    def __init__(
        self,
        steps: Sequence[Step],
        store: Store,
        start: Any,
        buckets: int,
        refresh: set[str],
        progress: Progress,
        lost: threading.Event,
    ):
        self.steps, self.store, self.start, self.buckets, self.refresh, self.progress = (
            steps,
            store,
            start,
            buckets,
            refresh,
            progress,
        )
        self.lost = lost
        self.keyed = keyed_tables(steps, buckets)
        self.outcome = Outcome({})
        self.active: dict[str, _Active] = {}
        self.backend: Backend | None = None

    def run(self) -> Outcome:
        waiting = deque(self.steps)
        try:
            while waiting or self.active:
                self._open(waiting)
                if not self.active:
                    continue
                if self.backend is None:
                    self.backend = self.start()
                self._feed(self.backend)
                for work, ended in self.backend.wait(0.5):
                    self._settle(work, ended)
                self.progress.tick()
                if self.lost.is_set():
                    raise RunError(f"{self.store.root}: another driver has taken this run over")
        finally:
            if self.backend is not None:
                self.backend.close()
            self.progress.close()
        return self.outcome

    def _open(self, waiting: deque[Step]) -> None:
        """Start every step whose parents are done; those with nothing to do are done at once."""
        made = self.outcome.made
        for step in list(waiting):
            if any(p not in made for p in step.parents):
                continue
            waiting.remove(step)
            record = Record(self.store, step)
            if step.name in self.refresh:
                record.refresh()
            t, done = look(step, made, record, self.keyed[step.name], self.buckets)
            if done is not None:
                self._made(t, done, record)
                continue
            found = read_committed(self.store, t.folder, t.count)
            active = _Active(t, found.missing(), found, time.monotonic())
            self.progress.begin(step.name, t.count, found.done)
            if active.complete:
                self._finish(active)
            else:
                self.active[step.name] = active

    def _feed(self, backend: Backend) -> None:
        room = backend.slots - sum(a.running for a in self.active.values())
        for active in self.active.values():  # in plan order: what comes first is finished first
            while (
                room > 0
                and active.running < backend.at_once(active.todo.step.gpus)
                and (work := active.next()) is not None
            ):
                backend.submit(work)
                active.running += 1
                room -= 1

    def _settle(self, work: Task, ended: PartResult) -> None:
        active = self.active[work.step]
        active.running -= 1
        if ended.sidecar is None:
            more, said = again(work, ended)
            self.progress.note(said)
            active.retries.append(more)
            return
        active.found.add(ended.sidecar)
        active.worked += 1
        self.progress.part(work.step, ended.sidecar)
        if ended.sidecar.quarantined:
            _check_quarantine(active)
        if active.complete:
            del self.active[work.step]
            self._finish(active)

    def _finish(self, active: _Active) -> None:
        t, step = active.todo, active.todo.step
        parts, counts = active.found.parts(), merge_counts([active.found.counts])
        write_manifest(self.store, t.folder, t.about, parts, counts)
        self.outcome.seconds[step.name] = time.monotonic() - active.began
        self.outcome.worked[step.name] = active.worked
        self._made(t, StepOutput(step.name, parts, counts, [t.folder]), Record(self.store, step))
        self.progress.end(step.name)

    def _made(self, t: StepPlan, made: StepOutput, record: Record) -> None:
        if t.step.recorded and t.folder not in record.generations:
            record.add(t.folder)
            made = record.made() or made
        self.outcome.made[t.step.name] = made


def look(
    step: Step, made: Mapping[str, StepOutput], record: Record, keyed: Mapping[str, int], buckets: int
) -> tuple[StepPlan, StepOutput | None]:
    """A step whose parents are done: its parts, and what it has made if it has nothing to do."""
    recorded = record.made()
    before = made if recorded is None else {**made, step.name: recorded}
    t = plan_step(
        step, before, keyed, record.store.root, buckets, record.epoch, record.before() if step.earlier else None
    )
    if t.folder in record.generations:
        return t, recorded
    finished = read_manifest(record.store, t.folder)
    return t, StepOutput(step.name, *finished, [t.folder]) if finished is not None else None


def _check_quarantine(active: _Active) -> None:
    found = active.found
    gone = [cause for rows in found.quarantined.values() for _, _, cause in rows]
    if len(gone) > QUARANTINE_ROWS and len(gone) > QUARANTINE_SHARE * found.rows:
        table = "\n".join(f"  {n:6d}  {cause}" for cause, n in Counter(gone).most_common(10))
        raise RunError(
            f"{active.todo.step.name}: {len(gone)} of {found.rows} rows quarantined, more than {QUARANTINE_SHARE:.1%}; causes:\n{table}"
        )


@dataclass(frozen=True)
class State:
    """A step as `--plan` shows it: as far as can be told without starting anything."""

    stage: str
    state: str  # done, recorded, to do, or waits (for a parent: its parts are not known yet)
    reads: tuple[str, ...]
    parts: int = 0
    done: int = 0
    bytes_in: int = 0  # of the tables it reads, all parts together
    bytes: int = 0  # of what it has committed


def states(steps: Sequence[Step], root: str, buckets: int) -> list[State]:
    """Every step of a plan. Raises RunError."""
    with clear(root):
        return [state for state, _ in _states(steps, Store(root), buckets)]


def committed(steps: Sequence[Step], root: str, buckets: int) -> dict[str, tuple[int, Parts]]:
    """Of each step whose parents are done: how many parts it has, and those that are committed by now. Raises RunError."""
    with clear(root):
        return {
            state.stage: (state.parts, found)
            for state, found in _states(steps, Store(root), buckets)
            if found is not None
        }


def _states(steps: Sequence[Step], store: Store, buckets: int) -> Iterator[tuple[State, Parts | None]]:
    check(steps)
    keyed = keyed_tables(steps, buckets)
    made: dict[str, StepOutput] = {}
    for step in steps:
        if any(p not in made for p in step.parents):
            yield State(step.name, "waits", step.parents), None
            continue
        record = Record(store, step)
        t, finished = look(step, made, record, keyed[step.name], buckets)
        come = sum(made[n].parts.bytes(i.table) for i in step.inputs.values() for n in i.steps)
        if finished is None:
            found = read_committed(store, t.folder, t.count)
            yield (
                State(step.name, "to do", step.parents, t.count, found.done, come, found.parts().bytes()),
                found.parts(),
            )
            continue
        made[step.name] = finished
        state = "recorded" if t.folder in record.generations else "done"
        yield State(step.name, state, step.parents, t.count, t.count, come, finished.parts.bytes()), finished.parts
