"""The stage `Pages`: PDF files -> one document a page, its picture, and a row for whatever was refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import fsspec
import pyarrow as pa

from manifests.schema import BOX, DOCUMENT, IMAGE, OUTCOME, REFUSED, TEXT, document_id
from manifests.stage import NO_ENGINE, StageContext
from ocr import tesseract
from ocr.document import Document, Limits, RefusedError, open_document, refuse
from ocr.page import Page, normal, read_page
from ocr.picture import Render
from ocr.route import Rules
from ocr.tesseract import Ocr

Output = tuple[str, pa.RecordBatch | bytes]

#: what is read: a PDF is bytes [offset, offset + length) of the file at path; both null for a whole file. Two more
#: columns are taken where they are there: `file` (what provenance calls the file instead of `path`) and `fetched_at`
INPUT = pa.schema([("path", pa.string()), ("offset", pa.int64()), ("length", pa.int64()), ("url", pa.string())])

#: beside the documents, row for row: how the page was read
PAGE = pa.schema(
    [
        ("id", pa.string()),  # the document's
        ("page", pa.int32()),  # from 0
        ("pages", pa.int32()),  # of the file
        ("width", pa.int32()),  # of the picture, pixels
        ("height", pa.int32()),
        ("dpi", pa.float32()),  # of the picture
        ("rotation", pa.int32()),  # degrees clockwise the file asks for; applied to picture and boxes
        ("text_source", pa.string()),  # "pdf" (text layer) or "ocr"
        ("engine", pa.string()),  # "pymupdf" or "tesseract"
        ("why_ocr", pa.string()),  # no_chars, few_chars, bad_chars, punctuation; null for "pdf"
        ("words", pa.int32()),
        ("chars", pa.int32()),  # visible characters of the text layer, blanks not counted
        ("hidden_chars", pa.int32()),  # characters of the text layer no reader sees, left out
        ("fffd", pa.float32()),  # share of U+FFFD in the visible text layer
        ("confidence", pa.float32()),  # mean score of the words
        ("coverage", pa.float32()),  # share of the page under raster pictures
        ("repaired", pa.bool_()),  # the file is damaged and was repaired
        ("images", pa.list_(BOX)),  # where raster pictures stand on the page
    ]
)

TABLES = {"documents": DOCUMENT, "pages": PAGE, "outcomes": OUTCOME, "refused": REFUSED}

FLUSH_PAGES = 32  # pages kept before they are handed on ...
FLUSH_BYTES = 32 << 20  # ... or bytes of pictures


@dataclass(frozen=True)
class Pages:
    """PDF bytes -> documents (source "pdf"), `pages`, `outcomes` and `blobs` of the page pictures, and `refused`.

    A document is one page: an image node (the page's own address, ``url#page=N``, N from 1) and its text nodes in
    reading order, with boxes and words. Its id is of source, that address, and the PDF's sha256 (hex) followed by N, so
    it does not depend on how the page was read. Tables `documents`, `pages` and `outcomes` are row-aligned; `outcomes`
    has offsets into `blobs`.

    ``at(row)`` is called before a file is opened, ``at(row, page + 1)`` before each page (page from 0); what answers
    False is left out.

    Same bytes each time for one PyMuPDF, Pillow and Tesseract version; unless Tesseract runs into its time limit.
    """

    dpi: int = 150  # of the page picture; less where a cap binds
    longest_side: int = 2048  # pixels
    max_pixels: int = 4_194_304
    gray: bool = False
    quality: int = 85  # of the JPEG
    max_pages: int = 500  # of a file, from the first
    max_bytes: int = 100_000_000  # of a file
    max_words: int = 20_000  # of a page
    ocr: bool = True  # Tesseract where it is installed and a page has no usable text layer
    ocr_dpi: int = 300
    languages: str = "eng"  # for OCR, as Tesseract names them, joined by "+"
    min_confidence: float = 0.45  # mean, of a page read by OCR
    rules: Rules = field(default_factory=Rules)

    libraries: ClassVar[tuple[str, ...]] = ("pymupdf", "pillow")

    def programs(self) -> dict[str, str]:
        """Versions of the programs the output depends on."""
        return {"tesseract": tesseract.version() or "none"} if self.ocr else {}

    @property
    def limits(self) -> Limits:
        return Limits(self.max_bytes, self.max_pages, self.max_words)

    @property
    def render(self) -> Render:
        return Render(self.dpi, self.longest_side, self.max_pixels, self.gray, self.quality)

    @property
    def engine(self) -> Ocr:
        return Ocr("auto" if self.ocr else "none", self.languages, self.ocr_dpi, min_confidence=self.min_confidence)

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        made = _Made(ctx)
        for i, row in enumerate(batch.to_pylist()):
            if ctx(i):
                for _ in self._file(i, row, ctx, made):
                    if made.full:
                        yield from made.flush()
        yield from made.flush(last=True)

    def _file(self, i: int, row: dict[str, Any], ctx: StageContext, made: _Made) -> Iterator[None]:
        """Put a file's pages into `made`; yields after each."""
        url = row["url"].partition("#")[0]
        try:
            data = read_range(row["path"], row["offset"], row["length"], self.limits)
            digest = hashlib.sha256(data).hexdigest()
            with open_document(data, self.limits) as document:
                for n in range(min(document.pages, self.max_pages)):
                    if ctx(i, n + 1):
                        self._page(document, n, digest, url, row, made)
                        yield
                if document.pages > self.max_pages:
                    made.refused(url, "too_many_pages", row, self.max_pages)
        except RefusedError as e:
            made.refused(url, e.reason, row, None)

    def _page(self, document: Document, n: int, digest: str, url: str, row: dict[str, Any], made: _Made) -> None:
        address = f"{url}#page={n + 1}"
        try:
            page = read_page(document, n, limits=self.limits, render=self.render, rules=self.rules, ocr=self.engine)
        except RefusedError as e:
            made.refused(address, e.reason, row, n)
            return
        made.page(document, page, document_id("pdf", address, f"{digest}{n + 1}".encode()), address, row)


class _Made:
    """Rows and picture bytes not yet handed on."""

    def __init__(self, ctx: StageContext) -> None:
        self.part = ctx.part
        self.offset = ctx.ends.get("blobs", 0)
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
        self.blobs: list[bytes] = []
        self.size = 0

    @property
    def full(self) -> bool:
        return len(self.rows["documents"]) >= FLUSH_PAGES or self.size >= FLUSH_BYTES

    def flush(self, last: bool = False) -> Iterator[Output]:
        """Hand everything on. The last time with every table, rows or none, so that each part has each table."""
        if self.blobs:
            yield "blobs", b"".join(self.blobs)
        for name, schema in TABLES.items():
            if self.rows[name] or last:
                yield name, pa.RecordBatch.from_pylist(self.rows[name], schema=schema)
            self.rows[name] = []
        self.blobs, self.size = [], 0

    def refused(self, url: str, reason: str, row: dict[str, Any], page: int | None) -> None:
        self.rows["refused"].append({"url": url, "reason": reason, "provenance": _provenance(row, page)})

    def page(self, document: Document, page: Page, name: str, address: str, row: dict[str, Any]) -> None:
        self.rows["documents"].append(
            {
                "id": name,
                "kind": "pdf",
                "url": address,
                "fetched_at": row.get("fetched_at"),
                "lang": document.lang,
                "license": document.license,
                "title": document.title,
                "optout": list(document.optout),
                "provenance": _provenance(row, page.number),
                "nodes": nodes(page, address),
            }
        )
        self.rows["pages"].append(facts(document, page, name))
        self.rows["outcomes"].append(
            {
                "url": address,
                "status": "ok",
                "final_url": address,
                "format": "jpeg",
                "width": page.pixel_width,
                "height": page.pixel_height,
                "frames": 1,
                "bytes": len(page.jpeg),
                "sha256": hashlib.sha256(page.jpeg).hexdigest(),
                "part": self.part,
                "offset": self.offset,
                "length": len(page.jpeg),
            }
        )
        self.blobs.append(page.jpeg)
        self.offset += len(page.jpeg)
        self.size += len(page.jpeg)


def _provenance(row: dict[str, Any], page: int | None) -> dict[str, Any]:
    return {"file": row.get("file") or row["path"], "offset": row["offset"], "length": row["length"], "page": page}


def nodes(page: Page, address: str) -> list[dict[str, Any]]:
    """The nodes of a page: its picture, then a text node a block."""
    picture = {
        "kind": IMAGE,
        "image": address,
        "width": page.pixel_width,
        "height": page.pixel_height,
        "box": [0.0, 0.0, 1.0, 1.0],
    }
    out: list[dict[str, Any]] = [picture]
    made = page.layout
    for block in made.blocks:
        words = [
            {"text": w.text, "box": normal(w.box, page.width, page.height), "score": w.score, "line": i}
            for i in range(block.start, block.end)
            for w in made.words[made.lines[i].start : made.lines[i].end]
        ]
        box = normal(block.box, page.width, page.height)
        out.append({"kind": TEXT, "role": block.role, "text": block.text, "box": box, "words": words})
    return out


def facts(document: Document, page: Page, name: str) -> dict[str, Any]:
    """A row of PAGE."""
    words = page.layout.words
    return {
        "id": name,
        "page": page.number,
        "pages": page.pages,
        "width": page.pixel_width,
        "height": page.pixel_height,
        "dpi": page.dpi,
        "rotation": page.rotation,
        "text_source": page.source,
        "engine": "pymupdf" if page.source == "pdf" else "tesseract",
        "why_ocr": page.why_ocr,
        "words": len(words),
        "chars": page.signals.chars,
        "hidden_chars": page.signals.hidden,
        "fffd": page.signals.fffd,
        "confidence": sum(w.score for w in words) / max(len(words), 1),
        "coverage": page.signals.coverage,
        "repaired": document.repaired,
        "images": [normal(b, page.width, page.height) for b in page.pictures],
    }


def read_range(path: str, offset: int | None, length: int | None, limits: Limits = Limits()) -> bytes:  # noqa: B008 (frozen)
    """Bytes of a file (any fsspec address), without reading more than the limit.

    Raises RefusedError: missing, too_large. Other failures of the storage are raised as they are: they are not the
    file's fault.
    """
    fs, name = fsspec.core.url_to_fs(path)
    try:
        size = int(fs.size(name))
        start = offset or 0
        wanted = size - start if length is None else length
        if start < 0 or wanted < 0 or start + wanted > size:
            refuse("missing")
        if wanted > limits.max_bytes:
            refuse("too_large")
        with fs.open(name, "rb") as f:
            f.seek(start)
            data: bytes = f.read(wanted)
    except (FileNotFoundError, IsADirectoryError) as e:
        raise RefusedError("missing") from e
    if len(data) != wanted:
        refuse("missing")
    return data
