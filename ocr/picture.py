"""The picture of a page: rendered within a pixel budget, and its JPEG."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ocr.document import library, native, refuse
from ocr.layout import Box
from ocr.textlayer import size_of

Pixels = npt.NDArray[np.uint8]  # height x width x 1 or 3

# levels of 255 by which a word must differ from what is round it; JPEG-noisy scans stay above, plain paper below
INK = 24


@dataclass(frozen=True)
class Render:
    """How a page is drawn."""

    dpi: int = 150  # as PDFA's reader chug and Docmatix do; less where a cap below binds
    max_side: int = 2048  # pixels
    max_pixels: int = 4_194_304
    gray: bool = False
    quality: int = 85  # of the JPEG; 4:4:4 below that loses nothing of thin coloured text, so chroma is not subsampled


@dataclass(frozen=True)
class Picture:
    pixels: Pixels
    dpi: float  # of the drawing, after the caps

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])


def draw(page: Any, render: Render, max_aspect: float = 10.0) -> Picture:
    """The page as shown (crop box, rotation, annotations and form fields).

    Raises RefusedError: page_size for a page without area or more than `max_aspect` times longer than wide,
    page_broken.
    """
    pymupdf = library()
    width, height = size_of(page)
    if not (1 <= width < 1e6 and 1 <= height < 1e6) or max(width, height) > max_aspect * min(width, height):
        refuse("page_size")
    zoom = min(
        render.dpi / 72, (render.max_side - 1) / max(width, height), math.sqrt(render.max_pixels / (width * height))
    )
    # MuPDF rounds outwards to whole pixels, so a page may come out one pixel larger than asked on each side
    while (math.ceil(width * zoom) + 1) * (math.ceil(height * zoom) + 1) > max(render.max_pixels, 4):
        zoom *= 0.999
    colours = pymupdf.csGRAY if render.gray else pymupdf.csRGB
    with native("page_broken"):
        drawn = page.get_pixmap(matrix=pymupdf.Matrix(zoom, zoom), colorspace=colours, alpha=False)
    flat = np.frombuffer(drawn.samples, dtype=np.uint8).reshape(drawn.height, drawn.stride)
    pixels = flat[:, : drawn.width * drawn.n].reshape(drawn.height, drawn.width, drawn.n)
    return Picture(pixels, round(zoom * 72, 2))


def jpeg(picture: Picture, quality: int) -> bytes:
    """The picture as JPEG; the same bytes each time for one Pillow build."""
    pixels = picture.pixels
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    out = io.BytesIO()
    dpi = max(1, round(picture.dpi))
    image.save(out, "JPEG", quality=quality, subsampling=0, dpi=(dpi, dpi))
    return out.getvalue()


def plain(picture: Picture) -> bool:
    """Whether the page is one colour: nothing is drawn on it."""
    flat = picture.pixels.reshape(-1, picture.pixels.shape[2])
    return bool(np.all(flat.max(axis=0) - flat.min(axis=0) < INK))


def inked(picture: Picture, boxes: list[Box], width: float, height: float) -> list[bool]:
    """Whether the picture shows anything inside each box (points of a page of that size).

    A word without ink is one no reader sees: white on white, under a picture, on a layer that is off, or drawn
    invisible.
    """
    if not boxes:
        return []
    pixels = picture.pixels
    scale = np.array([picture.width / width, picture.height / height] * 2)
    b = np.asarray(boxes) * scale
    x0, y0 = np.floor(b[:, 0]).astype(int), np.floor(b[:, 1]).astype(int)
    x1, y1 = np.maximum(np.ceil(b[:, 2]).astype(int), x0 + 1), np.maximum(np.ceil(b[:, 3]).astype(int), y0 + 1)
    first = np.ascontiguousarray(pixels[:, :, pixels.shape[2] // 2])  # green finds nearly all ink
    out = []
    for left, top, right, bottom in zip(x0.tolist(), y0.tolist(), x1.tolist(), y1.tolist(), strict=True):
        ink = _spread(first[top:bottom, left:right]) >= INK
        out.append(ink or any(_spread(pixels[top:bottom, left:right, c]) >= INK for c in range(pixels.shape[2])))
    return out


def _spread(part: Pixels) -> int:
    return int(part.max()) - int(part.min()) if part.size else 0
