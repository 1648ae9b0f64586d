"""One part: read its inputs, call the stage, commit what it yields. Runs in whatever process the backend gives it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.engine.commit import CommitError, PartWriter, Sidecar
from pipelines.engine.stage import How, batches
from pipelines.engine.storage import Store

Skip = tuple[int, int, str]  # row, sub-row (-1: the whole row), cause

WHOLE_ROW = -1

#: a fault of the machine or the recipe, not of a row: quarantining rows would only hide it
FATAL = (ImportError, FileNotFoundError, PermissionError, CommitError)


@dataclass(frozen=True)
class Reads:
    """What one input of one part reads: files, and for keyed tables which record batches of each."""

    how: How
    files: tuple[str, ...] = ()
    pieces: tuple[tuple[int, ...], ...] = ()  # beside files: record batches to read
    parts: tuple[int, ...] = ()  # beside files (how = paths): the part each belongs to
    columns: tuple[str, ...] = ()  # all, if empty


@dataclass(frozen=True)
class Work:
    """Everything a process needs to make one part. Small: paths, never data (but for a source's literal rows)."""

    node: str
    root: str
    folder: str
    part: int  # its number in its folder
    number: int  # its number among all parts of the node: `at.part`
    stage: Any
    reads: Mapping[str, Reads]
    rows: pa.Table | None = None
    keyed: Mapping[str, int] = field(default_factory=dict)
    same_rows: tuple[str, ...] = ()
    count: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_map: bool = True
    batch_rows: int = 512
    deadline_s: float = 600.0
    memory: int = 6 << 30
    skip: tuple[Skip, ...] = ()
    attempt: int = 1


class Here:
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


def run_part(work: Work, mark: Callable[[int, int], None]) -> Sidecar:
    """Make and commit one part. `mark(row, sub)` is told where the stage stands before it touches that row."""
    store = Store(work.root)
    at = Here(work.number, mark, work.skip)
    with store.scratch() as scratch:
        writer = PartWriter(store, work.folder, scratch, work.part, work.keyed, work.count)
        if work.is_map:
            return _map(work, writer, at)
        tables = {name: _table(work, reads) for name, reads in work.reads.items()}
        mark(0, WHOLE_ROW)
        for name, piece in work.stage(tables, at):
            writer.add(name, piece)
        # an exchange answers for the rows of its aligned input
        rows_in = max([t.num_rows for n, t in tables.items() if work.reads[n].how == "aligned"], default=0)
        return writer.commit(rows_in, work.same_rows if rows_in else (), work.skip)


def _map(work: Work, writer: PartWriter, at: Here) -> Sidecar:
    quarantined = list(work.skip)
    rows_in = 0
    for batch in _zipped(work):
        at.first = rows_in
        rows_in += batch.num_rows
        for row, (pieces, cause) in _calls(work, batch, at):
            for name, piece in pieces:
                writer.add(name, piece)
                if isinstance(piece, bytes):
                    at.ends[name] = at.ends.get(name, 0) + len(piece)
            if cause:
                if cause is not GONE:
                    quarantined.append((row, WHOLE_ROW, cause))
                for table in work.same_rows:
                    writer.owe(table)
    if work.same_rows and rows_in and len(quarantined) >= rows_in:  # not even a schema to write null rows with
        raise CommitError(f"every one of {rows_in} rows failed, the last with {quarantined[-1][2]}")
    return writer.commit(rows_in, work.same_rows if rows_in else (), tuple(quarantined))


GONE = "quarantined before"


def _calls(work: Work, batch: pa.RecordBatch, at: Here) -> Iterator[tuple[int, tuple[Iterable[tuple[str, Any]], str]]]:
    """Call the stage on a batch; on each row alone where a row is quarantined or the batch raises."""
    first, rows = at.first, batch.num_rows
    gone = {r for r, sub in at.skip if sub == WHOLE_ROW and first <= r < first + rows}
    at.mark(first, WHOLE_ROW)
    if not gone:
        if work.rows is not None:  # a source: one row may fan out to more than fits in memory, so nothing is held back
            yield first, (work.stage(batch, at), "")
            return
        try:
            yield first, (list(work.stage(batch, at)), "")
            return
        except FATAL:
            raise
        except Exception as e:
            if rows == 1:
                yield first, ([], why(e))
                return
    for i in range(rows):
        at.first = first + i
        if at.first in gone:
            yield at.first, ([], GONE)
        elif gone or rows > 1:
            one = batch.slice(i, 1)
            at.mark(at.first, WHOLE_ROW)
            if work.rows is not None:
                yield at.first, (work.stage(one, at), "")
                continue
            try:
                yield at.first, (list(work.stage(one, at)), "")
            except FATAL:
                raise
            except Exception as e:
                yield at.first, ([], why(e))


def why(e: Exception) -> str:
    return f"exception: {type(e).__name__}: {str(e)[:200]}"


def _zipped(work: Work) -> Iterator[pa.RecordBatch]:
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


def _batches(work: Work, reads: Reads) -> Iterator[pa.RecordBatch]:
    """Batches of exactly `batch_rows` rows (but the last), whatever the row groups of the file."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for path in reads.files:
        with _opened(work.root, path) as f:
            for batch in pq.ParquetFile(f).iter_batches(batch_size=work.batch_rows):
                held.append(batch)
                rows += batch.num_rows
                while rows >= work.batch_rows:
                    whole = pa.Table.from_batches(held).combine_chunks()
                    yield whole.slice(0, work.batch_rows).combine_chunks().to_batches()[0]
                    rest = whole.slice(work.batch_rows)
                    held, rows = rest.to_batches(), rest.num_rows
    if rows:
        yield pa.Table.from_batches(held).combine_chunks().to_batches()[0]


def _table(work: Work, reads: Reads) -> Any:
    """A whole input of an exchange: a table (without columns if nothing was ever written), or {part: path}."""
    if reads.how == "paths":
        return {p: Store(work.root).path(f) for p, f in zip(reads.parts, reads.files, strict=True)}
    tables = []
    for i, path in enumerate(reads.files):
        with _opened(work.root, path) as f:
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


def _opened(root: str, name: str) -> Any:
    store = Store(root)
    if store.local:
        return pa.OSFile(store.path(name), "rb")
    return fsspec.open(store.path(name), "rb").open()


def again(work: Work, row: int, sub: int, cause: str) -> Work:
    """The same part once more, without the row that spoilt it, or row by row where that row is not known yet."""
    if sub == WHOLE_ROW and work.is_map and work.batch_rows > 1:
        return replace(work, batch_rows=1, attempt=work.attempt + 1)
    if work.same_rows:
        sub = WHOLE_ROW  # an aligned output needs its null row put in by the engine
    return replace(work, skip=(*work.skip, (row, sub, cause)), attempt=work.attempt + 1)
