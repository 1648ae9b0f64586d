"""Scores of an image's pixels: entropy, sharpness, the share of one tone, the share of QR codes."""

import contextlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image, ImageOps

from filters.scores import IMAGE_PIXELS
from manifests.stage import NO_ENGINE, Output, StageContext

Grey = NDArray[np.uint8]

SIDE = 512  # pixels of the longer side. Larger images are scaled down, so that sharpness is measured at one scale
TONE = 8  # grey levels (of 256) on each side of the median that count as one tone

Image.init()  # registers every format; Pillow otherwise does that at the first unusual one
#: the formats that are read. Pillow has others, such as PostScript, which runs a program
FORMATS = [f for f in ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "TIFF", "JPEG2000", "ICO") if f in Image.OPEN]


@dataclass(frozen=True)
class PixelScores:
    """Map: a batch with the column ``image`` (encoded bytes) -> ("scores", `filters.scores.IMAGE_PIXELS`), one row for
    each image, null where it cannot be decoded.

    ``entropy``: Shannon's, of the grey levels, in bits. ``blur``: variance of the Laplacian (Pech-Pacheco et al., ICPR
    2000) of the grey levels (0 to 255); NeMo Curator keeps images from 100 on. ``qr``: NeMo Curator keeps images below
    0.05.
    """

    tables: ClassVar[Mapping[str, pa.Schema]] = {"scores": pa.schema(dict.fromkeys(IMAGE_PIXELS, pa.float32()))}
    name: ClassVar[str] = "pixels"
    libraries: ClassVar[tuple[str, ...]] = ("pillow", "opencv-python-headless")

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        rows = []
        for row, data in enumerate(batch["image"].to_pylist()):
            grey = decoded(data, "L", SIDE) if data is not None and ctx(row) else None
            rows.append({} if grey is None else measure(grey))
        yield "scores", pa.RecordBatch.from_pylist(rows, schema=self.tables["scores"])


def measure(grey: Grey) -> dict[str, float]:
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

    cv2.setNumThreads(1)  # each partition has a process of its own
    return cv2.QRCodeDetector()


def _qr(grey: Grey) -> float:
    """Share of the image that QR codes cover, by OpenCV's detector."""
    import cv2

    cv2.setRNGSeed(0)  # its clustering starts at random: the result must not depend on earlier images
    try:
        detected, corners = _detector().detectMulti(grey)
    except cv2.error:  # an image of a few pixels
        return 0.0
    if not detected:
        return 0.0
    x, y = np.asarray(corners, float)[..., 0], np.asarray(corners, float)[..., 1]
    areas = np.abs((x * np.roll(y, -1, 1) - y * np.roll(x, -1, 1)).sum(1)) / 2  # the shoelace formula
    return float(min(1.0, areas.sum() / grey.size))


def decoded(data: bytes, mode: str, side: int) -> NDArray[np.uint8] | None:
    """Pixels in a Pillow mode, with EXIF's orientation applied, scaled down to a longer side of at most ``side``.

    Transparent pixels are blended with white. None where Pillow cannot read the image.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.draft(mode, (side, side))  # JPEG: decodes at a fraction of its size
            image.load()
            shown: Image.Image = image
            # with a broken EXIF block, the image stays as it is stored
            with contextlib.suppress(Exception):
                shown = ImageOps.exif_transpose(image)
            plain = _plain(shown, mode)
    # the errors of Pillow for broken images
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    plain.thumbnail((side, side), Image.Resampling.BOX)
    return np.asarray(plain)


def _plain(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I"):  # grey levels of 16 and 32 bits, which convert() would clip
        return image.convert("I").point(lambda v: v * (1 / 256)).convert("L").convert(mode)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert(mode)
