"""How a selected document becomes one sample: pure functions, and the table of layouts.

A function gives the JSON (by a schema of shards/fields.py), the members after it in their order, and the text slots in
the order in which a model reads them. `LAYOUTS` has one row a layout.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from itertools import groupby
from typing import Any, NamedTuple

import pyarrow as pa

from manifests.schema import BREAK, EMBEDDED, IMAGE, TEXT
from shards.fields import INTERLEAVED, OCR, PAIRS
from shards.fit import Fitted
from shards.tokens import ASSISTANT, END_OF_TOPIC, USER

#: between neighbouring paragraphs, as in OBELICS
PARAGRAPH = "\n\n"
#: the start of a slot that names the speaker, by the role of the slot's first text
SPEAKERS = {"user": f"{USER} ", "assistant": f"{ASSISTANT} "}
Row = Mapping[str, Any]


class SampleParts(NamedTuple):
    fields: dict[str, Any]  #: the JSON, still without `source`, `layout` and `n_text_tokens`
    texts: list[str]  #: every text slot that a model reads
    members: list[tuple[str, bytes]]  #: (name after the key, content) of the members after the JSON


def interleaved(key: str, document: Row, images: Mapping[int, Fitted], places: Mapping[int, Row]) -> SampleParts:
    """Slots in reading order: a text or an image each.

    Neighbouring paragraphs are one slot. A break between two slots is the slot `END_OF_TOPIC`. Conversations have the
    same layout: breaks separate the turns, and the text of a turn begins with its speaker. images, places: of the
    image nodes, by the number of the node; a node without an image here gives no slot.
    """
    slots: list[tuple[str | None, str | None]] = []  # (text, None) or (None, name of the member)
    meta: list[dict[str, Any]] = []
    members: list[tuple[str, bytes]] = []
    after_text, after_break = False, False
    for number, node in enumerate(document["nodes"]):
        text = node["text"] if node["kind"] == TEXT else None
        if node["kind"] == BREAK:
            after_text, after_break = False, True
        elif text and after_text:
            slots[-1] = (f"{slots[-1][0]}{PARAGRAPH}{text}", None)
        elif text or (node["kind"] == IMAGE and number in images):
            if after_break and slots:  # a break before the first slot or after the last one separates nothing
                slots.append((END_OF_TOPIC, None))
            after_text, after_break = bool(text), False
            if text:
                slots.append((f"{SPEAKERS.get(node['role'], '')}{text}", None))
            else:
                image, place, name = images[number], places[number], f"{len(members)}.jpg"
                slots.append((None, name))
                members.append((name, image.data))
                words = {key: node[key] for key in ("alt", "caption", "title")}
                meta.append({"url": place["url"], "sha256": place["sha256"], **_sizes(image), **words})
    texts, names = [text for text, _ in slots], [name for _, name in slots]
    fields = {**_common(document, len(members)), "texts": texts, "images": names, "image_meta": meta}
    return SampleParts(fields, [text for text in texts if text is not None], members)


def pairs(key: str, document: Row, images: Mapping[int, Fitted], places: Mapping[int, Row]) -> SampleParts:
    """The first image and all text, as img2dataset's `.jpg`, `.txt` and `.json`."""
    number = min(images)
    fitted, place, node = images[number], places[number], document["nodes"][number]
    caption = _text(document)
    # an image that came in a tar has the address of its pair, where its json has none
    url = document["url"] if place["url"].startswith(EMBEDDED) else place["url"]
    addresses = {"url": url, "page_url": document["url"], "sha256": place["sha256"]}
    texts = {"caption": caption, "alt": node["alt"], "exif": fitted.exif}
    fetched = {"key": key, "status": "success", "error_message": None}
    fields = {**_common(document, 1), **addresses, **texts, **fetched, **_sizes(fitted)}
    return SampleParts(fields, [caption], [("jpg", fitted.data), ("txt", caption.encode())])


def ocr(key: str, document: Row, images: Mapping[int, Fitted], places: Mapping[int, Row]) -> SampleParts:
    """A page: its image, words and lines as in PDFA, the text blocks in reading order, and the full text."""
    number = min(images)
    fitted, place = images[number], places[number]
    text = _text(document)
    blocks = [node for node in document["nodes"] if node["kind"] == TEXT and node["text"]]
    others = (node for i, node in enumerate(document["nodes"]) if node["kind"] == IMAGE and i != number)
    info = document.get("page") or {}
    figures = [*(_box(node["box"]) for node in others if node["box"]), *map(_box, info.get("images") or [])]
    page = _page(blocks)
    lines = page["lines"]["bbox"]
    page["images_bbox"] = figures
    page["images_bbox_no_text_overlap"] = [f for f in figures if not any(_overlap(f, line) for line in lines)]
    fields = {
        **_common(document, 1),
        **{name: info.get(name) for name in ("rotation", "text_source", "engine")},
        "pages": [page],
        "blocks": [{"text": b["text"], "role": b["role"], "bbox": _box(b["box"])} for b in blocks],
        "text": text,
        "page_index": (document["provenance"] or {}).get("page"),
        "num_pages": info.get("pages"),
        "dpi": None if info.get("dpi") is None else _number(info["dpi"]),
        "sha256": place["sha256"],
    }
    fields |= {"width": fitted.width, "height": fitted.height}
    return SampleParts(fields, [text], [("jpg", fitted.data), ("txt", text.encode())])


class Layout(NamedTuple):
    lay_out: Callable[[str, Row, Mapping[int, Fitted], Mapping[int, Row]], SampleParts]
    schema: pa.Schema  #: of the JSON
    text: str = ""  #: the JSON field that a model reads beside the one image; "" where a sample is a list of slots
    images: bool = True  #: whether samples have images

    @property
    def slots(self) -> bool:
        """Whether a sample is a list of slots in reading order; else it is one image and its text."""
        return not self.text


LAYOUTS = {
    "interleaved": Layout(interleaved, INTERLEAVED),
    "conversations": Layout(interleaved, INTERLEAVED),
    "text": Layout(interleaved, INTERLEAVED, images=False),
    "pairs": Layout(pairs, PAIRS, "caption"),
    "ocr": Layout(ocr, OCR, "text"),
}


# one encoder for all samples: `json.dumps` with arguments makes one at each call
_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def encode(fields: Row) -> bytes:
    """JSON with sorted keys and without spaces: equal fields give equal bytes."""
    return _JSON.encode(fields).encode("utf-8", "replace")


def _common(document: Row, n_images: int) -> dict[str, Any]:
    fetched = document["fetched_at"]
    return {
        **{name: document[name] for name in ("id", "kind", "url", "lang", "license", "title")},
        "fetched_at": None if fetched is None else fetched.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "n_images": n_images,
        "meta": encode({"optout": document["optout"] or [], "provenance": document["provenance"] or {}}).decode(),
    }


def _sizes(image: Fitted) -> dict[str, int]:
    width, height = image.original
    return {"width": image.width, "height": image.height, "original_width": width, "original_height": height}


def _text(document: Row) -> str:
    return PARAGRAPH.join(node["text"] for node in document["nodes"] if node["kind"] == TEXT and node["text"])


def _page(blocks: Sequence[Row]) -> dict[str, Any]:
    """The words of a page, and its lines: neighbouring words of a block with the same line number."""
    words: dict[str, list] = {"text": [], "bbox": [], "score": [], "line_pos": []}
    lines: dict[str, list] = {"text": [], "bbox": [], "score": [], "word_slice": []}
    for block in blocks:
        for _, group in groupby(block["words"] or [], lambda word: word["line"]):
            line, first = list(group), len(words["text"])
            for i, word in enumerate(line):
                words["text"].append(word["text"])
                words["bbox"].append(_box(word["box"]))
                words["score"].append(_number(word["score"]))
                words["line_pos"].append([len(lines["text"]), i])
            lines["text"].append(" ".join(word["text"] or "" for word in line))
            lines["bbox"].append(_union([word["box"] for word in line if word["box"]]))
            lines["score"].append(_number(sum(word["score"] or 0.0 for word in line) / len(line)))
            lines["word_slice"].append([first, first + len(line)])
    return {"words": words, "lines": lines}


def _number(value: float | None) -> float:
    """Rounded to five decimals: a hundredth of a pixel on a page of 980 pixels, and short in JSON."""
    return 0.0 if value is None else round(float(value), 5) + 0.0


def _box(box: Sequence[float] | None) -> list[float]:
    return [_number(v) for v in box or ()]


def _union(boxes: Sequence[Sequence[float]]) -> list[float]:
    if not boxes:
        return []
    left, top = min(b[0] for b in boxes), min(b[1] for b in boxes)
    return _box([left, top, max(b[0] + b[2] for b in boxes) - left, max(b[1] + b[3] for b in boxes) - top])


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return bool(a and b) and a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
