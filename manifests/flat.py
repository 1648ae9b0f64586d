"""The nodes of many documents as one flat array, with the places where each document begins."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import TEXT

I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def offsets(sizes: npt.NDArray[Any]) -> I64:
    """Running totals from 0: where each of consecutive slices of these sizes begins, and where the last one ends."""
    out = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=out[1:])
    return out


def within(sizes: npt.NDArray[Any]) -> I64:
    """The place of each element in its slice, for consecutive slices of these sizes: 0, 1, 2, 0, 1 ..."""
    before = offsets(sizes)
    return np.arange(before[-1]) - np.repeat(before[:-1], sizes)


def run_starts(*keys: npt.NDArray[Any]) -> Bools:
    """Which rows of sorted columns begin a run: the row before differs in one of the columns."""
    starts = np.zeros(len(keys[0]), bool)
    starts[:1] = True
    for key in keys:
        starts[1:] |= key[1:] != key[:-1]
    return starts


def lengths(lists: pa.ListArray) -> I64:
    """Number of values of each list; 0 for a null."""
    return np.asarray(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False), np.int64)


def bools(array: pa.Array) -> Bools:
    """A boolean array as numpy; a null is False."""
    return np.asarray(pc.fill_null(array, False).to_numpy(zero_copy_only=False), np.bool_)


@dataclass(frozen=True)
class FlatNodes:
    """Nodes of consecutive documents. Document i has `nodes[offsets[i]:offsets[i + 1]]`."""

    nodes: pa.StructArray
    offsets: I64

    @cached_property
    def document(self) -> I64:
        """The row of each node's document."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def field(self, name: str) -> pa.Array:
        return pc.struct_field(self.nodes, name)

    def of_kind(self, kind: str) -> Bools:
        """Which nodes are of a kind."""
        return bools(pc.equal(self.field("kind"), kind))

    def count(self, where: Bools) -> I64:
        """How many of each document's nodes are marked."""
        return np.diff(offsets(where)[self.offsets])

    def joined_texts(self, where: Bools, separator: str) -> pa.Array:
        """The texts of each document's marked nodes, joined: one string a document, empty where it has none."""
        chosen = pc.fill_null(self.field("text").filter(pa.array(where)), "")
        edges = pa.array(offsets(where)[self.offsets], pa.int32())
        return pc.binary_join(pa.ListArray.from_arrays(edges, chosen), separator)


def flat_nodes(lists: pa.ListArray) -> FlatNodes:
    """The nodes of a column of documents (`manifests.schema.DOCUMENT`, column `nodes`)."""
    return FlatNodes(lists.flatten(), offsets(lengths(lists)))


def texts(batch: pa.RecordBatch) -> list[str]:
    """The text of each document: its text nodes joined by blank lines."""
    nodes = flat_nodes(batch["nodes"])
    joined: list[str] = nodes.joined_texts(nodes.of_kind(TEXT), "\n\n").to_pylist()
    return joined
