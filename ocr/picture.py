"""The picture of a page: rendered within a pixel budget, and its JPEG."""

import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ocr.layout import Box
from ocr.pdf import mupdf, mupdf_call, refuse
from ocr.textlayer import size_of

Pixels = npt.NDArray[np.uint8]  # height x width x 1 or 3

MAX_ASPECT = 10.0  # longer side over shorter side of a page (MinerU's limit)
QUALITY = 85  # of the JPEG. Chroma is not subsampled (4:4:4), because thin coloured text would lose detail
# levels of 255 by which a word must differ from what is around it: noisy JPEG scans stay above it, plain paper below
INK = 24


@dataclass(frozen=True)
class Render:
    """How a page is drawn."""

    dpi: int = 150  # as chug (the reader of PDFA) and Docmatix do; less where a limit below applies
    max_side: int = 2048  # pixels
    max_pixels: int = 4_194_304
    gray: bool = False


@dataclass(frozen=True)
class Picture:
    pixels: Pixels
    width: int
    height: int
    dpi: float  # of the drawing, after the limits


def draw(page: Any, render: Render) -> Picture:
    """The page as a reader sees it (crop box, rotation, annotations and form fields).

    Raises RefusedError: page_broken; page_size for a page without area or with an aspect ratio over MAX_ASPECT.
    """
    width, height = size_of(page)
    if not (1 <= width < 1e6 and 1 <= height < 1e6) or max(width, height) > MAX_ASPECT * min(width, height):
        refuse("page_size")
    zoom = min(render.dpi / 72, (render.max_side - 1) / max(width, height))
    zoom = min(zoom, math.sqrt(render.max_pixels / (width * height)))
    # MuPDF rounds up to whole pixels, so a page may be one pixel larger than asked for on each side
    while (math.ceil(width * zoom) + 1) * (math.ceil(height * zoom) + 1) > max(render.max_pixels, 4):
        zoom *= 0.999
    pymupdf = mupdf()
    colours = pymupdf.csGRAY if render.gray else pymupdf.csRGB
    with mupdf_call("page_broken"):
        pixmap = page.get_pixmap(matrix=pymupdf.Matrix(zoom, zoom), colorspace=colours, alpha=False)
    flat = np.frombuffer(pixmap.samples, dtype=np.uint8).reshape(pixmap.height, pixmap.stride)
    pixels = flat[:, : pixmap.width * pixmap.n].reshape(pixmap.height, pixmap.width, pixmap.n)
    return Picture(pixels, pixmap.width, pixmap.height, round(zoom * 72, 2))


def jpeg(picture: Picture) -> bytes:
    """The picture as JPEG; the same bytes each time for one version of Pillow."""
    pixels = picture.pixels
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    out = io.BytesIO()
    dpi = max(1, round(picture.dpi))
    image.save(out, "JPEG", quality=QUALITY, subsampling=0, dpi=(dpi, dpi))
    return out.getvalue()


def is_blank(picture: Picture) -> bool:
    """Whether the page has one colour: nothing is drawn on it."""
    flat = picture.pixels.reshape(-1, picture.pixels.shape[2])
    return bool(np.all(flat.max(axis=0) - flat.min(axis=0) < INK))


def has_ink(picture: Picture, boxes: list[Box], width: float, height: float) -> list[bool]:
    """Whether the picture shows anything inside each box (points of a page of that size).

    No reader sees a word without ink: it is white on white, under a picture, on a layer that is off, or invisible.
    """
    if not boxes:
        return []
    pixels = picture.pixels
    scaled = np.asarray(boxes) * np.array([picture.width / width, picture.height / height] * 2)
    low = np.floor(scaled[:, :2]).astype(int)
    high = np.maximum(np.ceil(scaled[:, 2:]).astype(int), low + 1)
    first = np.ascontiguousarray(pixels[:, :, pixels.shape[2] // 2])  # the green channel shows nearly all ink
    out = []
    for (left, top), (right, bottom) in zip(low.tolist(), high.tolist(), strict=True):
        ink = _spread(first[top:bottom, left:right]) >= INK
        out.append(ink or any(_spread(pixels[top:bottom, left:right, c]) >= INK for c in range(pixels.shape[2])))
    return out


def _spread(area: Pixels) -> int:
    return int(area.max()) - int(area.min()) if area.size else 0
