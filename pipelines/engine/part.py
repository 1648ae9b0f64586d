"""One part: read its inputs, call the stage, commit what it yields. Runs in whatever process the backend gives it."""

from __future__ import annotations

import contextlib
import errno
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.stage import InputError
from pipelines.engine.commit import CommitError, PartWriter, Sidecar
from pipelines.engine.stage import How, batches
from pipelines.engine.storage import Store

Skip = tuple[int, int, str]  # row, sub-row or WHOLE_ROW, cause

# where a part stands when it is on no sub-row
WHOLE_ROW = -1  # on this row
BATCH = -2  # somewhere in the batch that begins with this row (or anywhere in an exchange)
OUTSIDE = -3  # reading, committing, loading a model: no row is to blame


class BrokenFileError(Exception):
    """An input that was committed is not what was committed any more; the message names it."""


def fatal(e: BaseException) -> bool:
    """A fault of the machine, the program or a whole input, not of a row: quarantining rows would only hide it."""
    full = isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT)
    return full or isinstance(
        e, (ImportError, FileNotFoundError, PermissionError, CommitError, BrokenFileError, InputError)
    )


@dataclass(frozen=True)
class InputFiles:
    """What one input of one part reads: files, and for keyed tables which record batches of each."""

    how: How
    files: tuple[str, ...] = ()
    pieces: tuple[tuple[int, ...], ...] = ()  # beside files: record batches to read
    parts: tuple[int, ...] = ()  # beside files (how = paths): the part each belongs to
    columns: tuple[str, ...] = ()  # all, if empty


@dataclass(frozen=True)
class Task:
    """Everything a process needs to make one part. Small: paths, never data (but for a source's literal rows)."""

    step: str
    root: str
    folder: str
    part: int  # its number in its folder
    number: int  # its number among all parts of the step: `ctx.part`
    stage: Any
    reads: Mapping[str, InputFiles]
    rows: pa.Table | None = None
    keyed: Mapping[str, int] = field(default_factory=dict)
    same_rows: tuple[str, ...] = ()
    count: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_map: bool = True
    batch_rows: int = 512
    deadline_s: float = 600.0
    memory: int = 6 << 30
    gpus: float = 0
    adds_up: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # what earlier attempts have taught (engine.retry)
    skip: tuple[Skip, ...] = ()
    suspects: tuple[int, ...] = ()  # first rows of batches to go through row by row
    tries: int = 0
    lost: int = 0


class RunningContext:
    """The callback of a running part: tells `mark` where the stage stands, and leaves quarantined rows out."""

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


_opened: tuple[Any, Any] = (None, None)  # the stage whose model this process holds, and the model


def _ready(stage: Any) -> Any:
    """What is called for a part: the stage, or what it has opened."""
    global _opened
    if not hasattr(stage, "open"):
        return stage
    if _opened[0] != stage:
        _opened = (None, None)  # the old model goes before the new one comes
        _opened = (stage, stage.open())
    return _opened[1]


def run_part(work: Task, mark: Callable[[int, int], None]) -> Sidecar:
    """Make and commit one part. `mark(row, sub)` is told where the stage stands before it touches that row."""
    store = Store(work.root)
    ctx = RunningContext(work.number, mark, work.skip)
    mark(0, OUTSIDE)
    with store.scratch() as scratch:
        writer = PartWriter(store, work.folder, scratch, work.part, work.keyed, work.count)
        if work.tries or work.lost or work.skip:  # the last attempt may have died between its commit and its answer
            with contextlib.suppress(FileNotFoundError):
                return writer.committed()
        work = replace(work, stage=_ready(work.stage))
        if work.is_map:
            return _map(work, writer, ctx)
        tables = {name: _table(work, reads) for name, reads in work.reads.items()}
        mark(0, BATCH)
        for name, piece in work.stage(tables, ctx):
            writer.add(name, piece)
        mark(0, OUTSIDE)
        # an exchange answers for the rows of its aligned input
        rows_in = max([t.num_rows for n, t in tables.items() if work.reads[n].how == "aligned"], default=0)
        adds_up = {name: (tables[name].num_rows, shares) for name, shares in work.adds_up.items()}
        return writer.commit(rows_in, work.same_rows if rows_in else (), work.skip, adds_up)


def _map(work: Task, writer: PartWriter, ctx: RunningContext) -> Sidecar:
    """The stage, on the longest runs of rows that are not quarantined: the same calls however it was found out which
    are.
    """
    quarantined = {(row, sub): cause for row, sub, cause in work.skip}
    rows_in = 0
    for batch in _zipped(work):
        first = rows_in
        rows_in += batch.num_rows
        suspected = first in work.suspects
        while True:
            bad = sorted(row for row, sub in quarantined if sub == WHOLE_ROW and first <= row < rows_in)
            try:
                if suspected:
                    quarantined |= {(row, WHOLE_ROW): cause for row, cause in _spoilt(work, batch, ctx, first, bad)}
                    suspected = False
                    continue
                # all of it before any is kept, as an exception may yet come; but one row of a source may fan out to
                # more than fits
                held = (
                    None
                    if work.rows is not None
                    else [list(_call(work, batch, ctx, first, run)) for run in _runs(first, rows_in, bad)]
                )
            except Exception as e:
                if work.rows is not None or first in work.suspects or fatal(e):
                    raise
                work = replace(work, suspects=(*work.suspects, first))
                suspected = True
                continue
            break
        for i, run in enumerate(_runs(first, rows_in, bad)):
            for name, piece in held[i] if held is not None else _call(work, batch, ctx, first, run):
                writer.add(name, piece)
                if isinstance(piece, bytes):
                    ctx.ends[name] = ctx.ends.get(name, 0) + len(piece)
            if run.stop < rows_in:  # a bad row follows
                for table in work.same_rows:
                    writer.owe(table)
        ctx.mark(rows_in, OUTSIDE)
    if work.same_rows and rows_in and not writer.open:
        _schema_alone(work, writer, ctx, list(quarantined.values())[-1])
    skipped = tuple((row, sub, cause) for (row, sub), cause in sorted(quarantined.items()))
    adds_up = {name: (rows_in, shares) for name, shares in work.adds_up.items()}
    return writer.commit(rows_in, work.same_rows if rows_in else (), skipped, adds_up)


def _runs(first: int, end: int, bad: list[int]) -> list[range]:
    """Row ranges between bad rows; each but the last ends before a bad row, and may be empty."""
    edges = [first - 1, *bad, end]
    return [range(a + 1, b) for a, b in itertools.pairwise(edges)]


def _call(work: Task, batch: pa.RecordBatch, ctx: RunningContext, first: int, run: range) -> Iterator[tuple[str, Any]]:
    if run:
        ctx.first = run.start
        ctx.mark(*((run.start, WHOLE_ROW) if len(run) == 1 else (first, BATCH)))
        yield from work.stage(batch.slice(run.start - first, len(run)) if len(run) < batch.num_rows else batch, ctx)


def _spoilt(
    work: Task, batch: pa.RecordBatch, ctx: RunningContext, first: int, bad: list[int]
) -> Iterator[tuple[int, str]]:
    """The rows of a batch that raise when the stage is called on each alone; one that ends the process is marked when
    it does.
    """
    for row in range(first, first + batch.num_rows):
        if row not in bad:
            try:
                for _ in _call(work, batch, ctx, first, range(row, row + 1)):
                    pass
            except Exception as e:
                if fatal(e):
                    raise
                yield row, why(e)


def _schema_alone(work: Task, writer: PartWriter, ctx: RunningContext, cause: str) -> None:
    """Every row of the part is quarantined: null rows need a schema, which the stage gives for no rows, or another part
    has.
    """
    for batch in _zipped(work):
        with contextlib.suppress(Exception):  # not promised by any stage: the next way is tried
            for name, piece in work.stage(batch.slice(0, 0), ctx):
                writer.add(name, piece)
        break
    store = Store(work.root)
    for name in store.names(work.folder) if not writer.open else ():
        for table in work.same_rows:
            if f"-{table}-" in name and name.endswith(".parquet") and table not in writer.open:
                with _opened_file(work.root, f"{work.folder}/{name}") as f:
                    writer.add(table, pa.RecordBatch.from_pylist([], schema=pq.ParquetFile(f).schema_arrow))
    if not writer.open:
        raise CommitError(f"{work.step}, part {work.number}: every row failed, the last with {cause}")


def why(e: Exception) -> str:
    return f"exception: {type(e).__name__}: {str(e) if isinstance(e, InputError) else str(e)[:200]}"


def _zipped(work: Task) -> Iterator[pa.RecordBatch]:
    """The batches of a map: rows of all inputs side by side. A column two inputs have is taken from the first."""
    if work.rows is not None:
        yield from batches(work.rows, work.batch_rows)
        return
    streams = [_batches(work, r) for r in work.reads.values()]
    for parts in zip(*streams, strict=True):
        columns: dict[str, pa.Array] = {}
        for p in parts:
            for name, column in zip(p.schema.names, p.columns, strict=True):
                columns.setdefault(name, column)
        yield pa.RecordBatch.from_pydict(columns)


def _batches(work: Task, reads: InputFiles) -> Iterator[pa.RecordBatch]:
    """Batches of exactly `batch_rows` rows (but the last), whatever the row groups of the file."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for path in reads.files:
        with _opened_file(work.root, path) as f:
            # a group at a time (8 MB): one reader over all of them holds on to memory as it goes
            file = pq.ParquetFile(f)
            for batch in (
                b for g in range(file.num_row_groups) for b in file.read_row_group(g, use_threads=False).to_batches()
            ):
                held.append(batch)
                rows += batch.num_rows
                whole = rows // work.batch_rows * work.batch_rows
                if whole:
                    table = pa.Table.from_batches(held)
                    yield from batches(table.slice(0, whole), work.batch_rows)
                    held, rows = table.slice(whole).to_batches(), rows - whole
    if rows:
        yield pa.Table.from_batches(held).combine_chunks().to_batches()[0]


def _table(work: Task, reads: InputFiles) -> Any:
    """A whole input of an exchange: a table (without columns if nothing was ever written), or {part: path}."""
    if reads.how == "paths":
        return {p: Store(work.root).path(f) for p, f in zip(reads.parts, reads.files, strict=True)}
    tables = []
    for i, path in enumerate(reads.files):
        with _opened_file(work.root, path) as f:
            if path.endswith(".arrow"):
                file = pa.ipc.open_file(f)
                pieces = reads.pieces[i] if reads.pieces else range(file.num_record_batches)
                table = pa.Table.from_batches([file.get_batch(p) for p in pieces], schema=file.schema)
                table = table.select(list(reads.columns)) if reads.columns else table
            else:
                table = pq.ParquetFile(f).read(columns=list(reads.columns) or None)
            tables.append(table)
    if not tables:
        return pa.table({})
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


@contextlib.contextmanager
def _opened_file(root: str, name: str) -> Iterator[Any]:
    """A committed file, for reading. Raises BrokenFileError where it is gone or not whole."""
    store = Store(root)
    try:
        with pa.OSFile(store.path(name), "rb") if store.local else fsspec.open(store.path(name), "rb") as f:
            yield f
    except (pa.ArrowInvalid, FileNotFoundError, EOFError) as e:
        folder = name.rpartition("/")[0]
        raise BrokenFileError(
            f"{store.path(name)} was committed and is {'gone' if isinstance(e, FileNotFoundError) else 'broken'} ({e}); remove {folder} and "
            "run again to make it anew"
        ) from e
