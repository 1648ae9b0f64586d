"""Images of samples as pixels: decoded, at the size that a model asks for, by the fastest decoder installed."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from shards import jpeg

#: pixels; fetching accepts only smaller images, so this limit stops only a blob that was never checked
MAX_PIXELS = 200_000_000

#: what Pillow's parsers raise on bytes that are no image
ERRORS = (OSError, ValueError, SyntaxError, EOFError, ArithmeticError, LookupError, TypeError, MemoryError)
ORIENTATION = 0x0112  # the EXIF tag
#: an image that shrinks by more than this factor is averaged over areas, so that fine patterns do not alias; up to it,
#: linear interpolation between four neighbours uses every pixel
_LINEAR = 2.0
#: DCT scales from 5/8 to 7/8 have no fast code in libjpeg-turbo: a full decode and a resize are faster and more exact
_FACTOR = 2


class ImageError(ValueError):
    """Bytes that are no image this build of Pillow can read."""


@contextmanager
def image_errors() -> Iterator[None]:
    """Turns whatever Pillow raises within into ImageError, and hides its warnings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UnidentifiedImageError as error:  # its message has an address in memory
        raise ImageError("no image of a known kind") from error
    except ERRORS as error:
        raise error if isinstance(error, ImageError) else ImageError(f"{type(error).__name__}: {error}") from error


def opened(data: bytes) -> Image.Image:
    """The image, its pixels not yet decoded. Raises ImageError if it is too large, and whatever Pillow raises."""
    image: Image.Image = Image.open(io.BytesIO(data))
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(f"{image.width} x {image.height} pixels")
    return image


def rgb(image: Image.Image) -> Image.Image:
    """The image in RGB; transparent parts become white."""
    if image.mode.startswith("I"):  # 16 and 32 bit greys, which convert() would clip
        image = image.convert("I").point(lambda v: v * (1 / 256)).convert("L")
    if "A" in image.getbands() or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image.convert("RGBA"))
    return image.convert("RGB")


_TURN = Image.Transpose
_TURNS = {
    2: _TURN.FLIP_LEFT_RIGHT, 3: _TURN.ROTATE_180, 4: _TURN.FLIP_TOP_BOTTOM, 5: _TURN.TRANSPOSE, 6: _TURN.ROTATE_270,
    7: _TURN.TRANSVERSE, 8: _TURN.ROTATE_90,
}  # fmt: skip


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The image as EXIF's orientation (1 to 8) asks for it to be shown; as it is for any other number."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def size_for(width: int, height: int, mode: str, longest: int, shortest: int, multiple: int = 1) -> tuple[int, int]:
    """The size (width, height) in pixels that a model sees.

    ``square``: longest x longest. ``native``: the same aspect ratio, the longest side at most `longest`, and the
    shortest at least `shortest` as far as the longest side allows it (Idefics2: 378 to 980). multiple: each side is
    rounded down to a multiple of it, and is at least it. A tower with patches of 14 pixels drops what remains beyond
    its last full patch, so 384 becomes 378, which are SigLIP's own 27 patches.
    """
    if mode == "square":
        sides = [longest, longest]
    elif mode == "native":
        scale = min(max(1.0, shortest / min(width, height)), longest / max(width, height))
        sides = [max(1, round(side * scale)) for side in (width, height)]
    else:
        raise ValueError(f"image mode {mode!r}: 'square' or 'native'")
    out_width, out_height = (max(side // multiple, 1) * multiple for side in sides)
    return out_width, out_height


def patches_of(width: np.ndarray, height: np.ndarray, mode: str, longest: int, shortest: int, patch: int) -> np.ndarray:
    """Patches (n,) int64 of images (widths and heights (n,)) at `size_for`'s size; a patch covered in part counts."""
    if mode == "square":
        return np.full(len(width), (-(-longest // patch)) ** 2, np.int64)
    width, height = width.astype(np.float64), height.astype(np.float64)
    scale = np.minimum(np.maximum(1.0, shortest / np.minimum(width, height)), longest / np.maximum(width, height))
    sides = [np.maximum(1, np.rint(side * scale)) for side in (width, height)]
    return np.asarray(np.ceil(sides[0] / patch) * np.ceil(sides[1] / patch)).astype(np.int64)


def decode(
    data: bytes,
    mode: str = "native",
    longest: int = 980,
    shortest: int = 378,
    by: str | None = None,
    *,
    multiple: int = 1,
) -> np.ndarray:
    """Pixels (height, width, 3) uint8, writable, of an image at the size that `size_for` gives. Raises ImageError.

    A JPEG is decoded at the smallest fast DCT scale that is at least as large as that size, which gives most of the
    speed. by: one of `decoders`, by default the fastest. Decoders give the same pixels if nothing is resized; else
    their filters differ. The decoder is no part of a loader's order, so name one if pixels must be the same everywhere.
    Pillow decodes everything but upright grey or colour JPEGs, and each JPEG that a fast decoder refuses. Decoders
    release the interpreter lock, so threads decode in parallel.
    """
    by = by or decoders()[0]
    if by not in decoders():
        raise ValueError(f"decoder {by!r}: there are {', '.join(decoders())}")
    fast = _DECODERS[by][1]
    if fast is not None and data[:2] == b"\xff\xd8":
        pixels = _jpeg(data, (mode, longest, shortest, multiple), fast)
        if pixels is not None:
            return pixels
    with image_errors():
        image = opened(data)
        orientation = image.getexif().get(ORIENTATION, 1)
        size = size_for(image.width, image.height, mode, longest, shortest, multiple)
        image.draft("RGB", size)
        return np.array(upright(rgb(image).resize(size, Image.Resampling.BILINEAR), orientation))


def _jpeg(data: bytes, asked: tuple[str, int, int, int], fast: _Fast) -> np.ndarray | None:
    """The pixels by a fast decoder; None if the file is not for it."""
    try:
        frame = jpeg.frame(data)
    except jpeg.JpegError:
        return None
    if frame.orientation != 1 or frame.components not in (1, 3) or frame.width * frame.height > MAX_PIXELS:
        return None
    size = size_for(frame.width, frame.height, *asked)
    pixels = fast(data, frame, size)
    return None if pixels is None else _resized(pixels, size)


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    cv2 = _module("cv2")
    if cv2 is None:
        return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
    area = max(width / size[0], height / size[1]) > _LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if area else cv2.INTER_LINEAR))


#: decodes to RGB at a DCT scale that is at least the size (width, height); None if the decoder refuses the file
_Fast = Callable[[bytes, jpeg.Frame, tuple[int, int]], np.ndarray | None]


@lru_cache
def _module(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError:
        return None


def _by_simplejpeg(data: bytes, frame: jpeg.Frame, size: tuple[int, int]) -> np.ndarray | None:
    least = {"min_width": size[0], "min_height": size[1], "min_factor": _FACTOR}
    try:
        return np.asarray(_module("simplejpeg").decode_jpeg(data, "RGB", **least))
    except ValueError:  # damaged, or of a kind that it does not read: Pillow decides
        return None


def _by_opencv(data: bytes, frame: jpeg.Frame, size: tuple[int, int]) -> np.ndarray | None:
    if not data.endswith(b"\xff\xd9"):  # it would fill the missing part with grey
        return None
    cv2 = _module("cv2")
    scale = min(frame.width / size[0], frame.height / size[1])
    flag = next((f"IMREAD_REDUCED_COLOR_{s}" for s in (8, 4, 2) if scale >= s), "IMREAD_COLOR")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), getattr(cv2, flag))
    return None if pixels is None else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))


#: name -> (module, function), the fastest first by `python -m bench loader`, in which pyvips is after Pillow
_DECODERS: dict[str, tuple[str, _Fast | None]] = {
    "simplejpeg": ("simplejpeg", _by_simplejpeg),
    "opencv": ("cv2", _by_opencv),
    "pillow": ("PIL", None),
}


def decoders() -> tuple[str, ...]:
    """The JPEG decoders that are installed, the fastest first."""
    return tuple(name for name, (module, _) in _DECODERS.items() if _module(module))
