"""The stage that reads WARC slices: documents, PDFs for the ocr room, and a row for every response that became neither."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.schema import DOCUMENT, PROVENANCE, REFUSED, document_id
from manifests.stage import NO_ENGINE, StageContext
from pipelines.formats.urllist import UrlList
from pipelines.html.page import extract
from pipelines.html.pairs import Pairs
from pipelines.warc.read import Record, Refusal, records

__all__ = ["PDFS", "SLICES", "Extract", "Pairs", "UrlList"]

Output = tuple[str, "pa.RecordBatch | bytes"]

#: input rows: a slice of a WARC file; a null length means to its end. A further column `file`, where there is one, is
#: what provenance calls the file instead of `path`, so that records do not depend on where a run lives. A column
#: `origins`, where there is one and it is not null, is the name of a Parquet file beside `path` with the columns start,
#: file and offset: the records of `path` that are wanted, and the files and offsets they were copied from, which is
#: what provenance says
SLICES = pa.schema([("path", pa.string()), ("offset", pa.int64()), ("length", pa.int64())])

#: PDF responses: where their bytes stand in this part's raw file ``pdf_bytes``
PDFS = pa.schema(
    [
        ("url", pa.string()),
        ("fetched_at", pa.timestamp("s", tz="UTC")),
        ("provenance", PROVENANCE),
        ("start", pa.int64()),
        ("size", pa.int64()),
    ]
)

#: documents handed on at a time
BATCH = 256

_HTML = frozenset(("text/html", "application/xhtml+xml"))


@dataclass(frozen=True)
class Extract:
    """Map. SLICES rows -> ``documents`` (DOCUMENT), ``refused`` (REFUSED), ``pdfs`` (PDFS) and the raw file
    ``pdf_bytes``.

    Reasons: ``http_error`` (status not 2xx), ``not_html``, ``empty_page`` (no article), ``empty_payload``,
    ``pdf_truncated``, those of
    ``pipelines.warc.read.REASONS``, and, with ``refuse_optout``, ``optout`` (any signal met). ``at``'s sub-row is the
    number of the response within its slice.

    ``limit``: a slice is read no further than to its first so many documents; None: to its end.
    """

    source: str = "web"
    refuse_optout: bool = False
    limit: int | None = None

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        documents: list[dict[str, Any]] = []
        refused: list[dict[str, Any]] = []
        pdfs: list[dict[str, Any]] = []
        written = ctx.ends.get("pdf_bytes", 0)
        for row, part in enumerate(batch.to_pylist()):
            path = part["path"]
            name = part.get("file") or path
            origins = _origins(path, part.get("origins"))
            made = 0
            for sub, item in enumerate(records(path, part["offset"] or 0, part["length"])):
                if self.limit is not None and made >= self.limit:
                    break
                if not ctx(row, sub):
                    continue
                origin = origins.get(item.offset)
                if origins and origin is None and isinstance(item, Record):
                    continue
                file, offset = origin or (name, item.offset)
                where = {"file": file, "offset": offset, "length": item.length, "page": None}
                if isinstance(item, Refusal):
                    refused.append({"url": item.url, "reason": item.reason, "provenance": where})
                    continue
                reason = _unfit(item)
                if reason is None and item.mime not in _HTML and _is_pdf(item):
                    pdfs.append(
                        {
                            "url": item.url, "fetched_at": item.fetched_at, "provenance": where,
                            "start": written, "size": len(item.payload),
                        }
                    )  # fmt: skip
                    written += len(item.payload)
                    yield "pdf_bytes", item.payload
                    continue
                if reason is None:
                    document = self._document(item, where)
                    if isinstance(document, str):
                        reason = document
                    else:
                        documents.append(document)
                        made += 1
                if reason is not None:
                    refused.append({"url": item.url, "reason": reason, "provenance": where})
                if len(documents) >= BATCH:
                    yield "documents", pa.RecordBatch.from_pylist(documents, DOCUMENT)
                    documents = []
        if documents:
            yield "documents", pa.RecordBatch.from_pylist(documents, DOCUMENT)
        if refused:
            yield "refused", pa.RecordBatch.from_pylist(refused, REFUSED)
        if pdfs:
            yield "pdfs", pa.RecordBatch.from_pylist(pdfs, PDFS)

    def _document(self, item: Record, where: dict[str, Any]) -> dict[str, Any] | str:
        """The document of an HTML response, or why there is none."""
        page = extract(item.payload, item.url, item.content_type, item.headers)
        if page.optout and self.refuse_optout:
            return "optout"
        if not page.nodes:
            return "empty_page"
        return {
            "id": document_id(self.source, item.url, item.payload),
            "kind": self.source,
            "url": item.url,
            "fetched_at": item.fetched_at,
            "lang": page.lang,
            "license": page.license,
            "title": page.title,
            "optout": page.optout,
            "provenance": where,
            "nodes": [node.row() for node in page.nodes],
        }


def _origins(path: str, name: str | None) -> dict[int, tuple[str, int]]:
    """Offset in ``path`` -> file and offset it was copied from; none where nobody says."""
    if name is None:
        return {}
    with fsspec.open(f"{path.rpartition('/')[0]}/{name}", "rb") as f:
        table = pq.read_table(f, columns=["start", "file", "offset"])
    return dict(
        zip(
            table["start"].to_pylist(),
            zip(table["file"].to_pylist(), table["offset"].to_pylist(), strict=True),
            strict=True,
        )
    )


def _unfit(item: Record) -> str | None:
    if not item.ok:
        return "http_error"
    if not item.payload:
        return "empty_payload"
    if item.mime in _HTML:
        return None
    if _is_pdf(item):
        return "pdf_truncated" if item.truncated else None
    return "not_html" if item.mime else (None if _looks_html(item.payload) else "not_html")


def _is_pdf(item: Record) -> bool:
    """A PDF by its name and its first kilobyte (ISO 32000-1 annex H.3.4.1 lets readers look that far for the header)."""
    named = item.mime in ("application/pdf", "application/x-pdf", "application/octet-stream", "binary/octet-stream", "")
    return named and b"%PDF-" in item.payload[:1024]


def _looks_html(payload: bytes) -> bool:
    head = payload[:1024].lstrip().lower()
    return head.startswith((b"<!doctype html", b"<html", b"\xef\xbb\xbf<!doctype html"))
