"""Image-text pairs out of documents: each image with the best words its page has for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from manifests.nodes import image_node, text_node
from manifests.schema import DOCUMENT, document_id
from manifests.stage import NO_ENGINE, StageContext
from pipelines.html.captions import clean, is_credit, says_nothing

Output = tuple[str, "pa.RecordBatch | bytes"]

SOURCE = "pairs"

_WORDS = ("caption", "alt", "title")


def pair(image: dict[str, Any], text: str, about: dict[str, Any]) -> dict[str, Any]:
    """A pair document: an image node and a text node. ``about``: the fields it takes over from where it was found."""
    return {
        "id": document_id(SOURCE, image["image"], text.encode("utf-8", "surrogatepass")),
        "kind": SOURCE,
        "url": about.get("url"),
        "fetched_at": about.get("fetched_at"),
        "lang": about.get("lang"),
        "license": about.get("license"),
        "title": about.get("title"),
        "optout": about.get("optout"),
        "provenance": about.get("provenance"),
        "nodes": [image, text_node(text, "caption").row()],
    }


@dataclass(frozen=True)
class Pairs:
    """Map. DOCUMENT rows -> ``documents``: one pair an image node that has a caption, else an alt, else a title.

    ``min_chars``: shorter texts give no pair (an alt of ``img`` or ``.`` says nothing), nor do those that say nothing
    of the image (``pipelines.html.captions``), nor those that stand on more than ``max_images`` images of a page: they
    are of the page, or of a template. One page's image with the same text gives one pair.
    """

    min_chars: int = 5
    max_images: int = 2

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        rows: list[dict[str, Any]] = []
        columns = ["url", "fetched_at", "lang", "license", "title", "optout", "provenance", "nodes"]
        for document in batch.select(columns).to_pylist():
            seen: set[str] = set()
            used = _used(document["nodes"] or ())
            for node in document["nodes"] or ():
                if node["kind"] != "image" or not node["image"]:
                    continue
                text = self.text_of(node, used)
                if text is None:
                    continue
                image = image_node(
                    node["image"], **{k: node[k] for k in ("alt", "caption", "title", "width", "height")}
                ).row()
                row = pair(image, text, document)
                if row["id"] not in seen:
                    seen.add(row["id"])
                    rows.append(row)
        if rows:
            yield "documents", pa.RecordBatch.from_pylist(rows, DOCUMENT)

    def text_of(self, node: dict[str, Any], used: Mapping[str, set[str]] = MappingProxyType({})) -> str | None:
        """The words of an image node: caption, else alt, else title, on one line; None where none is long enough and
        says something.

        ``used``: the images of the page that each text stands on.
        """
        for name in _WORDS:
            text = clean(node[name])
            if text is None or len(text) < self.min_chars or len(used.get(text, ())) > self.max_images:
                continue
            if not says_nothing(text) and not is_credit(text):
                return text
        return None


def _used(nodes: Sequence[dict[str, Any]]) -> dict[str, set[str]]:
    """The addresses of the images that each text of a page's image nodes stands on."""
    out: defaultdict[str, set[str]] = defaultdict(set)
    for node in nodes:
        if node["kind"] == "image" and node["image"]:
            for name in _WORDS:
                if text := clean(node[name]):
                    out[text].add(node["image"])
    return out
