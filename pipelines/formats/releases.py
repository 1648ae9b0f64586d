"""Documents of others' releases as ours, so that what is published can be filtered, deduplicated and mixed again.

Three layouts, each read as its publisher wrote it (their images by address: they are fetched like any other):

* ``obelics``: Parquet with parallel lists ``texts`` and ``images`` (addresses), one of the two null in each place, and
  JSON strings
  ``metadata`` (a list, an image's alt text and sizes or null) and ``general_metadata`` (the page's url). Paragraphs
  within a text are set apart by a blank line; END_OF_DOCUMENT_TOKEN_TO_BE_REPLACED stands where a listing began another
  topic.
* ``mint1t``: the HTML part's Parquet, with the same parallel lists and ``url``; and the PDF part's tar shards of
  ``NAME.json`` beside
  ``NAME.tiff``: the JSON has the same lists, but its images (``page_0_image_85``) are frames of the TIFF and have no
  address, so the text alone is taken.
* ``mmc4``: JSON lines (plain, .gz, or .zip as published) with ``text_list`` (sentences), ``url``, and ``image_info``
  (``raw_url``,
  ``matched_text_index``: the sentence an image belongs to). An image goes before its sentence, several in the order of
  the list.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.nodes import Node, break_node, image_node, text_node
from manifests.schema import DOCUMENT, REFUSED, document_id
from manifests.stage import NO_ENGINE, StageContext
from pipelines.html.urls import canonical

Output = tuple[str, "pa.RecordBatch | bytes"]
Row = dict[str, Any]

FORMATS = ("obelics", "mint1t", "mmc4")

#: why a row became no document
REASONS = ("bad_row", "no_text", "file_broken")

#: input rows: piece ``piece`` of ``pieces`` of a file (row groups of Parquet in turn; other files are read whole)
INPUTS = pa.schema(
    [
        ("path", pa.string()), ("file", pa.string()), ("size", pa.int64()), ("changed", pa.string()), ("format", pa.string()),
        ("piece", pa.int64()), ("pieces", pa.int64()),
    ]
)  # fmt: skip

PIECE = 256 << 20  # bytes of a Parquet file in one part
BATCH = 256  # documents handed on at a time
MAX_LINE = 64 << 20  # bytes of one JSON row
END_OF_TOPIC = "END_OF_DOCUMENT_TOKEN_TO_BE_REPLACED"

_BROKEN = (
    pa.ArrowInvalid,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    tarfile.TarError,
    UnicodeDecodeError,
)


class ReleaseError(ValueError):
    """A file that is not of the layout it is said to be: one line that names it."""


def pieces(file: Mapping[str, Any], layout: str) -> list[Row]:
    """INPUTS rows of a file (a row with path, file, size and changed)."""
    n = max(1, math.ceil(file["size"] / PIECE)) if file["path"].endswith(".parquet") else 1
    return [{**file, "format": layout, "piece": i, "pieces": n} for i in range(n)]


@dataclass(frozen=True)
class Releases:
    """Map. INPUTS rows -> ``documents`` (DOCUMENT) and ``refused`` (REFUSED). Reasons: ``bad_row`` (lists that are not
    parallel, JSON that is none), ``no_text`` (no paragraph with text), ``file_broken`` (the rest of the file cannot be
    read).

    Provenance is the file, and the row's number in ``offset``. A page without an address has ``release:FILE/ROW`` for
    one.
    ``limit``: no more than so many documents of an input row.
    """

    source: str = "web"
    limit: int | None = None

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        for row, part in enumerate(batch.to_pylist()):
            documents: list[Row] = []
            refused: list[Row] = []
            made = 0
            for sub, (place, given) in enumerate(_read(part)):
                if self.limit is not None and made >= self.limit:
                    break
                if not ctx(row, sub):
                    continue
                found = given if isinstance(given, str) else self._document(given, part, place)
                if isinstance(found, str):
                    where = {"file": part["file"], "offset": place, "length": None, "page": None}
                    refused.append({"url": None, "reason": found, "provenance": where})
                else:
                    documents.append(found)
                    made += 1
                if len(documents) >= BATCH:
                    yield "documents", pa.RecordBatch.from_pylist(documents, DOCUMENT)
                    documents = []
            if documents:
                yield "documents", pa.RecordBatch.from_pylist(documents, DOCUMENT)
            if refused:
                yield "refused", pa.RecordBatch.from_pylist(refused, REFUSED)

    def _document(self, given: Row, part: Row, place: int) -> Row | str:
        try:
            address, nodes = _LAYOUTS[part["format"]](given)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            return "bad_row"
        if not any(node.text for node in nodes):
            return "no_text"
        url = (
            canonical(address) if isinstance(address, str) else None
        ) or f"release:{quote(part['file'], safe='/:')}/{place}"
        payload = "\n\n".join(node.text or node.image or "" for node in nodes)
        return {
            "id": document_id(self.source, url, payload.encode("utf-8", "replace")),
            "kind": self.source,
            "url": url,
            "fetched_at": None,
            "lang": None,
            "license": None,
            "title": None,
            "optout": [],
            "provenance": {"file": part["file"], "offset": place, "length": None, "page": None},
            "nodes": [node.row() for node in nodes],
        }


# --- the layouts ------------------------------------------------------------------------------------------------------


def _obelics(given: Row) -> tuple[str | None, list[Node]]:
    about = json.loads(given["general_metadata"]) if given.get("general_metadata") else {}
    return about.get("url"), _parallel(given["texts"], given["images"], _listed(given.get("metadata")))


def _mint1t(given: Row) -> tuple[str | None, list[Node]]:
    return given.get("url"), _parallel(given["texts"], given["images"], None)


def _mmc4(given: Row) -> tuple[str | None, list[Node]]:
    sentences = given["text_list"]
    before: dict[int, list[Node]] = {}
    for image in given["image_info"]:
        index = image["matched_text_index"]
        if type(index) is not int or not 0 <= index < len(sentences):
            raise ValueError("an image of no sentence")
        url = canonical(image["raw_url"])
        if url is not None:
            before.setdefault(index, []).append(image_node(url))
    nodes = []
    for i, sentence in enumerate(sentences):
        nodes += before.get(i, [])
        nodes += _paragraphs(sentence)
    return given.get("url"), nodes


_LAYOUTS: dict[str, Callable[[Row], tuple[str | None, list[Node]]]] = {
    "obelics": _obelics,
    "mint1t": _mint1t,
    "mmc4": _mmc4,
}
_COLUMNS = {"obelics": ("texts", "images", "metadata", "general_metadata"), "mint1t": ("texts", "images", "url")}
_NEEDED = {"obelics": ("texts", "images"), "mint1t": ("texts", "images")}


def _parallel(texts: list[Any], images: list[Any], about: list[Any] | None) -> list[Node]:
    """Nodes of parallel lists: in each place a text or an image."""
    nodes: list[Node] = []
    for i, (text, image) in enumerate(zip(texts, images, strict=True)):
        if isinstance(image, dict):
            image = image.get("url")
        if text and image:
            raise ValueError("a place with a text and an image")
        if text:
            nodes += _paragraphs(text)
        elif image and (url := canonical(image)) is not None:
            more = (about[i] if about and i < len(about) else None) or {}
            size = [
                v if type(v := more.get(k)) is int and 0 < v < 1 << 31 else None
                for k in ("rendered_width", "rendered_height")
            ]
            nodes.append(image_node(url, alt=_line(more.get("alt_text")), width=size[0], height=size[1]))
    return nodes


def _paragraphs(text: str) -> Iterator[Node]:
    for piece in text.split("\n\n"):
        line = " ".join(piece.encode("utf-8", "replace").decode().split())
        if line == END_OF_TOPIC:
            yield break_node()
        elif line:
            yield text_node(line)


def _line(value: Any) -> str | None:
    return (" ".join(value.encode("utf-8", "replace").decode().split()) or None) if isinstance(value, str) else None


def _listed(value: Any) -> list[Any] | None:
    found = json.loads(value) if isinstance(value, str) else value
    return found if isinstance(found, list) else None


# --- the files --------------------------------------------------------------------------------------------------------


def _read(part: Row) -> Iterator[tuple[int, Row | str]]:
    """(number, row or a reason) of everything in an input row. Raises ReleaseError, and OSError where the file cannot
    be had.
    """
    number = -1
    try:
        for number, given in _rows(part):
            yield number, given
    except _BROKEN:
        yield number + 1, "file_broken"


def _rows(part: Row) -> Iterator[tuple[int, Row | str]]:
    path, layout = part["path"], part["format"]
    if layout == "mmc4":
        yield from enumerate(_lines(path))
    elif path.endswith(".parquet"):
        yield from _parquet(path, layout, part["piece"], part["pieces"])
    elif layout == "mint1t" and path.endswith(".tar"):
        yield from enumerate(_tar(path))
    else:
        raise ReleaseError(f"{path}: {layout} is Parquet" + (" or .tar" if layout == "mint1t" else ""))


def _parquet(path: str, layout: str, piece: int, pieces_: int) -> Iterator[tuple[int, Row]]:
    with fsspec.open(path, "rb") as f:
        file = pq.ParquetFile(f)
        names = file.schema_arrow.names
        if missing := [c for c in _NEEDED[layout] if c not in names]:
            raise ReleaseError(f"{path}: no column {missing[0]!r}; it is not of the {layout} layout")
        number = 0
        for group in range(file.num_row_groups):
            if group * pieces_ // file.num_row_groups == piece:
                for batch in file.iter_batches(
                    BATCH, row_groups=[group], columns=[c for c in _COLUMNS[layout] if c in names]
                ):
                    for row in batch.to_pylist():
                        yield number, row
                        number += 1
            else:
                number += file.metadata.row_group(group).num_rows


def _lines(path: str) -> Iterator[Row | str]:
    with fsspec.open(path, "rb") as f:
        for stream in _unpacked(path, f):
            while line := stream.readline(MAX_LINE):
                if line.strip():
                    yield _json(line)


def _unpacked(path: str, f: Any) -> Iterator[Any]:
    if path.endswith(".zip"):
        with zipfile.ZipFile(f) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    with archive.open(info) as member:
                        yield member
    elif path.endswith(".gz"):
        with gzip.open(f) as stream:
            yield stream
    else:
        yield io.BufferedReader(f) if not hasattr(f, "readline") else f


def _tar(path: str) -> Iterator[Row | str]:
    with fsspec.open(path, "rb") as f, tarfile.open(fileobj=f, mode="r|") as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(".json"):
                stream = archive.extractfile(member) if member.size <= MAX_LINE else None
                row = _json(stream.read()) if stream is not None else "bad_row"
                if isinstance(row, dict) and isinstance(row.get("images"), list):
                    row["images"] = [None] * len(row["images"])  # frames of the TIFF
                yield row


def _json(data: bytes) -> Row | str:
    try:
        row = json.loads(data)
    except (ValueError, RecursionError):
        return "bad_row"
    return row if isinstance(row, dict) else "bad_row"
