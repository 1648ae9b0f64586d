"""The driver: walks a plan, gives parts to a backend, handles failed parts, and writes the manifests of the stages.

The driver holds names and counts, never data. It may be killed at any moment: committed parts are kept, and the next
run does the rest.
"""

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipelines.engine.lock import hold
from pipelines.engine.part import BrokenFileError
from pipelines.engine.parts import Collector, Parts, merge_counts, read_committed, write_manifest
from pipelines.engine.plan import StepOutput, StepPlan, check, keyed_tables, move_records, plan_step, recorded_output
from pipelines.engine.progress import Progress
from pipelines.engine.retry import PartResult, RunError, next_attempt
from pipelines.engine.stage import Step, Task
from pipelines.engine.storage import Store, is_store_error, one_line
from pipelines.engine.usage import Usage

__all__ = ["Backend", "Outcome", "RunError", "State", "committed", "run", "states", "store_errors"]

QUARANTINE_SHARE = 0.001
QUARANTINE_ROWS = 100


class Backend(Protocol):
    """Runs parts. The driver submits at most `slots` at a time, and decides itself what follows a failure."""

    @property
    def slots(self) -> int: ...
    def at_once(self, gpus: float) -> int: ...
    def submit(self, task: Task) -> None: ...
    def wait(self, seconds: float) -> list[tuple[Task, PartResult]]: ...
    def close(self) -> None: ...


@dataclass
class _ActiveStep:
    """A step with parts to run: the parts that wait, how many run, and what is committed."""

    plan: StepPlan
    committed: Collector
    missing: Iterator[int]
    began: float
    retries: deque[Task] = field(default_factory=deque)
    running: int = 0
    parts: int = 0  # that this run committed
    usage: Usage = field(default_factory=Usage)  # of those

    @property
    def complete(self) -> bool:
        return self.committed.done == self.plan.count

    def next_task(self) -> Task | None:
        if self.retries:
            return self.retries.popleft()
        part = next(self.missing, None)
        return None if part is None else self.plan.task(part)


@dataclass
class Outcome:
    """The output of every step of a run; seconds, parts and usage of the steps that had parts to run."""

    outputs: dict[str, StepOutput]
    seconds: dict[str, float] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)
    usage: dict[str, Usage] = field(default_factory=dict)  # of the attempts that committed


def run(
    steps: Sequence[Step],
    root: str,
    backend: Any,
    *,
    partitions: int = 16,
    refresh: Collection[str] = (),
    progress: Progress | None = None,
    finished: Mapping[str, StepOutput] | None = None,
) -> Outcome:
    """Run every step of a plan below `root`. `backend` is a function that starts one; it is called only if needed.

    `partitions`: key ranges of the exchanges, a power of two. `refresh`: recorded steps to record again.
    `finished`: outputs of further steps, which are taken as they are.
    Raises RunError and PlanError. Files of an interrupted run are either complete or ignored by the next run.
    """
    finished = finished or {}
    check(steps, finished)
    store = Store(root)
    with store_errors(root), hold(store) as lost:
        driver = _Driver([*steps], store, backend, partitions, set(refresh), progress or Progress(), lost, finished)
        return driver.run()


@contextlib.contextmanager
def store_errors(root: str) -> Iterator[None]:
    """Turns an error of a disk or an object store, or a broken file, into a RunError of one line that names it."""
    try:
        yield
    except Exception as e:
        if not isinstance(e, BrokenFileError) and not is_store_error(e):
            raise
        raise RunError(one_line(e, root)) from e


@dataclass
class _Driver:
    waiting: list[Step]
    store: Store
    start: Callable[[], Backend]
    partitions: int
    refresh: set[str]
    progress: Progress
    lost: threading.Event
    finished: Mapping[str, StepOutput]

    def __post_init__(self) -> None:
        self.keyed = keyed_tables(self.waiting, self.partitions)
        self.folders = _stage_folders(self.store)
        self.outcome = Outcome(dict(self.finished))
        self.active: dict[str, _ActiveStep] = {}
        self.shared: dict[str, str] = {}  # step -> folder that another active step writes
        self.backend: Backend | None = None

    def run(self) -> Outcome:
        move_records(self.waiting, self.store)
        try:
            while self.waiting or self.active:
                self._start_steps()
                if not self.active:
                    continue
                if self.backend is None:
                    self.backend = self.start()
                self._submit(self.backend)
                for task, result in self.backend.wait(0.5):
                    self._handle(task, result)
                self.progress.tick()
                if self.lost.is_set():
                    raise RunError(f"{self.store.root}: another driver has taken this run over")
        finally:
            if self.backend is not None:
                self.backend.close()
            self.progress.close()
        return self.outcome

    def _start_steps(self) -> None:
        """Start every step whose parents have finished. A step without parts to run finishes at once.

        Steps with one fingerprint share a folder: the second one waits for the first, and then has nothing to run.
        """
        for step in list(self.waiting):
            folders = {a.plan.folder for a in self.active.values()}
            if not self.outcome.outputs.keys() >= set(step.parents) or self.shared.get(step.name) in folders:
                continue
            keyed, refresh = self.keyed[step.name], step.name in self.refresh
            plan = plan_step(step, self.outcome.outputs, keyed, self.store, self.partitions, self.folders, refresh)
            self.refresh.discard(step.name)
            if plan.output is None and plan.folder in folders:
                self.shared[step.name] = plan.folder
                continue
            self.waiting.remove(step)
            if plan.output is not None:
                self._finish(plan, plan.output)
                continue
            collector = read_committed(self.store, plan.folder, plan.count)
            active = _ActiveStep(plan, collector, collector.missing(), time.monotonic())
            self.progress.begin(step.name, plan.count, collector.done)
            if active.complete:
                self._commit(active)
            else:
                self.active[step.name] = active

    def _submit(self, backend: Backend) -> None:
        free = backend.slots - sum(a.running for a in self.active.values())
        for active in self.active.values():  # in plan order, so that early steps finish first
            most = backend.at_once(active.plan.step.gpus)
            while free > 0 and active.running < most and (task := active.next_task()) is not None:
                backend.submit(task)
                active.running += 1
                free -= 1

    def _handle(self, task: Task, result: PartResult) -> None:
        active = self.active[task.step.name]
        active.running -= 1
        if result.sidecar is None:
            retry, line = next_attempt(task, result)
            self.progress.note(line)
            active.retries.append(retry)
            return
        active.committed.add(result.sidecar)
        active.parts += 1
        active.usage += result.usage
        self.progress.part(task.step.name, result.sidecar)
        if result.sidecar.quarantined:
            _check_quarantine(active)
        if active.complete:
            del self.active[task.step.name]
            self._commit(active)

    def _commit(self, active: _ActiveStep) -> None:
        """Write the manifest of a step whose parts are all committed."""
        plan, name = active.plan, active.plan.step.name
        parts, counts = active.committed.parts(), merge_counts([active.committed.counts])
        write_manifest(self.store, plan.folder, plan.about, parts, counts)
        self.outcome.seconds[name] = time.monotonic() - active.began
        self.outcome.parts[name] = active.parts
        self.outcome.usage[name] = active.usage
        self._finish(plan, StepOutput(name, parts, counts, [plan.folder], plan.step.stage))
        self.progress.end(name)

    def _finish(self, plan: StepPlan, output: StepOutput) -> None:
        if plan.record is not None:
            new = plan.folder not in plan.record.generations
            plan.record.add(plan.folder)
            output = (recorded_output(plan.step, plan.record) if new else None) or output
        self.outcome.outputs[plan.step.name] = output


def _stage_folders(store: Store) -> dict[str, str]:
    """Fingerprint -> folder of every stage of a run. The name before the fingerprint may be an earlier one."""
    return {name.rpartition("-")[2]: f"stages/{name}" for name in store.folders("stages")}


def _check_quarantine(active: _ActiveStep) -> None:
    causes = [row.cause for rows in active.committed.quarantined.values() for row in rows]
    if len(causes) > QUARANTINE_ROWS and len(causes) > QUARANTINE_SHARE * active.committed.rows:
        table = "\n".join(f"  {n:6d}  {cause}" for cause, n in Counter(causes).most_common(10))
        rows = f"{len(causes)} of {active.committed.rows} rows quarantined"
        raise RunError(f"{active.plan.step.name}: {rows}, more than {QUARANTINE_SHARE:.1%}; causes:\n{table}")


@dataclass(frozen=True)
class State:
    """A step as `--plan` shows it, as far as it can be known before anything runs."""

    stage: str
    state: str  # done, recorded, to do, or waits (its parents have not finished, so its parts are not known yet)
    reads: tuple[str, ...]
    parts: int = 0
    done: int = 0
    bytes_in: int = 0  # of the tables that it reads, all parts together
    bytes: int = 0  # of what it has committed


def states(steps: Sequence[Step], root: str, partitions: int) -> list[State]:
    """The state of every step of a plan. Raises RunError."""
    return [state for state, _ in _states(steps, root, partitions)]


def committed(steps: Sequence[Step], root: str, partitions: int) -> dict[str, tuple[int, Parts]]:
    """For each step whose parents have finished: the number of its parts, and its committed parts. Raises RunError."""
    return {s.stage: (s.parts, parts) for s, parts in _states(steps, root, partitions) if parts is not None}


def _states(steps: Sequence[Step], root: str, partitions: int) -> Iterator[tuple[State, Parts | None]]:
    """The state of every step, and its committed parts; None for a step that waits."""
    check(steps)
    outputs: dict[str, StepOutput] = {}
    with store_errors(root):
        store, keyed = Store(root), keyed_tables(steps, partitions)
        folders = _stage_folders(store)
        for step in steps:
            if any(p not in outputs for p in step.parents):
                yield State(step.name, "waits", step.parents), None
                continue
            plan = plan_step(step, outputs, keyed[step.name], store, partitions, folders)
            if plan.output is None:
                collector = read_committed(store, plan.folder, plan.count)
                parts, done, state = collector.parts(), collector.done, "to do"
            else:
                outputs[step.name], parts, done = plan.output, plan.output.parts, plan.count
                state = "recorded" if plan.record is not None and plan.folder in plan.record.generations else "done"
            read = sum(outputs[n].parts.bytes(i.table) for i in step.inputs.values() for n in i.steps)
            yield State(step.name, state, step.parents, plan.count, done, read, parts.bytes()), parts
