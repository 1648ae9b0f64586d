"""A small engine for the tests: documents in partitions, shuffles by key, and the chain of stages of one run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from dedup.group import Components, Group
from dedup.sign import Sign
from dedup.verify import GatherClusters, Verify
from manifests.schema import DECISION, DOCUMENT
from manifests.stage import DirectContext

Tables = dict[str, list[pa.RecordBatch]]


@dataclass(frozen=True)
class Doc:
    id: str
    texts: tuple[str, ...] = ()
    url: str | None = None
    fetched: int | None = None
    keep: bool = True
    image: str | None = None
    node_keep: tuple[bool, ...] | None = None
    page: int | None = None

    def row(self) -> dict[str, Any]:
        nodes = [{"kind": "image", "image": self.image}] if self.image else []
        nodes += [{"kind": "text", "text": t} for t in self.texts]
        return {
            "id": self.id,
            "url": self.url,
            "fetched_at": None if self.fetched is None else datetime.fromtimestamp(self.fetched, UTC),
            "provenance": {"file": "f", "page": self.page},
            "nodes": nodes,
            "keep": self.keep,
            "node_keep": list(self.node_keep) if self.node_keep is not None else [True] * len(nodes),
        }


def batch(docs: Sequence[Doc]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([d.row() for d in docs], schema=pa.schema([*DOCUMENT, *DECISION]))


def call(stage: Callable, tables: Mapping[str, pa.Table], part: int = 0) -> Tables:
    return gather(stage(tables, DirectContext(part=part)))


def gather(outputs: Any, into: Tables | None = None) -> Tables:
    tables: Tables = {} if into is None else into
    for name, rows in outputs:
        tables.setdefault(name, []).append(rows)
    return tables


def split_by_key(batches: list[pa.RecordBatch], buckets: int) -> list[pa.Table]:
    """One table for each range of keys, divided as the engine's shuffle divides them."""
    table = pa.Table.from_batches(batches)
    bucket_of = [k * buckets >> 64 for k in table.column("key").to_pylist()]
    return [table.take(pa.array([n for n, w in enumerate(bucket_of) if w == b], pa.int64())) for b in range(buckets)]


def chain(
    parts: Sequence[Sequence[Doc]], buckets: int, sign: Sign, verify: Verify, step: int = 3
) -> list[dict[str, Any]]:
    """Sign -> Group -> Components -> GatherClusters -> Verify over parts of documents, in batches of ``step``."""
    bands: list[pa.RecordBatch] = []
    signed: list[pa.Table] = []
    for number, docs in enumerate(parts):
        out: Tables = {}
        for low in range(0, max(len(docs), 1), step):
            gather(sign(batch(docs[low : low + step]), DirectContext(part=number, first=low)), out)
        bands += out["bands"]
        signed.append(pa.Table.from_batches(out["signatures"]))
        assert signed[-1].num_rows == len(docs)
    edges = [e for b in split_by_key(bands, buckets) for e in call(Group(), {"bands": b})["edges"]]
    membership = pa.Table.from_batches(call(Components(), {"edges": pa.Table.from_batches(edges)})["membership"])
    clusters: list[pa.RecordBatch] = []
    for number, rows in enumerate(signed):
        members = membership.filter(pa.array([k == number for k in membership.column("key").to_pylist()], pa.bool_()))
        clusters += call(GatherClusters(), {"membership": members, "signatures": rows}, number)["clusters"]
    duplicates = [d for b in split_by_key(clusters, buckets) for d in call(verify, {"clusters": b})["duplicates"]]
    ids = [[d.id for d in docs] for docs in parts]
    rows = pa.Table.from_batches(duplicates).to_pylist()
    for row in rows:
        row["id"] = ids[row["key"]][row["row"]]
        assert ids[row["survivor"] >> 32][row["survivor"] & 0xFFFFFFFF] == row["survivor_id"]
    return rows


def drops_of(rows: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """For the id of each dropped document: (reason, id of the survivor)."""
    out = {r["id"]: (r["reason"], r["survivor_id"]) for r in rows}
    assert len(out) == len(rows), "a document was dropped twice"
    return out
