"""Documents of a datatrove reader (JSONL, Parquet, CSV, Arrow, the Hub, or a class of the user's)."""

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, ClassVar
from urllib.parse import quote

import pyarrow as pa

from manifests.code import one_line, program_digests, resolve_import
from manifests.document import BATCH, Row, batches, document, provenance
from manifests.nodes import Node, image_node, text_node
from manifests.schema import DOCUMENT, REFUSED
from manifests.stage import NO_ENGINE, Output, StageContext
from pipelines.formats import values
from pipelines.formats.opened import of_contents
from pipelines.formats.pieces import FILE, groups

#: input rows: a file of a reader of files (`path` and `file`: its name below the data folder), or one of `world` shards
#: of another reader
INPUTS = pa.schema([*FILE, ("rank", pa.int64()), ("world", pa.int64())])

PART_BYTES = 64 << 20  # of input files, in one partition
PART_FILES = 64

_IMAGE = (0, "image")  # datatrove.data.MediaType.IMAGE, and what other writers call it
_PLACE = "panoramix_place"  # key in a document's metadata: the number of its row


def inputs(reader: str, arguments: Mapping[str, Any], shards: int = 1) -> list[Row]:
    """INPUTS rows of all that a reader reads, in order: its files, or `shards` shards of a reader without files.

    Raises ValueError, one line, where the path leads to no reader, the reader does not take the arguments, or there is
    nothing to read.
    """
    from datatrove.pipeline.readers.base import BaseDiskReader

    instance = make(reader, arguments)
    if not isinstance(instance, BaseDiskReader):
        shard = {"path": None, "file": reader, "size": 0, "changed": None, "world": shards}
        return [{**shard, "rank": i} for i in range(shards)]
    folder = instance.data_folder
    if instance.paths_file:
        from datatrove.io import get_shard_from_paths_file

        names = list(get_shard_from_paths_file(instance.paths_file, 0, 1))
    else:
        names = folder.list_files(recursive=instance.recursive, glob_pattern=instance.glob_pattern)
    if not names or names == [""]:
        what = "it is a folder, and glob_pattern chooses among its files"
        raise ValueError(f"arguments.data_folder: no files in {folder.path}; {what}")
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
    """INPUTS rows by partition, in order: PART_BYTES and PART_FILES at most, or one shard of a reader without files."""
    shards = bool(rows) and rows[0]["rank"] is not None
    parts = groups(rows, PART_BYTES, 1 if shards else PART_FILES)
    return [pa.Table.from_pylist(part, schema=INPUTS) for part in parts]


@dataclass(frozen=True)
class FromDatatrove:
    """Map. INPUTS rows -> `documents` and `refused`.

    A datatrove document's text becomes text nodes, one for each paragraph. paragraphs: `lines` (each line is one, as
    datatrove's own extractors write) or `blank_lines`. Media of type image with a web address become image nodes behind
    them, with alt, and with caption, title, width and height from the metadata of the media; media that are bytes alone
    are left out. The document's metadata gives `url`, `language` or `lang`, `date`, `license` and `title`. Without an
    address the url is `datatrove:FILE/NUMBER`. Provenance is the file below the data folder (or the reader and its
    shard) and the number of the row. kind: of the source, web or text.

    The reader's `limit` and `skip` count in each file. limit: documents of a file (or shard).

    Reasons: `no_text` (the reader drops these without a word), `bad_row` (the reader cannot read the row or make a
    document of it), `reader_failed` (the reader raised: the rest of the file is not read). A JSONL row with `media`
    needs `media_bytes` (null will do) in each: datatrove's reader fails without it.
    """

    reader: str
    arguments: tuple[tuple[str, Any], ...] = ()
    kind: str = "web"
    paragraphs: str = "lines"
    limit: int | None = None

    libraries: ClassVar[tuple[str, ...]] = ("datatrove",)
    tables: ClassVar[Mapping[str, pa.Schema]] = {"documents": DOCUMENT, "refused": REFUSED}

    def programs(self) -> dict[str, str]:
        return program_digests(self.reader)

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        parts = enumerate(batch.to_pylist())
        return batches((item for row, part in parts for item in self._items(part, row, ctx)), self.tables)

    def _items(self, part: Row, row: int, ctx: StageContext) -> Iterator[tuple[str, Row]]:
        file = part["file"] if part["rank"] is None else f"{self.reader}/{part['rank']:05d}"
        if not ctx(row):
            ctx.lost(row, file=file)
            return
        reading = _Reading(make(self.reader, dict(self.arguments)), file)
        with closing(reading.documents(part)) as read:
            for number, item in enumerate(islice(read, self.limit)):
                place = item.metadata.pop(_PLACE, number)
                document = self._document(item, file, place)
                if document is None:
                    reading.refuse("no_text", place)
                else:
                    yield "documents", document
                if number % BATCH == BATCH - 1:
                    ctx(row)  # a sign of progress: the deadline is for BATCH documents. A crash costs the file
                    yield from reading.take()
        yield from reading.take()

    def _document(self, item: Any, file: str, place: int) -> Row | None:
        text = values.sound(item.text) if isinstance(item.text, str) else ""
        nodes = [text_node(p) for p in values.paragraphs(text, self.paragraphs)]
        nodes += [n for n in map(_image, item.media or ()) if n is not None]
        if not nodes:
            return None
        facts = item.metadata
        url = values.web_address(facts.get("url")) or f"datatrove:{quote(file, safe='/:')}/{place}"
        about: Row = {name: values.one_line(facts.get(name)) for name in ("license", "title")}
        about |= {"fetched_at": _time(facts.get("date")), "lang": _language(facts.get("language") or facts.get("lang"))}
        return document(self.kind, url, text.encode(), nodes, provenance(file, place), **about)


def make(reader: str, arguments: Mapping[str, Any]) -> Any:
    """A reader. Raises ValueError, one line, where the path leads to none or the reader does not take the arguments."""
    kind = resolve_import(reader)
    is_reader = isinstance(kind, type) and callable(getattr(kind, "run", None))
    if not is_reader or not hasattr(kind, "get_document_from_dict"):
        raise ValueError(f"`{reader}` is not a datatrove reader class")
    # datatrove wants a tuple where YAML writes a list: [s3://bucket/folder, {anon: true}]
    pairs = ("data_folder", "paths_file")
    keywords = {k: tuple(v) if isinstance(v, list) and k in pairs else v for k, v in arguments.items()}
    folder = keywords.get("data_folder")
    if isinstance(folder, str) and "://" not in folder:  # fsspec remembers where a relative folder first led
        keywords["data_folder"] = os.path.abspath(folder)
    try:
        return kind(**keywords)
    except Exception as e:  # a constructor of other people's, which may ask for a package or a file
        raise ValueError(f"`{reader}` cannot be made: {type(e).__name__}: {one_line(e)}") from e


@dataclass
class _Reading:
    """A reader at one of its inputs, the number of rows so far, and the rows that became no document."""

    reader: Any
    file: str
    n_rows: int = 0
    refused: list[Row] = field(default_factory=list)

    def refuse(self, reason: str, place: int | None) -> None:
        self.refused.append({"url": None, "reason": reason, "provenance": provenance(self.file, place)})

    def take(self) -> Iterator[tuple[str, Row]]:
        """The refused rows; none of them remains."""
        rows, self.refused = self.refused, []
        return (("refused", row) for row in rows)

    def documents(self, part: Row) -> Generator[Any, None, None]:
        """datatrove documents. They end with a refused row where the reader raises for the contents of a file.

        A missing file or package is raised.
        """
        from datatrove.utils.logging import logger

        self._count_rows()
        # a row that a reader cannot parse is only a warning there
        handler = logger.add(self._warned, level="WARNING", format="{message}", filter="datatrove.pipeline.readers")
        try:
            if part["rank"] is not None:
                yield from self.reader.run(None, part["rank"], part["world"]) or ()
            else:
                end = None if self.reader.limit < 0 else self.reader.skip + self.reader.limit
                yield from islice(self.reader.read_file(part["path"]), self.reader.skip, end)
        except Exception as e:
            if isinstance(e, OSError | ImportError | MemoryError) and not of_contents(e):
                raise  # the fault of the machine or the network, not of the file
            logger.warning(f"{self.file}: {type(e).__name__}: {one_line(e)}")
            self.refuse("reader_failed", self.n_rows)
        finally:
            logger.remove(handler)

    def _count_rows(self) -> None:
        """Make the reader number the rows, and refuse those it makes no document of."""
        original = self.reader.get_document_from_dict
        self.reader._empty_warning = True  # the warning about rows without text, which are counted here

        def numbered(data: Row, source_file: str, id_in_file: int | str) -> Any:
            place, self.n_rows = self.n_rows, self.n_rows + 1
            try:
                document = original(data, source_file, id_in_file)
            except (TypeError, ValueError, KeyError, AttributeError):  # fields of other types, incomplete media
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
            self.refuse("reader_failed", self.n_rows)


def _image(media: Any) -> Node | None:
    url = values.web_address(media.url) if media.type in _IMAGE else None
    if url is None:
        return None
    facts, line = media.metadata or {}, values.one_line
    width, height = values.pixels(facts.get("width")), values.pixels(facts.get("height"))
    caption, title = line(facts.get("caption")), line(facts.get("title"))
    return image_node(url, alt=line(media.alt), caption=caption, title=title, width=width, height=height)


def _language(value: Any) -> str | None:
    """The primary subtag: `en` of en-GB, `eng` of eng_Latn."""
    tag = value.replace("_", "-").partition("-")[0].lower() if isinstance(value, str) else ""
    return tag if tag.isascii() and tag.isalpha() and 2 <= len(tag) <= 3 else None


def _time(value: Any) -> datetime | None:
    """ISO 8601; a time without a zone is UTC. None where it is none."""
    try:
        value = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return None
    if not isinstance(value, datetime):
        return None
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).replace(microsecond=0)
