"""From a list of nodes to parts: pure functions of what parents have committed. Nothing here starts anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.engine.commit import File, Sidecar, content
from pipelines.engine.part import Reads, Work
from pipelines.engine.stage import Input, Node, code_of, describe, files_of, fingerprint, versions_of
from pipelines.engine.storage import Store


class PlanError(Exception):
    """The plan names a node or a table wrongly: a fault of the program, not of the data."""


@dataclass
class Made:
    """What a node has committed: its parts, in order, over all generations of a recorded one."""

    name: str
    parts: list[Sidecar] = field(default_factory=list)
    counts: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)

    def rows(self, table: str) -> int:
        return sum(s.files[table].rows for s in self.parts if table in s.files)

    @property
    def quarantined(self) -> list[tuple[int, int, int, str]]:
        """(part, row, sub-row, cause)"""
        return [(n, *q) for n, s in enumerate(self.parts) for q in s.quarantined]

    def read(self, store: Store, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A whole table, small ones only; no columns where nothing was written."""
        tables = [pq.read_table(pa.BufferReader(store.read(s.files[table].name)), columns=columns) for s in self.parts if table in s.files]
        return pa.concat_tables(tables) if tables else pa.table({})


def merge_counts(counts: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, int]]]:
    total: dict[str, dict[str, dict[str, int]]] = {}
    for c in counts:
        for table, columns in c.items():
            for column, values in columns.items():
                sums = total.setdefault(table, {}).setdefault(column, {})
                for value, n in values.items():
                    sums[value] = sums.get(value, 0) + n
    return total


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
    """A node whose parents are done: where its parts go, and all of them."""

    node: Node
    folder: str
    inputs: str  # digest of what it reads
    works: tuple[Work, ...]
    about: Mapping[str, Any]  # for its manifest


def todo(node: Node, made: Mapping[str, Made], keyed: Mapping[str, int], root: str, buckets: int) -> Todo:
    literal = node.rows(made) if node.rows else None
    digests = {name: [content(made[n].parts, i.table) for n in i.nodes] for name, i in sorted(node.inputs.items())}
    if literal is not None:
        digests["rows"] = [_rows_digest(t) for t in literal]
    inputs = fingerprint(digests)
    about = {"node": node.name, "stage": describe(node.stage), "keyed": dict(keyed)}
    about |= {"versions": versions_of(node.stage), "files": files_of(node.stage)}
    if node.recorded:
        about = {**about, "recorded": True}
        folder = f"stages/{node.name}-{fingerprint(about['stage'], inputs)}"
    else:
        about["code"] = code_of(node.stage)
        folder = f"stages/{node.name}-{fingerprint(about, inputs)}"
    about = {**about, "inputs": digests if literal is None else inputs, "parents": list(node.parents)}

    if literal is not None:
        count = len(literal)
    elif any(i.how == "aligned" for i in node.inputs.values()):
        count = len(_union(next(i for i in node.inputs.values() if i.how == "aligned"), made))
    elif any(i.how == "bucket" for i in node.inputs.values()):
        count = _exchange_parts(node, made, buckets)
    else:
        count = 1
    base = len(made[node.name].parts) if node.recorded and node.name in made else 0
    works = []
    for i in range(count):
        reads = {name: _reads(n, made, i, count, buckets) for name, n in node.inputs.items()}
        if node.recorded and node.known and node.name in made:
            table, column = node.known
            reads["known"] = replace(_reads(Input((node.name,), table, "all"), made, 0, 1, buckets), columns=(column,))
        works.append(
            Work(
                node.name, root, folder, i, base + i, node.stage, reads, literal[i] if literal is not None else None,
                dict(keyed), node.same_rows, dict(node.count), node.is_map, node.batch_rows, node.deadline_s, node.memory,
            )
        )  # fmt: skip
    return Todo(node, folder, inputs, tuple(works), about)


def _rows_digest(table: pa.Table) -> str:
    """Digest of a source's rows. Where they say both, `file` is what an input is called and `path` merely where it is read today."""
    if {"file", "path"} <= set(table.column_names):
        table = table.drop_columns("path")
    return hashlib.blake2b(json.dumps(table.to_pylist(), sort_keys=True, default=str).encode(), digest_size=16).hexdigest()


def _union(i: Input, made: Mapping[str, Made]) -> list[Sidecar]:
    return [s for n in i.nodes for s in made[n].parts]


def _exchange_parts(node: Node, made: Mapping[str, Made], buckets: int) -> int:
    """As many parts as the rows or weights want; a function of what the parents committed, never of the workers."""
    column = 1 if node.per_part[0] == "rows" else 2
    total = 0
    for i in node.inputs.values():
        if i.how == "bucket":
            total = max(total, sum(b[column] for s in _union(i, made) if i.table in s.files for b in s.files[i.table].buckets))
    return max(1, min(buckets, -(-total // node.per_part[1])))


def _reads(i: Input, made: Mapping[str, Made], part: int, parts: int, buckets: int) -> Reads:
    sidecars = _union(i, made)
    if i.how == "aligned":
        files = [sidecars[part].files[i.table]] if i.table in sidecars[part].files else []
        return Reads(i.how, tuple(f.name for f in files))
    have: list[tuple[int, File]] = [(n, s.files[i.table]) for n, s in enumerate(sidecars) if i.table in s.files]
    if i.how == "paths":
        return Reads(i.how, tuple(f.name for _, f in have), parts=tuple(n for n, _ in have))
    if i.how == "all":
        return Reads(i.how, tuple(f.name for _, f in have))
    low, high = (part, part + 1) if i.how == "home" else (part * buckets // parts, (part + 1) * buckets // parts)
    names, pieces = [], []
    for _, f in have:
        wanted = tuple(n for n, b in enumerate(f.buckets) if low <= b[0] < high)
        if wanted:
            names.append(f.name)
            pieces.append(wanted)
    if have and not names:  # nothing in this range: one file, for its columns
        names, pieces = [have[0][1].name], [()]
    return Reads(i.how, tuple(names), tuple(pieces))


# ---- a finished stage's manifest


def write_manifest(store: Store, t: Todo, parts: list[Sidecar]) -> None:
    """`parts.parquet` names every file of the stage; `manifest.json`, written last, says the stage is done."""
    rows = [
        {"part": s.part, "rows_in": s.rows_in, "table": name, "file": f.name, "rows": f.rows, "bytes": f.bytes, "sha256": f.sha256,
         "buckets": [list(b) for b in f.buckets], "counts": json.dumps(s.counts.get(name, {}), sort_keys=True)}
        for s in parts for name, f in s.files.items()
    ]  # fmt: skip
    sink = pa.BufferOutputStream()
    schema = pa.schema(
        [("part", pa.int64()), ("rows_in", pa.int64()), ("table", pa.string()), ("file", pa.string()), ("rows", pa.int64()),
         ("bytes", pa.int64()), ("sha256", pa.string()), ("buckets", pa.list_(pa.list_(pa.int64()))), ("counts", pa.string())]
    )  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink)
    store.replace(f"{t.folder}/parts.parquet", sink.getvalue().to_pybytes())
    about = {
        **t.about,
        "parts": len(parts),
        "rows_in": sum(s.rows_in for s in parts),
        "tables": {n: sum(s.files[n].rows for s in parts if n in s.files) for n in sorted({n for s in parts for n in s.files})},
        "counts": merge_counts(s.counts for s in parts),
        "quarantined": [[s.part, *q] for s in parts for q in s.quarantined],
    }
    store.replace(f"{t.folder}/manifest.json", json.dumps(about, indent=1, sort_keys=True).encode())


def read_manifest(store: Store, folder: str) -> tuple[list[Sidecar], dict[str, Any]] | None:
    """The parts of a finished stage; None where it is not finished."""
    if not store.exists(f"{folder}/manifest.json"):
        return None
    about = json.loads(store.read(f"{folder}/manifest.json"))
    files: dict[int, dict[str, File]] = {}
    rows_in: dict[int, int] = {}
    counts: dict[int, dict[str, Any]] = {}
    for r in pq.read_table(pa.BufferReader(store.read(f"{folder}/parts.parquet"))).to_pylist():
        buckets = tuple((b[0], b[1], b[2]) for b in r["buckets"])
        files.setdefault(r["part"], {})[r["table"]] = File(r["file"], r["rows"], r["bytes"], r["sha256"], buckets)
        rows_in[r["part"]] = r["rows_in"]
        counts.setdefault(r["part"], {})[r["table"]] = json.loads(r["counts"])
    quarantined: dict[int, list[tuple[int, int, str]]] = {}
    for part, row, sub, cause in about["quarantined"]:
        quarantined.setdefault(part, []).append((row, sub, cause))
    parts = [
        Sidecar(n, rows_in.get(n, 0), files.get(n, {}), counts.get(n, {}), tuple(quarantined.get(n, ()))) for n in range(about["parts"])
    ]
    return parts, about
