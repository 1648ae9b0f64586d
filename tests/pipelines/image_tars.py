"""Small tars with images, in the layout of img2dataset."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from tests.trainer.pictures import picture


def tar(path: Path, members: Iterable[tuple[str, bytes]], tar_format: int = tarfile.USTAR_FORMAT) -> Path:
    """A tar of (name, content), compressed where the name of the file ends in .gz."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w", format=tar_format) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def jpeg(seed: int) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(picture(seed)[0])).convert("RGB").save(out, "jpeg", quality=90)
    return out.getvalue()


def url_of(seed: int) -> str:
    return f"https://site{seed}.example/{seed}.jpg"


def about(seed: int, **fields: Any) -> bytes:
    """The JSON that img2dataset writes beside an image (its downloader.py and writer.py)."""
    data = jpeg(seed)
    width, height = Image.open(io.BytesIO(data)).size
    sizes = {"width": width, "height": height, "original_width": width, "original_height": height}
    result = {"key": f"{seed:09d}", "status": "success", "error_message": None, **sizes, "exif": "{}"}
    row = {"url": url_of(seed), "caption": picture(seed)[1], **result, "sha256": hashlib.sha256(data).hexdigest()}
    return json.dumps(row | fields, indent=4).encode()


def sample(seed: int) -> list[tuple[str, bytes]]:
    """The members of a sample, in img2dataset's order."""
    key = f"{seed:09d}"
    return [(f"{key}.jpg", jpeg(seed)), (f"{key}.txt", picture(seed)[1].encode()), (f"{key}.json", about(seed))]


def img2dataset(path: Path, seeds: Iterable[int]) -> Path:
    return tar(path, [member for seed in seeds for member in sample(seed)])
