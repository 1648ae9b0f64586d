"""PDFs -> a picture and a JSON file for each page, with the fields of PDFA (pixparse/pdfa-eng-wds)."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ocr.layout import Box
from ocr.page import Page, normal, read_page
from ocr.pdf import MAX_PAGES, RefusedError, open_pdf, read_range
from ocr.tesseract import AUTO, Ocr


def write_pages(paths: Iterable[str | Path], out_dir: str | Path, ocr: Ocr = AUTO) -> Iterator[dict[str, Any]]:
    """Write NAME-p0001.jpg and NAME-p0001.json for each page; NAME is the file's stem with underscores for dots.

    Yields a row for each page or refusal: ``path``, ``page`` (from 1; None where the file is refused), ``image`` and
    ``json`` (the paths of the two files), ``words``, ``text_source``, and, for refusals alone, ``reason`` (a key of
    ocr.pdf.REASONS). Raises ValueError where two PDFs would have files of the same names.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    path_of: dict[str, str] = {}
    for path in map(str, paths):
        name = Path(path).stem.replace(".", "_")  # webdataset takes what follows the first dot for the extension
        if name in path_of:
            raise ValueError(f"{path} and {path_of[name]} would both write {name}-p0001.jpg: give them different names")
        path_of[name] = path
        refusal = {"path": path, "page": None, "image": None, "json": None, "words": 0, "text_source": None}
        try:
            with open_pdf(read_range(path)) as pdf:
                for n in range(min(pdf.pages, MAX_PAGES)):
                    try:
                        page = read_page(pdf, n, ocr=ocr)
                    except RefusedError as e:
                        yield {**refusal, "page": n + 1, "reason": e.reason}
                        continue
                    image, record = out / f"{name}-p{n + 1:04d}.jpg", out / f"{name}-p{n + 1:04d}.json"
                    image.write_bytes(page.jpeg)
                    record.write_text(json.dumps(pdfa(page), ensure_ascii=False) + "\n", encoding="utf-8")
                    files = {"page": n + 1, "image": str(image), "json": str(record), "words": len(page.layout.words)}
                    yield {**refusal, **files, "text_source": page.source}
                if pdf.pages > MAX_PAGES:
                    yield {**refusal, "page": MAX_PAGES + 1, "reason": "too_many_pages"}
        except RefusedError as e:
            yield {**refusal, "reason": e.reason}


def pdfa(page: Page) -> dict[str, Any]:
    """The fields that PDFA keeps for a page, and how the page was read.

    Boxes are [left, top, width, height] as shares of the page. ``line_pos`` is (line, number of the word in the line),
    ``word_slice`` [start, end) of the line's words.
    """
    words, lines = page.layout.words, page.layout.lines
    words_of = [words[line.start : line.end] for line in lines]

    picture = {"width": page.pixel_width, "height": page.pixel_height, "dpi": page.dpi, "rotation": page.rotation}
    place = {"page_index": page.number, "num_pages": page.pages, "text_source": page.source}

    def boxes(of: Iterable[Box]) -> list[list[float]]:
        return [normal(b, page.width, page.height) for b in of]

    def overlap(a: Box, b: Box) -> bool:
        return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]

    return {
        "words": {
            "text": [w.text for w in words],
            "bbox": boxes(w.box for w in words),
            "score": [w.score for w in words],
            "line_pos": [[i, k] for i, line in enumerate(lines) for k in range(line.end - line.start)],
        },
        "lines": {
            "text": [" ".join(w.text for w in some) for some in words_of],
            "bbox": boxes(line.box for line in lines),
            "score": [round(sum(w.score for w in some) / len(some), 4) for some in words_of],
            "word_slice": [[line.start, line.end] for line in lines],
        },
        "images_bbox": boxes(page.pictures),
        "images_bbox_no_text_overlap": boxes(b for b in page.pictures if not any(overlap(b, w.box) for w in words)),
        **picture,
        **place,
    }
