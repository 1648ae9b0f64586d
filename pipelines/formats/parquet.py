"""Rows of a Parquet file. A part of its rows is read without the row groups of the others."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.formats.opened import of_contents

Row = dict[str, Any]


def parquet_rows(
    path: str, piece: int, pieces: int, choose: Callable[[Sequence[str]], Sequence[str]], rows: int
) -> Iterator[tuple[int, Row | str]]:
    """(number in the file, row or reason) of a piece of the rows.

    choose: names of the columns to read, from those of the file. rows: in memory at a time.

    `file_broken` stands for the rest of a row group that cannot be read; the next group is read. It is in the piece
    that the first row of the rest belongs to.
    """
    with fsspec.open(path, "rb") as f:
        file = pq.ParquetFile(f)
        columns = list(choose(file.schema_arrow.names))
        ends = _ends(file.metadata)
        first, end = (cut(ends, i, pieces) for i in (piece, piece + 1))
        start = 0
        for group, group_end in enumerate(ends):
            if start < end and group_end > first:
                for number, row in _group(file, group, start, max(first, start), columns, rows):
                    if first <= number < end:
                        yield number, row
                    if number + 1 >= end:
                        break
            start = group_end


def _ends(metadata: Any) -> list[int]:
    """The number of the row behind each row group."""
    ends, end = [], 0
    for group in range(metadata.num_row_groups):
        end += metadata.row_group(group).num_rows
        ends.append(end)
    return ends


def cut(ends: Sequence[int], piece: int, pieces: int) -> int:
    """The first row of a piece. Pieces have the same number of rows, but begin with a row group that is near.

    Near is a quarter of a piece: a row group that two pieces share is read twice.
    """
    rows = ends[-1] if ends else 0
    if piece in (0, pieces):
        return rows if piece else 0
    exact = rows * piece // pieces
    nearest = min([0, *ends], key=lambda end: abs(end - exact))
    return nearest if abs(nearest - exact) * 4 * pieces <= rows else exact


def _group(
    file: Any, group: int, start: int, first: int, columns: Sequence[str], size: int
) -> Iterator[tuple[int, Row | str]]:
    """(number, row or reason) of a row group that begins with row `start`, from row `first` on."""
    number = start
    try:
        for batch in file.iter_batches(size, row_groups=[group], columns=columns, use_threads=False):
            if number + batch.num_rows > first:
                yield from enumerate(_rows(batch), number)
            number += batch.num_rows
    except Exception as e:
        if not of_contents(e):
            raise
        yield number, "file_broken"


def _rows(batch: pa.RecordBatch) -> list[Row | str]:
    """The rows of a batch. A value that Python cannot hold, such as a string that is no UTF-8, costs its row."""
    try:
        rows: list[Row | str] = batch.to_pylist()
        return rows
    except Exception as e:
        if not of_contents(e):
            raise
    if batch.num_rows == 1:
        return ["bad_row"]
    return [row for i in range(batch.num_rows) for row in _rows(batch.slice(i, 1))]
