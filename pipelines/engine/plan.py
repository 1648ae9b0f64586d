"""From a list of nodes to parts: pure functions of what parents have committed. Nothing here starts anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.engine.commit import Sidecar
from pipelines.engine.part import Reads, Work
from pipelines.engine.parts import Counts, Parts
from pipelines.engine.stage import Input, Node, code_of, describe, files_of, fingerprint, versions_of
from pipelines.engine.storage import Store


class PlanError(Exception):
    """The plan names a node or a table wrongly: a fault of the program, not of the data."""


class Made:
    """What a node has committed: its parts, in order, over all generations of a recorded one."""

    def __init__(self, name: str, parts: Sequence[Sidecar] = (), counts: Counts | None = None, folders: Sequence[str] = ()):
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


def keyed_tables(nodes: Sequence[Node], buckets: int) -> dict[str, dict[str, int]]:
    """For each node, which of its tables feed an exchange, and into how many buckets (0: by part): what its readers ask for."""
    asked: dict[str, dict[str, int]] = {n.name: {} for n in nodes}
    for node in nodes:
        for i in node.inputs.values():
            if i.how in ("bucket", "home"):
                for parent in i.nodes:
                    want = buckets if i.how == "bucket" else 0
                    if asked[parent].setdefault(i.table, want) != want:
                        raise PlanError(f"table {i.table!r} of {parent!r} is read both by bucket and by part")
    return asked


def check(nodes: Sequence[Node]) -> None:
    """Every node stands behind its parents, and names are unique."""
    seen: set[str] = set()
    for node in nodes:
        for parent in node.parents:
            if parent not in seen:
                raise PlanError(f"{node.name!r} reads {parent!r}, which does not stand before it")
        if node.name in seen:
            raise PlanError(f"two nodes are called {node.name!r}")
        seen.add(node.name)


@dataclass(frozen=True)
class Todo:
    """A node whose parents are done: where its parts go, how many there are, and each of them when asked for."""

    node: Node
    folder: str
    count: int
    work: Callable[[int], Work]
    about: Mapping[str, Any]  # for its manifest


def todo(
    node: Node, made: Mapping[str, Made], keyed: Mapping[str, int], root: str, buckets: int, epoch: int = 0, earlier: Parts | None = None
) -> Todo:
    """`epoch`: how often a recorded node was refreshed; `earlier`: what it had recorded before the last time."""
    literal = node.rows(made) if node.rows else None
    digests = {name: [made[n].parts.content(i.table) for n in i.nodes] for name, i in sorted(node.inputs.items())}
    if literal is not None:
        digests["rows"] = [_rows_digest(t) for t in (literal.to_batches(_MANY) if isinstance(literal, pa.Table) else literal)]
    inputs = fingerprint(digests)
    about = {"node": node.name, "stage": describe(node.stage), "keyed": dict(keyed), "format": FORMAT}
    about |= {"versions": versions_of(node.stage), "files": files_of(node.stage)}
    if node.recorded:
        about = {**about, "recorded": True}
        folder = f"stages/{node.name}-{fingerprint(about['stage'], inputs, *([epoch] if epoch else []))}"
    else:
        about["code"] = code_of(node.stage)
        about["cut"] = [node.batch_rows, *node.per_part, describe(node.count)]
        folder = f"stages/{node.name}-{fingerprint(about, inputs)}"
    about = {**about, "inputs": digests if literal is None else inputs, "parents": list(node.parents)}

    first = next((i for i in node.inputs.values() if i.how == "aligned"), None)
    if literal is not None:
        count = len(literal)
    elif first is not None:
        count = sum(len(made[n].parts) for n in first.nodes)
    elif any(i.how == "bucket" for i in node.inputs.values()):
        count = _exchange_parts(node, made, buckets)
    else:
        count = 1
    base = len(made[node.name].parts) if node.recorded and node.name in made else 0
    readers = {name: _reader(i, made, count, buckets) for name, i in node.inputs.items()}
    if node.recorded and node.known and node.name in made:
        table, column = node.known
        seen = replace(_reader(Input((node.name,), table, "all"), made, 1, buckets)(0), columns=(column,))
        readers["known"] = lambda part: seen

    before = _files(node.earlier, earlier, root) if node.earlier and earlier is not None else []

    def work(i: int) -> Work:
        rows = None if literal is None else literal.take([i]) if isinstance(literal, pa.Table) else literal[i]
        if rows is not None and before:  # behind the fingerprint: it saves requests, and changes nothing that is recorded
            rows = rows.append_column("earlier", pa.array([before] * rows.num_rows, pa.list_(pa.list_(pa.string()))))
        return Work(
            node.name, root, folder, i, base + i, node.stage, {name: read(i) for name, read in readers.items()}, rows,
            keyed, node.same_rows, node.count, node.is_map, node.batch_rows, node.deadline_s, node.memory, node.gpus, node.adds_up,
        )  # fmt: skip

    return Todo(node, folder, count, work, about)


FORMAT = 1  # of the files the engine writes: a stage's output is made anew when it changes
_MANY = 10_000


def _files(tables: Sequence[str], parts: Parts, root: str) -> list[list[str]]:
    """Addresses of some tables' files, for each part that has all of them."""
    return [[Store(root).path(s.files[t].name) for t in tables] for s in parts if all(t in s.files for t in tables)]


def _rows_digest(table: pa.Table | pa.RecordBatch) -> str:
    """Digest of a source's rows. Where they say both, `file` is what an input is called and `path` merely where it is read today."""
    if {"file", "path"} <= set(table.schema.names):
        table = table.select([n for n in table.schema.names if n != "path"])
    return hashlib.blake2b(json.dumps(table.to_pylist(), sort_keys=True, default=str).encode(), digest_size=16).hexdigest()


def _union(i: Input, made: Mapping[str, Made]) -> Parts:
    return Parts.join([made[n].parts for n in i.nodes])


def _exchange_parts(node: Node, made: Mapping[str, Made], buckets: int) -> int:
    """As many parts as the rows or weights want; a function of what the parents committed, never of the workers."""
    column = 1 if node.per_part[0] == "rows" else 2
    total = 0
    for i in node.inputs.values():
        if i.how == "bucket":
            total = max(total, sum(b[column] for s in _union(i, made) if i.table in s.files for b in s.files[i.table].buckets))
    return max(1, min(buckets, -(-total // node.per_part[1])))


def _reader(i: Input, made: Mapping[str, Made], parts: int, buckets: int) -> Callable[[int], Reads]:
    """Which files of an input each part reads, and of keyed tables which record batches."""
    union = _union(i, made)
    if i.how == "aligned":

        def one(part: int) -> Reads:
            files = union[part].files
            return Reads("aligned", (files[i.table].name,) if i.table in files else ())

        return one
    if i.how in ("paths", "all"):
        have = list(union.files(i.table))
        all_of_them = Reads(i.how, tuple(name for _, name in have), parts=tuple(n for n, _ in have) if i.how == "paths" else ())
        return lambda part: all_of_them
    names: list[str] = []
    where: dict[int, list[tuple[int, int]]] = {}  # bucket -> (file, record batch)
    for s in union:
        if i.table in s.files:
            for piece, (bucket, _, _) in enumerate(s.files[i.table].buckets):
                where.setdefault(bucket, []).append((len(names), piece))
            names.append(s.files[i.table].name)

    def some(part: int) -> Reads:
        low, high = (part, part + 1) if i.how == "home" else (part * buckets // parts, (part + 1) * buckets // parts)
        pieces: dict[int, list[int]] = {}
        for file, piece in sorted(p for b in range(low, high) for p in where.get(b, ())):
            pieces.setdefault(file, []).append(piece)
        if names and not pieces:  # nothing in this range: one file, for its columns
            pieces = {0: []}
        return Reads(i.how, tuple(names[f] for f in pieces), tuple(tuple(p) for p in pieces.values()))

    return some
