"""One-file try: PDFs -> a picture and a JSON file a page, with the fields of PDFA (pixparse/pdfa-eng-wds)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ocr.document import Limits, RefusedError, open_document
from ocr.page import Page, normal, read_page
from ocr.picture import Render
from ocr.route import Rules
from ocr.stages import read_range
from ocr.tesseract import Ocr


def write_pages(
    paths: Iterable[str | Path],
    out_dir: str | Path,
    *,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    render: Render = Render(),  # noqa: B008
    rules: Rules = Rules(),  # noqa: B008
    ocr: Ocr = Ocr(),  # noqa: B008
) -> Iterator[dict[str, Any]]:
    """Write NAME-p0001.jpg and NAME-p0001.json for each page; NAME is the file's stem, dots made underscores.

    Yields a row a page or refusal, as it is done: ``path``, ``page`` (from 1; None where the file is refused),
    ``image`` and
    ``json`` (paths written), ``words``, ``text_source``, and, of refusals alone, ``reason`` (a key of
    ocr.document.REASONS). Raises ValueError where two files would write the same names.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    taken: dict[str, str] = {}
    for path in map(str, paths):
        name = Path(path).stem.replace(".", "_")  # webdataset takes what follows the first dot for the extension
        if name in taken:
            raise ValueError(f"{path} and {taken[name]} would both write {name}-p0001.jpg: give them different names")
        taken[name] = path
        refusal = {"path": path, "page": None, "image": None, "json": None, "words": 0, "text_source": None}
        try:
            with open_document(read_range(path, None, None, limits), limits) as document:
                for n in range(min(document.pages, limits.max_pages)):
                    try:
                        page = read_page(document, n, limits=limits, render=render, rules=rules, ocr=ocr)
                    except RefusedError as e:
                        yield {**refusal, "page": n + 1, "reason": e.reason}
                        continue
                    image, record = out / f"{name}-p{n + 1:04d}.jpg", out / f"{name}-p{n + 1:04d}.json"
                    image.write_bytes(page.jpeg)
                    record.write_text(json.dumps(pdfa(page), ensure_ascii=False) + "\n", encoding="utf-8")
                    written = {"page": n + 1, "image": str(image), "json": str(record), "words": len(page.layout.words)}
                    yield {**refusal, **written, "text_source": page.source}
                if document.pages > limits.max_pages:
                    yield {**refusal, "page": limits.max_pages + 1, "reason": "too_many_pages"}
        except RefusedError as e:
            yield {**refusal, "reason": e.reason}


def pdfa(page: Page) -> dict[str, Any]:
    """The fields PDFA keeps for one page, and how it was read.

    Boxes are [left, top, width, height] as shares of the page. ``line_pos`` is (line, place of the word in it),
    ``word_slice`` [start, end) of the line's words.
    """
    made = page.layout

    def box(b: tuple[float, float, float, float]) -> list[float]:
        return normal(b, page.width, page.height)

    boxes = [w.box for w in made.words]
    return {
        "words": {
            "text": [w.text for w in made.words],
            "bbox": [box(b) for b in boxes],
            "score": [w.score for w in made.words],
            "line_pos": [[i, k] for i, line in enumerate(made.lines) for k in range(line.end - line.start)],
        },
        "lines": {
            "text": [" ".join(w.text for w in made.words[line.start : line.end]) for line in made.lines],
            "bbox": [box(line.box) for line in made.lines],
            "score": [_mean([w.score for w in made.words[line.start : line.end]]) for line in made.lines],
            "word_slice": [[line.start, line.end] for line in made.lines],
        },
        "images_bbox": [box(b) for b in page.pictures],
        "images_bbox_no_text_overlap": [box(b) for b in page.pictures if not any(_overlap(b, w) for w in boxes)],
        "width": page.pixel_width,
        "height": page.pixel_height,
        "dpi": page.dpi,
        "page_index": page.number,
        "num_pages": page.pages,
        "text_source": page.source,
        "rotation": page.rotation,
    }


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4)


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
