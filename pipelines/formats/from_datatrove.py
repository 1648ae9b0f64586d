"""Documents of a datatrove reader (JSONL, Parquet, CSV, Arrow, the Hub, or one of one's own) beside those of web pages."""

from __future__ import annotations

import gzip
import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, ClassVar
from urllib.parse import quote

import pyarrow as pa

from manifests.nodes import Node, image_node, text_node
from manifests.schema import DOCUMENT, REFUSED, document_id
from manifests.stage import NO_ENGINE, StageContext
from pipelines.adapted.code import found, one_line, programs
from pipelines.html.urls import canonical

Output = tuple[str, "pa.RecordBatch | bytes"]
Row = dict[str, Any]

#: input rows: a file of a reader of files (`path` and `file`: its name below the data folder), or one of `world` shards
#: of another
INPUTS = pa.schema(
    [
        ("path", pa.string()),
        ("file", pa.string()),
        ("size", pa.int64()),
        ("changed", pa.string()),
        ("rank", pa.int64()),
        ("world", pa.int64()),
    ]
)

PART_BYTES = 64 << 20  # of input files, in one part
PART_FILES = 64
BATCH = 256  # documents handed on at a time

#: how a text is cut into paragraphs
PARAGRAPHS = ("lines", "blank_lines")

_IMAGE = (0, "image")  # datatrove.data.MediaType.IMAGE, and what other writers say
_PLACE = "panoramix_place"  # in a document's metadata: the number of its row


def inputs(reader: str, arguments: Mapping[str, Any], shards: int = 1) -> list[Row]:
    """INPUTS rows of everything a reader reads, in order: its files, or ``shards`` shards of a reader that reads no
    files.

    Raises ValueError, one line, where the path leads to no reader, the reader does not take the arguments, or there is
    nothing to read.
    """
    made = make(reader, arguments)
    if not _of_files(made):
        return [
            {"path": None, "file": reader, "size": 0, "changed": None, "rank": i, "world": shards}
            for i in range(shards)
        ]
    folder = made.data_folder
    if made.paths_file:
        from datatrove.io import get_shard_from_paths_file

        names = list(get_shard_from_paths_file(made.paths_file, 0, 1))
    else:
        names = folder.list_files(recursive=made.recursive, glob_pattern=made.glob_pattern)
    if not names or names == [""]:
        raise ValueError(
            f"arguments.data_folder: no files in {folder.path}; it is a folder, and glob_pattern chooses among its files"
        )
    rows = []
    for name in names:
        try:
            info = folder.info(name)
        except FileNotFoundError:
            raise ValueError(f"arguments.paths_file: {name} is not in {folder.path}") from None
        changed = str(info.get("ETag") or info.get("mtime") or "")
        rows.append({"path": name, "file": name, "size": info["size"], "changed": changed, "rank": None, "world": None})
    return rows


def parts(rows: list[Row]) -> list[pa.Table]:
    """INPUTS rows in parts of so many bytes and files, in their order; a shard of a reader without files is a part."""
    groups: list[list[Row]] = []
    held = 0
    for row in rows:
        if not groups or row["rank"] is not None or held + row["size"] > PART_BYTES or len(groups[-1]) >= PART_FILES:
            groups.append([])
            held = 0
        groups[-1].append(row)
        held += row["size"]
    return [pa.Table.from_pylist(group, schema=INPUTS) for group in groups]


@dataclass(frozen=True)
class FromDatatrove:
    """Map. INPUTS rows -> ``documents`` (DOCUMENT) and ``refused`` (REFUSED).

    A datatrove document's text becomes text nodes, a paragraph each (``paragraphs``: every line is one, which is how
    datatrove's own extractors write; or what stands between ``blank_lines``); its media of type image that have a web
    address become image nodes behind them, with alt, and caption, title, width and height from the media's metadata.
    From its metadata are taken ``url``, ``language`` or
    ``lang``, ``date``, ``license`` and ``title``; without an address its url is ``datatrove:FILE/NUMBER``. Provenance
    is the file below the data folder (or the reader and its shard), and the number of the row in ``offset``. Media
    given as bytes alone are left out.

    The reader's ``limit`` and ``skip`` count in each file; ``limit`` here stops a file (or shard) after so many
    documents.

    Reasons: ``no_text`` (the reader passes over them in silence; counted here), ``bad_row`` (a row the reader could not
    read or make a document of), ``reader_failed`` (it raised: the rest of that file is not read). A JSONL row with
    ``media`` needs a ``media_bytes`` (null will do) in each: without one datatrove's reader fails.
    """

    reader: str
    arguments: tuple[tuple[str, Any], ...] = ()
    source: str = "web"
    paragraphs: str = "lines"
    limit: int | None = None

    libraries: ClassVar[tuple[str, ...]] = ("datatrove",)

    def programs(self) -> dict[str, str]:
        return programs(self.reader)

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        for row, part in enumerate(batch.to_pylist()):
            if ctx(row):
                for table, rows in self._read(part, row, ctx):
                    yield table, pa.RecordBatch.from_pylist(rows, DOCUMENT if table == "documents" else REFUSED)

    def _read(self, part: Row, row: int, ctx: StageContext) -> Iterator[tuple[str, list[Row]]]:
        file = part["file"] if part["rank"] is None else f"{self.reader}/{part['rank']:05d}"
        reading = _Reading(make(self.reader, dict(self.arguments)), file)
        documents: list[Row] = []
        with closing(reading.documents(part)) as read:
            for number, document in enumerate(islice(read, self.limit)):
                place = document.metadata.pop(_PLACE, number)
                made = self._document(document, file, place)
                if made is None:
                    reading.refuse("no_text", place)
                else:
                    documents.append(made)
                if number % BATCH == BATCH - 1:
                    # it goes on: the deadline is for so many documents. A crash costs the file, which is read in one go
                    ctx(row)
                    if documents:
                        yield "documents", documents
                        documents = []
                    if reading.refused:
                        yield "refused", reading.taken()
        if documents:
            yield "documents", documents
        if reading.refused:
            yield "refused", reading.taken()

    def _document(self, document: Any, file: str, place: int) -> Row | None:
        about = document.metadata
        text = _sound(document.text) if isinstance(document.text, str) else ""
        nodes = [text_node(p) for p in split(text, self.paragraphs)]
        nodes += [n for n in map(_image, document.media or ()) if n is not None]
        if not nodes:
            return None
        address = about.get("url")
        url = (
            canonical(address) if isinstance(address, str) else None
        ) or f"datatrove:{quote(file, safe='/:')}/{place}"
        return {
            "id": document_id(self.source, url, text.encode()),
            "kind": self.source,
            "url": url,
            "fetched_at": _time(about.get("date")),
            "lang": _language(about.get("language") or about.get("lang")),
            "license": _string(about.get("license")),
            "title": _string(about.get("title")),
            "optout": [],
            "provenance": _where(file, place),
            "nodes": [node.row() for node in nodes],
        }


def split(text: str, paragraphs: str) -> Iterator[str]:
    """A text's paragraphs, white space normalised, none empty."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    if paragraphs == "lines":
        yield from filter(None, lines)
        return
    held: list[str] = []
    for line in [*lines, ""]:
        if line:
            held.append(line)
        elif held:
            yield " ".join(held)
            held = []


def make(reader: str, arguments: Mapping[str, Any]) -> Any:
    """A reader. Raises ValueError, one line, where the path leads to none or it does not take the arguments."""
    kind = found(reader)
    if not (
        isinstance(kind, type) and callable(getattr(kind, "run", None)) and hasattr(kind, "get_document_from_dict")
    ):
        raise ValueError(f"`{reader}` is not a datatrove reader class")
    # what datatrove wants as a pair, YAML writes as a list: [s3://bucket/folder, {anon: true}]
    given = {
        k: tuple(v) if isinstance(v, list) and k in ("data_folder", "paths_file") else v for k, v in arguments.items()
    }
    folder = given.get("data_folder")
    if isinstance(folder, str) and "://" not in folder:  # fsspec remembers where a relative folder first led
        given["data_folder"] = os.path.abspath(folder)
    try:
        return kind(**given)
    except Exception as e:  # a constructor of other people's, which may ask for a package or a file
        raise ValueError(f"`{reader}` cannot be made: {type(e).__name__}: {one_line(e)}") from e


def _of_files(reader: Any) -> bool:
    from datatrove.pipeline.readers.base import BaseDiskReader

    return isinstance(reader, BaseDiskReader)


@dataclass
class _Reading:
    """A reader at one of its inputs, and the rows that became no document."""

    reader: Any
    file: str
    seen: int = 0
    refused: list[Row] = field(default_factory=list)

    def refuse(self, reason: str, place: int | None) -> None:
        self.refused.append({"url": None, "reason": reason, "provenance": _where(self.file, place)})

    def taken(self) -> list[Row]:
        rows, self.refused = self.refused, []
        return rows

    def documents(self, part: Row) -> Generator[Any, None, None]:
        """datatrove documents. Ends, with a refused row, where the reader raises for what it reads; a missing file or
        package is raised.
        """
        from datatrove.utils.logging import logger

        self._count_rows()
        # rows that a reader cannot parse it only warns of
        heard = logger.add(
            self._warned,
            level="WARNING",
            format="{message}",
            filter=lambda r: r["name"].startswith("datatrove.pipeline.readers"),
        )
        try:
            yield from self._rows(part)
        except Exception as e:
            if isinstance(e, OSError | ImportError | MemoryError) and not isinstance(e, gzip.BadGzipFile):
                raise  # the machine's fault, or the network's: not what the file holds
            logger.warning(f"{self.file}: {type(e).__name__}: {one_line(e)}")
            self.refuse("reader_failed", self.seen)
        finally:
            logger.remove(heard)

    def _rows(self, part: Row) -> Iterator[Any]:
        if part["rank"] is not None:
            yield from self.reader.run(None, part["rank"], part["world"]) or ()
            return
        end = None if self.reader.limit < 0 else self.reader.skip + self.reader.limit
        yield from islice(self.reader.read_file(part["path"]), self.reader.skip, end)

    def _count_rows(self) -> None:
        """Number the rows a reader makes documents of, and note those it makes none of."""
        original = self.reader.get_document_from_dict
        self.reader._empty_warning = True  # once a file, of what is counted here

        def numbered(data: Row, source_file: str, id_in_file: int | str) -> Any:
            place, self.seen = self.seen, self.seen + 1
            try:
                document = original(data, source_file, id_in_file)
            # fields of other types, media without what datatrove asks for
            except (TypeError, ValueError, KeyError, AttributeError):
                self.refuse("bad_row", place)
                return None
            if document is None:
                self.refuse("no_text", place)
            else:
                document.metadata[_PLACE] = place
            return document

        self.reader.get_document_from_dict = numbered

    def _warned(self, message: str) -> None:
        if message.startswith("Error when reading"):
            self.refuse("bad_row", None)
        elif "may be corrupted" in message:
            self.refuse("reader_failed", self.seen)


def _image(media: Any) -> Node | None:
    if media.type not in _IMAGE or not isinstance(media.url, str):
        return None
    url = canonical(media.url)
    if url is None:
        return None
    more = media.metadata or {}
    width, height = (more.get(k) for k in ("width", "height"))
    return image_node(
        url, alt=_string(media.alt), caption=_string(more.get("caption")), title=_string(more.get("title")),
        width=_pixels(width), height=_pixels(height),
    )  # fmt: skip


def _where(file: str, place: int | None) -> Row:
    return {"file": file, "offset": place, "length": None, "page": None}


def _sound(text: str) -> str:
    """The text without lone surrogates, which no UTF-8 holds."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _string(value: Any) -> str | None:
    return (" ".join(_sound(value).split()) or None) if isinstance(value, str) else None


def _pixels(value: Any) -> int | None:
    return value if type(value) is int and 0 < value < 1 << 31 else None  # True is no width


def _language(value: Any) -> str | None:
    """The primary subtag: `en` of en-GB, `eng` of eng_Latn."""
    tag = value.replace("_", "-").partition("-")[0].lower() if isinstance(value, str) else ""
    return tag if tag.isascii() and tag.isalpha() and 2 <= len(tag) <= 3 else None


def _time(value: Any) -> datetime | None:
    """ISO 8601; a time without a zone is UTC. None where it is none."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).replace(microsecond=0)
