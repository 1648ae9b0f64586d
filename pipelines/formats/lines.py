"""Rows that are lines: JSON lines, and tables of text (CSV, TSV). A line has an offset, so a reader can begin there."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pipelines.formats.opened import BOM

MAX_LINE = 64 << 20  # bytes of one line; a longer one is skipped


class LongLineError(ValueError):
    """A line of more than MAX_LINE bytes. The lines behind it can be read."""


class Lines:
    """The lines of a stream of bytes, each with its end. An iterator that goes on after LongLineError."""

    def __init__(self, stream: io.BufferedReader, whole: Callable[[bytes], bool] = lambda line: False) -> None:
        """stream: at its beginning. A byte order mark is left out. whole: whether a last line before a damaged place is
        a complete one although it has no end.
        """
        self.stream, self.whole = stream, whole
        self.at = len(stream.read(len(BOM))) if stream.peek(len(BOM)).startswith(BOM) else 0  # of the next line
        self.end: int | None = None

    def limit(self, start: int, end: int) -> None:
        """Only the lines between two offsets, which are those of lines."""
        self.stream.seek(start)
        self.at, self.end = start, end

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = b"" if self.at == self.end else self._read()
        if not line:
            raise StopIteration
        if line.endswith(b"\n"):
            return line
        if len(line) < MAX_LINE:
            try:
                self.stream.peek(1)  # raises where this is no end but a damaged place
            except Exception:
                if not self.whole(line):
                    raise
            return line
        while len(line) == MAX_LINE and not line.endswith(b"\n"):
            line = self._read()
        raise LongLineError("a line of more than 64 MB")

    def _read(self) -> bytes:
        line = self.stream.readline(MAX_LINE)
        self.at += len(line)
        return line


def is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def json_lines(lines: Lines) -> Iterator[bytes | str]:
    """The lines that are not blank, not yet parsed; `bad_row` for one that is too long."""
    while True:
        try:
            for line in lines:
                if line.strip():
                    yield line
            return
        except LongLineError:
            yield "bad_row"


def json_object(row: Any, escapes: bool) -> dict[str, Any] | str:
    """The row where it is an object. escapes: whether its text has escapes of surrogates, which may lack their pair."""
    if escapes:
        try:
            row = json.loads(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace"))
        except RecursionError:
            return "bad_row"
    return row if isinstance(row, dict) else "bad_row"


class Table:
    """A CSV or TSV file with a header, or with the column names of `header` where these are given.

    In a TSV whose first line does not begin with a quote, a quote is a mere character. Raises EOFError where the header
    is no CSV.
    """

    def __init__(self, stream: io.BufferedReader, delimiter: str, header: Sequence[str] = ()) -> None:
        self.lines, self.delimiter = Lines(stream), delimiter
        bare = delimiter == "\t" and not stream.peek(1).startswith(b'"')
        self.quoting = csv.QUOTE_NONE if bare else csv.QUOTE_MINIMAL
        try:
            self.header: list[str] = list(header) or next(self._reader(), [])
        except (csv.Error, ValueError):
            raise EOFError("a header that is no CSV") from None

    def rows(self, columns: Sequence[str]) -> Iterator[dict[str, str] | str]:
        """These columns of each row; `bad_row` for a row that is no CSV or no UTF-8, or too short."""
        places = {name: self.header.index(name) for name in columns}
        last = max(places.values(), default=-1)
        reader = self._reader()
        while True:
            try:
                for row in reader:
                    if row:
                        yield {name: row[i] for name, i in places.items()} if len(row) > last else "bad_row"
                return
            except (csv.Error, UnicodeDecodeError, LongLineError):
                yield "bad_row"

    def _reader(self) -> Any:
        text = map(_text, self.lines)  # a map goes on after an error, a generator does not
        return csv.reader(text, delimiter=self.delimiter, quoting=self.quoting)  # type: ignore[arg-type]


def _text(line: bytes) -> str:
    return line.decode().replace("\0", "")
