"""Documents of published interleaved datasets, so that a release can be filtered, deduplicated and mixed again.

A format is a function: a row -> (address of the page, nodes in reading order). The table FORMATS holds those that are
built in. A recipe may name another function by its import path (`my.module:function`).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import pyarrow as pa

from manifests.code import program_digests, resolve_import
from manifests.document import batches, document
from manifests.nearest import nearest
from manifests.nodes import Node, break_node, image_node, text_node
from manifests.schema import DOCUMENT, REFUSED
from manifests.stage import NO_ENGINE, InputError, Output, StageContext
from pipelines.formats import opened, pieces, rows
from pipelines.formats.rows import Place, Row, RowError
from pipelines.formats.values import one_line, pixels, web_address

REASONS = ("bad_row", "no_text", "file_broken")  # why a row became no document
#: input rows: those of `rows`, and the name or import path of the format of the file
INPUTS = pa.schema([*pieces.INPUTS, ("format", pa.string())])

END_OF_TOPIC = "END_OF_DOCUMENT_TOKEN_TO_BE_REPLACED"
#: what the function of a format may raise for a row that it does not read
BAD_ROW = (ValueError, TypeError, KeyError, IndexError, AttributeError)


@dataclass(frozen=True)
class Format:
    """How the files of a release are read.

    read: (address or None, nodes) of a row; raises one of BAD_ROW for a row of another form. suffixes: endings of the
    files. needed, columns: Parquet columns that a file must have, and those that are read (none: all).
    """

    read: Callable[[Row], tuple[Any, Iterable[Node]]]
    suffixes: tuple[str, ...] = opened.SUFFIXES
    needed: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


def obelics(row: Row) -> tuple[Any, list[Node]]:
    """OBELICS: Parquet with parallel lists `texts` and `images` (addresses); in each place one of the two is null.

    `metadata` is a JSON list (alt text and sizes of each image), `general_metadata` a JSON object with the page's url.
    A blank line separates paragraphs. END_OF_TOPIC stands where a listing began another topic.
    """
    page = json.loads(row["general_metadata"]) if row.get("general_metadata") else {}
    metadata = row.get("metadata")
    facts = json.loads(metadata) if isinstance(metadata, str) else metadata
    return page.get("url"), _parallel(row["texts"], row["images"], facts if isinstance(facts, list) else [])


def mint1t(row: Row) -> tuple[Any, list[Node]]:
    """MINT-1T: Parquet of the HTML part, with the lists of OBELICS and `url`; tar shards of the PDF part.

    A tar has NAME.json beside NAME.tiff. The images of the JSON (`page_0_image_85`) are frames of the TIFF and have no
    address, so only the text is read.
    """
    images = [None if isinstance(image, str) and "://" not in image else image for image in row["images"]]
    return row.get("url"), _parallel(row["texts"], images, [])


def mmc4(row: Row) -> tuple[Any, list[Node]]:
    """mmc4: JSON lines with `text_list` (sentences), `url` and `image_info`.

    An image has `raw_url` and `matched_text_index`, the number of its sentence. It goes before that sentence.
    """
    sentences = row["text_list"]
    before: dict[int, list[Node]] = {}
    for image in row["image_info"]:
        index = image["matched_text_index"]
        if type(index) is not int or not 0 <= index < len(sentences):
            raise ValueError("an image without a sentence")
        if (url := web_address(image["raw_url"])) is not None:
            before.setdefault(index, []).append(image_node(url))
    nodes = []
    for i, sentence in enumerate(sentences):
        nodes += [*before.get(i, ()), *_paragraphs(sentence)]
    return row.get("url"), nodes


_LISTS = ("texts", "images")
FORMATS: Mapping[str, Format] = {
    "obelics": Format(obelics, (".parquet",), _LISTS, (*_LISTS, "metadata", "general_metadata")),
    "mint1t": Format(mint1t, (".parquet", ".tar"), _LISTS, (*_LISTS, "url")),
    "mmc4": Format(mmc4, (".jsonl", ".jsonl.gz", ".jsonl.zip")),
}


@cache
def release_format(name: str) -> Format:
    """A format of FORMATS, or the function that an import path names.

    The function takes a row and returns (address or None, nodes). Its attribute `suffixes`, where it has one, names the
    endings of its files. Raises ValueError, one line.
    """
    if name in FORMATS:
        return FORMATS[name]
    if ":" not in name and "." not in name:
        path = "a function is named by its path, `my.module:function`"
        raise ValueError(f"no release format `{name}`{nearest(name, FORMATS)} ({path})")
    function = resolve_import(name)
    if not callable(function):
        raise ValueError(f"`{name}` is not a function of a row")
    return Format(function, tuple(getattr(function, "suffixes", opened.SUFFIXES)))


@dataclass(frozen=True)
class Releases:
    """Map. INPUTS rows -> `documents` and `refused`.

    Reasons: `bad_row` (the format's function does not read it, or it is no JSON), `no_text` (no paragraph with text),
    `file_broken` (the rest of the file cannot be read). A page without an address has `release:FILE/ROW`. formats: the
    formats that the input rows name; the code of a function by import path is part of the stage's fingerprint. limit:
    documents of an input row.

    Raises InputError where a file has another ending, or lacks a column that its format needs.
    """

    formats: tuple[str, ...] = ()
    limit: int | None = None

    tables: ClassVar[Mapping[str, pa.Schema]] = {"documents": DOCUMENT, "refused": REFUSED}

    def programs(self) -> dict[str, str]:
        return {k: v for name in self.formats if name not in FORMATS for k, v in program_digests(name).items()}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        for part in batch.select(["path", "format"]).to_pylist():
            endings = release_format(part["format"]).suffixes
            if not part["path"].endswith(endings):
                raise InputError(f"{part['path']}: files of the format {part['format']} are {' or '.join(endings)}")
        items = rows.documents(batch, ctx, _document, scheme="release", choose=_columns, limit=self.limit)
        return batches(items, self.tables)


def _columns(names: Sequence[str], part: Row) -> list[str]:
    layout = release_format(part["format"])
    if missing := [c for c in layout.needed if c not in names]:
        raise InputError(f"{part['path']}: no column {missing[0]!r}; it is not of the {part['format']} layout")
    return [c for c in names if c in layout.columns or not layout.columns]


def _document(row: Row, place: Place) -> Iterator[tuple[str, Row]]:
    try:
        address, read = release_format(place.part["format"]).read(row)
        nodes = list(read)
        has_text = any(node.text for node in nodes)
        payload = "\n\n".join(node.text or node.image or "" for node in nodes)
    except BAD_ROW:
        raise RowError("bad_row") from None
    if not has_text:
        raise RowError("no_text")
    url = web_address(address) or place.address("release")
    yield "documents", document("web", url, payload.encode("utf-8", "replace"), nodes, place.provenance)


def _parallel(texts: list[Any], images: list[Any], facts: list[Any]) -> list[Node]:
    """Nodes of parallel lists: a text or an image in each place. facts: OBELICS' metadata of the images."""
    nodes: list[Node] = []
    for i, (text, image) in enumerate(zip(texts, images, strict=True)):
        if isinstance(image, dict):
            image = image.get("url")
        if text and image:
            raise ValueError("a place with a text and an image")
        if text:
            nodes += _paragraphs(text)
        elif image and (url := web_address(image)) is not None:
            fact = (facts[i] if i < len(facts) else None) or {}
            width, height = pixels(fact.get("rendered_width")), pixels(fact.get("rendered_height"))
            nodes.append(image_node(url, alt=one_line(fact.get("alt_text")), width=width, height=height))
    return nodes


def _paragraphs(text: str) -> Iterator[Node]:
    for piece in text.split("\n\n"):
        line = one_line(piece)
        if line == END_OF_TOPIC:
            yield break_node()
        elif line:
            yield text_node(line)
