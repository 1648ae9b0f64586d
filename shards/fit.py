"""Images on their way into a shard: within a longest side, upright, as JPEG, and without what is said about them."""

from __future__ import annotations

import io
import json
import warnings
from contextlib import suppress
from typing import Any, NamedTuple

from PIL import ExifTags, Image

from shards import jpeg
from shards.image import ERRORS, ORIENTATION, ImageError, opened, rgb, upright

QUALITY = 95
#: EXIF tags worth keeping beside a pair, none of them about a place
EXIF = ("ImageDescription", "Make", "Model", "Orientation", "Software", "DateTime", "Artist", "Copyright")


class Fitted(NamedTuple):
    data: bytes  #: JPEG
    width: int  #: pixels, of `data`
    height: int
    original: tuple[int, int]  #: width and height before, after EXIF orientation
    exif: str  #: JSON object of the tags of `EXIF`


def fit(data: bytes, longest: int) -> Fitted:
    """A JPEG whose longest side is at most `longest` pixels.

    A JPEG that fits, upright and not CMYK, keeps every byte that its pixels are made of, and loses what is about them
    (EXIF with its places, XMP, IPTC, comments, thumbnails: shards.jpeg.bare). Anything else is decoded (first frame,
    EXIF orientation applied, transparency on white), scaled down with Lanczos where it is too large, and written as RGB
    JPEG of quality 95 without chroma subsampling and without metadata. Raises ImageError.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _fit(data, longest)
    except ImageError:
        raise
    except ERRORS as error:  # Pillow raises whatever its parser met
        raise ImageError(f"{type(error).__name__}: {error}") from error


def _fit(data: bytes, longest: int) -> Fitted:
    image = opened(data)
    tags = image.getexif()
    exif = _exif_json(tags)
    turned = tags.get(ORIENTATION, 1) in (5, 6, 7, 8)
    width, height = image.size[::-1] if turned else image.size
    scale = min(1.0, longest / max(width, height))
    stands = tags.get(ORIENTATION, 1) in (0, 1)
    if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L") and stands and scale == 1.0:
        with suppress(jpeg.JpegError):  # written anew where its markers do not hold together
            return Fitted(jpeg.bare(data), width, height, (width, height), exif)
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    # DCT scaling first, still at least twice the target, so that Lanczos decides the look
    image.draft("RGB", (2 * max(target), 2 * max(target)))
    pixels = upright(rgb(image), tags.get(ORIENTATION, 1))
    if pixels.size != target:
        pixels = pixels.resize(target, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    pixels.save(out, "JPEG", quality=QUALITY, subsampling=0, comment=b"")  # full chroma: coloured text stays sharp
    return Fitted(out.getvalue(), *target, (width, height), exif)


def _exif_json(tags: Any) -> str:
    names = {number: name for number, name in ExifTags.TAGS.items() if name in EXIF}
    found = {names[n]: str(v).strip("\0 ")[:500] for n, v in tags.items() if n in names}
    return json.dumps(found, sort_keys=True, separators=(",", ":"))
