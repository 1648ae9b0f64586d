"""The driver: walks a plan, gives parts to a backend, decides what happens to those that fail, writes the stages' manifests.

It holds paths and counts, never data. Kill it at any moment: what was committed stays, and the next run does the rest.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipelines.engine.lock import hold
from pipelines.engine.part import BrokenFileError, Work
from pipelines.engine.parts import Collector, Counts, Parts, merge_counts, read_committed, read_manifest, write_manifest
from pipelines.engine.plan import Made, Todo, check, keyed_tables, todo
from pipelines.engine.progress import Progress
from pipelines.engine.retry import Ended, RunError, again
from pipelines.engine.stage import Node
from pipelines.engine.storage import Store, in_a_line, of_a_store

__all__ = ["Backend", "Outcome", "RunError", "State", "clear", "committed", "run", "states"]

QUARANTINE_SHARE = 0.001
QUARANTINE_ROWS = 100


class Backend(Protocol):
    """Where parts run. The driver submits no more than `slots` at a time, and tries again itself what has failed."""

    @property
    def slots(self) -> int: ...

    def at_once(self, gpus: float) -> int: ...

    def submit(self, work: Work) -> None: ...

    def wait(self, seconds: float) -> list[tuple[Work, Ended]]: ...

    def close(self) -> None: ...


@dataclass
class _Active:
    """A node at work: parts that wait, how many run, what is committed."""

    todo: Todo
    fresh: Iterator[int]
    found: Collector
    began: float
    retries: deque[Work] = field(default_factory=deque)
    running: int = 0
    worked: int = 0  # parts made in this run

    @property
    def complete(self) -> bool:
        return self.found.done == self.todo.count

    def next(self) -> Work | None:
        if self.retries:
            return self.retries.popleft()
        part = next(self.fresh, None)
        return None if part is None else self.todo.work(part)


@dataclass
class Outcome:
    """What a run did: every node's committed parts, seconds by node, and which nodes had anything to do."""

    made: dict[str, Made]
    seconds: dict[str, float] = field(default_factory=dict)
    worked: dict[str, int] = field(default_factory=dict)


def run(
    nodes: Sequence[Node], root: str, backend: Any, *, buckets: int = 16, refresh: Collection[str] = (), progress: Progress | None = None
) -> Outcome:
    """Make every node of a plan below `root`. `backend` is a function that starts one, called only if there is work to do.

    `buckets`: key ranges of the exchanges, a power of two. `refresh`: recorded nodes to make anew.
    Raises RunError; nothing half-written is ever read by a later run.
    """
    check(nodes)
    store = Store(root)
    with clear(root), hold(store) as lost:
        return _Driver(nodes, store, backend, buckets, set(refresh), progress or Progress(), lost).run()


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
    def __init__(self, nodes: Sequence[Node], store: Store, start: Any, buckets: int, refresh: set[str], progress: Progress, lost: threading.Event):
        self.nodes, self.store, self.start, self.buckets, self.refresh, self.progress = nodes, store, start, buckets, refresh, progress
        self.lost = lost
        self.keyed = keyed_tables(nodes, buckets)
        self.outcome = Outcome({})
        self.active: dict[str, _Active] = {}
        self.backend: Backend | None = None

    def run(self) -> Outcome:
        waiting = deque(self.nodes)
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

    def _open(self, waiting: deque[Node]) -> None:
        """Start every node whose parents are done; those with nothing to do are done at once."""
        made = self.outcome.made
        for node in list(waiting):
            if any(p not in made for p in node.parents):
                continue
            waiting.remove(node)
            before = dict(made)
            record = _Record(self.store, node)
            if node.recorded:
                if node.name in self.refresh:
                    record.refresh()
                before.update(record.made())
            t = todo(node, before, self.keyed[node.name], self.store.root, self.buckets, record.epoch, record.before())
            if t.folder in record.generations:
                made[node.name] = before[node.name]
                continue
            finished = read_manifest(self.store, t.folder)
            if finished is not None:
                self._made(t, *finished, record)
                continue
            found = read_committed(self.store, t.folder, t.count)
            active = _Active(t, found.missing(), found, time.monotonic())
            self.progress.begin(node.name, t.count, found.done)
            if active.complete:
                self._finish(active)
            else:
                self.active[node.name] = active

    def _feed(self, backend: Backend) -> None:
        room = backend.slots - sum(a.running for a in self.active.values())
        for active in self.active.values():  # in plan order: what comes first is finished first
            while room > 0 and active.running < backend.at_once(active.todo.node.gpus) and (work := active.next()) is not None:
                backend.submit(work)
                active.running += 1
                room -= 1

    def _settle(self, work: Work, ended: Ended) -> None:
        active = self.active[work.node]
        active.running -= 1
        if ended.sidecar is None:
            more, said = again(work, ended)
            self.progress.note(said)
            active.retries.append(more)
            return
        active.found.add(ended.sidecar)
        active.worked += 1
        self.progress.part(work.node, ended.sidecar)
        if ended.sidecar.quarantined:
            _check_quarantine(active)
        if active.complete:
            del self.active[work.node]
            self._finish(active)

    def _finish(self, active: _Active) -> None:
        t, node = active.todo, active.todo.node
        parts, counts = active.found.parts(), merge_counts([active.found.counts])
        write_manifest(self.store, t.folder, t.about, parts, counts)
        self.outcome.seconds[node.name] = time.monotonic() - active.began
        self.outcome.worked[node.name] = active.worked
        self._made(t, parts, counts, _Record(self.store, node))

    def _made(self, t: Todo, parts: Parts, counts: Counts, record: _Record) -> None:
        name = t.node.name
        made = Made(name, parts, counts, [t.folder])
        if t.node.recorded:
            record.add(t.folder)
            made = record.made()[name]
        self.outcome.made[name] = made
        self.progress.end(name)


def _check_quarantine(active: _Active) -> None:
    found = active.found
    gone = [cause for rows in found.quarantined.values() for _, _, cause in rows]
    if len(gone) > QUARANTINE_ROWS and len(gone) > QUARANTINE_SHARE * found.rows:
        table = "\n".join(f"  {n:6d}  {cause}" for cause, n in Counter(gone).most_common(10))
        raise RunError(f"{active.todo.node.name}: {len(gone)} of {found.rows} rows quarantined, more than {QUARANTINE_SHARE:.1%}; causes:\n{table}")


class _Record:
    """`stages/NAME.json` of a recorded node: the folders of its generations, oldest first, how often it was refreshed, and what it had then.

    A refresh begins with a new epoch, whose folders are others, and no generations: one that is interrupted goes on where it was.
    """

    def __init__(self, store: Store, node: Node):
        self.store, self.name, self.file = store, node.name, f"stages/{node.name}.json"
        said = json.loads(store.read(self.file)) if node.recorded and store.exists(self.file) else {}
        self.generations: list[str] = said.get("generations", [])
        self.earlier: list[str] = said.get("earlier", [])
        self.epoch: int = said.get("epoch", 0)

    def refresh(self) -> None:
        if self.generations:
            self.generations, self.earlier, self.epoch = [], self.generations, self.epoch + 1
            self._write()

    def add(self, folder: str) -> None:
        if folder not in self.generations:
            self.generations.append(folder)
            self._write()

    def _write(self) -> None:
        said: dict[str, Any] = {"generations": self.generations}
        said |= {"epoch": self.epoch, "earlier": self.earlier} if self.epoch else {}
        self.store.replace(self.file, json.dumps(said, indent=1).encode())

    def before(self) -> Parts | None:
        """What was recorded before the last refresh, as far as it is still there."""
        found = [finished[0] for folder in self.earlier if (finished := read_manifest(self.store, folder)) is not None]
        return Parts.join(found) if found else None

    def made(self) -> dict[str, Made]:
        """What is recorded. A later generation that found all it was asked for in the earlier ones adds no parts: nothing is redone."""
        several: list[Parts] = []
        counts: list[Counts] = []
        for folder in self.generations:
            finished = read_manifest(self.store, folder)
            if finished is None:
                raise RunError(f"{folder}/manifest.json is gone, though {self.file} names it; restore it, or run with --refresh {self.name}")
            if not several or _brought_something(finished[0]):
                several.append(finished[0])
            counts.append(finished[1])
        return {self.name: Made(self.name, Parts.join(several), merge_counts(counts), self.generations)} if several else {}


def _brought_something(parts: Parts) -> bool:
    return bool(parts.quarantined) or any(f.rows or f.name.endswith(".bin") for s in parts for f in s.files.values())


@dataclass(frozen=True)
class State:
    """A node as `--plan` shows it: as far as can be told without starting anything."""

    stage: str
    state: str  # done, recorded, to do, or waits (for a parent: its parts are not known yet)
    reads: tuple[str, ...]
    parts: int = 0
    done: int = 0
    bytes_in: int = 0  # of the tables it reads, all parts together
    bytes: int = 0  # of what it has committed


def states(nodes: Sequence[Node], root: str, buckets: int) -> list[State]:
    """Every node of a plan. Raises RunError."""
    with clear(root):
        return [state for state, _ in _states(nodes, Store(root), buckets)]


def committed(nodes: Sequence[Node], root: str, buckets: int) -> dict[str, tuple[int, Parts]]:
    """Of each node whose parents are done: how many parts it has, and those that are committed by now. Raises RunError."""
    with clear(root):
        return {state.stage: (state.parts, found) for state, found in _states(nodes, Store(root), buckets) if found is not None}


def _states(nodes: Sequence[Node], store: Store, buckets: int) -> Iterator[tuple[State, Parts | None]]:
    check(nodes)
    keyed = keyed_tables(nodes, buckets)
    made: dict[str, Made] = {}
    for node in nodes:
        if any(p not in made for p in node.parents):
            yield State(node.name, "waits", node.parents), None
            continue
        record = _Record(store, node)
        before = {**made, **record.made()}
        t = todo(node, before, keyed[node.name], store.root, buckets, record.epoch)
        come = sum(made[n].parts.bytes(i.table) for i in node.inputs.values() for n in i.nodes)
        if t.folder in record.generations:
            made[node.name], state = before[node.name], "recorded"
        elif finished := read_manifest(store, t.folder):
            made[node.name], state = Made(node.name, *finished, [t.folder]), "done"
        else:
            found = read_committed(store, t.folder, t.count)
            yield State(node.name, "to do", node.parents, t.count, found.done, come, found.parts().bytes()), found.parts()
            continue
        parts = made[node.name].parts
        yield State(node.name, state, node.parents, t.count, t.count, come, parts.bytes()), parts
