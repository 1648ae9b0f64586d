"""The committed parts of a step as columns, a few hundred bytes each, so that a driver can hold millions of them.

``parts.parquet`` names every file of a finished stage. ``manifest.json`` is written last and says that the stage has
finished.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.flat import I64, lengths, within
from manifests.parquet import read_parquet
from pipelines.engine.commit import Counts, File, Sidecar
from pipelines.engine.part import BrokenFileError
from pipelines.engine.stage import Quarantined
from pipelines.engine.storage import Store

SCHEMA = pa.schema(
    [("part", pa.int64()), ("rows_in", pa.int64()), ("table", pa.string()), ("file", pa.string()), ("rows", pa.int64()),
     ("bytes", pa.int64()), ("sha256", pa.string()), ("buckets", pa.list_(pa.list_(pa.int64()))),
     ("counts", pa.string())]
)  # fmt: skip

_CHUNK = 4096  # parts converted at a time
_CHUNK_BATCHES = 1 << 18  # and record batches of keyed tables, which need 200 bytes each until then
_REMEDY = "remove {} and run again to make that stage anew"


class Partitions(NamedTuple):
    """One item for each record batch of a keyed table. As arrays: at 10,000 files there are 160 million of them."""

    file: npt.NDArray[np.int32]  # its place in `Parts.files`
    batch: npt.NDArray[np.int32]  # its number in the file
    partition: I64
    rows: I64
    weight: I64


class Parts(Sequence[Sidecar]):
    """Parts in order, numbered from 0; indexing gives a `Sidecar`. A part without files is one row without a table."""

    def __init__(self, table: pa.Table, parts: int, quarantined: Mapping[int, tuple[Quarantined, ...]]):
        self.table, self.quarantined = table, quarantined
        self.starts = np.searchsorted(table["part"].to_numpy(), np.arange(parts + 1))

    @staticmethod
    def of(sidecars: Sequence[Sidecar]) -> Parts:
        if isinstance(sidecars, Parts):
            return sidecars
        collector = Collector(len(sidecars))
        for n, sidecar in enumerate(sidecars):
            collector.add(replace(sidecar, part=n))
        return collector.parts()

    @staticmethod
    def join(several: Sequence[Parts]) -> Parts:
        """The parts of several steps, or generations, numbered one after the other."""
        if len(several) == 1:
            return several[0]
        tables, base = [SCHEMA.empty_table()], 0
        quarantined: dict[int, tuple[Quarantined, ...]] = {}
        for p in several:
            tables.append(p.table.set_column(0, "part", pc.add(p.table["part"], base)))
            quarantined |= {base + n: q for n, q in p.quarantined.items()}
            base += len(p)
        return Parts(pa.concat_tables(tables), base, quarantined)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, i: int) -> Sidecar:  # type: ignore[override]
        return next(self._between(range(len(self))[i], i + 1))

    def __iter__(self) -> Iterator[Sidecar]:
        for i in range(0, len(self), _CHUNK):
            yield from self._between(i, min(i + _CHUNK, len(self)))

    def _between(self, first: int, end: int) -> Iterator[Sidecar]:
        starts = self.starts[first : end + 1].tolist()
        rows = self.table.slice(starts[0], starts[-1] - starts[0]).to_pylist()
        for n, start, stop in zip(range(first, end), starts, starts[1:], strict=False):
            own = rows[start - starts[0] : stop - starts[0]]
            files = {r["table"]: File.from_json({**r, "name": r["file"]}) for r in own if r["table"] is not None}
            counts = {r["table"]: json.loads(r["counts"]) for r in own if r["counts"] not in (None, "{}")}
            yield Sidecar(n, own[0]["rows_in"], files, counts, self.quarantined.get(n, ()))

    def has_content(self) -> bool:
        return bool(self.quarantined) or any(f.rows or f.name.endswith(".bin") for s in self for f in s.files.values())

    def _rows(self, table: str) -> pa.Table:
        return self.table.filter(pc.equal(self.table["table"], table))

    def tables(self) -> dict[str, int]:
        """Rows of each table."""
        sums = self.table.group_by("table").aggregate([("rows", "sum")])
        return dict(sorted((r["table"], r["rows_sum"]) for r in sums.to_pylist() if r["table"] is not None))

    def bytes(self, table: str | None = None) -> int:
        """Bytes of one table, or of all."""
        return pc.sum((self.table if table is None else self._rows(table))["bytes"]).as_py() or 0

    def files(self, table: str, least: int = 0) -> Iterator[tuple[int, str]]:
        """(part, file name) of one table. least: rows of a file."""
        rows = self._rows(table)
        rows = rows.filter(pc.greater_equal(rows["rows"], least))
        return zip(rows["part"].to_pylist(), rows["file"].to_pylist(), strict=True)

    def partitions(self, table: str) -> Partitions:
        """The record batches of a keyed table, file after file."""
        lists = self._rows(table)["buckets"].combine_chunks()
        sizes = lengths(lists)
        numbers = lists.flatten().flatten().to_numpy().reshape(-1, 3)
        file = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        return Partitions(file, within(sizes).astype(np.int32), *numbers.T)

    def content(self, table: str) -> str:
        """Digest of a table over all parts, for the fingerprints of its readers.

        A part with an empty table counts as a part without the table: older recordings have no empty tables.
        """
        h, position = hashlib.blake2b(digest_size=16), 0
        rows = self._rows(table)
        rows = rows.filter(pc.or_(pc.greater(rows["rows"], 0), pc.ends_with(rows["file"], ".bin")))
        for part, sha in zip(rows["part"].to_pylist(), rows["sha256"].to_pylist(), strict=True):
            h.update(b"-" * (part - position) + sha.encode())
            position = part + 1
        h.update(b"-" * (len(self) - position))
        return h.hexdigest()


class Collector:
    """Collects sidecars in any order and keeps them as columns."""

    def __init__(self, parts: int):
        self.have = bytearray(parts)
        self.done = 0
        self.rows = 0  # of input or output, whichever is larger
        self.counts: Counts = {}
        self.quarantined: dict[int, tuple[Quarantined, ...]] = {}
        self.batches: list[pa.RecordBatch] = []
        self.pending: list[Sidecar] = []
        self.pending_batches = 0  # record batches of their keyed tables

    def add(self, s: Sidecar) -> None:
        if self.have[s.part]:
            return
        self.have[s.part] = 1
        self.done += 1
        self.rows += s.rows
        add_counts(self.counts, s.counts)
        if s.quarantined:
            self.quarantined[s.part] = s.quarantined
        self.pending.append(s)
        self.pending_batches += sum(len(f.partitions) for f in s.files.values())
        if len(self.pending) == _CHUNK or self.pending_batches > _CHUNK_BATCHES:
            self._flush()

    def missing(self) -> Iterator[int]:
        return (i for i, have in enumerate(bytes(self.have)) if not have)

    def _flush(self) -> None:
        none = File("", 0, 0, "")
        files = [(s, t, f) for s in self.pending for t, f in (sorted(s.files.items()) if s.files else [(None, none)])]
        columns = [
            [s.part for s, _, _ in files], [s.rows_in for s, _, _ in files], [t for _, t, _ in files],
            *([getattr(f, c) for _, _, f in files] for c in ("name", "rows", "bytes", "sha256", "partitions")),
            [json.dumps(s.counts.get(t, {}), sort_keys=True) if t else "{}" for s, t, _ in files],
        ]  # fmt: skip
        arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
        self.batches.append(pa.record_batch(arrays, schema=SCHEMA))
        self.pending, self.pending_batches = [], 0

    def parts(self) -> Parts:
        self._flush()
        table = pa.Table.from_batches(self.batches, SCHEMA)
        table = table.take(pc.sort_indices(table, [("part", "ascending")])).combine_chunks()
        self.batches = table.to_batches()
        return Parts(table, len(self.have), dict(sorted(self.quarantined.items())))


def add_counts(total: Counts, counts: Mapping[str, Any]) -> None:
    for table, columns in counts.items():
        for column, values in columns.items():
            sums = total.setdefault(table, {}).setdefault(column, {})
            for value, n in values.items():
                sums[value] = sums.get(value, 0) + n


def merge_counts(several: Iterable[Mapping[str, Any]]) -> Counts:
    """The sums of several counts, sorted, so that they do not depend on the order of the parts."""
    total: Counts = {}
    for counts in several:
        add_counts(total, counts)
    return {t: {c: dict(sorted(v.items())) for c, v in sorted(cs.items())} for t, cs in sorted(total.items())}


def write_manifest(store: Store, folder: str, about: Mapping[str, Any], parts: Parts, counts: Counts) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(parts.table, sink, compression="zstd")
    store.replace(f"{folder}/parts.parquet", sink.getvalue().to_pybytes())
    rows_in = int(parts.table["rows_in"].to_numpy()[parts.starts[:-1]].sum())
    about = {**about, "quarantined": [[n, *q] for n, rows in parts.quarantined.items() for q in rows]}
    about |= {"parts": len(parts), "rows_in": rows_in, "tables": parts.tables(), "counts": counts}
    store.replace(f"{folder}/manifest.json", json.dumps(about, indent=1, sort_keys=True).encode())


def read_manifest(store: Store, folder: str) -> tuple[Parts, Counts] | None:
    """The parts of a finished stage, or None if it has not finished. Raises BrokenFileError if a file is damaged."""
    if not store.exists(f"{folder}/manifest.json"):
        return None
    try:
        about = json.loads(store.read(f"{folder}/manifest.json"))
        table = read_parquet(store.read(f"{folder}/parts.parquet"))
    except (OSError, ValueError) as e:  # ArrowInvalid is a ValueError
        fault = f"{store.path(folder)}: manifest.json or parts.parquet cannot be read ({e})"
        raise BrokenFileError(f"{fault}; {_REMEDY.format(folder)}") from e
    quarantined: dict[int, tuple[Quarantined, ...]] = {}
    for part, *row in about["quarantined"]:
        quarantined[part] = (*quarantined.get(part, ()), Quarantined(*row))
    _check_sizes(store, folder, table)
    return Parts(table, about["parts"], quarantined), about["counts"]


def read_committed(store: Store, folder: str, parts: int) -> Collector:
    """The parts that an interrupted run committed. Raises BrokenFileError if a file is damaged."""
    collector = Collector(parts)
    names = record_names(store.names(folder))
    for name, data in zip(names, store.read_all(f"{folder}/{n}" for n in names), strict=True):
        try:
            collector.add(Sidecar.from_json(data))
        except (ValueError, KeyError) as e:
            path = f"{store.path(folder)}/{name}"
            raise BrokenFileError(f"{path} is no record of a part ({e}); remove it and run again") from e
    if names:
        _check_sizes(store, folder, collector.parts().table)
    return collector


def record_names(names: Iterable[str]) -> list[str]:
    """The names among `names` that are records of parts, such as 00042.json."""
    return [n for n in names if n.endswith(".json") and n.removesuffix(".json").isdigit()]


def _check_sizes(store: Store, folder: str, table: pa.Table) -> None:
    sizes = store.sizes(folder)
    for name, size in zip(table["file"].to_pylist(), table["bytes"].to_pylist(), strict=True):
        if name and (actual := sizes.get(name.rpartition("/")[2])) != size:
            state = "gone" if actual is None else f"{actual} bytes long"
            fault = f"{store.path(name)} was committed with {size} bytes and is {state}"
            raise BrokenFileError(f"{fault}; {_REMEDY.format(folder)}")
