"""Opening a PDF: bytes in, an open document or one reason why not.

PyMuPDF parses the file in this process. A hostile file can crash or hang it, so callers run in a fence and say first
which file and page they are on. PyMuPDF is not safe in threads: one document at a time in a process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

#: every reason why a file or a page is refused, with what it means
REASONS = {
    # files
    "missing": "the file is not there, or ends before the stated range",
    "empty": "no bytes",
    "too_large": "more bytes than the limit",
    "not_pdf": "no %PDF- mark in the first 1024 bytes",
    "corrupt": "no reader can find its objects",
    "encrypted": "needs a password",
    "no_pages": "opens, but has no page",
    "too_many_pages": "pages past the limit, one row for all of them; its page is the first left out",
    # pages
    "page_broken": "the page cannot be loaded or drawn",
    "page_size": "the page has no area, or an aspect ratio past the limit",
    "too_many_words": "more words than the limit: a drawing or a map, not a text",
    "blank": "nothing is drawn on it",
    "no_text_layer": "no usable text layer, and no OCR engine to read the picture",
    "no_text": "no usable text layer, and OCR found no text",
    "ocr_poor": "OCR is not sure of what it read",
    "ocr_failed": "the OCR engine failed",
    "ocr_timeout": "the OCR engine took too long",
}


class RefusedError(Exception):
    """A file or page that cannot be used; `reason` is a key of REASONS."""

    def __init__(self, reason: str) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason


def refuse(reason: str) -> NoReturn:
    raise RefusedError(reason)


@dataclass(frozen=True)
class Limits:
    """How much of a file is taken."""

    max_bytes: int = 100_000_000  # of a file; the limit of PDFA (pixparse/pdfa-eng-wds card)
    max_pages: int = 500  # of a file, from the first; the rest is one refused row
    max_words: int = 20_000  # of a page
    max_aspect: float = 10.0  # longer side over shorter side of a page (MinerU's limit)


@dataclass(frozen=True)
class Document:
    """An open PDF with what it says of itself."""

    handle: Any  # pymupdf.Document
    pages: int
    title: str | None
    lang: str | None  # primary tag of the catalog's /Lang
    license: str | None  # Creative Commons address in the XMP metadata
    optout: tuple[str, ...]  # "tdm-reservation" where the XMP metadata reserves text and data mining
    repaired: bool  # damaged: its cross-reference table had to be rebuilt, so pages may be missing


@lru_cache(maxsize=1)
def library() -> Any:
    """PyMuPDF, quiet. Raises ImportError with what to install."""
    try:
        import pymupdf
    except ImportError as e:
        raise ImportError("reading PDFs needs PyMuPDF 1.x: pip install 'panoramix[pdf]'") from e
    pymupdf.TOOLS.mupdf_display_errors(False)
    pymupdf.TOOLS.mupdf_display_warnings(False)
    return pymupdf


@contextmanager
def native(reason: str) -> Iterator[None]:
    """Turns whatever PyMuPDF raises on broken input into a RefusedError.

    Put round bare calls of the library, never round our own code: its glue raises more kinds of exceptions than can be
    listed (MuPDF's own, RuntimeError, ValueError, and Python's where it trips over None).
    """
    try:
        yield
    except (RefusedError, MemoryError):
        raise
    except Exception as e:
        raise RefusedError(reason) from e


@contextmanager
def open_document(data: bytes, limits: Limits = Limits()) -> Iterator[Document]:
    """An open PDF; closed, and MuPDF's cache emptied, on leaving.

    The cache is emptied for each document because MuPDF keeps up to 256 MB of pictures and fonts otherwise (PyMuPDF
    issues 130,
    3625), and so that nothing of one document can show up in another (issue 4388).
    Raises RefusedError: empty, too_large, not_pdf, corrupt, encrypted, no_pages.
    """
    pymupdf = library()
    if not data:
        refuse("empty")
    if len(data) > limits.max_bytes:
        refuse("too_large")
    if b"%PDF-" not in data[:1024]:
        refuse("not_pdf")
    handle = None
    try:
        with native("corrupt"):
            handle = pymupdf.open(stream=data, filetype="pdf")
            facts = _facts(handle)
        yield facts
    finally:
        if handle is not None and not handle.is_closed:
            handle.close()
        pymupdf.TOOLS.store_shrink(100)
        pymupdf.TOOLS.reset_mupdf_warnings()


def _facts(handle: Any) -> Document:
    if handle.needs_pass:
        refuse("encrypted")
    if handle.page_count < 1:
        refuse("no_pages")
    xmp = handle.get_xml_metadata() or ""
    return Document(
        handle=handle,
        pages=handle.page_count,
        title=clean((handle.metadata or {}).get("title") or "") or None,
        lang=_lang(handle),
        license=_license(xmp),
        optout=("tdm-reservation",) if _TDM.search(xmp) else (),
        repaired=bool(handle.is_repaired),
    )


_LICENSE = re.compile(r"https?://creativecommons\.org/(?:licenses|publicdomain)/[A-Za-z0-9./-]{1,60}")
# TDMRep (W3C community group report), "TDM reservation in PDF": the XMP property tdm:reservation is 1
_TDM = re.compile(r"tdm:reservation\s*(?:=\s*[\"']|>)\s*1\b")
_LANG = re.compile(r"\(?([A-Za-z]{2,3})(?:[-_)]|$)")


def _license(xmp: str) -> str | None:
    found = _LICENSE.search(xmp)
    return found.group(0).rstrip(".") if found else None


def _lang(handle: Any) -> str | None:
    kind, value = handle.xref_get_key(handle.pdf_catalog(), "Lang")
    found = _LANG.match(value) if kind == "string" else None
    return found.group(1).lower() if found else None


#: controls and soft hyphens are not text; lone surrogates cannot be stored as UTF-8
_NOT_TEXT = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u200b\ufeff\ud800-\udfff]")


def clean(text: str) -> str:
    """One line of text: blanks normalised, controls, soft hyphens and lone surrogates removed."""
    return " ".join(_NOT_TEXT.sub("", text).split())
