"""Group: documents that share a key become a star of edges, k - 1 for k documents and never k squared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dedup.hashing import U64, mix64
from manifests.stage import NO_ENGINE, StageContext

EDGES = pa.schema(
    [
        ("key", pa.uint64()),  # of the root, for a caller that exchanges edges
        ("a", pa.uint64()),  # the smallest document of the cluster as far as this bucket knows it
        ("b", pa.uint64()),  # a document of that cluster; each stands here once a bucket
        ("kind", pa.int8()),  # the surest kind of key by which b met another (dedup.sign: URL, EXACT, BAND, PAIR)
    ]
)


def column(table: pa.Table, name: str, kind: Any = np.uint64) -> npt.NDArray[Any]:
    """A column without nulls as numpy; empty where the table has no columns at all, which is how a table nobody wrote
    to looks.
    """
    if not table.schema.names:
        return np.zeros(0, kind)
    values = table.column(name)
    if values.null_count:  # numpy would make floats of them, and document numbers do not fit those
        raise ValueError(f"column {name} has {values.null_count} nulls; it may have none here")
    return np.asarray(values.to_numpy(), kind)


def forest(a: U64, b: U64) -> tuple[U64, U64]:
    """Connected components of edges: (node, root) for every node, ascending, where the root is the component's smallest
    node.
    """
    from scipy.sparse import coo_array  # a third of a second to import, and only runs with something to group need it
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
    """Exchange by ``key``: ``bands`` (`dedup.sign.BANDS`) -> ``edges`` (`EDGES`), contracted to a forest within the
    bucket, so that what goes on is at most one row a document that met another.
    """

    def __call__(
        self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        bands = tables["bands"]
        key, doc, kind = column(bands, "key"), column(bands, "doc"), column(bands, "kind", np.int8)
        order = np.lexsort((doc, key, kind))
        key, doc, kind = key[order], doc[order], kind[order]
        starts = np.ones(len(key), bool)
        starts[1:] = (key[1:] != key[:-1]) | (kind[1:] != kind[:-1])
        smallest = doc[np.flatnonzero(starts)[np.cumsum(starts) - 1]] if len(doc) else doc
        edge = doc != smallest
        a, b, kind = smallest[edge], doc[edge], kind[edge]
        node, root = forest(a, b)
        surest = np.full(len(node), np.iinfo(np.int8).max, np.int8)
        for end in (a, b):
            np.minimum.at(surest, np.searchsorted(node, end), kind)
        leaf = node != root
        yield (
            "edges",
            pa.record_batch(
                [pa.array(mix64(root[leaf])), pa.array(root[leaf]), pa.array(node[leaf]), pa.array(surest[leaf])],
                schema=EDGES,
            ),
        )
