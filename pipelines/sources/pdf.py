"""The kind `pdf`: PDF pages as images with words and boxes, from files and from the PDFs that a crawl met."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import pyarrow as pa
from pydantic import Field

from ocr.stages import Pages
from pipelines.engine.plan import StepOutput
from pipelines.engine.stage import Step
from pipelines.engine.storage import Store
from pipelines.formats.pieces import FILE, groups
from pipelines.sources.base import REFUSED, Documents, Kind, Listing, Reading, Row, Source, choose_files
from pipelines.sources.files import lister
from pipelines.sources.tables import Near, RecipeError, SourceTable, Strings
from pipelines.sources.web import sign_near

PART_BYTES = 16 << 20  # of PDFs in one partition
PART_FILES = 32

#: input rows: a PDF; offset, length: in bytes, where it is a range of the file
INPUTS = pa.schema([*FILE, ("url", pa.string()), ("offset", pa.int64()), ("length", pa.int64())])


class Pdf(SourceTable):
    """PDF pages: page images with words and boxes."""

    kind: Literal["pdf"]
    from_: Strings = Field([], alias="from", description="names of web sources whose PDFs are read too")
    paths: Strings = Field([], description="PDF files, folders or globs")
    dpi: int = Field(150, ge=36, le=600)
    longest_side: int = Field(980, ge=64, description="pixels of a page image; rendered at the size that shards hold")
    max_pages: int = Field(50, ge=1, description="of one PDF; MINT-1T takes 50")
    max_bytes: int = Field(100_000_000, ge=1, description="of one PDF")
    ocr: Literal["auto", "never"] = Field("auto", description="Tesseract, where installed and a page has no text layer")
    ocr_languages: str = Field("eng", description="Tesseract's language names, joined by +: eng+deu")
    ocr_dpi: int = Field(300, ge=70, le=600)
    min_confidence: float = Field(0.45, ge=0, le=1, description="mean confidence below which an OCR page is refused")
    preset: str = "pdf"
    near: Near = Near()


def _listings(name: str, pdf: Pdf) -> list[Listing]:
    if not pdf.paths and not pdf.from_:
        raise RecipeError(
            f"{name}: no input; give {name}.paths (PDF files or folders), or {name}.from (the name of a web source)"
        )
    if pdf.text.redact:
        raise RecipeError(
            f"{name}.text.redact: the page images would still show the data; leave such pages out by a rule, "
            "such as {emails: {max: 0}}"
        )
    return [Listing("paths", lister(pdf.paths, ".pdf"))]


def _steps(source: Source, reading: Reading, upstream: Mapping[str, Documents]) -> Documents:
    pdf: Pdf = source.table
    chosen = choose_files(source.files["paths"], reading.limit)
    files = [{**file, "url": f"file:{file['file']}", "offset": None, "length": None} for file in chosen]
    after = tuple(step for name in pdf.from_ for step in upstream[name].pdfs)

    def parts(outputs: Mapping[str, StepOutput]) -> list[pa.Table]:
        rows = [*files, *_of_pages([outputs[name] for name in after], Store(reading.root))]
        return [pa.Table.from_pylist(group, schema=INPUTS) for group in groups(rows, PART_BYTES, PART_FILES)]

    same = {"dpi", "longest_side", "max_pages", "max_bytes", "ocr_dpi", "min_confidence"}
    stage = Pages(ocr=pdf.ocr == "auto", languages=pdf.ocr_languages, **pdf.model_dump(include=same))
    name = source.step("pages")
    count = {**REFUSED, "outcomes": ("status",)}
    step = Step(name, stage, rows=parts, after=after, count=count, deadline_s=60, batch_rows=1)
    return Documents((step,), (name,), images=(name,), pages=(name,))


def _of_pages(outputs: list[StepOutput], store: Store) -> list[Row]:
    """The PDFs that the pages' steps stored, as rows of INPUTS."""
    rows = []
    for number, part in enumerate(part for output in outputs for part in output.parts):
        if "pdfs" not in part.files or "pdf_bytes" not in part.files:
            continue
        bytes_ = part.files["pdf_bytes"]
        file = {"path": store.path(bytes_.name), "file": f"web.extract/{number:05d}", "changed": bytes_.sha256}
        for pdf in StepOutput("", [part]).read(store, "pdfs").to_pylist():
            size = pdf["size"]
            rows.append({**file, "size": size, "url": pdf["url"], "offset": pdf["start"], "length": size})
    return rows


PDF = Kind(
    name="pdf",
    title="PDF pages",
    layout="ocr",
    table=Pdf,
    listings=_listings,
    steps=_steps,
    # numbers are the content of tables: pages that differ in their numbers alone are different pages
    sign=lambda pdf: replace(sign_near(pdf.near), fold_numbers=False),
    threshold=lambda pdf: pdf.near.threshold,
    fetches=False,
    read_from=lambda pdf: pdf.from_,
)
