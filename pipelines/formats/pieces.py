"""How the files of a source are divided among partitions. It depends on the files alone, never on the workers."""

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import pyarrow as pa

from manifests.document import batches
from manifests.stage import NO_ENGINE, Output, StageContext
from pipelines.formats.containers import is_array
from pipelines.formats.lines import Lines, Table, json_lines
from pipelines.formats.opened import LINES, file_kind, opened

Row = dict[str, Any]

#: an input file; `file` is the name that the recipe gives it, `size` is in bytes, `changed` its mtime or ETag
FILE = pa.schema({"path": pa.string(), "file": pa.string(), "size": pa.int64(), "changed": pa.string()})
#: input rows: piece `piece` of `pieces` of a file. `start`, `end`, `first`: its bytes and the number of its first row,
#: where the rows of the file are lines in more than one piece
INPUTS = pa.schema([*FILE, *((name, pa.int64()) for name in ("piece", "pieces", "start", "end", "first"))])

PIECE = 16 << 20  # bytes of a file, as it is stored, in one partition
#: most pieces of a file that each piece reads from its beginning, by the end of its name. Decompression of the whole
#: file in each of so many pieces costs about a tenth of the work on its rows (measured on one core: it decompresses
#: 300 MB/s of gzip, 800 of zstd, 90 of xz and 27 of bz2, and takes about 1 MB/s of text through all steps).
MOST = {".gz": 32, ".zst": 64, ".xz": 12, ".bz2": 4}
MOST_OTHERS = 16  # of a JSON array, a zip or a tar


def pieces(file: Mapping[str, Any], size: int | None = None, **columns: Any) -> list[Row]:
    """INPUTS rows of a file (a mapping with path, file, size and changed), with further columns.

    A piece has about `size` bytes (PIECE if None). A Parquet file is divided by rows, lines by bytes (see
    `ByteRanges`). Each piece of another file reads the whole file and keeps its share of the rows.
    """
    name = file["path"].lower()
    n = max(1, math.ceil(file["size"] / (size or PIECE)))
    if not name.endswith((".parquet", *LINES)):
        n = min(n, next((most for ending, most in MOST.items() if name.endswith(ending)), MOST_OTHERS))
    ranges = dict.fromkeys(("start", "end", "first"))
    return [{**file, **columns, "piece": i, "pieces": n, **ranges} for i in range(n)]


def has_ranges(piece: Mapping[str, Any]) -> bool:
    """Whether a piece is a range of bytes, which `ByteRanges` has to find."""
    path: str = piece["path"]
    return piece["pieces"] > 1 and path.lower().endswith(LINES)


@dataclass(frozen=True)
class ByteRanges:
    """Map. One row of INPUTS for each file -> `ranges`: start, end, first of each of its pieces, in order.

    A range begins with a row. So that rows keep their numbers in the file, and because a line of a CSV file may be in
    the middle of a quoted field, the file is read once: lines at about 1 GB/s, CSV at about 200 MB/s (one core), which
    is less than a fiftieth of the work on its rows. A JSON array has no ranges (null), for it cannot be read from the
    middle. header: names of the columns of tables without a header.
    """

    header: tuple[str, ...] = ()

    tables: ClassVar[Mapping[str, pa.Schema]] = {
        "ranges": pa.schema([("file", pa.string()), *(INPUTS.field(name) for name in ("start", "end", "first"))])
    }

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        for index, part in enumerate(batch.to_pylist()):
            items = (("ranges", {"file": part["file"], **found}) for found in _ranges(part, index, ctx, self.header))
            yield from batches(items, self.tables)


def _ranges(part: Row, index: int, ctx: StageContext, header: Sequence[str]) -> list[Row]:
    kind, n = file_kind(part["path"]), part["pieces"]
    starts: list[tuple[int, int]] = []  # byte and number of the first row of each piece
    with opened(part["path"], kind) as stream:
        if kind == "json" and is_array(stream):
            return [dict.fromkeys(("start", "end", "first"))] * n
        try:
            lines, items = _lines(stream, kind, header)
        except EOFError:  # no header: the reader of the rows says so
            return [dict.fromkeys(("start", "end", "first"))] * n
        number = 0
        while True:
            while len(starts) < n and lines.at >= part["size"] * len(starts) // n:
                ctx(index, len(starts))  # a sign of progress
                starts.append((lines.at, number))
            if next(items, None) is None:
                break
            number += 1
        starts += [(lines.at, number)] * (n + 1 - len(starts))
    return [{"start": start, "end": end, "first": first} for (start, first), (end, _) in pairwise(starts)]


def _lines(stream: io.BufferedReader, kind: str, header: Sequence[str]) -> tuple[Lines, Iterator[Any]]:
    """The lines of a file, and its rows, which are read from the lines one by one."""
    if kind == "json":
        lines = Lines(stream)
        return lines, json_lines(lines)
    table = Table(stream, kind, header)
    return table.lines, table.rows(())


def groups(rows: Iterable[Row], most_bytes: int, most_files: int) -> list[list[Row]]:
    """Input files in partitions of at most so many bytes and files, in their order."""
    out: list[list[Row]] = []
    size = 0
    for row in rows:
        if not out or size + row["size"] > most_bytes or len(out[-1]) >= most_files:
            out.append([])
            size = 0
        out[-1].append(row)
        size += row["size"]
    return out
