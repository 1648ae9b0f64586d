"""Images on their way into a shard and out of it: fit to a longest side, decode at the size a model wants."""

from __future__ import annotations

import io
import json
import warnings
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

QUALITY = 95
#: pixels; what fetching lets through is smaller, so this only stops a blob that was never checked
MAX_PIXELS = 200_000_000
#: EXIF tags worth keeping beside a pair, none of them about a place
EXIF = ("ImageDescription", "Make", "Model", "Orientation", "Software", "DateTime", "Artist", "Copyright")

_ERRORS = (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, ArithmeticError, LookupError, TypeError, MemoryError)
_ORIENTATION = 0x0112


class ImageError(ValueError):
    """Bytes that are no image this build of Pillow can read."""


class Fitted(NamedTuple):
    data: bytes  #: JPEG
    width: int  #: pixels, of `data`
    height: int
    original: tuple[int, int]  #: width and height before, after EXIF orientation
    exif: str  #: JSON object of the tags of `EXIF`


def fit(data: bytes, longest: int) -> Fitted:
    """A JPEG whose longest side is at most `longest` pixels.

    A JPEG that fits, upright and not CMYK, is returned as it is, byte for byte. Anything else is decoded (first frame, EXIF
    orientation applied, transparency on white), scaled down with Lanczos where it is too large, and written as RGB JPEG of quality 95
    without chroma subsampling.
    Raises ImageError.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _fit(data, longest)
    except ImageError:
        raise
    except _ERRORS as error:  # Pillow raises whatever its parser met
        raise ImageError(f"{type(error).__name__}: {error}") from error


def _fit(data: bytes, longest: int) -> Fitted:
    image = _open(data)
    tags = image.getexif()
    exif = _exif_json(tags)
    turned = tags.get(_ORIENTATION, 1) in (5, 6, 7, 8)
    width, height = image.size[::-1] if turned else image.size
    scale = min(1.0, longest / max(width, height))
    upright = tags.get(_ORIENTATION, 1) in (0, 1)
    if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L") and upright and scale == 1.0:
        return Fitted(data, width, height, (width, height), exif)
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    # DCT scaling first, still at least twice the target, so that Lanczos decides the look
    image.draft("RGB", (2 * max(target), 2 * max(target)))
    pixels = _upright(_rgb(image), tags.get(_ORIENTATION, 1))
    if pixels.size != target:
        pixels = pixels.resize(target, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    pixels.save(out, "JPEG", quality=QUALITY, subsampling=0)  # full chroma: coloured text stays sharp
    return Fitted(out.getvalue(), *target, (width, height), exif)


def _open(data: bytes) -> Image.Image:
    image: Image.Image = Image.open(io.BytesIO(data))
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(f"{image.width} x {image.height} pixels")
    return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 and 32 bit greys, which convert() would clip
        image = image.convert("I").point(lambda v: v * (1 / 256)).convert("L")
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, rgba)
    return image.convert("RGB")


_TURNS = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_270,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_90,),
}


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    for turn in _TURNS.get(orientation, ()):
        image = image.transpose(turn)
    return image


def _exif_json(tags: Any) -> str:
    names = {number: name for number, name in ExifTags.TAGS.items() if name in EXIF}
    found = {names[n]: str(v).strip("\0 ")[:500] for n, v in tags.items() if n in names}
    return json.dumps(found, sort_keys=True, separators=(",", ":"))


def size_for(width: int, height: int, mode: str, longest: int, shortest: int) -> tuple[int, int]:
    """The size (width, height) a model sees.

    ``square``: longest x longest. ``native``: the aspect ratio kept, the longest side at most `longest`, the shortest at least
    `shortest` where that leaves the longest within bounds (Idefics2: 378 to 980).
    """
    if mode == "square":
        return longest, longest
    if mode != "native":
        raise ValueError(f"image mode {mode!r}: 'square' or 'native'")
    scale = max(1.0, shortest / min(width, height))
    scale = min(scale, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def decode(data: bytes, mode: str = "native", longest: int = 980, shortest: int = 378) -> np.ndarray:
    """Pixels (height, width, 3) uint8 of an image at the size `size_for` gives. Raises ImageError.

    JPEGs are decoded at the smallest DCT scale that is still as large as wanted, which is most of the speed.
    """
    try:
        image = _open(data)
        orientation = image.getexif().get(_ORIENTATION, 1)
        size = size_for(image.width, image.height, mode, longest, shortest)
        image.draft("RGB", size)
        pixels = _upright(_rgb(image).resize(size, Image.Resampling.BILINEAR), orientation)
        return np.asarray(pixels)
    except ImageError:
        raise
    except _ERRORS as error:
        raise ImageError(f"{type(error).__name__}: {error}") from error
