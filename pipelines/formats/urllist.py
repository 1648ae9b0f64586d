"""Lists of image addresses with their texts, as LAION, COYO, CC3M and DataComp publish them, as pair documents."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from manifests.document import batches
from manifests.nodes import image_node
from manifests.schema import DOCUMENT, REFUSED
from manifests.stage import NO_ENGINE, Output, StageContext
from pipelines.formats import opened, rows
from pipelines.formats.rows import Place, Row, RowError, plain
from pipelines.formats.values import one_line, web_address
from pipelines.html.pairs import pair

#: endings of the files
SUFFIXES = (*opened.SUFFIXES, *(e + c for e in (".csv", ".tsv", ".txt", ".tab") for c in ("", *opened.COMPRESSIONS)))
REASONS = ("bad_url", "no_text", "text_too_long", "bad_row", "file_broken")  # why a row became no document

#: names of columns in published lists (LAION: URL, TEXT; COYO, DataComp: url, text; CC3M, CC12M: caption, url)
#: where a list has the address of the image and that of its page, the first of these is the image's
URL_NAMES = ("image_url", "imageUrl", "url", "URL", "Url", "image")
TEXT_NAMES = ("text", "TEXT", "Text", "caption", "CAPTION", "Caption", "alt", "alt_text", "title")
MAX_TEXT = 10_000  # characters of the longest text that is a caption (COYO takes 1000)


@dataclass(frozen=True)
class UrlList:
    """Map. pieces.INPUTS -> `documents` (pairs) and `refused`. Files are CSV, TSV, JSON or Parquet.

    url_column, text_column: names of the columns; None looks for the usual names. columns: names of the columns of CSV
    and TSV files, which then have no header. limit: documents of an input row. Of a list of texts, the first is taken.
    The provenance of a row is its file and its number. Reasons: `bad_url`, `no_text`, `text_too_long` (over MAX_TEXT),
    `bad_row`, `file_broken`.

    Raises InputError where a column is missing or the kind of a file is unknown.
    """

    url_column: str | None = None
    text_column: str | None = None
    columns: tuple[str, ...] = ()
    limit: int | None = None

    tables: ClassVar[Mapping[str, pa.Schema]] = {"documents": DOCUMENT, "refused": REFUSED}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        urls = (self.url_column,) if self.url_column else URL_NAMES
        texts = (self.text_column,) if self.text_column else TEXT_NAMES

        def choose(names: Sequence[str], part: Row) -> list[str]:
            return [rows.column(names, part, "url_column", urls), rows.column(names, part, "text_column", texts)]

        def convert(row: Row, place: Place) -> Iterator[tuple[str, Row]]:
            yield "documents", _pair(_first(row, urls), _first(row, texts), place)

        items = rows.documents(batch, ctx, convert, choose=choose, limit=self.limit, rows=4096, header=self.columns)
        return batches(items, self.tables)


def _first(row: Row, names: Sequence[str]) -> Any:
    """The first value that a row has under one of the names; the rows of a JSON file may have different names."""
    return next((row[name] for name in names if row.get(name) is not None), None)


def _pair(address: Any, caption: Any, place: Place) -> Row:
    address = plain(address)
    url = web_address(address)
    if url is None:
        raise RowError("bad_url", address if isinstance(address, str) else None)
    text = one_line(plain(caption))
    if text is None:
        raise RowError("no_text", address)
    if len(text) > MAX_TEXT:
        raise RowError("text_too_long", address)
    return pair(image_node(url, caption=text), text, url, place.provenance)
