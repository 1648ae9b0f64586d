"""Published conversation datasets, from Parquet, JSON lines or a JSON array, as documents with the images they bring.

An image is bytes in the file (Parquet, or base64), a path below a folder, or an address. Bytes and files become blobs
here, each once in a partition, named by their hash (`sha256:...`). Addresses are fetched like any other. A changed
image file is noticed only when the file that names it changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any, ClassVar

import pyarrow as pa

from manifests.document import batches, document
from manifests.schema import DOCUMENT, OUTCOME, REFUSED
from manifests.stage import NO_ENGINE, InputError, Output, StageContext
from pipelines.formats import dialogue, pieces, rows
from pipelines.formats.embedded import Blobs, address_of, from_base64, is_base64, read_below
from pipelines.formats.opened import file_kind
from pipelines.formats.rows import Place, Row, RowError
from pipelines.formats.values import web_address

KIND = "conversations"
#: why a row became no document
REASONS = (
    "bad_row", "bad_turns", "blank_turn", "bad_images", "bad_image_path", "image_missing", "no_medium", "file_broken",
)  # fmt: skip
#: input rows: those of `pieces`; `label` is the file's name in addresses, `images` the folder of its image paths
INPUTS = pa.schema([*pieces.INPUTS, ("label", pa.string()), ("images", pa.string())])

#: bytes of a file in one partition. The images of JSON rows are elsewhere, and count in the output of the partition
PARQUET_PIECE, JSON_PIECE = 64 << 20, 8 << 20
ROWS = 16  # Parquet rows in memory at a time: they hold images


def common_labels(files: Sequence[str]) -> dict[str, str]:
    """For each file, its path below the deepest folder that holds all files: its label in the addresses of its rows."""
    folders = [file.split("/")[:-1] for file in files]
    common = sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, zip(*folders, strict=False)))
    return {file: "/".join(file.split("/")[common:]) for file in files}


def pieces_of(file: Mapping[str, Any], label: str, images: str | None = None) -> list[Row]:
    """INPUTS rows of a file (path, file, size and changed). images: None means the folder of the file."""
    folder = file["path"].rpartition("/")[0] if images is None else images
    size = PARQUET_PIECE if file_kind(file["path"]) == "parquet" else JSON_PIECE
    return pieces.pieces(file, size, label=label, images=folder)


@dataclass(frozen=True)
class Conversations:
    """Map. INPUTS rows -> `documents`, `refused`, and `outcomes` and `blobs` of the images that came along.

    A document is a row of the dataset. Its address is `conversations:LABEL/ROW`, with `#2` and so on where a row makes
    several; its id is a hash of the address and of the turns. most: independent questions in one document (rows of some
    datasets have hundreds; Hugging Face's training code takes 7, the paper names no number). max_bytes, max_pixels:
    largest image. limit: documents of an input row. A blank question or answer costs its exchange (`blank_turn`).

    Raises InputError where no row of a file has a known schema.
    """

    most: int = 7
    max_bytes: int = 20 << 20
    max_pixels: float = 100e6
    limit: int | None = None

    libraries: ClassVar[tuple[str, ...]] = ("pillow",)
    tables: ClassVar[Mapping[str, pa.Schema]] = {"documents": DOCUMENT, "outcomes": OUTCOME, "refused": REFUSED}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        convert = partial(self._documents, Blobs(ctx, self.max_bytes, self.max_pixels))
        items = rows.documents(batch, ctx, convert, scheme=KIND, choose=_columns, limit=self.limit, rows=ROWS)
        return batches(items, self.tables)

    def _documents(self, blobs: Blobs, row: Row, place: Place) -> Iterator[tuple[str, Row | bytes]]:
        schema = dialogue.schema(row)
        if schema is None:
            raise RowError("bad_row")
        images = [self._image(image, place.part["images"]) for image in dialogue.images(row, schema)]
        turns = dialogue.exchanges(row, schema, len(images))
        for n, turn in enumerate(turns):
            if turn.blank:
                url = f"{place.address(KIND)}#exchange{n + 1}"
                yield "refused", {"url": url, "reason": "blank_turn", "provenance": place.provenance}
        addresses = []
        for image in images:
            if isinstance(image, bytes):
                address = address_of(image)
                yield from blobs.add(address, image)
            addresses.append(image if isinstance(image, str) else address)
        for n, group in enumerate(dialogue.groups(dialogue.complete(turns), schema, self.most)):
            url = place.address(KIND) + (f"#{n + 1}" if n else "")
            nodes = dialogue.nodes(group, addresses)
            payload = "\0".join(node.text or node.image or "" for node in nodes)
            yield "documents", document(KIND, url, payload.encode(), nodes, place.provenance)

    def _image(self, image: Any, folder: str) -> bytes | str:
        """Its bytes, or its canonical address. Raises RowError."""
        if isinstance(image, dict):
            image = image.get("bytes") or image.get("path")
        if isinstance(image, bytes):
            return image
        if not isinstance(image, str):
            raise RowError("bad_images")
        if image[:8].lower().startswith(("http://", "https://")):
            if (address := web_address(image)) is None:
                raise RowError("bad_images")
            return address
        if is_base64(image):
            return from_base64(image)
        return read_below(folder, image, self.max_bytes + 1)


def _columns(names: Sequence[str], part: Row) -> Sequence[str]:
    schema = dialogue.schema(names)
    if schema is not None:
        return [c for c in dialogue.COLUMNS[schema] if c in names]
    columns = ", ".join(dialogue.SCHEMAS.values())
    raise InputError(f"{part['path']}: none of the columns {columns}; is it a conversation dataset?")
