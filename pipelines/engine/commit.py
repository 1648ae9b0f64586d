"""The files of a part, published with all their bytes, and the record that makes them exist.

Data goes to a scratch folder first. It is published under a name that contains the hash of its content, so that two
attempts at one part never write different bytes under one name. Then the part's record (``00042.json``, a `Sidecar`) is
created, only if there is none: the first attempt that gets there is the part. A file that no record names does not
exist for the engine.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.engine.stage import Quarantined, Task
from pipelines.engine.storage import Store, sha256_of

Counts = dict[str, dict[str, dict[str, int]]]  # table -> column -> value -> rows
#: (partition, rows, weight) of each record batch of a keyed table, ascending
Partitions = tuple[tuple[int, int, int], ...]

ROW_GROUP_BYTES = 8 << 20  # bounds the memory of a map


class CommitError(Exception):
    """The output of a stage breaks a declaration: the part is not committed, and the run stops."""


@dataclass(frozen=True)
class File:
    name: str  # relative to the run
    rows: int
    bytes: int
    sha256: str
    partitions: Partitions = ()  # `buckets` in records and in parts.parquet

    def to_json(self) -> dict[str, Any]:
        fields = dict(vars(self))
        return {"buckets": fields.pop("partitions"), **fields}

    @staticmethod
    def from_json(f: Mapping[str, Any]) -> File:
        return File(f["name"], f["rows"], f["bytes"], f["sha256"], tuple((p[0], p[1], p[2]) for p in f["buckets"]))


@dataclass(frozen=True)
class Sidecar:
    """The record of a committed part."""

    part: int
    rows_in: int
    files: dict[str, File]
    counts: Counts = field(default_factory=dict)  # numeric columns are summed under the value ``sum``
    quarantined: tuple[Quarantined, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of the input, or of the largest output where that has more."""
        return max([self.rows_in, *(f.rows for f in self.files.values())])

    def to_json(self) -> bytes:
        return json.dumps(vars(self), default=File.to_json, sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def from_json(data: bytes) -> Sidecar:
        d = json.loads(data)
        files = {table: File.from_json(f) for table, f in d["files"].items()}
        return Sidecar(d["part"], d["rows_in"], files, d["counts"], tuple(Quarantined(*q) for q in d["quarantined"]))


class _ParquetWriter:
    """Rows in order, as Parquet, written one row group at a time."""

    suffix = "parquet"

    def __init__(self, path: str, schema: pa.Schema):
        self.writer = pq.ParquetWriter(path, schema, compression="zstd")
        self.pending: list[pa.RecordBatch] = []
        self.pending_bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        self.pending.append(batch)
        self.pending_bytes += batch.nbytes
        if self.pending_bytes > ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        self.writer.write_table(pa.Table.from_batches(self.pending))
        self.pending, self.pending_bytes = [], 0

    def close(self) -> Partitions:
        if self.pending:
            self._flush()
        self.writer.close()
        return ()


class _PartitionWriter:
    """Rows sorted by partition, as an Arrow file with one record batch for each, so that a reader can seek to it."""

    suffix = "arrow"

    def __init__(self, path: str, partitions: int):
        self.path, self.partitions = path, partitions
        self.batches: list[pa.RecordBatch] = []
        self.add = self.batches.append

    def close(self) -> Partitions:
        table = pa.Table.from_batches(self.batches).unify_dictionaries()
        self.batches.clear()
        table = table.combine_chunks()
        keys = table["key"].to_numpy().astype(np.uint64)
        if self.partitions == 1:
            keys = np.zeros_like(keys)
        elif self.partitions:  # the leading bits of the key
            keys = keys >> np.uint64(64 - (self.partitions.bit_length() - 1))
        order = np.argsort(keys, kind="stable")  # stable: the rows of one partition keep their order
        numbers, starts = np.unique(keys[order], return_index=True)
        ends = np.append(starts, len(order))[1:]
        weighted = "weight" in table.schema.names
        weights = table["weight"].to_numpy()[order] if weighted else np.zeros(len(order), np.int64)
        written = []
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.OSFile(self.path, "wb") as f, pa.ipc.new_file(f, table.schema, options=options) as w:
            for number, start, end in zip(numbers.tolist(), starts.tolist(), ends.tolist(), strict=True):
                # a partition at a time: a sorted copy of the table would need its memory once more
                w.write_batch(table.take(pa.array(order[start:end])).combine_chunks().to_batches()[0])
                written.append((number, end - start, int(weights[start:end].sum())))
        return tuple(written)


class _RawWriter:
    """Bytes in the order in which they come."""

    suffix = "bin"

    def __init__(self, path: str):
        self.file = open(path, "wb")  # noqa: SIM115  closed in close()
        self.add = self.file.write

    def close(self) -> Partitions:
        self.file.close()
        return ()


class PartWriter:
    """Takes what a stage yields for one part; `commit` makes the part exist.

    `add` raises CommitError for a batch that does not fit the declaration of the stage, and `commit` writes an empty
    table for each declared table that the stage did not yield.
    """

    def __init__(self, task: Task, store: Store, scratch: str):
        self.task, self.store, self.scratch = task, store, scratch
        self.tables: Mapping[str, pa.Schema] = task.step.stage.tables
        self.path = f"{task.folder}/{task.part:05d}"  # of the files, without the end of their names
        self.where = f"{task.folder} part {task.part}"
        self.writers: dict[str, Any] = {}
        self.counts: dict[str, dict[str, Counter[str]]] = {}
        self.rows: Counter[str] = Counter()

    def add_null_row(self, name: str) -> None:
        """A null row for a quarantined row of a `same_rows` table."""
        schema = self.tables[name]
        self._writer(name).add(pa.RecordBatch.from_arrays([pa.nulls(1, f.type) for f in schema], schema=schema))
        self.rows[name] += 1

    def add(self, name: str, piece: pa.RecordBatch | bytes) -> None:
        if isinstance(piece, bytes):
            if name not in self.writers:
                self.writers[name] = _RawWriter(os.path.join(self.scratch, name))
            self.writers[name].add(piece)
            return
        fault = f"{self.where}: the stage yields table {name!r}"
        if name not in self.tables:
            names = ", ".join(self.tables) or "no table"
            raise CommitError(f"{fault}, which it does not declare; it declares {names}")
        if not piece.schema.equals(self.tables[name]):
            ours, theirs = ([f"{f.name}: {f.type}" for f in s] for s in (piece.schema, self.tables[name]))
            yields, declares = ([f for f in a if f not in b] for a, b in ((ours, theirs), (theirs, ours)))
            raise CommitError(f"{fault} with the columns {yields or ours}, and declares {declares or theirs}")
        if piece.num_rows:
            self._count(name, piece)
        self._writer(name).add(piece)
        self.rows[name] += piece.num_rows

    def _writer(self, name: str) -> Any:
        if name not in self.writers:
            path = os.path.join(self.scratch, name)
            if name in self.task.keyed:
                self.writers[name] = _PartitionWriter(path, self.task.keyed[name])
            else:
                self.writers[name] = _ParquetWriter(path, self.tables[name])
        return self.writers[name]

    def _count(self, name: str, batch: pa.RecordBatch) -> None:
        for column in self.task.step.count.get(name, ()):
            values = batch.column(column)
            if pa.types.is_list(values.type):
                values = pc.list_flatten(values)
            tally = self.counts.setdefault(name, {}).setdefault(column, Counter())
            if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
                tally["sum"] += pc.sum(values).as_py() or 0
                continue
            if pa.types.is_dictionary(values.type):
                values = values.cast(pa.string())
            for pair in pc.value_counts(values).to_pylist():
                tally["kept" if pair["values"] is None else str(pair["values"])] += pair["counts"]

    def commit(self, rows_in: int, input_rows: Mapping[str, int], quarantined: tuple[Quarantined, ...]) -> Sidecar:
        """Check the row counts, publish the files and create the record.

        `input_rows`: the rows of each input that the step names in `adds_up`. Raises CommitError if there are too few
        or too many rows.
        """
        for name, schema in self.tables.items():
            if name not in self.writers:
                self._writer(name).add(pa.RecordBatch.from_pylist([], schema=schema))
        files = {}
        for name, writer in sorted(self.writers.items()):
            partitions = writer.close()
            path = os.path.join(self.scratch, name)
            digest = sha256_of(path)
            final = f"{self.path}-{name}-{digest[:10]}.{writer.suffix}"
            files[name] = File(final, self.rows[name], os.path.getsize(path), digest, partitions)
        self._check_rows(rows_in, input_rows, len(quarantined))
        for name, file in files.items():
            self.store.publish(os.path.join(self.scratch, name), file.name)
        counts = {t: {c: dict(sorted(v.items())) for c, v in cs.items()} for t, cs in sorted(self.counts.items())}
        sidecar = Sidecar(self.task.part, rows_in, files, counts, quarantined)
        return sidecar if self.store.create(f"{self.path}.json", sidecar.to_json()) else self.committed()

    def _check_rows(self, rows_in: int, input_rows: Mapping[str, int], quarantined: int) -> None:
        for table in self.task.step.same_rows if rows_in else ():
            if (out := self.rows[table]) != rows_in:
                fault = f"{rows_in} rows went in and {out} came out in {table!r}"
                raise CommitError(f"{self.where}: {fault}; nothing was committed")
        for name, tables in self.task.step.adds_up.items():
            out = sum(self.rows[t] for t in tables)
            if out + quarantined != input_rows[name]:
                fault = f"{input_rows[name]} rows of {name!r} went in, {out} came out in {' and '.join(tables)}"
                raise CommitError(f"{self.where}: {fault} and {quarantined} are quarantined; nothing was committed")

    def committed(self) -> Sidecar:
        """The record of an earlier attempt at this part. Raises FileNotFoundError if there is none."""
        return Sidecar.from_json(self.store.read(f"{self.path}.json"))
