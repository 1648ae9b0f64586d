"""Documents of text alone, from JSON lines, JSON arrays or Parquet, for training beside images.

Columns that are read: `text` (a string: the whole document), and `url` where there is one. Both can have other names.
Blank lines separate the paragraphs of a text.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from manifests.document import batches, document
from manifests.nodes import text_node
from manifests.schema import DOCUMENT, REFUSED
from manifests.stage import NO_ENGINE, Output, StageContext
from pipelines.formats import rows
from pipelines.formats.rows import Place, Row, RowError, plain
from pipelines.formats.values import paragraphs, web_address

REASONS = ("bad_row", "no_text", "file_broken")  # why a row became no document


@dataclass(frozen=True)
class Texts:
    """Map. pieces.INPUTS -> `documents` (text nodes alone) and `refused`.

    text_column, url_column: names of the columns; url_column None reads `url` where a file has it. The address of a
    document is its canonical url, else `text:FILE/ROW`. limit: documents of an input row. Reasons: `bad_row` (no JSON
    object, or its text is not a string), `no_text`, `file_broken`.

    Raises InputError where a Parquet file, or the first row of a JSON file, lacks a column that is named.
    """

    text_column: str = "text"
    url_column: str | None = None
    limit: int | None = None

    tables: ClassVar[Mapping[str, pa.Schema]] = {"documents": DOCUMENT, "refused": REFUSED}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        items = rows.documents(batch, ctx, self._document, scheme="text", choose=self._columns, limit=self.limit)
        return batches(items, self.tables)

    def _columns(self, names: Sequence[str], part: Row) -> list[str]:
        columns = [rows.column(names, part, "text_column", (self.text_column,))]
        if self.url_column or "url" in names:
            columns.append(rows.column(names, part, "url_column", (self.url_column or "url",)))
        return columns

    def _document(self, row: Row, place: Place) -> Iterator[tuple[str, Row]]:
        text = plain(row.get(self.text_column))
        if not isinstance(text, str):
            raise RowError("bad_row")
        nodes = [text_node(paragraph) for paragraph in paragraphs(text)]
        if not nodes:
            raise RowError("no_text")
        url = web_address(plain(row.get(self.url_column or "url"))) or place.address("text")
        yield "documents", document("text", url, text.encode(), nodes, place.provenance)
