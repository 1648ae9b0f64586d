"""One page of a PDF: its picture, and its words, lines and blocks in reading order."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ocr import tesseract, textlayer
from ocr.layout import Box, Layout, layout
from ocr.pdf import Pdf, mupdf_call, refuse
from ocr.picture import Picture, Render, draw, has_ink, is_blank, jpeg
from ocr.route import Signals, signals, why_ocr
from ocr.tesseract import AUTO, Ocr
from ocr.textlayer import LayerWord

PDF, OCR = "pdf", "ocr"  # where a page's words come from: the text layer or the OCR engine

MAX_WORDS = 20_000  # of a page
# the drawing for OCR: as large as its resolution asks for, up to this size
OCR_MAX_SIDE, OCR_MAX_PIXELS = 10_000, 12_000_000


@dataclass(frozen=True)
class Page:
    """A page as a reader sees it: crop box and rotation are applied. Boxes are x0, y0, x1, y1 in points."""

    number: int  # from 0
    pages: int  # of the PDF
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


def read_page(pdf: Pdf, number: int, render: Render = Render(), ocr: Ocr = AUTO) -> Page:  # noqa: B008 (frozen)
    """Page `number` (from 0) of an open PDF.

    Raises RefusedError: page_broken, page_size, too_many_words, blank, no_text_layer, and those of `tesseract.read`.
    """
    with mupdf_call("page_broken"):
        page = pdf.handle.load_page(number)
    picture = draw(page, render)
    width, height = textlayer.size_of(page)
    words = textlayer.read_words(page)
    if len(words) > MAX_WORDS:
        refuse("too_many_words")
    pictures = textlayer.picture_boxes(page)
    visible, hidden = _by_visibility(words, pictures, picture, width, height)
    covered = textlayer.coverage(pictures, width, height)
    measured = signals([w.word.text for w in visible], [w.word.text for w in hidden], covered)
    why = why_ocr(measured)
    if why is None:
        segments = textlayer.segments(visible)
    else:
        if is_blank(picture):
            refuse("blank")
        if not tesseract.available(ocr):
            refuse("no_text_layer")
        fine = draw(page, Render(ocr.dpi, OCR_MAX_SIDE, OCR_MAX_PIXELS, gray=True))
        # a portable graymap, which needs no compression
        pgm = b"P5\n%d %d\n255\n" % (fine.width, fine.height) + fine.pixels.tobytes()
        segments = tesseract.read(pgm, fine.dpi, (width / fine.width, height / fine.height), ocr)
    return Page(
        number=number,
        pages=pdf.pages,
        width=width,
        height=height,
        rotation=int(page.rotation),
        pixel_width=picture.width,
        pixel_height=picture.height,
        dpi=picture.dpi,
        jpeg=jpeg(picture),
        layout=layout(segments, width, height),
        pictures=tuple(pictures),
        source=PDF if why is None else OCR,
        why_ocr=why,
        signals=measured,
    )


def _by_visibility(
    words: list[LayerWord], pictures: list[Box], picture: Picture, width: float, height: float
) -> tuple[list[LayerWord], list[LayerWord]]:
    """The words that a reader of the picture sees, and the others.

    There must be ink under the word. The ink under a word that is not painted itself comes from a raster picture (an
    OCR engine added the word to a scan: the word is visible), from painted words (the word is a copy of them: it is not
    visible), or from anything else, such as the word's outline (the word is visible).
    """
    ink = has_ink(picture, [w.word.box for w in words], width, height)
    painted = np.array([w.word.box for w, i in zip(words, ink, strict=True) if i and not w.hidden]).reshape(-1, 4)
    visible: list[LayerWord] = []
    hidden: list[LayerWord] = []
    for w, i in zip(words, ink, strict=True):
        shown = i and (not w.hidden or _inside(w.word.box, pictures) or not _covered(w.word.box, painted))
        (visible if shown else hidden).append(w)
    return visible, hidden


def _inside(box: Box, others: list[Box]) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return any(o[0] <= x <= o[2] and o[1] <= y <= o[3] for o in others)


def _covered(box: Box, painted: npt.NDArray[np.float64]) -> bool:
    """Whether painted words cover a third of the box."""
    w = np.minimum(box[2], painted[:, 2]) - np.maximum(box[0], painted[:, 0])
    h = np.minimum(box[3], painted[:, 3]) - np.maximum(box[1], painted[:, 1])
    return bool((w.clip(0) * h.clip(0)).sum() > (box[2] - box[0]) * (box[3] - box[1]) / 3)


def normal(box: Box, width: float, height: float) -> list[float]:
    """A box in points -> [left, top, width, height] as shares of the page, six digits."""
    x0, y0, x1, y1 = box
    left, top = round(x0 / width, 6), round(y0 / height, 6)
    return [left, top, round(x1 / width - left, 6), round(y1 / height - top, 6)]
