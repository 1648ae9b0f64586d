"""Components: from edges to clusters of candidates."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from dedup.columns import column, part_of, row_of
from dedup.group import forest
from manifests.stage import NO_ENGINE, Output, StageContext

#: which cluster a document is in; `key` is the document's partition, `root` the smallest document of the cluster
MEMBERSHIP = pa.schema([("key", pa.uint64()), ("row", pa.int32()), ("root", pa.uint64())])


@dataclass(frozen=True)
class Components:
    """Reduce over all ``edges`` (`dedup.group.EDGES`) -> ``membership`` (`MEMBERSHIP`): every document of a cluster of
    two or more, the root included.

    Memory: about 72 bytes for each edge. In each bucket a document that shares a key has at most one edge.
    """

    tables: ClassVar[Mapping[str, pa.Schema]] = {"membership": MEMBERSHIP}

    def __call__(self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        edges = tables["edges"]
        doc, root = forest(column(edges, "a"), column(edges, "b"))
        yield "membership", pa.record_batch([part_of(doc), row_of(doc), root], schema=MEMBERSHIP)
