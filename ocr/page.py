"""One page of a PDF: its picture, and its words, lines and blocks in reading order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ocr import tesseract, textlayer
from ocr.document import Document, Limits, native, refuse
from ocr.layout import Box, Layout, layout
from ocr.picture import Picture, Render, draw, inked, jpeg, plain
from ocr.route import Rules, Signals, signals, why_ocr
from ocr.tesseract import Ocr

PDF, OCR = "pdf", "ocr"  # where a page's words come from


@dataclass(frozen=True)
class Page:
    """A page as shown to a reader: crop box applied, rotation applied. Boxes are x0, y0, x1, y1 in points."""

    number: int  # from 0
    pages: int  # of the document
    width: float  # points
    height: float
    rotation: int  # degrees clockwise that the file asks for; already applied
    pixel_width: int
    pixel_height: int
    dpi: float  # of the picture
    jpeg: bytes
    layout: Layout
    pictures: tuple[Box, ...]  # raster pictures on the page
    source: str  # PDF or OCR
    why_ocr: str | None  # why the text layer was not used; see route.why_ocr
    signals: Signals  # of the text layer


def read_page(
    document: Document,
    number: int,
    *,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    render: Render = Render(),  # noqa: B008
    rules: Rules = Rules(),  # noqa: B008
    ocr: Ocr = Ocr(),  # noqa: B008
) -> Page:
    """Page `number` (from 0) of an open document.

    Raises RefusedError: page_broken, page_size, too_many_words, blank, no_text_layer, no_text, ocr_poor, ocr_failed,
    ocr_timeout.
    """
    with native("page_broken"):
        page = document.handle.load_page(number)
    picture = draw(page, render, limits.max_aspect)
    width, height = textlayer.size_of(page)
    found = textlayer.find_words(page)
    if len(found) > limits.max_words:
        refuse("too_many_words")
    pictures = textlayer.picture_boxes(page)
    seen = _seen(found, pictures, picture, width, height)
    visible = [f for f, s in zip(found, seen, strict=True) if s]
    measured = signals(
        [f.word.text for f in visible],
        [f.word.text for f, s in zip(found, seen, strict=True) if not s],
        textlayer.coverage(pictures, width, height),
    )
    why = why_ocr(measured, rules)
    if why is None:
        segments = textlayer.segments(visible)
    else:
        if plain(picture):
            refuse("blank")
        if not tesseract.available(ocr):
            refuse("no_text_layer")
        fine = draw(page, Render(ocr.dpi, 10_000, ocr.max_pixels, gray=True), limits.max_aspect)
        segments = tesseract.read(_pgm(fine), fine.dpi, (width / fine.width, height / fine.height), ocr)
    return Page(
        number=number,
        pages=document.pages,
        width=width,
        height=height,
        rotation=int(page.rotation),
        pixel_width=picture.width,
        pixel_height=picture.height,
        dpi=picture.dpi,
        jpeg=jpeg(picture, render.quality),
        layout=layout(segments, width, height),
        pictures=tuple(pictures),
        source=PDF if why is None else OCR,
        why_ocr=why,
        signals=measured,
    )


def _seen(
    found: list[textlayer.Found], pictures: list[Box], picture: Picture, width: float, height: float
) -> list[bool]:
    """Which words a reader of the picture sees.

    There must be ink under the word. A word that is not painted itself may owe it to a picture (it is what some OCR
    made of a
    scan: kept) or to what is painted through its outline (kept); where it lies on words that are painted, it doubles
    them.
    """
    ink = inked(picture, [f.word.box for f in found], width, height)
    painted = np.array([f.word.box for f, i in zip(found, ink, strict=True) if i and not f.hidden]).reshape(-1, 4)
    return [
        i and (not f.hidden or _inside(f.word.box, pictures) or not _doubles(f.word.box, painted))
        for f, i in zip(found, ink, strict=True)
    ]


def _inside(box: Box, others: list[Box]) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return any(o[0] <= x <= o[2] and o[1] <= y <= o[3] for o in others)


def _doubles(box: Box, painted: npt.NDArray[np.float64]) -> bool:
    """Whether painted words cover a third of the box."""
    w = np.minimum(box[2], painted[:, 2]) - np.maximum(box[0], painted[:, 0])
    h = np.minimum(box[3], painted[:, 3]) - np.maximum(box[1], painted[:, 1])
    return bool((w.clip(0) * h.clip(0)).sum() > (box[2] - box[0]) * (box[3] - box[1]) / 3)


def _pgm(picture: Picture) -> bytes:
    """The grey picture as a portable graymap, which costs no compression."""
    return b"P5\n%d %d\n255\n" % (picture.width, picture.height) + picture.pixels.tobytes()


def normal(box: Box, width: float, height: float) -> list[float]:
    """A box in points -> [left, top, width, height] as shares of the page, six digits."""
    x0, y0, x1, y1 = box
    left, top = round(x0 / width, 6), round(y0 / height, 6)
    return [left, top, round(x1 / width - left, 6), round(y1 / height - top, 6)]
