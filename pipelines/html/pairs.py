"""Image-text pairs out of documents: each image with the best words its page has for it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from manifests.document import Row, batches, document
from manifests.nodes import Node, image_node, text_node
from manifests.schema import DOCUMENT
from manifests.stage import NO_ENGINE, Output, StageContext
from pipelines.html.captions import clean, is_credit, says_nothing

_WORDS = ("caption", "alt", "title")  # the fields of an image node that may describe the image, best first
_OF_PAGE = ("fetched_at", "lang", "license", "title", "optout")  # the fields that a pair takes over from its page


def pair(image: Node, text: str, url: str, provenance: Row, *, identity: str | None = None, **facts: Any) -> Row:
    """A pair document: an image node and a text node. The id is a hash of the image's address and the text.

    url: of the page, or of the image where no page is known. identity: the image's address on the web, where the node
    has another. facts: further arguments of `document`.
    """
    payload, nodes = text.encode("utf-8", "surrogatepass"), (image, text_node(text, "caption"))
    return document("pairs", url, payload, nodes, provenance, identity=identity or image.image, **facts)


@dataclass(frozen=True)
class Pairs:
    """Map. DOCUMENT rows -> `documents`: a pair for each image node that has a caption, else an alt, else a title.

    min_chars: shorter texts make no pair (an alt of `img` or `.` says nothing). Nor do texts that say nothing about the
    image (pipelines.html.captions). max_images: a text that stands on more images of a page is about the page, or part
    of a template. One image with one text makes one pair of a page.
    """

    min_chars: int = 5
    max_images: int = 2

    tables: ClassVar[Mapping[str, pa.Schema]] = {"documents": DOCUMENT}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        pages = batch.select(["url", *_OF_PAGE, "provenance", "nodes"]).to_pylist()
        return batches((("documents", row) for page in pages for row in self._pairs(page)), self.tables)

    def _pairs(self, page: Row) -> Iterator[Row]:
        ids: set[str] = set()
        images = [node for node in page["nodes"] or () if node["kind"] == "image" and node["image"]]
        used = _used(images)
        of_page = {name: page[name] for name in _OF_PAGE} | {"optout": page["optout"] or ()}
        for node in images:
            text = self.text_of(node, used)
            if text is None:
                continue
            facts = {name: node[name] for name in (*_WORDS, "width", "height")}
            row = pair(image_node(node["image"], **facts), text, page["url"], page["provenance"], **of_page)
            if row["id"] not in ids:
                ids.add(row["id"])
                yield row

    def text_of(self, image: Row, used: Mapping[str, set[str]] | None = None) -> str | None:
        """The caption of an image node, else its alt, else its title, on one line; None where none says enough.

        used: for each text of the page, the addresses of the images that it stands on.
        """
        for name in _WORDS:
            text = clean(image[name])
            if text is None or len(text) < self.min_chars or len((used or {}).get(text, ())) > self.max_images:
                continue
            if not says_nothing(text) and not is_credit(text):
                return text
        return None


def _used(images: Sequence[Row]) -> dict[str, set[str]]:
    """For each text of the image nodes of a page, the addresses of the images that it stands on."""
    out: defaultdict[str, set[str]] = defaultdict(set)
    for image in images:
        for name in _WORDS:
            if text := clean(image[name]):
                out[text].add(image["image"])
    return out
