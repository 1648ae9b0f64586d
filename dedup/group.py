"""Group and Components: from shared keys to edges, and from edges to clusters of candidates.

Documents that share a key become a star of edges: k - 1 edges for k documents, never k squared.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from dedup.columns import column, part_of, row_of
from manifests.flat import run_starts
from manifests.hashing import U64, mix64
from manifests.stage import NO_ENGINE, Output, StageContext

#: `key`: hash of the root, for a caller that exchanges edges; `a`: the smallest document of the cluster within this
#: bucket; `b`: a document of that cluster, at most once in a bucket; `kind`: the surest kind of key that b shares
#: (dedup.sign: URL, EXACT, BAND, PAIR)
EDGES = pa.schema([("key", pa.uint64()), ("a", pa.uint64()), ("b", pa.uint64()), ("kind", pa.int8())])

#: which cluster a document is in; `key` is the document's partition, `root` the smallest document of the cluster
MEMBERSHIP = pa.schema([("key", pa.uint64()), ("row", pa.int32()), ("root", pa.uint64())])


def forest(a: U64, b: U64) -> tuple[U64, U64]:
    """Connected components: (node, root) of every node, ascending. The root is the smallest node of its component."""
    from scipy.sparse import coo_array  # its import takes a third of a second, and few processes need it
    from scipy.sparse.csgraph import connected_components

    nodes, index = np.unique(np.concatenate([a, b]), return_inverse=True)
    if not len(nodes):
        return nodes, nodes
    left, right = index[: len(a)], index[len(a) :]
    graph = coo_array((np.ones(len(a), np.int8), (left, right)), shape=(len(nodes), len(nodes)))
    count, label = connected_components(graph, directed=False)
    smallest = np.full(count, len(nodes), np.int64)
    np.minimum.at(smallest, label, np.arange(len(nodes)))
    return nodes, nodes[smallest[label]]


@dataclass(frozen=True)
class Group:
    """Exchange by ``key``: ``bands`` (`dedup.sign.BANDS`) -> ``edges`` (`EDGES`), for each bucket a forest."""

    tables: ClassVar[Mapping[str, pa.Schema]] = {"edges": EDGES}

    def __call__(self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        bands = tables["bands"]
        key, doc, kind = column(bands, "key"), column(bands, "doc"), column(bands, "kind", np.int8)
        order = np.lexsort((doc, key, kind))
        key, doc, kind = key[order], doc[order], kind[order]
        starts = run_starts(key, kind)
        smallest = doc[np.flatnonzero(starts)[np.cumsum(starts) - 1]] if len(doc) else doc
        edge = doc != smallest
        a, b, kind = smallest[edge], doc[edge], kind[edge]
        node, root = forest(a, b)
        surest = np.full(len(node), np.iinfo(np.int8).max, np.int8)
        for end in (a, b):
            np.minimum.at(surest, np.searchsorted(node, end), kind)
        leaf = node != root
        yield "edges", pa.record_batch([mix64(root[leaf]), root[leaf], node[leaf], surest[leaf]], schema=EDGES)


@dataclass(frozen=True)
class Components:
    """Reduce over all ``edges`` (`EDGES`) -> ``membership`` (`MEMBERSHIP`): every document of a cluster of
    two or more, the root included.

    Memory: about 72 bytes for each edge. In each bucket a document that shares a key has at most one edge.
    """

    tables: ClassVar[Mapping[str, pa.Schema]] = {"membership": MEMBERSHIP}

    def __call__(self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        edges = tables["edges"]
        doc, root = forest(column(edges, "a"), column(edges, "b"))
        yield "membership", pa.record_batch([part_of(doc), row_of(doc), root], schema=MEMBERSHIP)
