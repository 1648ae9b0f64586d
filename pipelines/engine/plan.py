"""From the steps of a plan to tasks: functions of what the parents have committed. Nothing here starts work."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.parquet import read_parquet
from pipelines.engine.commit import Counts, Sidecar
from pipelines.engine.parts import Parts, read_manifest
from pipelines.engine.recorded import Record
from pipelines.engine.stage import (
    Input,
    InputFiles,
    Quarantined,
    Step,
    Task,
    code_of,
    describe,
    files_of,
    fingerprint,
    versions_of,
)
from pipelines.engine.storage import Store

FORMAT = 1  # of the files that the engine writes; part of every fingerprint but those of recorded steps
_ROWS_PER_DIGEST = 10_000


class PlanError(Exception):
    """The plan names a step or a table that is not there: a fault of the program, not of the data."""


class StepOutput:
    """What a step has committed: its parts in order, those of a recorded step over all generations."""

    def __init__(
        self,
        name: str,
        parts: Sequence[Sidecar],
        counts: Counts | None = None,
        folders: Sequence[str] = (),
        stage: Any = None,
    ):
        self.name, self.parts, self.counts, self.folders = name, Parts.of(parts), counts or {}, list(folders)
        self.schemas: Mapping[str, pa.Schema] = {} if stage is None else stage.tables

    def rows(self, table: str) -> int:
        return self.parts.tables().get(table, 0)

    @property
    def quarantined(self) -> list[tuple[int, Quarantined]]:
        """(part, row) of each quarantined row."""
        return [(n, q) for n, rows in sorted(self.parts.quarantined.items()) for q in rows]

    def read(self, store: Store, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A complete Parquet table, for small ones. Without files it has the columns that the stage declares."""
        files = store.read_all(name for _, name in self.parts.files(table))
        tables = [read_parquet(data, columns) for data in files]
        return pa.concat_tables(tables) if tables else self.schemas.get(table, pa.schema([])).empty_table()


def check(steps: Sequence[Step], finished: Iterable[str] = ()) -> None:
    """Raises PlanError unless names are unique, parents come first, and every table that is named is declared.

    finished: names of steps whose output is given. Their tables are not checked.
    """
    stages: dict[str, Any] = dict.fromkeys(finished)
    for step in steps:
        if unknown := [parent for parent in step.parents if parent not in stages]:
            raise PlanError(f"{step.name!r} reads {unknown[0]!r}, which is not an earlier step")
        if step.name in stages:
            raise PlanError(f"two steps have the name {step.name!r}")
        if step.recorded and step.follows:
            raise PlanError(f"{step.name!r} is recorded, so it cannot follow {step.follows}")
        stages[step.name] = step.stage
        own = [*step.same_rows, *(t for tables in step.adds_up.values() for t in tables), *step.count]
        reads = [(parent, i.table) for i in step.inputs.values() if i.how != "paths" for parent in i.steps]
        for name, table in [*reads, *((step.name, t) for t in own)]:
            if stages[name] is not None and table not in stages[name].tables:
                names = ", ".join(stages[name].tables) or "no table"
                raise PlanError(f"{step.name!r} names the table {table!r} of {name!r}, whose stage declares {names}")


def keyed_tables(steps: Sequence[Step], partitions: int) -> dict[str, dict[str, int]]:
    """For each step: its tables that feed an exchange, with the number of their partitions (0: by part)."""
    keyed: dict[str, dict[str, int]] = {step.name: {} for step in steps}
    numbers = {"shuffle": partitions, "by_part": 0}
    for i in (i for step in steps for i in step.inputs.values() if i.how in numbers):
        for parent in (name for name in i.steps if name in keyed):
            if keyed[parent].setdefault(i.table, numbers[i.how]) != numbers[i.how]:
                raise PlanError(f"table {i.table!r} of {parent!r} is read both by key and by part")
    return keyed


@dataclass(frozen=True)
class StepPlan:
    """A step whose parents have finished: its folder, the number of its parts, and the task of each part."""

    step: Step
    folder: str
    count: int
    task: Callable[[int], Task]
    about: Mapping[str, Any]  # for its manifest
    record: Record | None  # of a recorded step
    output: StepOutput | None  # of a step that has nothing to run


def plan_step(
    step: Step,
    outputs: Mapping[str, StepOutput],
    keyed: Mapping[str, int],
    store: Store,
    partitions: int,
    folders: dict[str, str],
    refresh: bool = False,
) -> StepPlan:
    """Plan a step whose parents have finished. `folders`: fingerprint -> folder of the stages of this run.

    The name of a step is not in its fingerprint, so that a renamed step finds its folder. `refresh`: record it again.
    """
    rows = step.rows(outputs) if step.rows else None
    digests = _input_digests(step, rows, outputs)
    inputs = fingerprint(digests)
    stage = describe(step.stage)
    about = {"stage": stage, "keyed": dict(keyed), "format": FORMAT}
    about |= {"versions": versions_of(step.stage), "files": files_of(step.stage)}
    offset = sum(len(outputs[n].parts) for n in step.follows)
    record = None
    if step.recorded:
        record = Record(store, step.name, _recorded_fingerprint(step, inputs))
        if refresh:
            record.refresh()
        about["recorded"] = True
        own = record.fingerprint(record.epoch)
    else:
        about |= {"code": code_of(step.stage), "cut": [step.batch_rows, *step.per_part, describe(step.count)]}
        about |= {"offset": offset} if step.follows else {}
        own = fingerprint(about, inputs)
    folder = folders.setdefault(own, f"stages/{step.name}-{own}")
    recorded = output = recorded_output(step, record)
    if record is None or folder not in record.generations:
        finished = read_manifest(store, folder)
        output = None if finished is None else StepOutput(step.name, *finished, [folder], step.stage)

    aligned = next((i for i in step.inputs.values() if i.how == "aligned"), None)
    if rows is not None:
        count = len(rows)
    elif aligned is not None:
        count = sum(len(outputs[n].parts) for n in aligned.steps)
    else:
        count = _exchange_parts(step, outputs, partitions)
    readers = {name: _reader(i, outputs, count, partitions, offset) for name, i in step.inputs.items()}
    if step.previous and recorded is not None:
        table, column = step.previous
        files = _reader(Input((step.name,), table, "broadcast"), {step.name: recorded}, 1, partitions, 0)(0)
        previous = replace(files, columns=(column,))
        readers["previous"] = lambda part: previous
    number = offset + (len(recorded.parts) if recorded is not None else 0)
    bare = replace(step, rows=None)
    # not in the fingerprint: the files of the recording before save requests, and the new recording is the same
    before = record.before() if record is not None and step.earlier else ()
    complete = [s.files for s in before if all(table in s.files for table in step.earlier)]
    earlier = [[store.path(files[table].name) for table in step.earlier] for files in complete]

    def task(i: int) -> Task:
        part = None if rows is None else rows.take([i]) if isinstance(rows, pa.Table) else rows[i]
        if part is not None and earlier:
            column = pa.array([earlier] * part.num_rows, pa.list_(pa.list_(pa.string())))
            part = part.append_column("earlier", column)
        reads = {name: read(i) for name, read in readers.items()}
        return Task(bare, store.root, folder, i, number + i, reads, part, keyed)

    about["inputs"] = digests if rows is None else inputs
    return StepPlan(step, folder, count, task, about, record, output)


def _input_digests(step: Step, rows: Any, outputs: Mapping[str, StepOutput]) -> dict[str, Any]:
    inputs = sorted(step.inputs.items())
    digests: dict[str, Any] = {name: [outputs[n].parts.content(i.table) for n in i.steps] for name, i in inputs}
    if rows is not None:
        tables = rows.to_batches(_ROWS_PER_DIGEST) if isinstance(rows, pa.Table) else rows
        digests["rows"] = [_rows_digest(t) for t in tables]
    return digests


def _recorded_fingerprint(step: Step, inputs: str) -> Callable[[int], str]:
    """The fingerprint of a recorded step in an epoch. It depends on the stage and its inputs alone, not on code or
    versions; a change of this formula would lose every recording.
    """
    stage = describe(step.stage)
    return lambda epoch: fingerprint(stage, inputs, *([epoch] if epoch else []))


def move_records(steps: Sequence[Step], store: Store) -> None:
    """Move the record of a renamed step to its new name, where another step of the plan has the old name now.

    Only steps without parents are moved: crawls. What other recorded steps find in an old record is not wrong.
    """
    fingerprints = {}
    for step in steps:
        if step.recorded and step.rows and not step.parents:
            inputs = fingerprint(_input_digests(step, step.rows({}), {}))
            fingerprints[step.name] = _recorded_fingerprint(step, inputs)
    for name, own in fingerprints.items():
        if (record := Record(store, name, own)).is_of(own) or not record.generations:
            continue
        for other, theirs in fingerprints.items():
            if other != name and record.is_of(theirs):
                record.move(other)
                break


def recorded_output(step: Step, record: Record | None) -> StepOutput | None:
    """Everything that the record of a step holds; None without generations."""
    if record is None or not record.generations:
        return None
    return StepOutput(step.name, *record.read(), record.generations, step.stage)


def _rows_digest(table: pa.Table | pa.RecordBatch) -> str:
    """Digest of literal rows. With both columns `file` and `path`, `file` names the input and `path` does not count."""
    if {"file", "path"} <= set(table.schema.names):
        table = table.select([n for n in table.schema.names if n != "path"])
    text = json.dumps(table.to_pylist(), sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _exchange_parts(step: Step, outputs: Mapping[str, StepOutput], partitions: int) -> int:
    """The number of parts of an exchange: a function of what the parents committed, never of the workers."""
    most = 0
    for i in (i for i in step.inputs.values() if i.how == "shuffle"):
        tables = [outputs[n].parts.partitions(i.table) for n in i.steps]
        most = max(most, sum(int(getattr(table, step.per_part[0]).sum()) for table in tables))
    return max(1, min(partitions, -(-most // step.per_part[1])))


def _reader(
    i: Input, outputs: Mapping[str, StepOutput], count: int, partitions: int, offset: int
) -> Callable[[int], InputFiles]:
    """For each part of a step: the files of an input that it reads, and the record batches of keyed tables."""
    union = Parts.join([outputs[n].parts for n in i.steps])
    schema = next((s for n in i.steps if (s := outputs[n].schemas.get(i.table)) is not None), None)
    no_files = InputFiles(i.how, schema=schema)
    if i.how == "aligned":

        def aligned(part: int) -> InputFiles:
            files = union[part].files
            return InputFiles("aligned", (files[i.table].name,)) if i.table in files else no_files

        return aligned
    numbered = list(union.files(i.table))
    names = tuple(name for _, name in numbered)
    if not names:
        return lambda part: no_files
    if i.how in ("paths", "broadcast"):
        complete = InputFiles(i.how, names, parts=tuple(n for n, _ in numbered) if i.how == "paths" else ())
        return lambda part: complete
    table = union.partitions(i.table)
    order = np.argsort(table.partition, kind="stable")
    partition, file, batch = table.partition[order], table.file[order], table.batch[order]

    def keyed(part: int) -> InputFiles:
        if i.how == "by_part":
            own = offset + part, offset + part + 1
        else:
            own = part * partitions // count, (part + 1) * partitions // count
        rows = slice(*np.searchsorted(partition, own))
        if rows.start == rows.stop:  # no rows in this range: one file, for its columns
            return InputFiles(i.how, names[:1], ((),))
        by_file = np.lexsort((batch[rows], file[rows]))
        files, starts = np.unique(file[rows][by_file], return_index=True)
        batches = np.split(batch[rows][by_file], starts[1:])
        return InputFiles(i.how, tuple(names[f] for f in files), tuple(tuple(b.tolist()) for b in batches))

    return keyed
