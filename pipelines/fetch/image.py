"""Facts of an image from its bytes: format, size as shown, frames, a perceptual hash, and whether the data is complete.

Pillow reads it, from a fixed list of raster formats (its others include PostScript, which runs a program). The header
is read first, and the limit of pixels is checked before anything is decoded. Then all data is decoded once, JPEG at
reduced scale, which still reads to the end; so a file that was cut off is detected.
"""

import functools
import io
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from filters.pixels import FORMATS

#: first bytes of raster formats: what begins so and cannot be opened is a broken image, and not something else
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")

_ORIENTATION = 0x0112  # EXIF 2.3, table 4: 5..8 swap width and height
_DRAFT = (256, 256)  # a JPEG is decoded no smaller than this: eight times the side that the hash needs

Gray = NDArray[np.float64]


@dataclass(frozen=True)
class Looked:
    """Facts of an image. ``status``: ok, truncated, not_image, too_many_pixels or undecodable. Width and height are in
    pixels, with the orientation applied."""

    status: str
    format: str | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    phash: int | None = None


def look(body: bytes, max_pixels: float) -> Looked:
    """Read one image. max_pixels: width times height of one frame. No content of ``body`` raises an error."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd metadata, and of more than 89 megapixels; max_pixels is the limit here
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(body), formats=FORMATS) as image:
                return _read(image, body, max_pixels)
    except Image.DecompressionBombError:
        return Looked("too_many_pixels")
    except UnidentifiedImageError:
        is_raster = body.startswith((*_MAGIC, b"RIFF")) or body[4:12] in (b"ftypavif", b"ftypavis")
        return Looked(_broken(body, "") if is_raster else "not_image")
    except MemoryError:
        raise
    # decoders raise nearly every error on broken data: OSError, SyntaxError, ValueError, struct.error, ...
    except Exception as error:
        return Looked(_broken(body, str(error)))


def _read(image: Image.Image, body: bytes, max_pixels: float) -> Looked:
    kind = {"MPO": "jpeg"}.get(image.format or "", (image.format or "").lower())
    width, height = image.size
    if width * height > max_pixels:
        return Looked("too_many_pixels", kind, width, height)
    if kind == "webp" and len(body) < 8 + int.from_bytes(body[4:8], "little"):
        return Looked("truncated", kind, width, height)  # libwebp decodes a file that was cut off without an error
    # the second picture of an MPO file is a preview, or for the other eye
    frames = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
    if kind == "jpeg":
        image.draft("L" if image.mode in ("RGB", "L") else image.mode, _DRAFT)
    image.load()
    orientation = _orientation(image)
    if orientation >= 5:
        width, height = height, width
    phash = perceptual_hash(_turn(_gray(image), orientation))
    return Looked("ok", kind, width, height, min(frames, 2**31 - 1), phash)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # an EXIF block can be broken in any way; the picture is then taken as it is stored
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _broken(body: bytes, message: str) -> str:
    text = message.lower()
    if "truncat" in text or "unexpected end" in text or "end of file" in text or _is_cut(body):
        return "truncated"
    return "undecodable"


def _is_cut(body: bytes) -> bool:
    """Whether the format's own frame says that the end is missing."""
    if body.startswith(b"RIFF"):
        return len(body) < 8 + int.from_bytes(body[4:8], "little")
    if body.startswith(b"\x89PNG"):
        return b"IEND" not in body[-64:]
    return body.startswith(b"\xff\xd8\xff") and b"\xff\xd9" not in body[-4096:]


def _gray(image: Image.Image) -> Gray:
    """32 x 32 luminance, as the picture is stored."""
    # more than 8 bits: Pillow's conversion to L would clip, and the scale does not change the hash
    if image.mode.startswith(("I", "F")):
        image = image.convert("F")
    elif image.mode in ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV"):
        image = image.convert("RGB").convert("L")
    elif image.mode != "L":
        image = image.convert("L")
    small = image.resize((32, 32), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(small, dtype=np.float64)


def _turn(a: Gray, orientation: int) -> Gray:
    """The picture as shown, for a value of EXIF's Orientation: 5 to 8 are transposed, then both may be mirrored."""
    a = a.T if orientation >= 5 else a
    a = a[::-1] if orientation in (3, 4, 7, 8) else a
    return a[:, ::-1] if orientation in (2, 3, 6, 7) else a


@functools.lru_cache(maxsize=1)
def _cosines() -> Gray:
    """Rows 0..7 of the 32-point DCT-II."""
    return np.cos(np.pi * np.outer(np.arange(8), 2 * np.arange(32) + 1) / 64)


def perceptual_hash(gray: Gray) -> int:
    """64-bit DCT hash of a (32, 32) luminance array: one bit for each of the 8 x 8 lowest frequencies, 1 where it is
    above their median; row by row, the first one the highest bit.

    This is pHash (C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010) with the
    median in place of the mean, as in `imagehash.phash`, whose value it equals for the same 32 x 32 input.
    """
    low = _cosines() @ gray @ _cosines().T
    bits = (low > np.median(low)).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
