"""Rows of other people's files: Parquet, JSON lines, JSON arrays, CSV and TSV; also compressed, in zip and in tar.

The readers of this folder take their rows from `documents`. `read` is the one place that handles the faults of a file:
a row that cannot be read is refused as `bad_row`, the rest of a broken file as one row `file_broken`.
"""

import csv
import gzip
import io
import json
import lzma
import math
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.document import provenance
from manifests.stage import InputError, StageContext

Row = dict[str, Any]

#: an input file; `file` is the name that the recipe gives it, `size` is in bytes, `changed` its mtime or ETag
FILE = pa.schema({"path": pa.string(), "file": pa.string(), "size": pa.int64(), "changed": pa.string()})
#: input rows: piece `piece` of `pieces` of a file
INPUTS = pa.schema([*FILE, ("piece", pa.int64()), ("pieces", pa.int64())])

PIECE = 256 << 20  # bytes of a file in one partition
RUN = 256  # successive rows of a JSON file or of a table that stay in one piece
BATCH = 256  # Parquet rows in memory at a time
CHUNK = 1 << 20  # characters of a JSON array that are read at a time
MAX_ROW = 64 << 20  # bytes of one JSON row

#: kind of a file by its ending; a delimiter stands for a table of text
KINDS = {
    ".parquet": "parquet", ".jsonl": "json", ".json": "json", ".ndjson": "json", ".zip": "zip", ".tar": "tar",
    ".csv": ",", ".txt": ",", ".tsv": "\t", ".tab": "\t",
}  # fmt: skip
COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz")
#: endings of files of rows: Parquet and JSON
SUFFIXES = (".parquet", *(e + c for e in (".jsonl", ".json", ".ndjson") for c in ("", *COMPRESSIONS)))

#: what the readers below raise for the contents of a file; what else they raise is the fault of the machine
BROKEN = (
    pa.ArrowInvalid, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, tarfile.TarError, EOFError,
    UnicodeDecodeError,
)  # fmt: skip
#: what bz2 and Arrow's zstd say of the contents, in an OSError
_BROKEN_TEXTS = ("Invalid data stream", "Truncated compressed stream", "ZSTD decompress failed")

_BOM = b"\xef\xbb\xbf"
_BETWEEN = " \t\r\n,["  # what stands before the first object of an array and between two objects

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


def pieces(file: Mapping[str, Any], size: int = PIECE, **columns: Any) -> list[Row]:
    """INPUTS rows of a file (a mapping with path, file, size and changed), with further columns.

    A Parquet file is divided at row groups, into pieces of about PIECE bytes. Other files have a piece for each `size`
    bytes: each reads the whole file and keeps its share of the rows.
    """
    n = max(1, math.ceil(file["size"] / (PIECE if file["path"].lower().endswith(".parquet") else size)))
    return [{**file, **columns, "piece": i, "pieces": n} for i in range(n)]


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

    choose: chooses columns of Parquet files and of tables. It also sees the names of the first object of a JSON file,
    whose rows keep all columns. rows: Parquet rows in memory at a time.

    Raises InputError where the file is of no kind that is read, or `choose` finds no column; OSError where the file
    cannot be opened.
    """
    number = -1
    try:
        for number, row in _piece(part, choose, rows):
            yield number, row
    except BROKEN:
        yield number + 1, "file_broken"
    except OSError as e:
        if not str(e).startswith(_BROKEN_TEXTS):
            raise
        yield number + 1, "file_broken"


def _piece(part: Row, choose: Choose | None, rows: int) -> Iterator[tuple[int, Row | str]]:
    kind = file_kind(part["path"])
    if kind == "parquet":
        yield from _parquet(part, choose, rows)
        return
    with _opened(part["path"], kind) as f:
        first = kind == "json"
        readers = {"zip": _zip, "tar": _tar, "json": _json}
        if kind in readers:
            items = readers[kind](f)
        else:
            items = _table(io.BufferedReader(f), kind, lambda names: choose(names, part) if choose else names)
        for number, item in enumerate(items):
            if number // RUN % part["pieces"] == part["piece"]:
                row = _parsed(item) if isinstance(item, bytes) else item
                if first and choose and isinstance(row, dict):
                    choose(tuple(row), part)
                    first = False
                yield number, row


def file_kind(path: str) -> str:
    """A value of KINDS. Raises InputError for another ending."""
    stem = path.lower()
    for ending in COMPRESSIONS:
        stem = stem.removesuffix(ending)
    kind = next((kind for ending, kind in KINDS.items() if stem.endswith(ending)), None)
    if kind is None:
        raise InputError(f"{path}: not a .csv, .tsv, .jsonl, .json, .parquet, .zip or .tar file; rename or convert it")
    return kind


@contextmanager
def _opened(path: str, kind: str) -> Iterator[Any]:
    """A file, decompressed as its ending says. fsspec's own zst reader ends silently at a cut, and after one frame."""
    zst = path.lower().endswith(".zst")
    with fsspec.open(path, "rb", compression=None if zst or kind == "zip" else "infer") as f:
        yield pa.CompressedInputStream(pa.PythonFile(f, mode="r"), "zstd") if zst else f


def _parquet(part: Row, choose: Choose | None, rows: int) -> Iterator[tuple[int, Row]]:
    """Rows of the row groups of a piece, numbered as in the file."""
    with fsspec.open(part["path"], "rb") as f:
        file = pq.ParquetFile(f)
        names = file.schema_arrow.names
        columns = list(choose(names, part)) if choose else names
        number = 0
        for group in range(file.num_row_groups):
            if group * part["pieces"] // file.num_row_groups == part["piece"]:
                for batch in file.iter_batches(rows, row_groups=[group], columns=columns, use_threads=False):
                    for row in batch.to_pylist():
                        yield number, row
                        number += 1
            else:
                number += file.metadata.row_group(group).num_rows


def _json(f: Any) -> Iterator[bytes | Row | str]:
    """JSON lines (not yet parsed), or the objects of an array; the first character tells which."""
    stream = io.BufferedReader(f)
    head = stream.peek(1024)
    if head.startswith(_BOM):
        stream.read(len(_BOM))
        head = head[len(_BOM) :]
    if head.lstrip().startswith(b"["):
        yield from _array(io.TextIOWrapper(stream, "utf-8"))
        return
    while line := stream.readline(MAX_ROW):
        if line.strip():
            yield line


def _array(text: io.TextIOWrapper) -> Iterator[Row | str]:
    """The objects of an array, one at a time: such files are large. Raises EOFError where the array has no end."""
    decoder = json.JSONDecoder()
    buffer, at = "", 0
    while True:
        while at < len(buffer) and buffer[at] in _BETWEEN:
            at += 1
        if buffer.startswith("]", at):
            if (buffer[at + 1 :] + text.read(CHUNK)).strip():
                raise EOFError("text behind the array")
            return
        start = at
        try:
            row, at = decoder.raw_decode(buffer, start)
        except (ValueError, RecursionError):
            more = text.read(max(CHUNK, len(buffer) - at)) if len(buffer) - at < MAX_ROW else ""
            if not more:
                raise EOFError("an object without an end") from None
            buffer, at = buffer[at:] + more, 0
            continue
        yield _valid(row, "\\ud" in buffer[start:at].lower())


def _parsed(line: bytes) -> Row | str:
    try:
        return _valid(json.loads(line.decode()), b"\\ud" in line or b"\\uD" in line)
    except (ValueError, RecursionError):
        return "bad_row"


def _valid(row: Any, escapes: bool) -> Row | str:
    """The row where it is an object. escapes: whether its text has escapes of surrogates, which may lack their pair."""
    if escapes:
        try:
            row = json.loads(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace"))
        except RecursionError:
            return "bad_row"
    return row if isinstance(row, dict) else "bad_row"


def _zip(f: Any) -> Iterator[bytes | Row | str]:
    """Rows of all members, which hold JSON."""
    with zipfile.ZipFile(f) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                with archive.open(info) as member:
                    yield from _json(member)


def _tar(f: Any) -> Iterator[bytes | str]:
    """A row for each member `.json`."""
    with tarfile.open(fileobj=f, mode="r|") as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(".json"):
                stream = archive.extractfile(member) if member.size <= MAX_ROW else None
                yield stream.read() if stream is not None else "bad_row"


def _table(
    stream: io.BufferedReader, delimiter: str, choose: Callable[[Sequence[str]], Sequence[str]]
) -> Iterator[Row | str]:
    """Rows of a CSV or TSV file with a header. In a TSV whose header has no quotes, a quote is a mere character."""
    bare = delimiter == "\t" and not stream.peek(16).removeprefix(_BOM).startswith(b'"')
    lines = (line.replace("\0", "") for line in io.TextIOWrapper(stream, "utf-8-sig", errors="replace", newline=""))
    reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE if bare else csv.QUOTE_MINIMAL)
    try:
        header = next(reader, [])
    except csv.Error:
        raise EOFError("a header that is no CSV") from None
    columns = {name: header.index(name) for name in choose(header)}
    last = max(columns.values(), default=-1)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield "bad_row"
            continue
        if row:
            yield {name: row[i] for name, i in columns.items()} if len(row) > last else "bad_row"
