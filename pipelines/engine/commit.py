"""A part's files, written whole, and the sidecar that makes them exist.

Data goes to a scratch folder and is published under a name that carries its content's hash, so that two attempts never
meet under one name. Then the sidecar (``00042.json``) is created, only if there is none: the first attempt that gets
there is the part. A file no sidecar names does not exist.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.engine.storage import Store

Keyed = Mapping[str, int]  # table -> number of buckets (a power of two), or 0 where the key is the number of a part


class CommitError(Exception):
    """Rows were lost or made up: the part is not committed and the run stops."""


@dataclass(frozen=True)
class File:
    name: str  # relative to the run
    rows: int
    bytes: int
    sha256: str
    #: keyed tables: (bucket, rows, weight) of each record batch, ascending
    buckets: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True)
class Sidecar:
    part: int
    rows_in: int
    files: dict[str, File]
    #: table -> column -> value -> rows; numeric columns are summed under the value ``sum``
    counts: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    #: (row, sub-row, cause)
    quarantined: tuple[tuple[int, int, str], ...] = ()

    def to_json(self) -> bytes:
        def plain(v: Any) -> Any:
            return vars(v) if isinstance(v, File) else list(v)

        return json.dumps(vars(self), default=plain, sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def from_json(data: bytes) -> Sidecar:
        d = json.loads(data)
        files = {k: File(**{**f, "buckets": tuple(tuple(b) for b in f["buckets"])}) for k, f in d["files"].items()}
        return Sidecar(d["part"], d["rows_in"], files, d["counts"], tuple((r, s, c) for r, s, c in d["quarantined"]))


class _Rows:
    """Rows in order, as Parquet."""

    suffix = "parquet"

    def __init__(self, path: str):
        self.path, self.rows = path, 0
        self.writer: Any = None
        self.schema = pa.schema([])
        self.held: list[pa.RecordBatch] = []
        self.held_bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.num_rows
        self.held.append(batch)
        self.held_bytes += batch.nbytes
        if self.held_bytes > 8 << 20:  # a row group; bounds memory
            self._flush()

    def _flush(self) -> None:
        table = pa.Table.from_batches(self.held)
        if self.writer is None:
            self.writer = pq.ParquetWriter(self.path, table.schema, compression="zstd")
        self.writer.write_table(table)
        self.held, self.held_bytes = [], 0

    def close(self) -> tuple[tuple[int, int, int], ...]:
        if self.held:
            self._flush()
        assert self.writer is not None
        self.writer.close()
        return ()


class _Buckets:
    """Rows sorted by bucket, as an Arrow file with one record batch a bucket, so that a reader seeks to the ones it
    wants.
    """

    suffix = "arrow"

    def __init__(self, path: str, buckets: int):
        self.path, self.rows, self.buckets = path, 0, buckets
        self.schema = pa.schema([])
        self.held: list[pa.RecordBatch] = []

    def add(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.num_rows
        self.held.append(batch)

    def close(self) -> tuple[tuple[int, int, int], ...]:
        table = pa.Table.from_batches(self.held).unify_dictionaries().combine_chunks()
        keys = table["key"].to_numpy().astype(np.uint64)
        shift = np.uint64(64 - (self.buckets.bit_length() - 1)) if self.buckets > 1 else np.uint64(63)
        place = keys if not self.buckets else (keys >> shift if self.buckets > 1 else np.zeros_like(keys))
        order = np.argsort(place, kind="stable")  # stable: rows of one bucket keep their order
        table = table.take(pa.array(order))
        found, starts = np.unique(place[order], return_index=True)
        ends = np.append(starts, len(order))[1:]
        weights = table["weight"].to_numpy() if "weight" in table.schema.names else np.zeros(len(order), np.int64)
        rows = []
        with (
            pa.OSFile(self.path, "wb") as f,
            pa.ipc.new_file(f, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as w,
        ):
            for b, start, end in zip(found.tolist(), starts.tolist(), ends.tolist(), strict=True):
                w.write_batch(table.slice(start, end - start).combine_chunks().to_batches()[0])
                rows.append((b, end - start, int(weights[start:end].sum())))
        return tuple(rows)


class _Raw:
    """Bytes, as they come."""

    suffix = "bin"

    def __init__(self, path: str):
        self.rows, self.file = 0, open(path, "wb")  # noqa: SIM115  closed in close()

    def add(self, data: bytes) -> None:
        self.file.write(data)

    def close(self) -> tuple[tuple[int, int, int], ...]:
        self.file.close()
        return ()


class PartWriter:
    """Takes what a stage yields for one part; `commit` makes it exist."""

    def __init__(
        self, store: Store, folder: str, scratch: str, part: int, keyed: Keyed, count: Mapping[str, tuple[str, ...]]
    ):
        self.store, self.folder, self.scratch, self.part, self.keyed, self.count = (
            store,
            folder,
            scratch,
            part,
            keyed,
            count,
        )
        self.open: dict[str, _Rows | _Buckets | _Raw] = {}
        self.counts: dict[str, dict[str, Counter[str]]] = {}
        self.owed: Counter[str] = Counter()

    def owe(self, table: str) -> None:
        """A quarantined row of an aligned table: a null row goes in its place as soon as the schema is known."""
        self.owed[table] += 1

    def add(self, name: str, piece: pa.RecordBatch | bytes) -> None:
        writer = self.open.get(name)
        if writer is None:
            path = os.path.join(self.scratch, name)
            writer = (
                _Raw(path)
                if isinstance(piece, bytes)
                else _Buckets(path, self.keyed[name])
                if name in self.keyed
                else _Rows(path)
            )
            self.open[name] = writer
        if isinstance(piece, bytes):
            assert isinstance(writer, _Raw)
            writer.add(piece)
            return
        assert not isinstance(writer, _Raw)
        self._tally(name, piece)
        self._pay(name, writer, piece.schema)
        writer.add(piece)
        writer.schema = piece.schema

    def _pay(self, name: str, writer: _Rows | _Buckets, schema: pa.Schema) -> None:
        if rows := self.owed.pop(name, 0):
            writer.add(pa.RecordBatch.from_arrays([pa.nulls(rows, f.type) for f in schema], schema=schema))

    def _tally(self, name: str, batch: pa.RecordBatch) -> None:
        for column in self.count.get(name, ()):
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

    def commit(
        self,
        rows_in: int,
        same_rows: tuple[str, ...],
        quarantined: tuple[tuple[int, int, str], ...],
        adds_up: Mapping[str, tuple[int, tuple[str, ...]]] = MappingProxyType({}),
    ) -> Sidecar:
        """`adds_up`: input -> (its rows, the tables that share them out). Raises CommitError where rows are missing or
        made up.
        """
        files = {}
        for name in sorted(self.open):
            writer = self.open[name]
            if not isinstance(writer, _Raw):
                self._pay(name, writer, writer.schema)
            buckets = writer.close()
            made = os.path.join(self.scratch, name)
            digest = _sha256(made)
            final = f"{self.folder}/{self.part:05d}-{name}-{digest[:10]}.{writer.suffix}"
            files[name] = File(final, writer.rows, os.path.getsize(made), digest, buckets)
        rows = {name: f.rows for name, f in files.items()}
        where = f"{self.folder} part {self.part}"
        for table in same_rows:
            if (came := rows.get(table, 0)) != rows_in:
                raise CommitError(
                    f"{where}: {rows_in} rows went in and {came} came out in {table!r}; nothing was committed"
                )
        for asked, (went, tables) in adds_up.items():
            came = sum(rows.get(t, 0) for t in tables)
            if came + len(quarantined) != went:
                raise CommitError(
                    f"{where}: {went} rows of {asked!r} went in, {came} came out in {' and '.join(tables)} and {len(quarantined)} are "
                    "quarantined; nothing was committed"
                )
        for name, file in files.items():
            self.store.publish(os.path.join(self.scratch, name), file.name)
        counts = {t: {c: dict(sorted(v.items())) for c, v in cs.items()} for t, cs in sorted(self.counts.items())}
        sidecar = Sidecar(self.part, rows_in, files, counts, quarantined)
        return sidecar if self.store.create(self.done, sidecar.to_json()) else self.committed()

    @property
    def done(self) -> str:
        return f"{self.folder}/{self.part:05d}.json"

    def committed(self) -> Sidecar:
        """What an earlier attempt has committed. Raises FileNotFoundError."""
        return Sidecar.from_json(self.store.read(self.done))


def _sha256(path: str) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
