"""Lists of image addresses with their texts, as LAION, COYO, CC3M and DataComp publish them, into pair documents."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.nodes import image_node
from manifests.schema import DOCUMENT, REFUSED
from manifests.stage import NO_ENGINE, StageContext
from pipelines.html.pairs import pair
from pipelines.html.urls import canonical

Output = tuple[str, "pa.RecordBatch | bytes"]

BATCH = 4096
#: how published lists call their columns (LAION: URL, TEXT; COYO: url, text; CC3M and CC12M: caption, url; DataComp:
#: url, text)
URL_NAMES = ("url", "URL", "Url", "image_url", "imageUrl", "image")
TEXT_NAMES = ("text", "TEXT", "Text", "caption", "CAPTION", "Caption", "alt", "alt_text", "title")
#: longest text that is a caption, characters; longer rows are another thing (COYO takes 1000)
MAX_TEXT = 10_000

Row = tuple[Any, Any]


@dataclass(frozen=True)
class UrlList:
    """Map. Rows with a ``path`` of a CSV, TSV, JSONL or Parquet file -> ``documents`` (pairs) and ``refused``
    (REFUSED).

    ``url`` and ``text`` name the columns; None looks for the usual names. Compressed text files (``.gz``, ``.zst``) are
    read as such. Files are streamed. Reasons: ``bad_url``, ``no_text``, ``text_too_long``, ``bad_row``. A refused row's
    provenance is the file (as the column
    ``file`` calls it, where there is one), and the row's number from 0 in ``offset``. Raises ValueError where a column
    is missing or the file's kind is unknown.
    """

    url: str | None = None
    text: str | None = None

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        for number, part in enumerate(batch.to_pylist()):
            if not ctx(number):
                continue
            path, name = part["path"], part.get("file") or part["path"]
            documents: list[dict[str, Any]] = []
            refused: list[dict[str, Any]] = []
            for i, found in enumerate(self.rows(path)):
                where = {"file": name, "offset": i, "length": None, "page": None}
                made = _pair(found, where)
                if isinstance(made, str):
                    shown = str(found[0]) if found is not None and found[0] is not None else None
                    refused.append({"url": shown, "reason": made, "provenance": where})
                else:
                    documents.append(made)
                if len(documents) >= BATCH:
                    yield "documents", pa.RecordBatch.from_pylist(documents, DOCUMENT)
                    documents = []
                if len(refused) >= BATCH:
                    yield "refused", pa.RecordBatch.from_pylist(refused, REFUSED)
                    refused = []
            if documents:
                yield "documents", pa.RecordBatch.from_pylist(documents, DOCUMENT)
            if refused:
                yield "refused", pa.RecordBatch.from_pylist(refused, REFUSED)

    def rows(self, path: str) -> Iterator[Row | None]:
        """(address, text) of each row of a file; None for a row that cannot be read."""
        name = path.lower()
        for ending in (".gz", ".zst", ".bz2", ".xz"):
            name = name.removesuffix(ending)
        if name.endswith(".parquet"):
            yield from self._parquet(path)
        elif name.endswith((".jsonl", ".ndjson", ".json")):
            yield from self._jsonl(path)
        elif name.endswith((".tsv", ".tab")):
            yield from self._table(path, "\t")
        elif name.endswith((".csv", ".txt")):
            yield from self._table(path, ",")
        else:
            raise ValueError(f"{path}: not a .csv, .tsv, .jsonl or .parquet file; rename it or convert it")

    def columns(self, names: Iterable[str], path: str) -> tuple[str, str]:
        """The address column and the text column among ``names``."""
        names = list(names)
        found = []
        for role, asked, usual in (("url", self.url, URL_NAMES), ("text", self.text, TEXT_NAMES)):
            wanted = (asked,) if asked else usual
            column = next((n for n in wanted if n in names), None)
            if column is None:
                raise ValueError(
                    f"{path}: no {role} column ({' or '.join(map(repr, wanted))}) among {', '.join(map(repr, names[:20])) or 'no columns'}; "
                    f"name it with the recipe key `{role}`"
                )
            found.append(column)
        return found[0], found[1]

    def _parquet(self, path: str) -> Iterator[Row]:
        with fsspec.open(path, "rb") as f:
            file = pq.ParquetFile(f)
            url, text = self.columns(file.schema_arrow.names, path)
            for batch in file.iter_batches(batch_size=BATCH, columns=[url, text]):
                yield from zip(batch.column(url).to_pylist(), batch.column(text).to_pylist(), strict=True)

    def _jsonl(self, path: str) -> Iterator[Row | None]:
        columns: tuple[str, str] | None = None
        with fsspec.open(path, "rb", compression="infer") as f:
            for line in f:
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError:
                    yield None
                    continue
                if not isinstance(row, dict):
                    yield None
                    continue
                if columns is None:
                    columns = self.columns(row, path)
                yield row.get(columns[0]), row.get(columns[1])

    def _table(self, path: str, delimiter: str) -> Iterator[Row | None]:
        with fsspec.open(path, "rb", compression="infer") as raw:
            lines = io.TextIOWrapper(raw, "utf-8-sig", errors="replace", newline="")
            bare = delimiter == "\t" and not self._quoted(lines)
            texts = (line.replace("\0", "") for line in lines)
            reader = csv.reader(texts, delimiter=delimiter, quoting=csv.QUOTE_NONE if bare else csv.QUOTE_MINIMAL)
            header = next(reader, [])
            url, text = (header.index(name) for name in self.columns(header, path))
            while True:
                try:
                    row = next(reader)
                except StopIteration:
                    return
                except csv.Error:
                    yield None
                    continue
                if row:
                    yield (row[url], row[text]) if len(row) > max(url, text) else None

    @staticmethod
    def _quoted(lines: io.TextIOWrapper) -> bool:
        """Whether a TSV quotes its fields: most published ones do not, and hold bare quotes."""
        first = lines.readline()
        lines.seek(0)
        return first.startswith('"')


def _pair(found: Row | None, where: dict[str, Any]) -> dict[str, Any] | str:
    if found is None:
        return "bad_row"
    url = canonical(found[0]) if isinstance(found[0], str) else None
    if url is None:
        return "bad_url"
    text = " ".join(found[1].split()) if isinstance(found[1], str) else ""
    if not text:
        return "no_text"
    if len(text) > MAX_TEXT:
        return "text_too_long"
    return pair(image_node(url, caption=text).row(), text, {"url": url, "provenance": where})
