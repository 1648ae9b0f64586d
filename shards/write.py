"""Packing: a partition of selected documents, and the blobs that they point to, become a shard.

`Pack` is an exchange stage. Its partitions are ranges of the documents' keys; as the keys are uniform hashes, the
exchange is the global shuffle. Documents are written in the order of (key, id), one sample at a time, so memory holds
one sample, and the output is a pure function of the rows and the blobs.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

import fsspec
import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import IMAGE, REFUSED
from manifests.stage import NO_ENGINE, Output, StageContext
from manifests.urls import host_of
from shards import tar, tokens, turns
from shards.fields import INDEX
from shards.fit import Fitted, fit
from shards.image import ImageError
from shards.layout import LAYOUTS, encode

MAX_SAMPLES = 1_000_000
_BATCH = 64  # documents converted to Python at a time
_OPEN = 256  # files of blobs open at a time


class RefusedError(ValueError):
    """A document that cannot be packed: (reason, detail). Reasons:

    no_image (an image node without a blob; a pair or page without an image), no_text, blob_damaged (the bytes do not
    have the recorded sha256), image_undecodable (this build of Pillow cannot read it), sample_too_large.
    """


@dataclass(frozen=True)
class Pack:
    """Tables {"documents": SELECTED, "blobs": part -> path} to one shard.

    Yields ("tar", bytes) a sample at a time, ("tar.idx", bytes), ("index", rows of INDEX) and ("refused", rows of
    REFUSED); nothing where there are no documents. `source` is the user's name, for index and JSON; `layout` is a row
    of shards.layout.LAYOUTS. An image longer than `longest_side` pixels is scaled down and written as JPEG of quality
    95; a JPEG that fits loses only its metadata. `tokenizer` is a name or a path for `shards.tokens.load`. Raises
    ValueError for a layout that does not exist, and for a part of more than a million documents.
    """

    source: str
    layout: str
    split: str = "train"
    longest_side: int = 980
    tokenizer: str = "bytes"

    files: ClassVar[tuple[str, ...]] = ("tokenizer",)
    libraries: ClassVar[tuple[str, ...]] = ("pillow",)
    raw_files: ClassVar[tuple[str, ...]] = ("tar", "tar.idx")
    tables: ClassVar[Mapping[str, pa.Schema]] = {"index": INDEX, "refused": REFUSED}

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout {self.layout!r}: one of {', '.join(LAYOUTS)}")

    def __call__(self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        documents = tables["documents"]
        mark = "" if self.split == "train" else self.split[0]  # no two splits of a source have a key in common
        digits = 6 - len(mark)
        if documents.num_rows > MAX_SAMPLES or not 0 <= ctx.part < 10**digits:
            limits = f"at most {MAX_SAMPLES} in {10**digits} parts"
            raise ValueError(f"part {ctx.part} of {self.source}: {documents.num_rows} documents; {limits}")
        if not documents.num_rows:
            return
        rows, refused = _Rows(INDEX), _Rows(REFUSED)
        offsets = [0]
        with Blobs(tables["blobs"]) as blobs:
            for row, document in enumerate(_in_order(documents)):
                if not ctx(row):
                    where = {name: document["provenance"][name] for name in ("file", "offset", "page")}
                    ctx.lost(row, id=document["id"], url=document["url"], **where)
                    continue
                key = f"{mark}{ctx.part:0{digits}d}{len(rows):06d}"
                try:
                    sample, index = self._sample(key, document, blobs)
                except RefusedError as error:
                    origin = {name: document[name] for name in ("url", "provenance")}
                    refused.append({**origin, "reason": error.args[0]})
                    continue
                rows.append({**index, "sample_index": len(rows), "offset": offsets[-1]})
                offsets.append(offsets[-1] + len(sample))
                yield "tar", sample
        yield "tar", tar.END
        yield "tar.idx", tar.index_bytes(offsets)
        yield "index", rows.batch()
        yield "refused", refused.batch()

    def _sample(self, key: str, document: Mapping[str, Any], blobs: Blobs) -> tuple[bytes, dict[str, Any]]:
        places = {place["node"]: place for place in document["images"] or []}
        layout = LAYOUTS[self.layout]
        numbers = sorted(places)[:1]
        if layout.slots:
            numbers = [i for i, node in enumerate(document["nodes"]) if node["kind"] == IMAGE and layout.images]
        if not all(i in places for i in numbers) or not (numbers or layout.slots):
            raise RefusedError("no_image", document["id"])
        images = {i: self._image(blobs, places[i]) for i in numbers}
        parts = layout.lay_out(key, document, images, places)
        if not any(parts.texts) and not (layout.slots and images):
            raise RefusedError("no_text", document["id"])
        n_tokens = self._count(parts.texts, bool(images))
        shared = {"source": self.source, "layout": self.layout, "n_text_tokens": n_tokens}
        members = [("json", encode({**parts.fields, **shared})), *parts.members]
        try:
            sample = tar.sample(key, members)
        except tar.TarError as error:
            raise RefusedError("sample_too_large", document["id"]) from error
        sides = [(image.width, image.height) for image in images.values()]
        index = {
            **{name: document[name] for name in ("id", "kind", "url", "lang")},
            **shared,
            "key": key,
            "split": self.split,
            "host": host_of(document["url"]),
            "n_images": len(sides),
            "widths": [w for w, _ in sides],
            "heights": [h for _, h in sides],
            "px_total": sum(w * h for w, h in sides),
            "min_side": min(map(min, sides), default=0),
            "max_side": max(map(max, sides), default=0),
            "size": len(sample),
            "bytes": sum(len(content) for _, content in members),
            "sha256": hashlib.sha256(sample).hexdigest(),
        }
        return sample, index

    def _count(self, texts: list[str], images: bool) -> int:
        """Text tokens of a sample as it is trained on; of a conversation, with its template."""
        tokenizer = tokens.load(self.tokenizer)
        if self.layout == "conversations":
            return turns.count(texts, images, tokenizer)
        return int(tokenizer.count(texts).sum())

    def _image(self, blobs: Blobs, place: Mapping[str, Any]) -> Fitted:
        data = blobs.read(place["part"], place["offset"], place["length"])
        if place["sha256"] is not None and hashlib.sha256(data).hexdigest() != place["sha256"]:
            raise RefusedError("blob_damaged", place["url"])
        try:
            return fit(data, self.longest_side)
        except ImageError as error:
            raise RefusedError("image_undecodable", place["url"]) from error


def _in_order(documents: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows by (key, id), a few at a time: a sorted copy would need the memory of the part once more."""
    order = pc.sort_indices(documents, [("key", "ascending"), ("id", "ascending")])
    for first in range(0, len(order), _BATCH):
        yield from documents.take(order.slice(first, _BATCH)).to_pylist()


class _Rows:
    """Rows that become one batch. They are kept as columns, because dicts need ten times the memory."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema, self.batches = schema, list[pa.RecordBatch]()
        self.pending: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return 1024 * len(self.batches) + len(self.pending)

    def append(self, row: dict[str, Any]) -> None:
        self.pending.append(row)
        if len(self.pending) == 1024:
            self._convert()

    def _convert(self) -> None:
        self.batches.append(pa.RecordBatch.from_pylist(self.pending, schema=self.schema))
        self.pending = []

    def batch(self) -> pa.RecordBatch:
        self._convert()
        return pa.concat_batches(self.batches)


class Blobs(AbstractContextManager["Blobs"]):
    """Ranges of the `blobs` files, by part: local files by pread, others by fsspec. `with` closes them."""

    def __init__(self, paths: Mapping[int, str]) -> None:
        self._paths = paths
        self._open: dict[int, Any] = {}

    def read(self, part: int, offset: int, length: int) -> bytes:
        """Exactly `length` bytes. Raises RefusedError if the file is shorter, FileNotFoundError if it is absent."""
        if part not in self._paths:
            raise FileNotFoundError(f"blobs of part {part}: the documents point to it, but there is no such file")
        if part not in self._open:
            if len(self._open) >= _OPEN:
                self.close()
            fs, path = fsspec.core.url_to_fs(self._paths[part])
            self._open[part] = os.open(path, os.O_RDONLY) if "file" in fs.protocol else fs.open(path, "rb")
        file = self._open[part]
        if isinstance(file, int):
            data = os.pread(file, length, offset)
        else:
            file.seek(offset)
            data = file.read(length)
        if len(data) != length:
            raise RefusedError("blob_damaged", f"{self._paths[part]} ends before byte {offset + length}")
        return data

    def close(self) -> None:
        for file in self._open.values():
            os.close(file) if isinstance(file, int) else file.close()
        self._open.clear()

    def __exit__(self, *error: object) -> None:
        self.close()
