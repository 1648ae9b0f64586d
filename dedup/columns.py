"""Document numbers, and columns of tables as numpy arrays."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.hashing import U64

ROW_BITS = np.uint64(32)


def numbers(part: int, first: int, count: int) -> U64:
    """Document numbers of ``count`` rows from row ``first`` of a partition: ``partition << 32 | row``."""
    return (np.uint64(part) << ROW_BITS) | np.arange(first, first + count, dtype=np.uint64)


def part_of(doc: U64) -> U64:
    return doc >> ROW_BITS


def row_of(doc: U64) -> npt.NDArray[np.int32]:
    return (doc & np.uint64(0xFFFFFFFF)).astype(np.int32)


def required(batch: pa.RecordBatch, names: tuple[str, ...], stage: str) -> list[pa.Array]:
    """The named columns. Raises ValueError, one line, that names those which are missing."""
    if missing := [n for n in names if n not in batch.schema.names]:
        raise ValueError(f"{stage} needs the columns {', '.join(names)}; not in its input: {', '.join(missing)}")
    return [batch.column(n) for n in names]


def column(table: pa.Table, name: str, kind: Any = np.uint64) -> npt.NDArray[Any]:
    """A column as numpy. Raises ValueError for nulls: numpy's floats cannot represent every document number."""
    values = table.column(name)
    if values.null_count:
        raise ValueError(f"column {name} has {values.null_count} nulls; it may have none here")
    return np.asarray(values.to_numpy(), kind)


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """A table as one batch, which has the table's columns even where it has no rows."""
    table = table.combine_chunks()
    return table.to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([], schema=table.schema)
