"""From a list of steps to parts: pure functions of what parents have committed. Nothing here starts anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.engine.commit import Sidecar
from pipelines.engine.part import InputFiles, Task
from pipelines.engine.parts import Counts, Parts
from pipelines.engine.stage import Input, Step, code_of, describe, files_of, fingerprint, versions_of
from pipelines.engine.storage import Store


class PlanError(Exception):
    """The plan names a step or a table wrongly: a fault of the program, not of the data."""


class StepOutput:
    """What a step has committed: its parts, in order, over all generations of a recorded one."""

    def __init__(
        self, name: str, parts: Sequence[Sidecar] = (), counts: Counts | None = None, folders: Sequence[str] = ()
    ):
        self.name, self.parts, self.counts, self.folders = name, Parts.of(parts), counts or {}, list(folders)

    def rows(self, table: str) -> int:
        return self.parts.tables().get(table, 0)

    @property
    def quarantined(self) -> list[tuple[int, int, int, str]]:
        """(part, row, sub-row, cause)"""
        return [(n, *q) for n, rows in sorted(self.parts.quarantined.items()) for q in rows]

    def read(self, store: Store, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A whole table, small ones only; no columns where nothing was written."""
        files = store.read_all(name for _, name in self.parts.files(table))
        tables = [pq.read_table(pa.BufferReader(data), columns=columns) for data in files]
        return pa.concat_tables(tables) if tables else pa.table({})


def keyed_tables(steps: Sequence[Step], buckets: int) -> dict[str, dict[str, int]]:
    """For each step, which of its tables feed an exchange, and into how many buckets (0: by part): what its readers ask
    for.
    """
    asked: dict[str, dict[str, int]] = {n.name: {} for n in steps}
    for step in steps:
        for i in step.inputs.values():
            if i.how in ("shuffle", "by_part"):
                for parent in i.steps:
                    want = buckets if i.how == "shuffle" else 0
                    if asked[parent].setdefault(i.table, want) != want:
                        raise PlanError(f"table {i.table!r} of {parent!r} is read both by bucket and by part")
    return asked


def check(steps: Sequence[Step]) -> None:
    """Every step stands behind its parents, and names are unique."""
    seen: set[str] = set()
    for step in steps:
        for parent in step.parents:
            if parent not in seen:
                raise PlanError(f"{step.name!r} reads {parent!r}, which does not stand before it")
        if step.name in seen:
            raise PlanError(f"two steps are called {step.name!r}")
        seen.add(step.name)


@dataclass(frozen=True)
class StepPlan:
    """A step whose parents are done: where its parts go, how many there are, and each of them when asked for."""

    step: Step
    folder: str
    count: int
    work: Callable[[int], Task]
    about: Mapping[str, Any]  # for its manifest


def plan_step(
    step: Step,
    made: Mapping[str, StepOutput],
    keyed: Mapping[str, int],
    root: str,
    buckets: int,
    epoch: int = 0,
    earlier: Parts | None = None,
) -> StepPlan:
    """`epoch`: how often a recorded step was refreshed; `earlier`: what it had recorded before the last time."""
    literal = step.rows(made) if step.rows else None
    digests = {name: [made[n].parts.content(i.table) for n in i.steps] for name, i in sorted(step.inputs.items())}
    if literal is not None:
        digests["rows"] = [
            _rows_digest(t) for t in (literal.to_batches(_MANY) if isinstance(literal, pa.Table) else literal)
        ]
    inputs = fingerprint(digests)
    about = {"node": step.name, "stage": describe(step.stage), "keyed": dict(keyed), "format": FORMAT}
    about |= {"versions": versions_of(step.stage), "files": files_of(step.stage)}
    if step.recorded:
        about = {**about, "recorded": True}
        folder = f"stages/{step.name}-{fingerprint(about['stage'], inputs, *([epoch] if epoch else []))}"
    else:
        about["code"] = code_of(step.stage)
        about["cut"] = [step.batch_rows, *step.per_part, describe(step.count)]
        folder = f"stages/{step.name}-{fingerprint(about, inputs)}"
    about = {**about, "inputs": digests if literal is None else inputs, "parents": list(step.parents)}

    first = next((i for i in step.inputs.values() if i.how == "aligned"), None)
    if literal is not None:
        count = len(literal)
    elif first is not None:
        count = sum(len(made[n].parts) for n in first.steps)
    elif any(i.how == "shuffle" for i in step.inputs.values()):
        count = _exchange_parts(step, made, buckets)
    else:
        count = 1
    base = len(made[step.name].parts) if step.recorded and step.name in made else 0
    readers = {name: _reader(i, made, count, buckets) for name, i in step.inputs.items()}
    if step.recorded and step.known and step.name in made:
        table, column = step.known
        seen = replace(_reader(Input((step.name,), table, "broadcast"), made, 1, buckets)(0), columns=(column,))
        readers["known"] = lambda part: seen

    before = _files(step.earlier, earlier, root) if step.earlier and earlier is not None else []

    def work(i: int) -> Task:
        rows = None if literal is None else literal.take([i]) if isinstance(literal, pa.Table) else literal[i]
        # behind the fingerprint: it saves requests, and changes nothing that is recorded
        if rows is not None and before:
            rows = rows.append_column("earlier", pa.array([before] * rows.num_rows, pa.list_(pa.list_(pa.string()))))
        return Task(
            step.name, root, folder, i, base + i, step.stage, {name: read(i) for name, read in readers.items()}, rows,
            keyed, step.same_rows, step.count, step.is_map, step.batch_rows, step.deadline_s, step.memory, step.gpus, step.adds_up,
        )  # fmt: skip

    return StepPlan(step, folder, count, work, about)


FORMAT = 1  # of the files the engine writes: a stage's output is made anew when it changes
_MANY = 10_000


def _files(tables: Sequence[str], parts: Parts, root: str) -> list[list[str]]:
    """Addresses of some tables' files, for each part that has all of them."""
    return [[Store(root).path(s.files[t].name) for t in tables] for s in parts if all(t in s.files for t in tables)]


def _rows_digest(table: pa.Table | pa.RecordBatch) -> str:
    """Digest of a source's rows. Where they say both, `file` is what an input is called and `path` merely where it is
    read today.
    """
    if {"file", "path"} <= set(table.schema.names):
        table = table.select([n for n in table.schema.names if n != "path"])
    return hashlib.blake2b(
        json.dumps(table.to_pylist(), sort_keys=True, default=str).encode(), digest_size=16
    ).hexdigest()


def _union(i: Input, made: Mapping[str, StepOutput]) -> Parts:
    return Parts.join([made[n].parts for n in i.steps])


def _exchange_parts(step: Step, made: Mapping[str, StepOutput], buckets: int) -> int:
    """As many parts as the rows or weights want; a function of what the parents committed, never of the workers."""
    column = 1 if step.per_part[0] == "rows" else 2
    total = 0
    for i in step.inputs.values():
        if i.how == "shuffle":
            total = max(
                total, sum(b[column] for s in _union(i, made) if i.table in s.files for b in s.files[i.table].buckets)
            )
    return max(1, min(buckets, -(-total // step.per_part[1])))


def _reader(i: Input, made: Mapping[str, StepOutput], parts: int, buckets: int) -> Callable[[int], InputFiles]:
    """Which files of an input each part reads, and of keyed tables which record batches."""
    union = _union(i, made)
    if i.how == "aligned":

        def one(part: int) -> InputFiles:
            files = union[part].files
            return InputFiles("aligned", (files[i.table].name,) if i.table in files else ())

        return one
    if i.how in ("paths", "broadcast"):
        have = list(union.files(i.table))
        all_of_them = InputFiles(
            i.how, tuple(name for _, name in have), parts=tuple(n for n, _ in have) if i.how == "paths" else ()
        )
        return lambda part: all_of_them
    names: list[str] = []
    where: dict[int, list[tuple[int, int]]] = {}  # bucket -> (file, record batch)
    for s in union:
        if i.table in s.files:
            for piece, (bucket, _, _) in enumerate(s.files[i.table].buckets):
                where.setdefault(bucket, []).append((len(names), piece))
            names.append(s.files[i.table].name)

    def some(part: int) -> InputFiles:
        low, high = (part, part + 1) if i.how == "by_part" else (part * buckets // parts, (part + 1) * buckets // parts)
        pieces: dict[int, list[int]] = {}
        for file, piece in sorted(p for b in range(low, high) for p in where.get(b, ())):
            pieces.setdefault(file, []).append(piece)
        if names and not pieces:  # nothing in this range: one file, for its columns
            pieces = {0: []}
        return InputFiles(i.how, tuple(names[f] for f in pieces), tuple(tuple(p) for p in pieces.values()))

    return some
