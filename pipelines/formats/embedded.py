"""Images that come with a dataset: their bytes as blobs, files below a folder, and base64 in a text."""

import base64
import binascii
import errno
import hashlib
import os
import re
from collections.abc import Iterator

import fsspec

from manifests.schema import EMBEDDED
from manifests.stage import StageContext
from pipelines.fetch.image import Looked, look
from pipelines.formats.rows import Row, RowError

#: how base64 of a JPEG, PNG, GIF, WebP, TIFF or BMP begins, and a data URI
_BASE64 = re.compile(r"(?i:data:[\w/+.;=-]*,)|(?:/9j/|iVBORw0KGgo|R0lGOD|UklGR|SUkq|TU0A|Qk)[A-Za-z0-9+/\s]{60}")


def address_of(image: bytes) -> str:
    """The address of an image that is never fetched: EMBEDDED and its sha256."""
    return f"{EMBEDDED}{hashlib.sha256(image).hexdigest()}"


class Blobs:
    """The images of one call of a stage. The bytes of a readable one are appended to the raw file `blobs`, once.

    max_bytes, max_pixels: the largest image.
    """

    def __init__(self, ctx: StageContext, max_bytes: int, max_pixels: float) -> None:
        self.max_bytes, self.max_pixels = max_bytes, max_pixels
        self.part, self.end = ctx.part, ctx.ends.get("blobs", 0)
        self.addresses: set[str] = set()

    def add(self, address: str, data: bytes) -> Iterator[tuple[str, Row | bytes]]:
        """The row of `outcomes` of an image, and its bytes; nothing where it was added before.

        address: `address_of` the image.
        """
        if address in self.addresses:
            return
        self.addresses.add(address)
        facts = self._look(data)
        outcome: Row = {"url": address, "final_url": address, "bytes": len(data), "sha256": address[len(EMBEDDED) :]}
        outcome |= {k: getattr(facts, k) for k in ("status", "format", "width", "height", "frames", "phash")}
        if facts.status == "ok":
            outcome |= {"part": self.part, "offset": self.end, "length": len(data)}
            self.end += len(data)
            yield "blobs", data
        yield "outcomes", outcome

    def _look(self, data: bytes) -> Looked:
        if not data:
            return Looked("empty")
        return Looked("too_large") if len(data) > self.max_bytes else look(data, self.max_pixels)


def is_base64(text: str) -> bool:
    """Whether a cell holds an image and not the name of one."""
    return _BASE64.match(text) is not None


def from_base64(text: str) -> bytes:
    """The bytes of base64, with or without `data:...,` before it. Raises RowError `bad_images` where it is damaged."""
    if text[:5].lower() == "data:":
        about, _, text = text.partition(",")
        if not about.lower().endswith(";base64"):
            raise RowError("bad_images")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise RowError("bad_images") from None


def read_below(folder: str, name: str, most: int) -> bytes:
    """At most so many bytes of a file: a path below the folder, or its complete path or URL.

    folder: a path or fsspec URL; "" is the current one. Raises RowError: `bad_image_path` where the path would lead out
    of the folder or is none, `image_missing`.
    """
    fs, root = fsspec.core.url_to_fs(folder or os.curdir)
    root = root.rstrip("/")
    # the path is data: it must not lead out of the folder
    for prefix in (f"{root}/", f"{fs.unstrip_protocol(root)}/"):
        name = name.removeprefix(prefix)
    if name.startswith("/") or "\0" in name or "://" in name or ".." in name.split("/"):
        raise RowError("bad_image_path")
    try:
        with fs.open(f"{root}/{name}", "rb") as f:
            data: bytes = f.read(most)
            return data
    except OSError as e:
        if e.errno == errno.ENAMETOOLONG:
            raise RowError("bad_image_path") from None
        if isinstance(e, FileNotFoundError | IsADirectoryError | NotADirectoryError):
            raise RowError("image_missing") from None
        raise
