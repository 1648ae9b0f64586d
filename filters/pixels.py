"""What the pixels of an image say: entropy, sharpness, how much of it is one tone, how much a QR code."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image, ImageOps

from filters.scores import IMAGE_PIXELS
from manifests.stage import NO_ENGINE, StageContext

Output = tuple[str, pa.RecordBatch | bytes]
Grey = NDArray[np.uint8]

SIDE = 512  # pixels of the longer side: larger images are scaled down first, so that sharpness is measured at one scale
TONE = 8  # grey levels of 256 around the median that count as one tone

Image.init()  # registers every format, which Pillow otherwise does when it first meets an unusual one
#: what is tried: Pillow's others include PostScript, which runs a program
FORMATS = [f for f in ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "TIFF", "JPEG2000", "ICO") if f in Image.OPEN]


@dataclass(frozen=True)
class PixelScores:
    """Map: a batch with the column ``image`` (encoded bytes) -> ("scores", `filters.scores.IMAGE_PIXELS`), one row an
    image; null where

    it cannot be decoded. ``entropy``: Shannon's, of the grey levels, in bits. ``blur``: variance of the Laplacian
    (Pech-Pacheco et al., ICPR 2000) of the grey levels (0 to 255); NeMo Curator keeps images from 100 on. ``qr``: NeMo
    Curator keeps images below 0.05.
    """

    name: ClassVar[str] = "pixels"
    libraries: ClassVar[tuple[str, ...]] = ("pillow", "opencv-python-headless")

    def columns(self) -> pa.Schema:
        return pa.schema([(name, pa.float32()) for name in IMAGE_PIXELS])

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        rows = []
        for row, data in enumerate(batch["image"].to_pylist()):
            grey = decoded(data, "L", SIDE) if data is not None and ctx(row) else None
            rows.append({} if grey is None else measured(grey))
        yield "scores", pa.RecordBatch.from_pylist(rows, schema=self.columns())


def measured(grey: Grey) -> dict[str, float]:
    """The scores of grey levels, height x width."""
    share = np.bincount(grey.ravel(), minlength=256) / max(grey.size, 1)
    some = share[share > 0]
    g = grey.astype(np.float32)
    laplacian = g[:-2, 1:-1] + g[2:, 1:-1] + g[1:-1, :-2] + g[1:-1, 2:] - 4 * g[1:-1, 1:-1]
    return {
        "entropy": max(0.0, float(-(some * np.log2(some)).sum())),
        "blur": float(laplacian.var()) if laplacian.size else 0.0,
        "solid": float((np.abs(g - np.median(g)) <= TONE).mean()),
        "qr": _qr(grey),
    }


@lru_cache(maxsize=1)
def _detector() -> Any:
    import cv2

    cv2.setNumThreads(1)  # parts are many, a process each
    return cv2.QRCodeDetector()


def _qr(grey: Grey) -> float:
    """Share of the picture that QR codes cover, by OpenCV's detector."""
    import cv2

    cv2.setRNGSeed(0)  # it clusters from random beginnings: the same for every image, whatever came before
    try:
        found, corners = _detector().detectMulti(grey)
    except cv2.error:  # pictures of a few pixels
        return 0.0
    if not found:
        return 0.0
    x, y = np.asarray(corners, float)[..., 0], np.asarray(corners, float)[..., 1]
    areas = np.abs((x * np.roll(y, -1, 1) - y * np.roll(x, -1, 1)).sum(1)) / 2  # the shoelace formula
    return float(min(1.0, areas.sum() / grey.size))


def decoded(data: bytes, mode: str, side: int) -> NDArray[np.uint8] | None:
    """Pixels in a Pillow mode, as shown (EXIF's orientation applied), scaled down until the longer side is at most
    ``side``.

    What is transparent lies on white. None where Pillow cannot read them.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.draft(mode, (side, side))  # JPEG: decodes at a fraction of its size
            image.load()
            shown: Image.Image = image
            # an EXIF block may be as broken as anything else; the picture is then as it lies
            with contextlib.suppress(Exception):
                shown = ImageOps.exif_transpose(image)
            plain = _plain(shown, mode)
    # Pillow's ways to say that this is no image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    plain.thumbnail((side, side), Image.Resampling.BOX)
    return np.asarray(plain)


def _plain(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I"):  # 16 and 32 bit greys, which convert() would clip
        return image.convert("I").point(lambda v: v * (1 / 256)).convert("L").convert(mode)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert(mode)
