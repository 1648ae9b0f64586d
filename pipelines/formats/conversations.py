"""Conversation datasets, as they are published, into documents and the images they bring: Parquet, JSON lines, or one
JSON array.

An image is bytes in the file (Parquet), a path below a folder, or an address. Bytes and files become blobs here, each
once a part and named by what it is (``sha256:...``); addresses are fetched like any other. A picture that is exchanged
under its name is noticed when the file that names it is touched.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar
from urllib.parse import quote

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.schema import DOCUMENT, EMBEDDED, OUTCOME, REFUSED, document_id
from manifests.stage import NO_ENGINE, InputError, StageContext
from pipelines.fetch.image import Looked, look
from pipelines.formats import dialogue
from pipelines.formats.dialogue import TurnsError
from pipelines.html.urls import canonical

Output = tuple[str, "pa.RecordBatch | bytes"]
Row = dict[str, Any]

SOURCE = "conversations"
#: why a row became no document
REASONS = ("bad_row", "bad_turns", "bad_images", "bad_image_path", "image_missing", "file_broken")

#: input rows: piece ``piece`` of ``pieces`` of a file of the set ``name``; ``images`` is the folder its paths are below
INPUTS = pa.schema(
    [
        ("path", pa.string()), ("file", pa.string()), ("size", pa.int64()), ("changed", pa.string()), ("name", pa.string()),
        ("images", pa.string()), ("piece", pa.int64()), ("pieces", pa.int64()),
    ]
)  # fmt: skip

PARQUET_PIECE = 256 << 20  # bytes of a Parquet file in one part, images included
# the same of JSON, whose images are elsewhere; every part reads the file, and takes its share of the rows
JSON_PIECE = 32 << 20
RUN = 256  # rows of a JSON file that stay together
BATCH = 16  # Parquet rows read at a time: they hold images
FLUSH = 32 << 20  # bytes of images handed on at a time, or ...
FLUSH_DOCUMENTS = 256
CHUNK = 1 << 20  # characters of a JSON array read at a time
MOST = 64 << 20  # characters of one row

_BETWEEN = " \t\r\n,["  # what stands before the objects of an array and between them

_BROKEN = (pa.ArrowInvalid, UnicodeDecodeError, EOFError, json.JSONDecodeError)


class SetError(InputError):
    """A file that is no conversation dataset: one line that names it."""


def pieces(file: Mapping[str, Any], name: str, images: str | None) -> list[Row]:
    """INPUTS rows of a file (a row with path, file, size and changed). images: None for the folder the file is in."""
    size = PARQUET_PIECE if file["path"].endswith(".parquet") else JSON_PIECE
    folder = images if images is not None else file["path"].rpartition("/")[0]
    n = max(1, math.ceil(file["size"] / size))
    return [{**file, "name": name, "images": folder, "piece": i, "pieces": n} for i in range(n)]


@dataclass(frozen=True)
class Conversations:
    """Map. INPUTS rows -> ``documents`` (DOCUMENT), ``outcomes`` and ``blobs`` of the images that came along,
    ``refused`` (REFUSED).

    A document is a row of the dataset, its address ``conversations://NAME/FILE/ROW`` (and ``#2`` ... where a row makes
    several); its id is of that and of what is said. ``most``: questions that stand each for themselves are so many
    together at most, since a row of some datasets has hundreds (Hugging Face's training code takes 7; the paper does
    not say). ``limit``: rows of an input row.

    Raises SetError where a file's schema is not known, OSError where it cannot be had.
    """

    most: int = 7
    max_bytes: int = 20 << 20
    max_pixels: float = 100e6
    limit: int | None = None

    libraries: ClassVar[tuple[str, ...]] = ("pillow",)

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        made = _Made(self, ctx)
        for row, part in enumerate(batch.to_pylist()):
            for sub, (place, given) in enumerate(_read(part)):
                if self.limit is not None and sub >= self.limit:
                    break
                if ctx(row, sub):
                    made.add(part, place, given)
                if made.full:
                    yield from made.flush()
        yield from made.flush(last=True)


class _Made:
    """Rows and bytes not yet handed on."""

    def __init__(self, stage: Conversations, ctx: StageContext) -> None:
        self.stage, self.part, self.end = stage, ctx.part, ctx.ends.get("blobs", 0)
        self.rows: dict[str, list[Row]] = {"documents": [], "outcomes": [], "refused": []}
        self.blobs: list[bytes] = []
        self.known: set[str] = set()  # images of this part, by sha256

    @property
    def full(self) -> bool:
        return len(self.rows["documents"]) >= FLUSH_DOCUMENTS or sum(map(len, self.blobs)) >= FLUSH

    def flush(self, last: bool = False) -> Iterator[Output]:
        """The last time with every table, rows or none, so that each part has each table."""
        if self.blobs:
            yield "blobs", b"".join(self.blobs)
        for name, schema in (("documents", DOCUMENT), ("outcomes", OUTCOME), ("refused", REFUSED)):
            if self.rows[name] or last:
                yield name, pa.RecordBatch.from_pylist(self.rows[name], schema)
            self.rows[name] = []
        self.blobs = []

    def add(self, part: Row, place: int, given: Row | str) -> None:
        where = {"file": part["file"], "offset": place, "length": None, "page": None}
        url = f"{SOURCE}://{part['name']}/{quote(part['file'].rpartition('/')[2])}/{place}"
        try:
            if isinstance(given, str):
                raise TurnsError(given)
            which = dialogue.schema(given)
            if which is None:
                raise TurnsError("bad_row")
            found = [self._image(image, part["images"]) for image in dialogue.images(given, which)]
            turns = dialogue.exchanges(given, which, len(found))
        except TurnsError as fault:
            self.rows["refused"].append({"url": url, "reason": str(fault), "provenance": where})
            return
        addresses = [image if isinstance(image, str) else self._keep(image) for image in found]
        for n, lot in enumerate(dialogue.cut(turns, which, self.stage.most)):
            own = f"{url}#{n + 1}" if n else url
            nodes = [node.row() for node in dialogue.nodes(lot, addresses)]
            said = "\0".join(node["text"] or node["image"] or "" for node in nodes)
            self.rows["documents"].append(
                {
                    "id": document_id(SOURCE, own, said.encode()),
                    "kind": SOURCE,
                    "url": own,
                    "optout": [],
                    "provenance": where,
                    "nodes": nodes,
                }
            )

    def _image(self, given: Any, folder: str) -> bytes | str:
        """Its bytes, or its canonical address. Raises TurnsError."""
        if isinstance(given, dict):
            if given.get("bytes"):
                return bytes(given["bytes"])
            given = given.get("path")
        if not isinstance(given, str) or not given:
            raise TurnsError("bad_images")
        if given.startswith(("http://", "https://")):
            address = canonical(given)
            if address is None:
                raise TurnsError("bad_images")
            return address
        # it is data: it must not lead out of the folder
        if given.startswith("/") or ":" in given or ".." in given.split("/"):
            raise TurnsError("bad_image_path")
        try:
            with fsspec.open(f"{folder}/{given}" if folder else given, "rb") as f:
                return bytes(f.read(self.stage.max_bytes + 1))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise TurnsError("image_missing") from None

    def _keep(self, data: bytes) -> str:
        """The image's address; its bytes are a blob from now on where they are an image that can be read."""
        sha256 = hashlib.sha256(data).hexdigest()
        address = f"{EMBEDDED}{sha256}"
        if sha256 in self.known:
            return address
        self.known.add(sha256)
        found = Looked("too_large") if len(data) > self.stage.max_bytes else look(data, self.stage.max_pixels)
        out: Row = {"url": address, "final_url": address, "bytes": len(data), "sha256": sha256}
        out |= {k: getattr(found, k) for k in ("status", "format", "width", "height", "frames", "phash")}
        if found.status == "ok":
            out |= {"part": self.part, "offset": self.end, "length": len(data)}
            self.blobs.append(data)
            self.end += len(data)
        self.rows["outcomes"].append(out)
        return address


# --- the files --------------------------------------------------------------------------------------------------------


def _read(part: Row) -> Iterator[tuple[int, Row | str]]:
    """(number, row or a reason) of everything in an input row."""
    number = -1
    try:
        for number, given in _parquet(part) if part["path"].endswith(".parquet") else _json(part):
            yield number, given
    except _BROKEN:
        yield number + 1, "file_broken"


def _parquet(part: Row) -> Iterator[tuple[int, Row]]:
    with fsspec.open(part["path"], "rb") as f:
        file = pq.ParquetFile(f)
        names = file.schema_arrow.names
        which = dialogue.schema(names)
        if which is None:
            raise SetError(
                f"{part['path']}: none of the columns {' and '.join(dialogue.SCHEMAS.values())}; is it a conversation dataset?"
            )
        number, groups = 0, file.num_row_groups
        for group in range(groups):
            if group * part["pieces"] // groups == part["piece"]:
                wanted = [c for c in dialogue.COLUMNS[which] if c in names]
                for batch in file.iter_batches(BATCH, row_groups=[group], columns=wanted):
                    for row in batch.to_pylist():
                        yield number, row
                        number += 1
            else:
                number += file.metadata.row_group(group).num_rows


def _json(part: Row) -> Iterator[tuple[int, Row | str]]:
    """JSON lines, or an array, told apart by the first character. Compressed files are read as such."""
    how = {"mode": "rt", "compression": "infer", "encoding": "utf-8-sig"}
    with fsspec.open(part["path"], **how) as f:
        is_array = f.read(1024).lstrip().startswith("[")
    with fsspec.open(part["path"], **how) as f:
        rows: Iterator[str | Row] = (
            _array(f) if is_array else (line for line in iter(partial(f.readline, MOST), "") if line.strip())
        )
        for number, row in enumerate(rows):
            if number // RUN % part["pieces"] == part["piece"]:
                yield number, _object(row)


def _object(text: str | Row) -> Row | str:
    try:
        row = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return "bad_row"
    return row if isinstance(row, dict) else "bad_row"


def _array(f: Any) -> Iterator[Row]:
    """The objects of an array, one at a time: such files are larger than memory should hold. Raises JSONDecodeError."""
    decoder = json.JSONDecoder()
    held, at = "", 0
    while True:
        while at < len(held) and held[at] in _BETWEEN:
            at += 1
        if held.startswith("]", at):
            return
        try:
            row, at = decoder.raw_decode(held, at)
        except json.JSONDecodeError:
            more = f.read(max(CHUNK, len(held) - at)) if len(held) - at < MOST else ""
            if not more:
                raise
            held, at = held[at:] + more, 0
            continue
        yield row
