"""The committed parts of a stage as columns, a few hundred bytes each, so that a driver can hold millions.

``parts.parquet`` names every file of a finished stage; ``manifest.json``, written last, says that it is finished.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.engine.commit import File, Sidecar
from pipelines.engine.part import BrokenFileError
from pipelines.engine.storage import Store

SCHEMA = pa.schema(
    [("part", pa.int64()), ("rows_in", pa.int64()), ("table", pa.string()), ("file", pa.string()), ("rows", pa.int64()),
     ("bytes", pa.int64()), ("sha256", pa.string()), ("buckets", pa.list_(pa.list_(pa.int64()))), ("counts", pa.string())]
)  # fmt: skip

Counts = dict[str, dict[str, dict[str, int]]]  # table -> column -> value -> rows
Quarantined = tuple[tuple[int, int, str], ...]

_MANY = 4096  # parts turned into rows at a time


class Parts(Sequence[Sidecar]):
    """Parts in order, from 0; each a `Sidecar` when looked at. A part without files is one row without a table."""

    def __init__(self, table: pa.Table, parts: int, quarantined: Mapping[int, Quarantined]):
        self.table, self.quarantined = table, quarantined
        self.starts = np.searchsorted(table["part"].to_numpy(), np.arange(parts + 1))

    @staticmethod
    def of(sidecars: Sequence[Sidecar]) -> Parts:
        if isinstance(sidecars, Parts):
            return sidecars
        found = Collector(len(sidecars))
        for n, s in enumerate(sidecars):
            found.add(Sidecar(n, s.rows_in, s.files, s.counts, s.quarantined))
        return found.parts()

    @staticmethod
    def join(several: Sequence[Parts]) -> Parts:
        """Parts of several stages, or generations, behind one another."""
        if len(several) == 1:
            return several[0]
        tables, base = [SCHEMA.empty_table()], 0
        quarantined: dict[int, Quarantined] = {}
        for p in several:
            tables.append(p.table.set_column(0, "part", pc.add(p.table["part"], base)))
            quarantined |= {base + n: q for n, q in p.quarantined.items()}
            base += len(p)
        return Parts(pa.concat_tables(tables), base, quarantined)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, i: int) -> Sidecar:  # type: ignore[override]
        if not 0 <= i < len(self):
            raise IndexError(i)
        return next(self._between(i, i + 1))

    def __iter__(self) -> Iterator[Sidecar]:
        for i in range(0, len(self), _MANY):
            yield from self._between(i, min(i + _MANY, len(self)))

    def _between(self, first: int, end: int) -> Iterator[Sidecar]:
        start = int(self.starts[first])
        rows = self.table.slice(start, int(self.starts[end]) - start).to_pylist()
        for n in range(first, end):
            mine = rows[int(self.starts[n]) - start : int(self.starts[n + 1]) - start]
            files = {
                r["table"]: File(
                    r["file"], r["rows"], r["bytes"], r["sha256"], tuple((b[0], b[1], b[2]) for b in r["buckets"])
                )
                for r in mine
                if r["table"] is not None
            }
            counts = {r["table"]: json.loads(r["counts"]) for r in mine if r["counts"] not in (None, "{}")}
            yield Sidecar(n, mine[0]["rows_in"], files, counts, self.quarantined.get(n, ()))

    def tables(self) -> dict[str, int]:
        """Rows of each table."""
        sums = self.table.group_by("table").aggregate([("rows", "sum")]).to_pylist()
        return {
            r["table"]: r["rows_sum"] for r in sorted(sums, key=lambda r: r["table"] or "") if r["table"] is not None
        }

    def bytes(self, table: str | None = None) -> int:
        """Bytes of one table, or of all."""
        mine = self.table if table is None else self.table.filter(pc.equal(self.table["table"], table))
        return pc.sum(mine["bytes"]).as_py() or 0

    def files(self, table: str) -> Iterator[tuple[int, str]]:
        """(part, file name) of one table."""
        mine = self.table.filter(pc.equal(self.table["table"], table))
        return zip(mine["part"].to_pylist(), mine["file"].to_pylist(), strict=True)

    def content(self, table: str) -> str:
        """Digest of a table over all parts: what a child's fingerprint depends on."""
        h, at = hashlib.blake2b(digest_size=16), 0
        mine = self.table.filter(pc.equal(self.table["table"], table))
        for part, sha in zip(mine["part"].to_pylist(), mine["sha256"].to_pylist(), strict=True):
            h.update(b"-" * (part - at) + sha.encode())
            at = part + 1
        h.update(b"-" * (len(self) - at))
        return h.hexdigest()


class Collector:
    """Sidecars as they come, in any order, kept as columns."""

    def __init__(self, parts: int):
        self.have = bytearray(parts)
        self.done = 0
        self.rows = 0  # of input or output, whichever is more
        self.counts: Counts = {}
        self.quarantined: dict[int, Quarantined] = {}
        self.batches: list[pa.RecordBatch] = []
        self.held: list[Sidecar] = []

    def add(self, s: Sidecar) -> None:
        if self.have[s.part]:
            return
        self.have[s.part] = 1
        self.done += 1
        self.rows += max([s.rows_in, *(f.rows for f in s.files.values())])
        add_counts(self.counts, s.counts)
        if s.quarantined:
            self.quarantined[s.part] = s.quarantined
        self.held.append(s)
        if len(self.held) == _MANY:
            self._flush()

    def missing(self) -> Iterator[int]:
        return (i for i, there in enumerate(bytes(self.have)) if not there)

    def _flush(self) -> None:
        none = File("", 0, 0, "")
        pairs = [(s, t, f) for s in self.held for t, f in (sorted(s.files.items()) if s.files else [(None, none)])]
        columns = [
            [s.part for s, _, _ in pairs], [s.rows_in for s, _, _ in pairs], [t for _, t, _ in pairs],
            *([getattr(f, c) for _, _, f in pairs] for c in ("name", "rows", "bytes", "sha256", "buckets")),
            [json.dumps(s.counts.get(t, {}), sort_keys=True) if t else "{}" for s, t, _ in pairs],
        ]  # fmt: skip
        self.batches.append(
            pa.record_batch([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)
        )
        self.held = []

    def parts(self) -> Parts:
        self._flush()
        table = pa.Table.from_batches(self.batches, SCHEMA)
        self.batches = (
            [table.take(pc.sort_indices(table, [("part", "ascending")])).combine_chunks().to_batches()[0]]
            if len(table)
            else []
        )
        return Parts(
            pa.Table.from_batches(self.batches, SCHEMA), len(self.have), dict(sorted(self.quarantined.items()))
        )


def add_counts(total: Counts, counts: Mapping[str, Any]) -> None:
    for table, columns in counts.items():
        for column, values in columns.items():
            sums = total.setdefault(table, {}).setdefault(column, {})
            for value, n in values.items():
                sums[value] = sums.get(value, 0) + n


def merge_counts(counts: Iterable[Mapping[str, Any]]) -> Counts:
    """Sums, in one order whatever the order they come in."""
    total: Counts = {}
    for c in counts:
        add_counts(total, c)
    return {t: {c: dict(sorted(v.items())) for c, v in sorted(cs.items())} for t, cs in sorted(total.items())}


def write_manifest(store: Store, folder: str, about: Mapping[str, Any], parts: Parts, counts: Counts) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(parts.table, sink, compression="zstd")
    store.replace(f"{folder}/parts.parquet", sink.getvalue().to_pybytes())
    about = {
        **about,
        "parts": len(parts),
        "rows_in": pc.sum(parts.table.filter(_first_rows(parts))["rows_in"]).as_py() or 0,
        "tables": parts.tables(),
        "counts": counts,
        "quarantined": [[n, *q] for n, rows in parts.quarantined.items() for q in rows],
    }
    store.replace(f"{folder}/manifest.json", json.dumps(about, indent=1, sort_keys=True).encode())


def _first_rows(parts: Parts) -> pa.Array:
    mask = np.zeros(len(parts.table), bool)
    mask[parts.starts[:-1]] = True
    return pa.array(mask)


def read_manifest(store: Store, folder: str) -> tuple[Parts, Counts] | None:
    """A finished stage; None where it is not finished. Raises BrokenFileError where a file it names is not what it was."""
    if not store.exists(f"{folder}/manifest.json"):
        return None
    try:
        about = json.loads(store.read(f"{folder}/manifest.json"))
        table = pq.read_table(pa.BufferReader(store.read(f"{folder}/parts.parquet")))
    except (OSError, ValueError) as e:  # ArrowInvalid is a ValueError
        raise BrokenFileError(
            f"{store.path(folder)}: manifest.json or parts.parquet cannot be read ({e}); {_remedy(folder)}"
        ) from e
    quarantined: dict[int, list[tuple[int, int, str]]] = {}
    for part, row, sub, cause in about["quarantined"]:
        quarantined.setdefault(part, []).append((row, sub, cause))
    _check_sizes(store, folder, zip(table["file"].to_pylist(), table["bytes"].to_pylist(), strict=True))
    return Parts(table, about["parts"], {n: tuple(q) for n, q in quarantined.items()}), about["counts"]


def read_committed(store: Store, folder: str, parts: int) -> Collector:
    """What an interrupted run left committed."""
    found = Collector(parts)
    names = [n for n in store.names(folder) if n.endswith(".json") and n.removesuffix(".json").isdigit()]
    for name, data in zip(names, store.read_all(f"{folder}/{n}" for n in names), strict=True):
        try:
            found.add(Sidecar.from_json(data))
        except (ValueError, KeyError) as e:
            raise BrokenFileError(
                f"{store.path(folder)}/{name} is no record of a part ({e}); remove it and run again"
            ) from e
    if names:
        table = found.parts().table
        _check_sizes(store, folder, zip(table["file"].to_pylist(), table["bytes"].to_pylist(), strict=True))
    return found


def _check_sizes(store: Store, folder: str, named: Iterable[tuple[str, int]]) -> None:
    there = store.sizes(folder)
    for name, size in named:
        has = there.get(name.rpartition("/")[2]) if name else size
        if has != size:
            state = "gone" if has is None else f"{has} bytes long"
            raise BrokenFileError(
                f"{store.path(name)} was committed with {size} bytes and is {state}; {_remedy(folder)}"
            )


def _remedy(folder: str) -> str:
    return f"remove {folder} and run again to make that stage anew"
