"""Runs one part: reads its inputs, calls the stage, commits the output. The backend chooses the process."""

import contextlib
import errno
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.stage import InputError, Output
from pipelines.engine.commit import CommitError, PartWriter, Sidecar
from pipelines.engine.stage import BATCH, OUTSIDE, WHOLE_ROW, InputFiles, Quarantined, Task, batches
from pipelines.engine.storage import Store

#: columns that name a row: of documents and of input files
_NAMES = ("id", "url", "provenance", "path", "file")


class BrokenFileError(Exception):
    """A committed file is no longer what was committed; the message names it."""


def fatal(e: BaseException) -> bool:
    """True for a fault of the machine, the program or a complete input: no row is at fault, so none is quarantined."""
    if isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT):
        return True
    return isinstance(e, (ImportError, FileNotFoundError, PermissionError, CommitError, BrokenFileError, InputError))


def cause_of(e: Exception) -> str:
    return f"exception: {type(e).__name__}: {str(e) if isinstance(e, InputError) else str(e)[:200]}"


class RunningContext:
    """The `StageContext` of a running part. It passes each position to `mark` and leaves out quarantined rows."""

    def __init__(self, part: int, mark: Callable[[int, int], None], skip: tuple[Quarantined, ...]):
        self.part, self.first, self.mark = part, 0, mark
        self.ends: dict[str, int] = {}
        self.skip = {(row.row, row.sub) for row in skip}
        self.names: dict[tuple[int, int], Mapping[str, Any]] = {}  # of quarantined rows

    def __call__(self, row: int, sub: int = 0) -> bool:
        row += self.first
        if (row, sub) in self.skip:
            return False
        self.mark(row, sub)
        return True

    def lost(self, row: int, sub: int = 0, **names: Any) -> None:
        self.names[self.first + row, sub] = {name: value for name, value in names.items() if value is not None}

    def named(self, quarantined: Iterable[Quarantined]) -> tuple[Quarantined, ...]:
        """The rows with the names that the stage gave them."""
        return tuple(q._replace(names=self.names.get((q.row, q.sub), q.names)) for q in quarantined)


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
        writer = PartWriter(task, store, scratch)
        if task.tries or task.lost or task.skip:  # the last attempt may have died after its commit
            with contextlib.suppress(FileNotFoundError):
                return writer.committed()
        stage = _callable(step.stage)
        if step.is_map:
            return _Map(task, stage, writer, ctx).run()
        inputs = {name: _table(task, files) for name, files in task.inputs.items()}
        mark(0, BATCH)
        for name, piece in stage(inputs, ctx):
            writer.add(name, piece)
        mark(0, OUTSIDE)
        # the rows of an exchange are those of its aligned input
        rows_in = max([t.num_rows for n, t in inputs.items() if task.inputs[n].how == "aligned"], default=0)
        return writer.commit(rows_in, {name: inputs[name].num_rows for name in step.adds_up}, ctx.named(task.skip))


class _Map:
    """A part of a map. It calls the stage on the longest runs of rows that are not quarantined.

    The calls, and so the bytes, do not depend on how a row was found to be bad.
    """

    def __init__(self, task: Task, stage: Any, writer: PartWriter, ctx: RunningContext):
        self.task, self.stage, self.writer, self.ctx = task, stage, writer, ctx
        self.quarantined = {(q.row, q.sub): q.cause for q in task.skip}

    def run(self) -> Sidecar:
        step, end = self.task.step, 0
        for batch in _input_batches(self.task):
            first, end = end, end + batch.num_rows
            for run, pieces in self._outputs(batch, first):
                for name, piece in pieces:
                    self.writer.add(name, piece)
                    if isinstance(piece, bytes):
                        self.ctx.ends[name] = self.ctx.ends.get(name, 0) + len(piece)
                if run.stop < end:  # a bad row follows
                    for table in step.same_rows:
                        self.writer.add_null_row(table)
            for row, sub in self.quarantined:
                if first <= row < end and (row, sub) not in self.ctx.names:  # the stage did not see it, or did not say
                    self.ctx.names[row, sub] = _names(batch.slice(row - first, 1))
            self.ctx.mark(end, OUTSIDE)
        rows = [Quarantined(row, sub, cause) for (row, sub), cause in sorted(self.quarantined.items())]
        return self.writer.commit(end, dict.fromkeys(step.adds_up, end), self.ctx.named(rows))

    def _outputs(self, batch: pa.RecordBatch, first: int) -> list[tuple[range, Iterable[Output]]]:
        """The runs of rows between the bad rows of a batch, and the output of each.

        A later call may raise, so all output of a batch is held before any is written. One row of a source may produce
        more than fits in memory, so the output of a source is an iterator; its exceptions are final.
        """
        suspect = first in self.task.suspects
        if suspect:
            self._quarantine_bad_rows(batch, first)
        outputs = [(run, self._call(batch, first, run)) for run in self._good_runs(first, first + batch.num_rows)]
        if self.task.rows is not None:
            return list(outputs)
        try:
            return [(run, list(pieces)) for run, pieces in outputs]
        except Exception as e:
            if suspect or fatal(e):
                raise
        self._quarantine_bad_rows(batch, first)
        return [(run, list(self._call(batch, first, run))) for run in self._good_runs(first, first + batch.num_rows)]

    def _good_runs(self, first: int, end: int) -> list[range]:
        """Every run but the last ends before a bad row; a run may be empty."""
        bad = sorted(row for row, sub in self.quarantined if sub == WHOLE_ROW and first <= row < end)
        return [range(a + 1, b) for a, b in itertools.pairwise([first - 1, *bad, end])]

    def _call(self, batch: pa.RecordBatch, first: int, run: range) -> Iterator[Output]:
        if run:
            self.ctx.first = run.start
            self.ctx.mark(*((run.start, WHOLE_ROW) if len(run) == 1 else (first, BATCH)))
            rows = batch.slice(run.start - first, len(run)) if len(run) < batch.num_rows else batch
            yield from self.stage(rows, self.ctx)

    def _quarantine_bad_rows(self, batch: pa.RecordBatch, first: int) -> None:
        """Quarantine the rows of a batch for which the stage raises when it is called on that row alone.

        A row that ends the process is the position of the process at that moment; the next attempt skips it.
        """
        for row in range(first, first + batch.num_rows):
            if (row, WHOLE_ROW) not in self.quarantined:
                try:
                    for _ in self._call(batch, first, range(row, row + 1)):
                        pass
                except Exception as e:
                    if fatal(e):
                        raise
                    self.quarantined[row, WHOLE_ROW] = cause_of(e)


def _names(row: pa.RecordBatch) -> dict[str, Any]:
    """What a row of a map is called, from those of its columns that name it; `path` where no column says `file`."""
    (values,) = row.select([name for name in _NAMES if name in row.schema.names]).to_pylist()
    path, place = values.pop("path", None), values.pop("provenance", None) or {}
    place = {name: place[name] for name in ("file", "offset", "page") if name in place}
    values = {**values, "file": values.get("file") or path, **place}
    return {name: value for name, value in values.items() if value is not None}


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
    if not inputs.files:
        return (inputs.schema or pa.schema([])).empty_table()
    tables, columns = [], list(inputs.columns)
    for i, path in enumerate(inputs.files):
        with _open_file(task.root, path) as f:
            if not path.endswith(".arrow"):
                tables.append(pq.ParquetFile(f).read(columns=columns or None, use_threads=False))
                continue
            file = pa.ipc.open_file(f)
            numbers = inputs.record_batches[i] if inputs.record_batches else range(file.num_record_batches)
            table = pa.Table.from_batches([file.get_batch(n) for n in numbers], schema=file.schema)
            tables.append(table.select(columns) if columns else table)
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
