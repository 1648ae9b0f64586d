"""The driver: walks a plan, gives parts to a backend, decides what happens to those that fail, writes the stages' manifests.

It holds paths and counts, never data. Kill it at any moment: what was committed stays, and the next run does the rest.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipelines.engine.commit import Sidecar
from pipelines.engine.fence import Ended
from pipelines.engine.part import WHOLE_ROW, Work, again
from pipelines.engine.plan import Made, Todo, check, keyed_tables, merge_counts, read_manifest, todo, write_manifest
from pipelines.engine.progress import Progress
from pipelines.engine.stage import Node
from pipelines.engine.storage import Store

QUARANTINE_SHARE = 0.001
QUARANTINE_ROWS = 100
LOST_TRIES = 10


class RunError(Exception):
    """The run cannot go on; the message names the stage, the part and what to do. What was committed stays."""


class Backend(Protocol):
    slots: int

    def submit(self, work: Work) -> None: ...

    def wait(self, seconds: float) -> list[tuple[Work, Ended]]: ...

    def close(self) -> None: ...


@dataclass
class _Active:
    """A node at work: parts that wait, how many run, what is committed."""

    todo: Todo
    waiting: deque[Work]
    done: dict[int, Sidecar]
    began: float
    running: int = 0
    lost: int = 0
    worked: int = 0  # parts made in this run

    @property
    def complete(self) -> bool:
        return len(self.done) == len(self.todo.works)


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
    with _lock(store):
        return _Driver(nodes, store, backend, buckets, set(refresh), progress or Progress()).run()


class _Driver:
    def __init__(self, nodes: Sequence[Node], store: Store, start: Any, buckets: int, refresh: set[str], progress: Progress):
        self.nodes, self.store, self.start, self.buckets, self.refresh, self.progress = nodes, store, start, buckets, refresh, progress
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
            if node.recorded and node.name not in self.refresh:
                before.update(_recorded(self.store, node))
            t = todo(node, before, self.keyed[node.name], self.store.root, self.buckets)
            if node.recorded and node.name in before and t.folder in before[node.name].folders:
                made[node.name] = before[node.name]
                continue
            finished = read_manifest(self.store, t.folder) if not (node.recorded and node.name in self.refresh) else None
            if finished is not None:
                self._made(t, finished[0], finished[1]["counts"], before)
                continue
            done = _committed(self.store, t) if not (node.recorded and node.name in self.refresh) else {}
            if node.recorded and node.name in self.refresh:
                _forget(self.store, t)
            active = _Active(t, deque(w for w in t.works if w.part not in done), done, time.monotonic())
            self.progress.begin(node.name, len(t.works), len(done))
            if active.complete:
                self._finish(active)
            else:
                self.active[node.name] = active

    def _feed(self, backend: Backend) -> None:
        running = sum(a.running for a in self.active.values())
        for active in self.active.values():  # in plan order: what comes first is finished first
            while active.waiting and running < backend.slots:
                backend.submit(active.waiting.popleft())
                active.running += 1
                running += 1

    def _settle(self, work: Work, ended: Ended) -> None:
        active = self.active[work.node]
        active.running -= 1
        if ended.sidecar is not None:
            active.done[work.part] = ended.sidecar
            active.worked += 1
            self.progress.part(work.node, ended.sidecar)
            self._check_quarantine(active)
            if active.complete:
                del self.active[work.node]
                self._finish(active)
            return
        where = f"{work.node}, part {work.number}, row {ended.row}" + (f", sub-row {ended.sub}" if ended.sub != WHOLE_ROW else "")
        if ended.cause.startswith("lost"):
            active.lost += 1
            if active.lost > LOST_TRIES:
                raise RunError(f"{work.node}: workers were lost {active.lost} times ({ended.cause}); look at the cluster\n{ended.detail}")
            active.waiting.appendleft(work)
            return
        if ended.fatal or (not work.is_map and ended.sub == WHOLE_ROW):
            raise RunError(f"{where}: {ended.cause}\n{ended.detail}".rstrip())
        self.progress.note(
            f"{where}: {ended.cause}; quarantined"
            if work.batch_rows == 1 or ended.sub != WHOLE_ROW
            else f"{where}: {ended.cause}; looking for the row"
        )
        active.waiting.appendleft(again(work, ended.row, ended.sub, ended.cause))

    def _check_quarantine(self, active: _Active) -> None:
        gone = [q for s in active.done.values() for q in s.quarantined]
        rows = sum(max([s.rows_in, *(f.rows for f in s.files.values())]) for s in active.done.values())
        if len(gone) > QUARANTINE_ROWS and len(gone) > QUARANTINE_SHARE * rows:
            causes = Counter(cause for _, _, cause in gone).most_common(10)
            table = "\n".join(f"  {n:6d}  {cause}" for cause, n in causes)
            raise RunError(
                f"{active.todo.node.name}: {len(gone)} of {rows} rows quarantined, more than {QUARANTINE_SHARE:.1%}; causes:\n{table}"
            )

    def _finish(self, active: _Active) -> None:
        t = active.todo
        parts = [active.done[i] for i in range(len(t.works))]
        write_manifest(self.store, t, parts)
        before = {} if t.node.name in self.refresh else _recorded(self.store, t.node) if t.node.recorded else {}
        self.outcome.seconds[t.node.name] = time.monotonic() - active.began
        self.outcome.worked[t.node.name] = active.worked
        self._made(t, parts, merge_counts(s.counts for s in parts), before)

    def _made(self, t: Todo, parts: list[Sidecar], counts: dict[str, Any], before: Mapping[str, Made]) -> None:
        name = t.node.name
        made = Made(name, parts, counts, [t.folder])
        if t.node.recorded:
            old = before.get(name, Made(name))
            new = [] if old.parts and _brought_nothing(parts) else parts
            made = Made(name, [*old.parts, *new], merge_counts([old.counts, counts]), [*old.folders, t.folder])
            self.store.replace(f"stages/{name}.json", json.dumps({"generations": made.folders}, indent=1).encode())
        self.outcome.made[name] = made
        self.progress.end(name)


def _recorded(store: Store, node: Node) -> dict[str, Made]:
    """What earlier runs recorded of a node: its generations, oldest first."""
    if not store.exists(f"stages/{node.name}.json"):
        return {}
    made = Made(node.name)
    for folder in json.loads(store.read(f"stages/{node.name}.json"))["generations"]:
        finished = read_manifest(store, folder)
        if finished is None:
            raise RunError(
                f"{folder}/manifest.json is gone, though stages/{node.name}.json names it; restore it, or run with --refresh {node.name}"
            )
        if not (made.parts and _brought_nothing(finished[0])):
            made.parts += finished[0]
        made.counts = merge_counts([made.counts, finished[1]["counts"]])
        made.folders.append(folder)
    return {node.name: made}


def _brought_nothing(parts: list[Sidecar]) -> bool:
    """A later generation that found all it was asked for in the earlier ones: it adds no parts, so nothing that reads them is redone."""
    return not any(s.quarantined or any(f.rows or f.name.endswith(".bin") for f in s.files.values()) for s in parts)


def _committed(store: Store, t: Todo) -> dict[int, Sidecar]:
    """Parts an interrupted run left committed."""
    done = {}
    for name in store.names(t.folder):
        stem, dot, suffix = name.partition(".")
        if dot and suffix == "json" and stem.isdigit():
            s = Sidecar.from_json(store.read(f"{t.folder}/{name}"))
            done[s.part] = s
    return done


def _forget(store: Store, t: Todo) -> None:
    """A refreshed recording starts from nothing: what the folder held no longer exists."""
    for name in store.names(t.folder):
        if name.endswith(".json"):
            store.remove(f"{t.folder}/{name}")


@contextlib.contextmanager
def _lock(store: Store) -> Iterator[None]:
    """One driver a run. The system lets go of the lock when the driver dies."""
    if not store.local:
        yield
        return
    os.makedirs(store.root, exist_ok=True)
    with open(store.path("lock"), "a+") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            f.seek(0)
            raise RunError(f"{store.root}: another driver is at work on this run ({f.read().strip() or 'unknown process'})") from None
        f.seek(0)
        f.truncate()
        f.write(f"process {os.getpid()}")
        f.flush()
        yield


def states(nodes: Sequence[Node], root: str, buckets: int) -> list[tuple[str, str, int, int]]:
    """(node, state, parts, parts done) for `--plan`: as far as can be told without starting anything."""
    check(nodes)
    store, keyed = Store(root), keyed_tables(nodes, buckets)
    made: dict[str, Made] = {}
    rows = []
    for node in nodes:
        if any(p not in made for p in node.parents):
            rows.append((node.name, "waits", 0, 0))
            continue
        before = {**made, **(_recorded(store, node) if node.recorded else {})}
        t = todo(node, before, keyed[node.name], root, buckets)
        if node.recorded and node.name in before and t.folder in before[node.name].folders:
            made[node.name] = before[node.name]
            rows.append((node.name, "recorded", len(t.works), len(t.works)))
            continue
        finished = read_manifest(store, t.folder)
        if finished is None:
            rows.append((node.name, "to do", len(t.works), len(_committed(store, t))))
            continue
        made[node.name] = Made(node.name, finished[0], finished[1]["counts"], [t.folder])
        rows.append((node.name, "done", len(t.works), len(t.works)))
    return rows
