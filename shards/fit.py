"""Images for a shard: JPEG, upright, within a longest side, without metadata."""

import io
import json
from contextlib import suppress
from typing import NamedTuple

from PIL import ExifTags, Image

from shards import jpeg
from shards.image import ORIENTATION, image_errors, opened, rgb, upright

QUALITY = 95
#: EXIF tags that the JSON of a pair has; none of them is about a place
EXIF = ("ImageDescription", "Make", "Model", "Orientation", "Software", "DateTime", "Artist", "Copyright")
_EXIF = {number: name for number, name in ExifTags.TAGS.items() if name in EXIF}


class Fitted(NamedTuple):
    data: bytes  #: JPEG
    width: int  #: pixels, of `data`
    height: int
    original: tuple[int, int]  #: width and height before, after EXIF orientation
    exif: str  #: JSON object of the tags of `EXIF`


def fit(data: bytes, longest: int) -> Fitted:
    """A JPEG whose longest side is at most `longest` pixels. Raises ImageError.

    A JPEG that fits, is upright and not CMYK has the same pixel data afterwards, and loses its metadata (EXIF, XMP,
    IPTC, comments, thumbnails: shards.jpeg.bare). Any other image is decoded (first frame, EXIF orientation applied,
    transparency on white), scaled down with Lanczos if it is too large, and written as RGB JPEG of quality 95 without
    chroma subsampling and without metadata.
    """
    with image_errors():
        image = opened(data)
        tags = image.getexif()
        named = {name: str(tags[number]).strip("\0 ")[:500] for number, name in _EXIF.items() if number in tags}
        exif, orientation = json.dumps(named, sort_keys=True, separators=(",", ":")), tags.get(ORIENTATION, 1)
        width, height = image.size[::-1] if orientation in (5, 6, 7, 8) else image.size
        scale = min(1.0, longest / max(width, height))
        if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L") and orientation in (0, 1) and scale == 1.0:
            with suppress(jpeg.JpegError):  # encoded again if its markers are damaged
                return Fitted(jpeg.bare(data), width, height, (width, height), exif)
        target = (max(1, round(width * scale)), max(1, round(height * scale)))
        # DCT scaling first, to no less than twice the target, so that Lanczos has the effect
        image.draft("RGB", (2 * max(target), 2 * max(target)))
        pixels = upright(rgb(image), orientation)
        if pixels.size != target:
            pixels = pixels.resize(target, Image.Resampling.LANCZOS)
        out = io.BytesIO()
        pixels.save(out, "JPEG", quality=QUALITY, subsampling=0, comment=b"")  # full chroma: coloured text stays sharp
        return Fitted(out.getvalue(), *target, (width, height), exif)
