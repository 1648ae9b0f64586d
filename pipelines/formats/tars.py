"""Tars with images, as webdataset and img2dataset write them (cc12m-wds, DataComp, pools of DCVLM), as pair documents.

Members with one key are a sample: `000.jpg`, `000.txt`, `000.json`. The key is everything before the first dot of the
base name, with its folder, and what follows is the ending (webdataset, `tariterators.base_plus_ext`). The members of a
sample are neighbours. The images are taken as they are and never fetched.
"""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import pyarrow as pa

from manifests.document import batches
from manifests.nodes import image_node
from manifests.schema import DOCUMENT, OUTCOME, REFUSED
from manifests.stage import NO_ENGINE, InputError, Output, StageContext
from pipelines.formats import rows
from pipelines.formats.containers import tar_members
from pipelines.formats.embedded import Blobs, address_of
from pipelines.formats.lines import MAX_LINE
from pipelines.formats.opened import BOM, COMPRESSIONS
from pipelines.formats.rows import Place, Row, RowError, parsed, plain
from pipelines.formats.urllist import MAX_TEXT, URL_NAMES
from pipelines.formats.values import one_line, web_address
from pipelines.html.pairs import pair

KIND = "pairs"
#: endings of the files
TARS = tuple(f".tar{compression}" for compression in ("", *COMPRESSIONS))
#: endings of the members of a sample, best first
IMAGE, TEXT, JSON = ("jpg", "jpeg", "png", "webp"), ("txt", "caption"), ("json",)
#: fields of the JSON with a text, best first (img2dataset: caption; LAION, COYO, DataComp: text)
TEXT_FIELDS = ("caption", "text")
#: why a sample became no document
REASONS = (
    "no_image", "several_images", "no_text", "text_too_long", "bad_json", "bad_row", "repeated_key", "file_broken",
)  # fmt: skip

_NAME = re.compile(r"((?:.*/)?[^./]+)\.([^/]*)", re.S)
_ABOUT_THE_TAR = re.compile(r"__[^/]*__($|/)")  # webdataset passes over these
_NAMED = 20  # endings that a message names


@dataclass(frozen=True)
class Tars:
    """Map. pieces.INPUTS (a tar each) -> `documents` (pairs), `refused`, and `outcomes` and `blobs` of their images.

    image, text, json: endings of the members, in lower case. url_column, text_column: fields of the JSON. The address
    of a pair is that of its image in the JSON, else `pairs:FILE/KEY`; its provenance is the file and the number of the
    sample. The text is that of the member, else of TEXT_FIELDS; with text_column, that field alone. max_bytes,
    max_pixels: largest image. limit: documents of an input row.

    Reasons: `no_image`, `several_images`, `no_text`, `text_too_long` (over MAX_TEXT), `bad_json` (no object), `bad_row`
    (a text that is no UTF-8), `repeated_key` (the key, or a member of it, stands in the tar before), `file_broken`. An
    image that cannot be read has its status in `outcomes`.

    Raises InputError where a tar has no image but members of other endings, and where no JSON has `text_column`.
    """

    image: tuple[str, ...] = IMAGE
    text: tuple[str, ...] = TEXT
    json: tuple[str, ...] = JSON
    url_column: str | None = None
    text_column: str | None = None
    max_bytes: int = 20 << 20
    max_pixels: float = 100e6
    limit: int | None = None

    libraries: ClassVar[tuple[str, ...]] = ("pillow",)
    tables: ClassVar[Mapping[str, pa.Schema]] = {"documents": DOCUMENT, "outcomes": OUTCOME, "refused": REFUSED}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        convert = partial(self._pair, Blobs(ctx, self.max_bytes, self.max_pixels))
        items = rows.documents(batch, ctx, convert, scheme=KIND, limit=self.limit, items=self._samples)
        return batches(items, self.tables)

    def _samples(self, stream: io.BufferedReader, part: Row) -> Iterator[Row]:
        return _Samples(self, part).read(stream)

    def _pair(self, blobs: Blobs, sample: Row, place: Place) -> Iterator[tuple[str, Row | bytes]]:
        fields = sample["fields"]
        urls = (self.url_column,) if self.url_column else URL_NAMES
        address = next(filter(None, (web_address(fields.get(name)) for name in urls)), None)
        url = address or place.address(KIND, sample["key"])
        if sample["fault"] is not None:
            raise RowError(sample["fault"], url)
        if sample["image"] is None:
            raise RowError("no_image", url)
        try:
            text = self._text(fields, sample["texts"])
        except RowError as e:
            raise RowError(e.reason, url) from None
        if text is None:
            raise RowError("no_text", url)
        if len(text) > MAX_TEXT:
            raise RowError("text_too_long", url)
        image = address_of(sample["image"])
        yield from blobs.add(image, sample["image"])
        # the id and the search for duplicates (dedup.sign.Shown) take a pair for that of a list with its address
        yield "documents", pair(image_node(image, caption=text), text, url, place.provenance, identity=address)

    def _text(self, fields: Row, members: Mapping[str, bytes]) -> str | None:
        """The text of a sample on one line; None without one. Raises RowError `bad_row`."""
        texts: list[Any] = [members[ending].removeprefix(BOM) for ending in self.text if ending in members]
        texts += [fields.get(name) for name in TEXT_FIELDS]
        if self.text_column is not None:
            texts = [fields.get(self.text_column)]
        return next(filter(None, (one_line(plain(text)) for text in texts)), None)


class _Samples:
    """The samples of one tar."""

    def __init__(self, stage: Tars, part: Row) -> None:
        self.stage, self.part = stage, part
        self.keys: set[str] = set()
        self.others: dict[str, None] = {}  # endings that no member of a pair has, in their order
        self.has_image = self.has_column = False
        self.fields: tuple[str, ...] = ()  # of the first JSON

    def read(self, stream: io.BufferedReader) -> Iterator[Row]:
        """Each sample: key, image (None without one), texts by their endings, fields of the JSON, and its fault.

        A sample is whole when the next one begins, or the tar ends. So one that a damage may have cut is not given.
        """
        sample: Row | None = None
        for member, content in tar_members(stream):
            name = member.name.removeprefix("./")
            if member.isdir() or _ABOUT_THE_TAR.match(name):
                continue
            match = _NAME.fullmatch(name)
            if match is None:
                self._other("(none)")
                continue
            key, ending = match[1], match[2].lower()
            if sample is None or sample["key"] != key:
                if sample is not None:
                    yield sample
                fault = "repeated_key" if key in self.keys else None
                sample = {"key": key, "image": None, "texts": {}, "fields": {}, "endings": set(), "fault": fault}
                self.keys.add(key)
            if not member.isfile():  # a link brings no content
                self._other(f"{ending} (a link)")
            elif sample["fault"] is None:
                sample["fault"] = self._add(sample, ending, member.size, content)
        if sample is not None:
            yield sample
        self._check()

    def _add(self, sample: Row, ending: str, size: int, content: Callable[[int], bytes]) -> str | None:
        """Add a member to its sample. Returns the fault that it has or makes."""
        stage = self.stage
        if ending not in (*stage.image, *stage.text, *stage.json):
            self._other(ending)
            return None
        if ending in stage.image:
            self.has_image = True
            if sample["image"] is not None:
                return "several_images"
            sample["image"] = content(stage.max_bytes + 1)
        elif ending in sample["endings"]:
            return "repeated_key"
        elif ending in stage.text:
            if size > MAX_LINE:
                return "text_too_long"
            sample["texts"][ending] = content(MAX_LINE)
        else:
            fields = parsed(content(MAX_LINE).removeprefix(BOM)) if size <= MAX_LINE else "bad_row"
            if isinstance(fields, str):
                return "bad_json"
            sample["fields"] = fields | sample["fields"]
            self.fields = self.fields or tuple(fields)
            self.has_column = self.has_column or stage.text_column in fields
        sample["endings"].add(ending)
        return None

    def _other(self, ending: str) -> None:
        if len(self.others) < _NAMED:
            self.others[ending] = None

    def _check(self) -> None:
        """Raises InputError where the tar has no image that fits, or no field for `text_column`."""
        if self.others and not self.has_image:
            remedy = "name those of the images with the recipe key `members`, as in {image: [jpg, png]}"
            others = ", ".join(ending[:40] for ending in self.others)
            endings = ", ".join(self.stage.image)
            raise InputError(f"{self.part['path']}: no member ends in {endings}, but there are {others}; {remedy}")
        if self.stage.text_column is not None and self.keys and not self.has_column:
            rows.column(self.fields, self.part, "text_column", (self.stage.text_column,))
