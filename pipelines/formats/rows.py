"""Rows of other people's files: Parquet, JSON lines, JSON arrays, CSV and TSV; also compressed, in zip and in tar.

The readers of this folder take their rows from `documents`. `read` is the one place that handles the faults of a file:
a row that cannot be read is refused as `bad_row`, the rest of a broken file as one row `file_broken`.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import pyarrow as pa

from manifests.document import provenance
from manifests.stage import InputError, StageContext
from pipelines.formats.containers import json_rows, tar_rows, zip_rows
from pipelines.formats.lines import Table, json_object
from pipelines.formats.opened import check_encoding, file_kind, of_contents, opened
from pipelines.formats.parquet import parquet_rows

Row = dict[str, Any]

RUN = 256  # successive rows of a file without ranges that stay in one piece
BATCH = 256  # Parquet rows in memory at a time

#: (column names of a file, its input row) -> names of the columns to read; raises InputError where one is missing
Choose = Callable[[Sequence[str], Row], Sequence[str]]


class RowError(ValueError):
    """A row that becomes no document. `url`: what the ledger calls it, where this is not its `Place.address`."""

    def __init__(self, reason: str, url: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.url = reason, url


def column(names: Sequence[str], part: Row, key: str, options: Sequence[str]) -> str:
    """The first of `options` among the columns of a file. Raises InputError, which names the recipe key `key`."""
    match = next((name for name in options if name in names), None)
    if match is None:
        missing, present = " or ".join(map(repr, options)), ", ".join(map(repr, names[:20])) or "no columns"
        raise InputError(
            f"{part['path']}: no {key.removesuffix('_column')} column ({missing}) among {present}; "
            f"name it with the recipe key `{key}`"
        )
    return match


class Place(NamedTuple):
    """Where a row stands: the input row of its file, and its number in the file, from 0."""

    part: Row
    number: int

    @property
    def provenance(self) -> Row:
        return provenance(self.part["file"], self.number)

    def address(self, scheme: str) -> str:
        """`SCHEME:FILE/ROW`, for a row without an address. The column `label` names the file where there is one."""
        name: str = self.part.get("label") or self.part["file"]
        return f"{scheme}:{quote(name.encode('utf-8', 'surrogatepass'), safe='/:')}/{self.number}"


def documents(
    batch: pa.RecordBatch,
    ctx: StageContext,
    convert: Callable[[Row, Place], Iterable[tuple[str, Row | bytes]]],
    *,
    scheme: str | None = None,
    choose: Choose | None = None,
    limit: int | None = None,
    rows: int = BATCH,
) -> Iterator[tuple[str, Row | bytes]]:
    """(table, row) and (file, bytes) of all rows of a batch of INPUTS rows, for `manifests.document.batches`.

    convert: makes these of one row, or raises RowError, whose reason goes to `refused`. scheme: of the address of a
    refused row. limit: documents of an input row. For choose and rows see `read`.
    """
    for index, part in enumerate(batch.to_pylist()):
        n_documents = 0
        for sub, (number, row) in enumerate(read(part, choose, rows)):
            if limit is not None and n_documents >= limit:
                break
            place = Place(part, number)
            if not ctx(index, sub):
                own = row.get("url") if isinstance(row, dict) else None
                url = own if isinstance(own, str) else scheme and place.address(scheme)
                ctx.lost(index, sub, url=url, file=part["file"], offset=number)
                continue
            try:
                if isinstance(row, str):
                    raise RowError(row)
                items = list(convert(row, place))
            except RowError as fault:
                url = fault.url or (place.address(scheme) if scheme else None)
                yield "refused", {"url": url, "reason": fault.reason, "provenance": place.provenance}
                continue
            for item in items:
                n_documents += item[0] == "documents"
                yield item


def read(part: Row, choose: Choose | None = None, rows: int = BATCH) -> Iterator[tuple[int, Row | str]]:
    """(number in the file, row or reason) of each row of a piece of a file. Text of JSON rows is valid Unicode.

    part: a row of INPUTS. choose: chooses columns of Parquet files and of tables; one JSON object of the piece must
    have them. rows: Parquet rows in memory at a time.

    Where the contents of the file cannot be read any further, the last row is `file_broken`; of several pieces, in the
    one that the next row belongs to. Raises InputError where the file is of no kind that is read, `choose` finds no
    column, or the machine or the network fails.
    """
    kind = file_kind(part["path"])
    mine = _share(part, kind)
    number = (part["first"] or 0) - 1
    fault: InputError | None = None  # of the first JSON object, until another one has the columns
    missing = choose is not None and kind in ("json", "zip", "tar")
    try:
        for number, item in _numbered(part, kind, choose, rows):
            if mine(number):
                row = _parsed(item) if isinstance(item, bytes) else item
                if choose is not None and missing and isinstance(row, dict):
                    try:
                        choose(tuple(row), part)
                        missing = False
                    except InputError as e:
                        fault = fault or e
                yield number, row
    except Exception as e:
        if isinstance(e, (InputError, FileNotFoundError, PermissionError)):
            raise
        if not of_contents(e):
            raise InputError(f"{part['path']}: cannot be read ({type(e).__name__}: {e}); run again when it can") from e
        if mine(number + 1):
            yield number + 1, "file_broken"
    if missing and fault is not None:
        raise fault


def _share(part: Row, kind: str) -> Callable[[int], bool]:
    """Whether the row of a number is in a piece that `_numbered` does not limit to its rows."""
    piece, n = part["piece"], part["pieces"]
    if kind == "parquet":  # a file that cannot be opened is reported once
        return lambda number: number > 0 or piece == 0
    if part["first"] is not None:
        return lambda number: True
    return lambda number: number // RUN % n == piece


def _numbered(part: Row, kind: str, choose: Choose | None, rows: int) -> Iterator[tuple[int, Row | bytes | str]]:
    """(number, item) of the rows of a piece that has a range, else of a file. A JSON item may be bytes, not parsed."""

    def chosen(names: Sequence[str]) -> Sequence[str]:
        return choose(names, part) if choose else names

    if kind == "parquet":
        yield from parquet_rows(part["path"], part["piece"], part["pieces"], chosen, rows)
        return
    with opened(part["path"], kind) as stream:
        if kind in ("zip", "tar"):
            yield from enumerate((zip_rows if kind == "zip" else tar_rows)(stream))
            return
        check_encoding(stream.peek(4), part["path"])
        if kind == "json":
            yield from enumerate(json_rows(stream, part["start"], part["end"]), part["first"] or 0)
        else:
            table = Table(stream, kind)
            columns = chosen(table.header)
            if part["first"] is not None:
                table.lines.limit(part["start"], part["end"])
            yield from enumerate(table.rows(columns), part["first"] or 0)


def _parsed(line: bytes) -> Row | str:
    try:
        return json_object(json.loads(line.decode()), b"\\ud" in line or b"\\uD" in line)
    except (ValueError, RecursionError):
        return "bad_row"
