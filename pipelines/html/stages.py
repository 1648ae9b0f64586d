"""The stage that reads WARC slices: documents, PDFs, and a row for every response that became neither."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import fsspec
import pyarrow as pa

from manifests.document import Row, batches, document, provenance
from manifests.parquet import read_parquet
from manifests.schema import DOCUMENT, REFUSED
from manifests.stage import NO_ENGINE, Output, StageContext
from pipelines.html.page import extract
from pipelines.warc.read import Record, Refusal, records

#: input rows: a slice of a WARC file; a null length means to its end. An optional column `file` is the name of the file
#: in provenance (else `path`), so that records do not depend on where a run lives. An optional column `origins` names a
#: Parquet file beside `path` with the columns start, file and offset: only the records that start there are read, and
#: provenance has the file and offset that each was copied from
SLICES = pa.schema([("path", pa.string()), ("offset", pa.int64()), ("length", pa.int64())])

#: PDF responses: where their bytes stand in this partition's raw file `pdf_bytes`
PDFS = pa.schema(
    [*map(DOCUMENT.field, ("url", "fetched_at", "provenance")), ("start", pa.int64()), ("size", pa.int64())]
)

HTML_TYPES = ("text/html", "application/xhtml+xml")
_HTML_STARTS = (b"<!doctype html", b"<html", b"\xef\xbb\xbf<!doctype html")
#: media types that servers give to PDFs
PDF_TYPES = ("application/pdf", "application/x-pdf", "application/octet-stream", "binary/octet-stream", "")


@dataclass(frozen=True)
class Extract:
    """Map. SLICES rows -> `documents`, `refused`, `pdfs` and the raw file `pdf_bytes`.

    Reasons: `http_error` (status not 2xx), `not_html`, `empty_page` (no article), `empty_payload`, `pdf_truncated`,
    those of pipelines.warc.read.REASONS, and, with refuse_optout, `optout` (any signal). The sub-row of the context is
    the number of the response within its slice. limit: documents of a slice.
    """

    refuse_optout: bool = False
    limit: int | None = None

    tables: ClassVar[Mapping[str, pa.Schema]] = {"documents": DOCUMENT, "refused": REFUSED, "pdfs": PDFS}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        return batches(self._items(batch, ctx), self.tables)

    def _items(self, batch: pa.RecordBatch, ctx: StageContext) -> Iterator[tuple[str, Row | bytes]]:
        written = ctx.ends.get("pdf_bytes", 0)
        for row, part in enumerate(batch.to_pylist()):
            origins = _origins(part["path"], part.get("origins"))
            n_documents = 0
            for sub, item in enumerate(records(part["path"], part["offset"] or 0, part["length"])):
                if self.limit is not None and n_documents >= self.limit:
                    break
                allowed = ctx(row, sub)
                origin = origins.get(item.offset)
                if origins and origin is None and isinstance(item, Record):
                    continue
                file, offset = origin or (part.get("file") or part["path"], item.offset)
                if not allowed:
                    ctx.lost(row, sub, url=item.url, file=file, offset=offset)
                    continue
                where = provenance(file, offset, item.length)
                result = item.reason if isinstance(item, Refusal) else self._result(item, where)
                if isinstance(result, str):
                    yield "refused", {"url": item.url, "reason": result, "provenance": where}
                elif isinstance(result, bytes):
                    yield "pdf_bytes", result
                    place = {"provenance": where, "start": written, "size": len(result)}
                    yield "pdfs", {"url": item.url, "fetched_at": item.fetched_at, **place}  # type: ignore[union-attr]
                    written += len(result)
                else:
                    yield "documents", result
                    n_documents += 1

    def _result(self, item: Record, where: Row) -> Row | bytes | str:
        """The document of a response, the bytes of a PDF, or the reason why it is neither."""
        if not item.ok:
            return "http_error"
        if not item.payload:
            return "empty_payload"
        if item.mime not in HTML_TYPES:
            # ISO 32000-1, annex H.3.4.1, lets readers look for the header in the first kilobyte
            if item.mime in PDF_TYPES and b"%PDF-" in item.payload[:1024]:
                return "pdf_truncated" if item.truncated else item.payload
            if item.mime or not item.payload[:1024].lstrip().lower().startswith(_HTML_STARTS):
                return "not_html"
        page = extract(item.payload, item.url, item.content_type, item.headers)
        if page.optout and self.refuse_optout:
            return "optout"
        if not page.nodes:
            return "empty_page"
        facts: Row = {"lang": page.lang, "license": page.license, "title": page.title, "optout": page.optout}
        return document("web", item.url, item.payload, page.nodes, where, fetched_at=item.fetched_at, **facts)


def _origins(path: str, name: str | None) -> dict[int, tuple[str, int]]:
    """Offset in `path` -> file and offset that the record was copied from; empty where `name` is None."""
    if name is None:
        return {}
    with fsspec.open(f"{path.rpartition('/')[0]}/{name}", "rb") as f:
        start, file, offset = (c.to_pylist() for c in read_parquet(f, ["start", "file", "offset"]).columns)
    return dict(zip(start, zip(file, offset, strict=True), strict=True))
