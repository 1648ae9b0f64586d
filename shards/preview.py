"""A few samples as a web page can show them: one picture and a few plain columns each.

Viewers of data sets show a column a part, and draw histograms of numbers, but nothing inside a JSON. So the preview has
the same five parts for every sample: a contact sheet of its images over its text, the text with ``<image>`` where
images stand, where it is from, how many images and how many text tokens it has. It is tar, as the other configurations:
`datasets` reads all of a repository in one way.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageFont

from manifests.schema import key64
from shards import tar
from shards.image import ImageError, decode
from shards.manifest import Manifest
from shards.sample import Sample, parse
from shards.store import Store

#: samples shown of a configuration, and shards they are chosen from
SAMPLES, SHARDS = 64, 8
#: the parts of a sample, and what `datasets` makes of them
FEATURES = [
    ("sheet.jpg", "image"),
    ("txt", "string"),
    ("source.txt", "string"),
    ("n_images.cls", "int64"),
    ("n_tokens.cls", "int64"),
]

_WIDTH, _THUMB, _GAP, _LINE, _FONT = 640, 200, 8, 16, 13  # pixels
_ALONE = 480  # a picture of its own: a page must be readable
_MOST_IMAGES, _MOST_LINES = 12, 24


def files(store: Store, manifest: Manifest, samples: int = SAMPLES) -> dict[str, bytes]:
    """Path -> content: ``preview/<config>-000000.tar`` for each configuration with samples to train on. The same run,
    the same bytes.
    """
    out = {}
    for config in sorted(manifest.configs):
        made = [
            tar.sample(f"{i:012d}", _parts(sample))
            for i, sample in enumerate(_chosen(store, manifest, config, samples))
        ]
        if made:
            out[f"preview/{config}-000000.tar"] = b"".join([*made, tar.END])
    return out


def _chosen(store: Store, manifest: Manifest, config: str, samples: int) -> Iterator[Sample]:
    """By the hash of their ids, so that a rerun chooses the same."""
    found: list[tuple[int, Any, dict[str, Any]]] = []
    for shard in manifest.shards(config, "train")[:SHARDS]:
        rows = pq.read_table(
            pa.BufferReader(store.read(shard.index)), columns=["id", "offset", "size", "n_images"]
        ).to_pylist()
        found += [(key64(f"preview {row['id']}"), shard, row) for row in rows]
    for _, shard, row in sorted(found, key=lambda x: (x[0], x[2]["id"]))[:samples]:
        start, end = row["offset"], row["offset"] + row["size"]
        yield parse(
            config, store.range(shard.path, start, end, shard.sha256), row["n_images"], f"{shard.path} at byte {start}"
        )


def _parts(sample: Sample) -> list[tuple[str, bytes]]:
    text = "\n\n".join("<image>" if isinstance(part, int) else part for part in sample.parts())
    counts = {"n_images.cls": sample.json["n_images"], "n_tokens.cls": sample.json["n_text_tokens"]}
    said = {
        "txt": text,
        "source.txt": sample.json.get("page_url") or sample.json["url"] or "",
        **{k: str(v) for k, v in counts.items()},
    }
    return [
        ("sheet.jpg", sheet(sample.images, text)),
        *((name, value.encode("utf-8", "replace")) for name, value in said.items()),
    ]


def sheet(images: Sequence[bytes], text: str) -> bytes:
    """A JPEG: thumbnails of the first images side by side, in rows, over the beginning of the text."""
    thumbs, side = [], _ALONE if len(images) == 1 else _THUMB
    for data in images[:_MOST_IMAGES]:
        try:
            thumbs.append(Image.fromarray(decode(data, "native", side, 1, "pillow")))
        except ImageError:
            thumbs.append(Image.new("RGB", (side, side), "#c00"))
    across = _WIDTH // (_THUMB + _GAP)
    rows = [thumbs[i : i + across] for i in range(0, len(thumbs), across)]
    font = ImageFont.load_default(_FONT)
    lines = [line for part in text.split("\n") for line in textwrap.wrap(part, 88) or [""]][:_MOST_LINES]
    height = sum(max(t.height for t in row) + _GAP for row in rows) + _LINE * len(lines) + 2 * _GAP
    page = Image.new("RGB", (_WIDTH, height), "white")
    top = _GAP
    for row in rows:
        for i, thumb in enumerate(row):
            page.paste(thumb, (_GAP + i * (_THUMB + _GAP), top))
        top += max(t.height for t in row) + _GAP
    draw = ImageDraw.Draw(page)
    for line in lines:
        draw.text((_GAP, top), line, fill="black", font=font)
        top += _LINE
    out = io.BytesIO()
    page.save(out, "JPEG", quality=85)
    return out.getvalue()
