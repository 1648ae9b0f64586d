"""Components: from edges to clusters of candidates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from dedup.group import column, forest
from dedup.hashing import mix64, part_of, row_of
from manifests.stage import NO_ENGINE, StageContext

MEMBERS = pa.schema([("key", pa.uint64()), ("doc", pa.uint64()), ("root", pa.uint64())])  # key: of the root
HOMES = pa.schema([("key", pa.uint64()), ("row", pa.int32()), ("root", pa.uint64())])  # key: the document's part


@dataclass(frozen=True)
class Components:
    """Reduce over all ``edges`` (`dedup.group.EDGES`) -> ``members`` (`MEMBERS`) and the same for the way back,
    ``homes`` (`HOMES`): every document of a cluster of two or more, its root (the smallest document) included.

    Memory: about 72 bytes an edge at its peak. Edges are at most one a bucket for each document that met another.
    """

    def __call__(
        self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        edges = tables["edges"]
        doc, root = forest(column(edges, "a"), column(edges, "b"))
        yield "members", pa.record_batch([pa.array(mix64(root)), pa.array(doc), pa.array(root)], schema=MEMBERS)
        yield "homes", pa.record_batch([pa.array(part_of(doc)), pa.array(row_of(doc)), pa.array(root)], schema=HOMES)
