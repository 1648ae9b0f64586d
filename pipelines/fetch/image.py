"""What an image is, from its bytes: format, size as shown, frames, a perceptual hash, and whether the data is whole.

Pillow reads it, from a fixed list of raster formats (its others include PostScript, which runs a program). The header
is read first and the pixel cap holds before anything is decoded. The whole of the data is then decoded once, JPEG at
reduced scale, which still reads to the end; so a file that was cut off is found out.
"""

from __future__ import annotations

import functools
import io
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from filters.pixels import FORMATS

#: file beginnings that say "a raster image", so that what Pillow cannot open is a broken image and not something else
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")

_ORIENTATION = 0x0112  # EXIF 2.3, table 4: 5..8 swap width and height
_DRAFT = (256, 256)  # a JPEG is decoded no smaller than this: eight times the side the hash needs

Gray = NDArray[np.float64]


@dataclass(frozen=True)
class Looked:
    """``status`` is "ok", "truncated", "not_image", "too_many_pixels" or "undecodable". Width and height in pixels,
    orientation applied.
    """

    status: str
    format: str | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    phash: int | None = None


def look(body: bytes, max_pixels: float) -> Looked:
    """Read one image. ``max_pixels``: width times height of one frame. Never raises for what the bytes hold."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd metadata, and from 89 megapixels on; the limit that holds is ours
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(body), formats=FORMATS) as image:
                return _read(image, body, max_pixels)
    except Image.DecompressionBombError:
        return Looked("too_many_pixels")
    except UnidentifiedImageError:
        return Looked(_unidentified(body))
    except MemoryError:
        raise
    # decoders raise nearly everything on broken data: OSError, SyntaxError, ValueError, struct.error...
    except Exception as fault:
        return Looked(_broken(body, str(fault)))


def _read(image: Image.Image, body: bytes, max_pixels: float) -> Looked:
    kind = {"MPO": "jpeg"}.get(image.format or "", (image.format or "").lower())
    width, height = image.size
    if width * height > max_pixels:
        return Looked("too_many_pixels", kind, width, height)
    if kind == "webp" and len(body) < 8 + int.from_bytes(body[4:8], "little"):
        return Looked("truncated", kind, width, height)  # libwebp shows what there is of a cut-off file
    # MPO: the second is a preview or the other eye's
    frames = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
    if kind == "jpeg":
        image.draft("L" if image.mode in ("RGB", "L") else image.mode, _DRAFT)
    image.load()
    turned = _orientation(image)
    if turned >= 5:
        width, height = height, width
    hashed = perceptual_hash(_turn(_gray(image), turned))
    return Looked("ok", kind, width, height, min(frames, 2**31 - 1), hashed)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # an EXIF block may be as broken as anything else; the picture is then as it lies
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _broken(body: bytes, message: str) -> str:
    text = message.lower()
    if "truncat" in text or "unexpected end" in text or "end of file" in text:
        return "truncated"
    return _cut(body) or "undecodable"


def _unidentified(body: bytes) -> str:
    known = body.startswith(_MAGIC) or body[:4] == b"RIFF" or body[4:12] in (b"ftypavif", b"ftypavis")
    return (_cut(body) or "undecodable") if known else "not_image"


def _cut(body: bytes) -> str | None:
    """ "truncated" where the format's own frame says that the end is missing."""
    if body[:4] == b"RIFF" and len(body) < 8 + int.from_bytes(body[4:8], "little"):
        return "truncated"
    if body.startswith(b"\x89PNG") and b"IEND" not in body[-64:]:
        return "truncated"
    if body.startswith(b"\xff\xd8\xff") and b"\xff\xd9" not in body[-4096:]:
        return "truncated"
    return None


def _gray(image: Image.Image) -> Gray:
    """32 x 32 luminance, as the picture lies in the file."""
    # more than 8 bits: Pillow's conversion to L would clip, and the hash does not mind the scale
    if image.mode.startswith(("I", "F")):
        image = image.convert("F")
    elif image.mode != "L":
        image = (
            image.convert("RGB").convert("L")
            if image.mode in ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV")
            else image.convert("L")
        )
    small = image.resize((32, 32), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(small, dtype=np.float64)


def _turn(a: Gray, orientation: int) -> Gray:
    """The picture as shown, for each value of EXIF's Orientation."""
    match orientation:
        case 2:
            return a[:, ::-1]
        case 3:
            return a[::-1, ::-1]
        case 4:
            return a[::-1]
        case 5:
            return a.T
        case 6:
            return a.T[:, ::-1]
        case 7:
            return a.T[::-1, ::-1]
        case 8:
            return a.T[::-1]
    return a


@functools.lru_cache(maxsize=1)
def _cosines() -> Gray:
    """Rows 0..7 of the 32-point DCT-II."""
    return np.cos(np.pi * np.outer(np.arange(8), 2 * np.arange(32) + 1) / 64)


def perceptual_hash(gray: Gray) -> int:
    """64-bit DCT hash of a (32, 32) luminance array: the 8 x 8 lowest frequencies, each 1 where above their median, row
    by row, the first the highest bit (pHash as in C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash
    Functions", 2010, with the mean
    replaced by the median, as `imagehash.phash` has it; equal to it for the same 32 x 32 input)."""
    low = _cosines() @ gray @ _cosines().T
    bits = (low > np.median(low)).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
