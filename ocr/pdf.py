"""Opening a PDF: its bytes become an open document or one reason for refusal.

PyMuPDF parses the file in this process. A hostile file can crash or hang it, so callers run in a process that may die,
and say first which file and page they are on. PyMuPDF is not thread-safe: one document at a time in a process.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

import fsspec

#: every reason for which a file or a page is refused, with its meaning
REASONS = {
    # files
    "missing": "the file does not exist, or ends before the stated range",
    "empty": "no bytes",
    "too_large": "more bytes than the limit",
    "not_pdf": "no %PDF- mark in the first 1024 bytes",
    "corrupt": "no reader can find its objects",
    "encrypted": "needs a password",
    "no_pages": "opens, but has no page",
    "too_many_pages": "pages past the limit, one row for all of them; its page is the first that is left out",
    # pages
    "page_broken": "the page cannot be loaded or drawn",
    "page_size": "the page has no area, or an aspect ratio past the limit",
    "too_many_words": "more words than the limit: a drawing or a map, not a text",
    "blank": "nothing is drawn on it",
    "no_text_layer": "no usable text layer, and no OCR engine to read the picture",
    "no_text": "no usable text layer, and OCR recognised no text",
    "ocr_poor": "the mean confidence of the OCR engine is below the limit",
    "ocr_failed": "the OCR engine failed",
    "ocr_timeout": "the OCR engine took too long",
}


MAX_BYTES = 100_000_000  # of a file; the limit of PDFA (dataset card of pixparse/pdfa-eng-wds)
MAX_PAGES = 500  # of a file, from the first; the rest is one refused row


class RefusedError(Exception):
    """A file or page that cannot be used; `reason` is a key of REASONS."""

    def __init__(self, reason: str) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason


def refuse(reason: str) -> NoReturn:
    raise RefusedError(reason)


@dataclass(frozen=True)
class Pdf:
    """An open PDF and what it states about itself."""

    handle: Any  # pymupdf.Document
    pages: int
    title: str | None
    lang: str | None  # primary tag of the catalog's /Lang
    license: str | None  # Creative Commons address in the XMP metadata
    optout: tuple[str, ...]  # "tdm-reservation" where the XMP metadata reserves text and data mining
    repaired: bool  # damaged: its cross-reference table had to be rebuilt, so pages may be missing


@lru_cache(maxsize=1)
def mupdf() -> Any:
    """PyMuPDF, without its messages. Raises ImportError with what to install."""
    try:
        import pymupdf
    except ImportError as e:
        raise ImportError("reading PDFs needs PyMuPDF 1.x: pip install 'panoramix[pdf]'") from e
    pymupdf.TOOLS.mupdf_display_errors(False)
    pymupdf.TOOLS.mupdf_display_warnings(False)
    return pymupdf


@contextmanager
def mupdf_call(reason: str) -> Iterator[None]:
    """Turn whatever PyMuPDF raises on broken input into a RefusedError.

    For single calls of the library, never for our own code: PyMuPDF raises more kinds of exceptions than can be listed
    (MuPDF's own, RuntimeError, ValueError, and Python's where it meets an unexpected None).
    """
    try:
        yield
    except (RefusedError, MemoryError):
        raise
    except Exception as e:
        raise RefusedError(reason) from e


@contextmanager
def open_pdf(data: bytes) -> Iterator[Pdf]:
    """An open PDF. At the end of the block the file is closed and MuPDF's cache is emptied.

    MuPDF's cache otherwise keeps up to 256 MB of pictures and fonts (PyMuPDF issues 130 and 3625), and parts of one
    document can show up in another (issue 4388). Raises RefusedError: empty, not_pdf, corrupt, encrypted, no_pages.
    """
    pymupdf = mupdf()
    if not data:
        refuse("empty")
    if b"%PDF-" not in data[:1024]:
        refuse("not_pdf")
    handle = None
    try:
        with mupdf_call("corrupt"):
            handle = pymupdf.open(stream=data, filetype="pdf")
            pdf = _described(handle)
        yield pdf
    finally:
        if handle is not None and not handle.is_closed:
            handle.close()
        pymupdf.TOOLS.store_shrink(100)
        pymupdf.TOOLS.reset_mupdf_warnings()


_LICENSE = re.compile(r"https?://creativecommons\.org/(?:licenses|publicdomain)/[A-Za-z0-9./-]{1,60}")
# TDMRep (W3C community group report), "TDM reservation in PDF": the XMP property tdm:reservation is 1
_TDM = re.compile(r"tdm:reservation\s*(?:=\s*[\"']|>)\s*1\b")
_LANG = re.compile(r"\(?([A-Za-z]{2,3})(?:[-_)]|$)")


def _described(handle: Any) -> Pdf:
    if handle.needs_pass:
        refuse("encrypted")
    if handle.page_count < 1:
        refuse("no_pages")
    xmp = handle.get_xml_metadata() or ""
    kind, value = handle.xref_get_key(handle.pdf_catalog(), "Lang")
    lang = _LANG.match(value) if kind == "string" else None
    license = _LICENSE.search(xmp)
    return Pdf(
        handle=handle,
        pages=handle.page_count,
        title=clean((handle.metadata or {}).get("title") or "") or None,
        lang=lang.group(1).lower() if lang else None,
        license=license.group(0).rstrip(".") if license else None,
        optout=("tdm-reservation",) if _TDM.search(xmp) else (),
        repaired=bool(handle.is_repaired),
    )


#: control characters and soft hyphens are not text; lone surrogates cannot be stored as UTF-8
_NOT_TEXT = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u200b\ufeff\ud800-\udfff]")


def clean(text: str) -> str:
    """One line of text: blanks normalised; control characters, soft hyphens and lone surrogates removed."""
    return " ".join(_NOT_TEXT.sub("", text).split())


def read_range(path: str, offset: int | None = None, length: int | None = None, max_bytes: int = MAX_BYTES) -> bytes:
    """Bytes of a file (any fsspec address), without reading more than the limit. offset, length: None for a whole file.

    Raises RefusedError: missing, too_large. Other errors of the storage are raised unchanged.
    """
    fs, name = fsspec.core.url_to_fs(path)
    try:
        size, start = int(fs.size(name)), offset or 0
        expected = size - start if length is None else length
        if start < 0 or expected < 0 or start + expected > size:
            refuse("missing")
        if expected > max_bytes:
            refuse("too_large")
        with fs.open(name, "rb") as f:
            f.seek(start)
            data: bytes = f.read(expected)
    except (FileNotFoundError, IsADirectoryError) as e:
        raise RefusedError("missing") from e
    if len(data) != expected:
        refuse("missing")
    return data
