"""Rows of other people's files: Parquet, JSON lines, JSON arrays, CSV and TSV; also compressed, in zip and in tar.

The readers of this folder take their rows from `documents`. `read` is the one place that handles the faults of a file:
a row that cannot be read is refused as `bad_row`, the rest of a broken file as one row `file_broken`.
"""

import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import quote

import pyarrow as pa

from manifests.document import provenance
from manifests.stage import InputError, StageContext
from pipelines.formats.containers import json_rows, tar_rows, zip_rows
from pipelines.formats.decompress import to_end
from pipelines.formats.lines import Table, json_object
from pipelines.formats.opened import DELIMITERS, check_encoding, file_kind, of_contents, opened
from pipelines.formats.parquet import parquet_rows

Row = dict[str, Any]

RUN = 256  # successive rows of a file without ranges that stay in one piece
BATCH = 256  # Parquet rows in memory at a time
FETCH = 10**12  # and the number of a row: the sub-row that the engine is told before that row is fetched
_OPENING = re.compile(rb'\s*\{\s*("[^"\\]*"\s*:\s*[\[{]?)?\s*')  # a line that begins an object of several lines

#: (column names of a file, its input row) -> names of the columns to read; raises InputError where one is missing
Choose = Callable[[Sequence[str], Row], Sequence[str]]
#: (decompressed bytes of a file, its input row) -> its rows in order, or the reasons of those that cannot be read
Items = Callable[[io.BufferedReader, Row], Iterator[Row | bytes | str]]


class RowError(ValueError):
    """A row that becomes no document. `url`: what the ledger calls it, where this is not its `Place.address`."""

    def __init__(self, reason: str, url: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.url = reason, url


def column(names: Sequence[str], part: Row, key: str, options: Sequence[str]) -> str:
    """The first of `options` among the columns of a file. Raises InputError, which names the recipe key `key`."""
    match = next((name for name in options if name in names), None)
    if match is None:
        missing = " or ".join(map(repr, options))
        present = ", ".join(repr(name[:40]) for name in names[:20]) or "no columns"
        remedy = f"name it with the recipe key `{key}`"
        if any("://" in name for name in names):
            remedy = "if the file has no header, name its columns with the recipe key `columns`, as in [text, url]"
        raise InputError(
            f"{part['path']}: no {key.removesuffix('_column')} column ({missing}) among {present}; {remedy}"
        )
    return match


def plain(value: Any) -> Any:
    """A text as other projects store it: bytes are UTF-8, and of a list, its first item that is not empty is taken.

    Raises RowError `bad_row` where bytes are no UTF-8.
    """
    if isinstance(value, list):
        value = next(filter(None, value), None)
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise RowError("bad_row") from None


class Place(NamedTuple):
    """Where a row stands: the input row of its file, and its number in the file, from 0."""

    part: Row
    number: int

    @property
    def provenance(self) -> Row:
        return provenance(self.part["file"], self.number)

    def address(self, scheme: str, key: str | None = None) -> str:
        """`SCHEME:FILE/ROW` or `SCHEME:FILE/KEY`, for a row without an address.

        The column `label` names the file where there is one.
        """
        name: str = self.part.get("label") or self.part["file"]
        path = f"{name}/{self.number if key is None else key}"
        return f"{scheme}:{quote(path.encode('utf-8', 'surrogatepass'), safe='/:')}"


def documents(
    batch: pa.RecordBatch,
    ctx: StageContext,
    convert: Callable[[Row, Place], Iterable[tuple[str, Row | bytes]]],
    *,
    scheme: str | None = None,
    choose: Choose | None = None,
    limit: int | None = None,
    rows: int = BATCH,
    header: Sequence[str] = (),
    items: Items | None = None,
) -> Iterator[tuple[str, Row | bytes]]:
    """(table, row) and (file, bytes) of all rows of a batch of INPUTS rows, for `manifests.document.batches`.

    convert: makes these of one row, or raises RowError, whose reason goes to `refused`. scheme: of the address of a
    refused row. limit: documents of an input row. For choose, rows, header and items see `read`.

    The engine is told of each row twice: FETCH and its number before it is fetched, its number before it is converted.
    So a process that ends while a row is fetched costs the rest of the file (`file_broken`), and not the row before.
    """
    for index, part in enumerate(batch.to_pylist()):
        n_documents = 0
        for number, row in _watched(read(part, choose, rows, header, items), part, index, ctx):
            if limit is not None and n_documents >= limit:
                break
            place = Place(part, number)
            if not ctx(index, number):
                own = row.get("url") if isinstance(row, dict) else None
                url = own if isinstance(own, str) else scheme and place.address(scheme)
                ctx.lost(index, number, url=url, file=part["file"], offset=number)
                continue
            try:
                if isinstance(row, str):
                    raise RowError(row)
                made = list(convert(row, place))
            except RowError as fault:
                url = fault.url or (place.address(scheme) if scheme else None)
                yield "refused", {"url": url, "reason": fault.reason, "provenance": place.provenance}
                continue
            for item in made:
                n_documents += item[0] == "documents"
                yield item


def _watched(
    rows: Iterator[tuple[int, Row | str]], part: Row, index: int, ctx: StageContext
) -> Iterator[tuple[int, Row | str]]:
    """The rows. The engine is told before a row is fetched; where it has quarantined that, the file is broken."""
    number = (part["first"] or 0) - 1
    while ctx(index, FETCH + number + 1):
        item = next(rows, None)
        if item is None:
            return
        number, _ = item
        yield item
    ctx.lost(index, FETCH + number + 1, file=part["file"], offset=number + 1)
    yield number + 1, "file_broken"


def read(
    part: Row,
    choose: Choose | None = None,
    rows: int = BATCH,
    header: Sequence[str] = (),
    items: Items | None = None,
) -> Iterator[tuple[int, Row | str]]:
    """(number in the file, row or reason) of each row of a piece of a file. Text of JSON rows is valid Unicode.

    part: a row of INPUTS. choose: chooses columns of Parquet files and of tables; one JSON object of the piece must
    have them. rows: Parquet rows in memory at a time. header: names of the columns of tables without a header. items:
    reads the rows of a file, in place of this module's readers.

    Where the contents of the file cannot be read any further, the last row is `file_broken`; of several pieces, in the
    one that the next row belongs to. Raises InputError where the file is of no kind that is read, `choose` finds no
    column, or the machine or the network fails.
    """
    kind = file_kind(part["path"])
    mine = _share(part, kind)
    number = (part["first"] or 0) - 1
    check = None if kind in ("parquet", *DELIMITERS) else _Check(part, choose)
    try:
        for number, item in _numbered(part, kind, choose, rows, header, items):
            if mine(number):
                row = parsed(item) if isinstance(item, bytes) else item
                if check is not None and not check.passed:
                    check.see(number, item, row)
                yield number, row
    except Exception as e:
        if isinstance(e, (InputError, FileNotFoundError, PermissionError)):
            raise
        if not of_contents(e):
            raise InputError(f"{part['path']}: cannot be read ({type(e).__name__}: {e}); run again when it can") from e
        if mine(number + 1):
            yield number + 1, "file_broken"
        check = None  # the columns of a damaged file say nothing
    if check is not None:
        check.end()


class _Check:
    """Whether a piece of a JSON file has an object with the columns. If none has, `end` raises InputError."""

    def __init__(self, part: Row, choose: Choose | None) -> None:
        self.part, self.choose = part, choose
        self.passed = False
        self.opens = False  # the line before was the first of an object with several lines
        self.fault: InputError | None = None  # of the first object

    def see(self, number: int, item: Row | bytes | str, row: Row | str) -> None:
        if isinstance(row, dict):
            try:
                if self.choose is not None:
                    self.choose(tuple(row), self.part)
                self.passed = True
            except InputError as e:
                self.fault = self.fault or self._wrapped(row) or e
        elif isinstance(item, bytes):
            if self.opens and self.fault is None:
                several = "an object has several lines; write one object a line, such as with `jq -c . FILE > NEW`"
                self.fault = InputError(f"{self.part['path']}: {several}")
            self.opens = number == 0 and _OPENING.fullmatch(item) is not None

    def _wrapped(self, row: Row) -> InputError | None:
        """Where the rows are a list in one object."""
        for key, value in row.items():
            if isinstance(value, list) and value and isinstance(value[0], dict) and self.choose is not None:
                with suppress(InputError):
                    self.choose(tuple(value[0]), self.part)
                    remedy = f"write the rows alone, such as with `jq -c '.{key}[]' FILE > NEW.jsonl`"
                    return InputError(f"{self.part['path']}: one object holds the rows under {key!r}; {remedy}")
        return None

    def end(self) -> None:
        if not self.passed and self.fault is not None:
            raise self.fault


def _share(part: Row, kind: str) -> Callable[[int], bool]:
    """Whether the row of a number is in a piece that `_numbered` does not limit to its rows."""
    piece, n = part["piece"], part["pieces"]
    if kind == "parquet":  # a file that cannot be opened is reported once
        return lambda number: number > 0 or piece == 0
    if part["first"] is not None:
        return lambda number: True
    return lambda number: number // RUN % n == piece


def _numbered(
    part: Row, kind: str, choose: Choose | None, rows: int, header: Sequence[str], items: Items | None
) -> Iterator[tuple[int, Row | bytes | str]]:
    """(number, item) of the rows of a piece that has a range, else of a file. A JSON item may be bytes, not parsed."""

    def chosen(names: Sequence[str]) -> Sequence[str]:
        return choose(names, part) if choose else names

    if kind == "parquet":
        yield from parquet_rows(part["path"], part["piece"], part["pieces"], chosen, rows)
        return
    with opened(part["path"], kind) as stream:
        in_file = items(stream, part) if items else _items(stream, part, kind, chosen, header)
        yield from enumerate(in_file, part["first"] or 0)
        if part["first"] is None:
            to_end(stream)


def _items(
    stream: io.BufferedReader,
    part: Row,
    kind: str,
    chosen: Callable[[Sequence[str]], Sequence[str]],
    header: Sequence[str],
) -> Iterator[Row | bytes | str]:
    if kind in ("zip", "tar"):
        yield from (zip_rows if kind == "zip" else tar_rows)(stream)
        return
    check_encoding(stream.peek(4), part["path"])
    if kind == "json":
        yield from json_rows(stream, part["start"], part["end"])
        return
    table = Table(stream, kind, header)
    columns = chosen(table.header) if table.header else ()  # no header: no byte, so no row
    if part["first"] is not None:
        table.lines.limit(part["start"], part["end"])
    yield from table.rows(columns)


def parsed(line: bytes) -> Row | str:
    """The object of a JSON text, or `bad_row`."""
    try:
        return json_object(json.loads(line.decode()), b"\\ud" in line or b"\\uD" in line)
    except (ValueError, RecursionError):
        return "bad_row"
