"""A few samples as a web page can show them: one picture and a few plain columns each.

Viewers of datasets show one column for each part of a sample and draw histograms of numbers, but show nothing inside a
JSON. So every sample of the preview has the same five parts: a contact sheet of its images above its text, the text
with ``<image>`` in place of images, its address, its number of images, and its number of text tokens. The preview is a
tar, as the shards are, because `datasets` reads a complete repository in one way.
"""

import io
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from manifests.parquet import read_parquet
from manifests.runfiles import RunFiles
from manifests.schema import key64
from shards import tar
from shards.image import ImageError, decode
from shards.manifest import Manifest
from shards.sample import Sample, parse

#: samples of a source in the preview, and the number of shards from which they are chosen
SAMPLES, SHARDS = 64, 8
#: the parts of a sample, and their types in `datasets`
FEATURES = [("sheet.jpg", "image"), ("txt", "string"), ("source.txt", "string")]
FEATURES += [("n_images.cls", "int64"), ("n_tokens.cls", "int64")]

_WIDTH, _THUMBNAIL, _GAP, _LINE, _FONT = 640, 200, 8, 16, 13  # pixels
_ONLY = 480  # pixels, of the only picture of a sample: a page must be readable
_MOST_IMAGES, _MOST_LINES, _CHARACTERS = 12, 24, 88  # the last: of a line


def files(run: RunFiles, manifest: Manifest, samples: int = SAMPLES) -> dict[str, bytes]:
    """Path -> content: ``preview/NAME-000000.tar`` of each source with samples in `train`; always the same bytes."""
    out = {}
    for source in sorted(manifest.sources):
        shown = enumerate(_chosen(run, manifest, source, samples))
        members = [tar.sample(f"{i:012d}", _parts(sample)) for i, sample in shown]
        if members:
            out[f"preview/{source}-000000.tar"] = b"".join([*members, tar.END])
    return out


def _chosen(run: RunFiles, manifest: Manifest, source: str, samples: int) -> Iterator[Sample]:
    """The samples whose ids have the smallest hashes, so that every call chooses the same."""
    columns = ["id", "offset", "size", "n_images"]
    rows: list[tuple[int, Any, dict[str, Any]]] = []
    for shard in manifest.shards(source, "train")[:SHARDS]:
        index = read_parquet(run.read(shard.index), columns).to_pylist()
        rows += [(key64(f"preview {row['id']}"), shard, row) for row in index]
    for _, shard, row in sorted(rows, key=lambda x: (x[0], x[2]["id"]))[:samples]:
        start, end = row["offset"], row["offset"] + row["size"]
        data = run.range(shard.path, start, end, shard.sha256)
        yield parse(source, manifest.sources[source].layout, data, row["n_images"], f"{shard.path} at byte {start}")


def _parts(sample: Sample) -> list[tuple[str, bytes]]:
    text = "\n\n".join("<image>" if isinstance(part, int) else part for part in sample.parts())
    columns = {
        "txt": text,
        "source.txt": sample.json.get("page_url") or sample.json["url"] or "",
        "n_images.cls": str(sample.json["n_images"]),
        "n_tokens.cls": str(sample.json["n_text_tokens"]),
    }
    encoded = [(name, value.encode("utf-8", "replace")) for name, value in columns.items()]
    return [("sheet.jpg", contact_sheet(sample.images, text)), *encoded]


def contact_sheet(images: Sequence[bytes], text: str) -> bytes:
    """A JPEG: thumbnails of the first images in rows, above the beginning of the text."""
    side = _ONLY if len(images) == 1 else _THUMBNAIL
    thumbnails = [_thumbnail(data, side) for data in images[:_MOST_IMAGES]]
    across = _WIDTH // (_THUMBNAIL + _GAP)
    rows = [thumbnails[i : i + across] for i in range(0, len(thumbnails), across)]
    lines = [line for part in text.split("\n") for line in textwrap.wrap(part, _CHARACTERS) or [""]][:_MOST_LINES]
    height = sum(max(t.height for t in row) + _GAP for row in rows) + _LINE * len(lines) + 2 * _GAP
    page = Image.new("RGB", (_WIDTH, height), "white")
    top = _GAP
    for row in rows:
        for i, thumbnail in enumerate(row):
            page.paste(thumbnail, (_GAP + i * (_THUMBNAIL + _GAP), top))
        top += max(t.height for t in row) + _GAP
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(_FONT)
    for i, line in enumerate(lines):
        draw.text((_GAP, top + i * _LINE), line, fill="black", font=font)
    out = io.BytesIO()
    page.save(out, "JPEG", quality=85)
    return out.getvalue()


def _thumbnail(data: bytes, side: int) -> Image.Image:
    """A red square in place of an image that cannot be decoded."""
    try:
        return Image.fromarray(decode(data, "native", side, 1, "pillow"))
    except ImageError:
        return Image.new("RGB", (side, side), "#c00")
