"""One part: read its inputs, call the stage, commit the output. The backend chooses the process that runs this code."""

from __future__ import annotations

import contextlib
import errno
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.stage import InputError, Output
from pipelines.engine.commit import CommitError, PartWriter, Sidecar
from pipelines.engine.stage import How, Step, batches, tables_of
from pipelines.engine.storage import Store

Skip = tuple[int, int, str]  # row, sub-row or WHOLE_ROW, cause

# the position of a part that is not at a sub-row
WHOLE_ROW = -1  # at this row
BATCH = -2  # somewhere in the batch that begins with this row, or anywhere in an exchange
OUTSIDE = -3  # reading, committing or loading a model: no row is at fault


class BrokenFileError(Exception):
    """A committed file is no longer what was committed; the message names it."""


def fatal(e: BaseException) -> bool:
    """True for a fault of the machine, the program or a complete input: no row is at fault, so none is quarantined."""
    if isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT):
        return True
    return isinstance(e, (ImportError, FileNotFoundError, PermissionError, CommitError, BrokenFileError, InputError))


def cause_of(e: Exception) -> str:
    return f"exception: {type(e).__name__}: {str(e) if isinstance(e, InputError) else str(e)[:200]}"


@dataclass(frozen=True)
class InputFiles:
    """What one part reads of one input: files, and the record batches of each file for keyed tables."""

    how: How
    files: tuple[str, ...] = ()
    record_batches: tuple[tuple[int, ...], ...] = ()  # of each file; all of them if empty
    parts: tuple[int, ...] = ()  # with how="paths": the part that each file belongs to
    columns: tuple[str, ...] = ()  # all, if empty
    schema: pa.Schema | None = None  # that the producer declares, for an input without files


@dataclass(frozen=True)
class Task:
    """Everything that a process needs to run one part: names of files, no data but the literal rows of a source."""

    step: Step  # without its `rows`
    root: str
    folder: str
    part: int  # number in the folder
    number: int  # `ctx.part`: number among all parts of the step and of the steps that it follows
    inputs: Mapping[str, InputFiles] = field(default_factory=dict)
    rows: pa.Table | None = None
    keyed: Mapping[str, int] = field(default_factory=dict)
    # what earlier attempts found out (engine.retry)
    skip: tuple[Skip, ...] = ()
    suspects: tuple[int, ...] = ()  # first rows of batches that must be run row by row
    tries: int = 0
    lost: int = 0

    @property
    def label(self) -> str:
        return f"{self.step.name}, part {self.number}"


class RunningContext:
    """The `StageContext` of a running part. It passes each position to `mark` and leaves out quarantined rows."""

    def __init__(self, part: int, mark: Callable[[int, int], None], skip: tuple[Skip, ...]):
        self.part, self.first, self.mark = part, 0, mark
        self.ends: dict[str, int] = {}
        self.skip = {(row, sub) for row, sub, _ in skip}

    def __call__(self, row: int, sub: int = 0) -> bool:
        row += self.first
        if (row, sub) in self.skip:
            return False
        self.mark(row, sub)
        return True


_model: tuple[Any, Any] = (None, None)  # the stage whose model this process holds, and the model


def _callable(stage: Any) -> Any:
    """The stage, or the model that it opens. A process holds one model at a time."""
    global _model
    if not hasattr(stage, "open"):
        return stage
    if _model[0] != stage:
        _model = (None, None)  # frees the old model before the new one is loaded
        _model = (stage, stage.open())
    return _model[1]


def run_part(task: Task, mark: Callable[[int, int], None]) -> Sidecar:
    """Run and commit one part. `mark(row, sub)` is called with each position before the stage touches that row."""
    store, step = Store(task.root), task.step
    ctx = RunningContext(task.number, mark, task.skip)
    mark(0, OUTSIDE)
    with store.scratch() as scratch:
        tables = tables_of(step.stage)
        writer = PartWriter(store, task.folder, scratch, task.part, task.keyed, step.count, tables)
        if task.tries or task.lost or task.skip:  # the last attempt may have died after its commit
            with contextlib.suppress(FileNotFoundError):
                return writer.committed()
        stage = _callable(step.stage)
        if step.is_map:
            return _run_map(task, stage, writer, ctx)
        inputs = {name: _table(task, files) for name, files in task.inputs.items()}
        mark(0, BATCH)
        for name, piece in stage(inputs, ctx):
            writer.add(name, piece)
        mark(0, OUTSIDE)
        # the rows of an exchange are those of its aligned input
        rows_in = max([t.num_rows for n, t in inputs.items() if task.inputs[n].how == "aligned"], default=0)
        adds_up = {name: (inputs[name].num_rows, tables) for name, tables in step.adds_up.items()}
        return writer.commit(rows_in, step.same_rows if rows_in else (), task.skip, adds_up)


def _run_map(task: Task, stage: Any, writer: PartWriter, ctx: RunningContext) -> Sidecar:
    """Call the stage on the longest runs of rows that are not quarantined.

    The calls, and so the bytes, do not depend on how a row was found to be bad.
    """
    quarantined = {(row, sub): cause for row, sub, cause in task.skip}
    end = 0
    for batch in _input_batches(task):
        first, end = end, end + batch.num_rows
        suspect = first in task.suspects
        if suspect:
            quarantined |= _bad_rows(stage, batch, ctx, first, quarantined)
        # A later call may raise, so all output of a batch is held before any is written. One row of a source may
        # produce more than fits in memory, so the output of a source is written as it comes; its exceptions are final.
        hold = task.rows is None
        try:
            outputs = _outputs(stage, batch, ctx, first, quarantined, hold)
        except Exception as e:
            if suspect or fatal(e):
                raise
            quarantined |= _bad_rows(stage, batch, ctx, first, quarantined)
            outputs = _outputs(stage, batch, ctx, first, quarantined, hold)
        for run, pieces in outputs:
            for name, piece in pieces:
                writer.add(name, piece)
                if isinstance(piece, bytes):
                    ctx.ends[name] = ctx.ends.get(name, 0) + len(piece)
            if run.stop < end:  # a bad row follows
                for table in task.step.same_rows:
                    writer.add_null_row(table)
        ctx.mark(end, OUTSIDE)
    skip = tuple((row, sub, cause) for (row, sub), cause in sorted(quarantined.items()))
    adds_up = {name: (end, tables) for name, tables in task.step.adds_up.items()}
    return writer.commit(end, task.step.same_rows if end else (), skip, adds_up)


def _outputs(
    stage: Any, batch: pa.RecordBatch, ctx: RunningContext, first: int, quarantined: Mapping[tuple[int, int], str],
    hold: bool,
) -> list[tuple[range, Iterable[Output]]]:  # fmt: skip
    """The runs of rows between the bad rows of a batch, and the output of each.

    Every run but the last ends before a bad row; a run may be empty.
    """
    end = first + batch.num_rows
    bad = sorted(row for row, sub in quarantined if sub == WHOLE_ROW and first <= row < end)
    runs = [range(a + 1, b) for a, b in itertools.pairwise([first - 1, *bad, end])]
    outputs = [(run, _call(stage, batch, ctx, first, run)) for run in runs]
    return [(run, list(pieces)) for run, pieces in outputs] if hold else list(outputs)


def _call(stage: Any, batch: pa.RecordBatch, ctx: RunningContext, first: int, run: range) -> Iterator[Output]:
    if run:
        ctx.first = run.start
        ctx.mark(*((run.start, WHOLE_ROW) if len(run) == 1 else (first, BATCH)))
        yield from stage(batch.slice(run.start - first, len(run)) if len(run) < batch.num_rows else batch, ctx)


def _bad_rows(
    stage: Any, batch: pa.RecordBatch, ctx: RunningContext, first: int, quarantined: Mapping[tuple[int, int], str]
) -> dict[tuple[int, int], str]:
    """The rows of a batch for which the stage raises when it is called on that row alone, with the cause.

    A row that ends the process is the position of the process at that moment; the next attempt skips it.
    """
    bad = {}
    for row in range(first, first + batch.num_rows):
        if (row, WHOLE_ROW) not in quarantined:
            try:
                for _ in _call(stage, batch, ctx, first, range(row, row + 1)):
                    pass
            except Exception as e:
                if fatal(e):
                    raise
                bad[row, WHOLE_ROW] = cause_of(e)
    return bad


def _input_batches(task: Task) -> Iterator[pa.RecordBatch]:
    """The batches of a map: the rows of all inputs side by side. A column of two inputs is taken from the first."""
    if task.rows is not None:
        yield from batches(task.rows, task.step.batch_rows)
        return
    for aligned in zip(*(_batches(task, files) for files in task.inputs.values()), strict=True):
        columns: dict[str, pa.Array] = {}
        for batch in aligned:
            columns = {**dict(zip(batch.schema.names, batch.columns, strict=True)), **columns}
        yield pa.RecordBatch.from_pydict(columns)


def _batches(task: Task, inputs: InputFiles) -> Iterator[pa.RecordBatch]:
    """Batches of exactly `batch_rows` rows (but the last), whatever the row groups of the file are."""
    size, rows = task.step.batch_rows, 0
    pending: list[pa.RecordBatch] = []
    for path in inputs.files:
        with _open_file(task.root, path) as f:
            file = pq.ParquetFile(f)
            # one row group (8 MB) at a time, because a reader over all of them holds on to memory as it goes
            for group in range(file.num_row_groups):
                for batch in file.read_row_group(group, use_threads=False).to_batches():
                    pending.append(batch)
                    rows += batch.num_rows
                    if full := rows // size * size:
                        table = pa.Table.from_batches(pending)
                        yield from batches(table.slice(0, full), size)
                        pending, rows = table.slice(full).to_batches(), rows - full
    if rows:
        yield pa.Table.from_batches(pending).combine_chunks().to_batches()[0]


def _table(task: Task, inputs: InputFiles) -> Any:
    """A complete input of an exchange: a table, or {part: path}.

    An input without files has the columns that its producer declares.
    """
    if inputs.how == "paths":
        return {p: Store(task.root).path(f) for p, f in zip(inputs.parts, inputs.files, strict=True)}
    tables = []
    for i, path in enumerate(inputs.files):
        with _open_file(task.root, path) as f:
            if path.endswith(".arrow"):
                file = pa.ipc.open_file(f)
                numbers = inputs.record_batches[i] if inputs.record_batches else range(file.num_record_batches)
                table = pa.Table.from_batches([file.get_batch(n) for n in numbers], schema=file.schema)
                table = table.select(list(inputs.columns)) if inputs.columns else table
            else:
                table = pq.ParquetFile(f).read(columns=list(inputs.columns) or None)
            tables.append(table)
    if not tables:
        return (inputs.schema or pa.schema([])).empty_table()
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


@contextlib.contextmanager
def _open_file(root: str, name: str) -> Iterator[Any]:
    """A committed file, open for reading. Raises BrokenFileError if it is gone or damaged."""
    store = Store(root)
    path, folder = store.path(name), name.rpartition("/")[0]
    try:
        with pa.OSFile(path, "rb") if store.local else fsspec.open(path, "rb") as f:
            yield f
    except (pa.ArrowInvalid, FileNotFoundError, EOFError) as e:
        fault = f"{path} was committed and is {'gone' if isinstance(e, FileNotFoundError) else 'broken'} ({e})"
        raise BrokenFileError(f"{fault}; remove {folder} and run again to make it anew") from e
