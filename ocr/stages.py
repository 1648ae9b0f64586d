"""The stage `Pages`: PDF files -> one document a page, its picture, and a row for everything that is refused."""

import functools
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from manifests.document import Row, document, provenance
from manifests.schema import BOX, DOCUMENT, IMAGE, OUTCOME, REFUSED, TEXT
from manifests.stage import NO_ENGINE, Output, StageContext
from ocr import tesseract
from ocr.page import PDF, Page, normal, read_page
from ocr.pdf import MAX_BYTES, MAX_PAGES, Pdf, RefusedError, open_pdf, read_range
from ocr.picture import Render
from ocr.tesseract import Ocr

#: what is read: a PDF is bytes [offset, offset + length) of the file at path; both null for a whole file. Two more
#: columns are used where they exist: `file` (what provenance calls the file instead of `path`) and `fetched_at`
INPUT = pa.schema([("path", pa.string()), ("offset", pa.int64()), ("length", pa.int64()), ("url", pa.string())])

#: row for row with the documents: how the page was read
PAGE = pa.schema(
    [
        ("id", pa.string()),  # the document's
        ("page", pa.int32()),  # from 0
        ("pages", pa.int32()),  # of the file
        ("width", pa.int32()),  # of the picture, pixels
        ("height", pa.int32()),
        ("dpi", pa.float32()),  # of the picture
        ("rotation", pa.int32()),  # degrees clockwise that the file asks for; applied to picture and boxes
        ("text_source", pa.string()),  # "pdf" (text layer) or "ocr"
        ("engine", pa.string()),  # "pymupdf" or "tesseract"
        ("why_ocr", pa.string()),  # no_chars, few_chars, bad_chars, punctuation; null for "pdf"
        ("words", pa.int32()),
        ("chars", pa.int32()),  # visible characters of the text layer, blanks not counted
        ("hidden_chars", pa.int32()),  # characters of the text layer that no reader sees; they are left out
        ("fffd", pa.float32()),  # share of U+FFFD in the visible text layer
        ("confidence", pa.float32()),  # mean score of the words
        ("coverage", pa.float32()),  # share of the page under raster pictures
        ("repaired", pa.bool_()),  # the file is damaged and was repaired
        ("images", pa.list_(BOX)),  # the boxes of raster pictures on the page
    ]
)

TABLES = {"documents": DOCUMENT, "pages": PAGE, "outcomes": OUTCOME, "refused": REFUSED}

FLUSH_PAGES = 32  # pages that are collected before they are yielded ...
FLUSH_BYTES = 32 << 20  # ... or bytes of their pictures


@dataclass(frozen=True)
class Pages:
    """PDF bytes -> documents of kind "pdf", `pages`, `outcomes` and `blobs` of the page pictures, and `refused`.

    A document is one page: an image node (the page's own address, ``url#page=N``, N from 1) and its text nodes in
    reading order, with boxes and words. Its id is a hash of the kind, that address, and the PDF's sha256 (hex) followed
    by N, so it does not depend on how the page was read. The tables `documents`, `pages` and `outcomes` are aligned row
    by row; `outcomes` has offsets into `blobs`.

    ``ctx(row)`` is called before a file is opened, and ``ctx(row, page + 1)`` before each page (page from 0). Where it
    returns False, the file or page is left out.

    One version of PyMuPDF, Pillow and Tesseract gives the same bytes each time, unless Tesseract times out.
    """

    dpi: int = 150  # of the page picture; less where a limit applies
    longest_side: int = 2048  # of the page picture, pixels
    max_pages: int = MAX_PAGES  # of a file, from the first
    max_bytes: int = MAX_BYTES  # of a file
    ocr: bool = True  # Tesseract, where it is installed and a page has no usable text layer
    ocr_dpi: int = 300
    languages: str = "eng"  # for OCR, as Tesseract names them, joined by "+"
    min_confidence: float = 0.45  # mean confidence of the words of a page read by OCR

    tables: ClassVar[Mapping[str, pa.Schema]] = TABLES
    libraries: ClassVar[tuple[str, ...]] = ("pymupdf", "pillow")

    def programs(self) -> dict[str, str]:
        """Versions of the programs, and their data, that the output depends on."""
        if not self.ocr:
            return {}
        data = [name for name in self.languages.split("+") if name in tesseract.languages()]
        return {"tesseract": tesseract.version() or "none", "tesseract data": "+".join(data) or "none"}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        rows: dict[str, list[Row]] = {name: [] for name in self.tables}
        pictures = bytearray()
        end = ctx.ends.get("blobs", 0)
        for number, row in enumerate(batch.to_pylist()):
            if not ctx(number):
                ctx.lost(number, url=row["url"].partition("#")[0], file=_file_of(row))
                continue
            for page, picture in self._file(number, row, ctx):
                if "outcomes" in page:
                    page["outcomes"] |= {"part": ctx.part, "offset": end}
                    pictures += picture
                    end += len(picture)
                for name in page:
                    rows[name].append(page[name])
                if len(rows["documents"]) >= FLUSH_PAGES or len(pictures) >= FLUSH_BYTES:
                    yield from self._flush(rows, pictures)
        yield from self._flush(rows, pictures)

    def _flush(self, rows: dict[str, list[Row]], pictures: bytearray) -> Iterator[Output]:
        """Yield everything that was collected, and empty the collection."""
        if pictures:
            yield "blobs", bytes(pictures)
            pictures.clear()
        for name, collected in rows.items():
            if collected:
                yield name, pa.RecordBatch.from_pylist(collected, schema=self.tables[name])
                collected.clear()

    def _file(self, number: int, row: Row, ctx: StageContext) -> Iterator[tuple[dict[str, Row], bytes]]:
        """For each page: its row of each table, and its picture. For each refusal: the row of `refused`."""
        url = row["url"].partition("#")[0]
        place = functools.partial(provenance, _file_of(row), row["offset"], row["length"])
        render = Render(self.dpi, self.longest_side)
        ocr = Ocr("auto" if self.ocr else "none", self.languages, self.ocr_dpi, self.min_confidence)

        def refused(url: str, reason: str, page: int | None) -> tuple[dict[str, Row], bytes]:
            return {"refused": {"url": url, "reason": reason, "provenance": place(page)}}, b""

        try:
            data = read_range(row["path"], row["offset"], row["length"], self.max_bytes)
            digest = hashlib.sha256(data).hexdigest()
            with open_pdf(data) as pdf:
                for n in range(min(pdf.pages, self.max_pages)):
                    address = f"{url}#page={n + 1}"
                    if not ctx(number, n + 1):
                        ctx.lost(number, n + 1, url=address, file=_file_of(row), page=n)
                        continue
                    try:
                        page = read_page(pdf, n, render, ocr)
                    except RefusedError as e:
                        yield refused(address, e.reason, n)
                    else:
                        yield _rows(pdf, page, digest, address, place(n), row.get("fetched_at")), page.jpeg
                if pdf.pages > self.max_pages:
                    yield refused(url, "too_many_pages", self.max_pages)
        except RefusedError as e:
            yield refused(url, e.reason, None)


def _file_of(row: Row) -> str:
    """The name of an input file in provenance."""
    return str(row.get("file") or row["path"])


def _rows(pdf: Pdf, page: Page, digest: str, address: str, place: Row, fetched_at: Any) -> dict[str, Row]:
    """A page's rows, by table. digest: sha256 of the PDF. place: of the page, a row of PROVENANCE."""
    words, layer = page.layout.words, page.signals
    payload = f"{digest}{page.number + 1}".encode()
    stated = {"fetched_at": fetched_at, "lang": pdf.lang, "license": pdf.license, "title": pdf.title}
    described = document("pdf", address, payload, (), place, optout=pdf.optout, **stated)
    size = {"width": page.pixel_width, "height": page.pixel_height}
    facts: Row = {
        **size,
        "id": described["id"],
        "page": page.number,
        "pages": page.pages,
        "dpi": page.dpi,
        "rotation": page.rotation,
        "text_source": page.source,
        "engine": "pymupdf" if page.source == PDF else "tesseract",
        "why_ocr": page.why_ocr,
        "words": len(words),
        "confidence": sum(w.score for w in words) / max(len(words), 1),
        "repaired": pdf.repaired,
        "images": [normal(b, page.width, page.height) for b in page.pictures],
    }
    facts |= {"chars": layer.chars, "hidden_chars": layer.hidden, "fffd": layer.fffd, "coverage": layer.coverage}
    outcome: Row = {"url": address, "final_url": address, "status": "ok", "format": "jpeg", "frames": 1, **size}
    outcome |= {name: len(page.jpeg) for name in ("bytes", "length")}
    outcome["sha256"] = hashlib.sha256(page.jpeg).hexdigest()
    return {"documents": {**described, "nodes": nodes(page, address)}, "pages": facts, "outcomes": outcome}


def nodes(page: Page, address: str) -> list[Row]:
    """The nodes of a page, rows of `manifests.schema.NODE`: its picture, then a text node for each block."""
    picture = {"kind": IMAGE, "image": address, "width": page.pixel_width, "height": page.pixel_height}
    out: list[Row] = [{**picture, "box": [0.0, 0.0, 1.0, 1.0]}]
    words, lines = page.layout.words, page.layout.lines
    for block in page.layout.blocks:
        of_block = [
            {"text": w.text, "box": normal(w.box, page.width, page.height), "score": w.score, "line": i}
            for i in range(block.start, block.end)
            for w in words[lines[i].start : lines[i].end]
        ]
        box = normal(block.box, page.width, page.height)
        out.append({"kind": TEXT, "role": block.role, "text": block.text, "box": box, "words": of_block})
    return out
