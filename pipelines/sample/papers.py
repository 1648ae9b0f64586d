"""PDFs made by code: born digital, in two columns, scanned, rotated, locked and cut off, linked from one host.

Needs PyMuPDF (the extra ``pdf``), loaded only when a PDF is asked for.
"""

from __future__ import annotations

import functools
import io
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from PIL import Image

from pipelines.sample.answers import Answer, Maker
from pipelines.sample.articles import Article, compose
from pipelines.sample.layouts import Link
from pipelines.sample.locked import locked_pdf
from pipelines.sample.pictures import Picture, Sketchbook, paint
from pipelines.sample.topics import TOPICS

HOST = "papers.example"
Manner = Literal["plain", "columns", "scan", "rotated", "locked", "cut"]

#: how many of each manner, in the order of their addresses
COUNTS: Mapping[Manner, int] = {"plain": 8, "columns": 6, "scan": 4, "rotated": 3, "locked": 2, "cut": 2}

_WIDE, _HIGH, _MARGIN = 595.0, 842.0, 62.0  # A4, points


@dataclass(frozen=True, eq=False)  # one object a page: hashed by identity
class Paper:
    url: str
    manner: Manner
    article: Article


@functools.lru_cache(maxsize=1)
def papers() -> tuple[Paper, ...]:
    book = Sketchbook("papers")
    made: list[Paper] = []
    for manner, count in COUNTS.items():
        for i in range(1, count + 1):
            number = len(made)
            topic = TOPICS[number % len(TOPICS)]
            subject = topic.subjects[(number * 7 + 1) % len(topic.subjects)]
            url = f"http://{HOST}/pdf/{manner}-{i}.pdf"
            made.append(
                Paper(url, manner, compose(topic, subject, url, "paper " + url, book, 1 + number % 2, 2 + number % 3))
            )
    return tuple(made)


@functools.cache
def _word_length(word: str, font: str) -> float:
    """Width of a word and the blank after it, in ems."""
    import pymupdf

    return float(pymupdf.get_text_length(word + " ", fontname=font, fontsize=1))


def _length(line: str, font: str) -> float:
    return sum(_word_length(word, font) for word in line.split())


class _Setter:
    """Sets paragraphs into columns, page after page."""

    def __init__(self, columns: int, size: float) -> None:
        import pymupdf

        self.document: Any = pymupdf.open()
        self._lib: Any = pymupdf
        self.columns, self.size = columns, size
        self.gap = 22.0
        self.width = (_WIDE - 2 * _MARGIN - self.gap * (columns - 1)) / columns
        self.top = _MARGIN
        self._turn()

    def _turn(self) -> None:
        self.finish()
        self.page: Any = self.document.new_page(width=_WIDE, height=_HIGH)
        # one shape a page: to commit every line by itself takes ten times as long
        self.shape: Any = self.page.new_shape()
        self.column, self.y = 0, self.top
        self.shape.insert_text((_WIDE / 2 - 6, _HIGH - 34), str(self.document.page_count), fontsize=9, fontname="tiro")

    def finish(self) -> None:
        if self.document.page_count:
            self.shape.commit()

    def _room(self, height: float) -> None:
        if self.y + height > _HIGH - _MARGIN:
            if self.column + 1 < self.columns:
                self.column, self.y = self.column + 1, self.top
            else:
                self.top = _MARGIN
                self._turn()

    @property
    def left(self) -> float:
        return _MARGIN + self.column * (self.width + self.gap)

    def heading(self, text: str, size: float) -> None:
        self._room(size * 4)
        self.y += size * 1.3
        self.shape.insert_text((self.left, self.y), text, fontsize=size, fontname="tibo")
        self.y += size * 0.6

    def paragraph(self, text: str, size: float = 0, font: str = "tiro") -> None:
        size = size or self.size
        lines, line = [], ""
        for word in text.split():
            longer = f"{line} {word}".strip()
            if _length(longer, font) * size > self.width and line:
                lines.append(line)
                line = word
            else:
                line = longer
        for each in [*lines, line]:
            self._room(size * 1.32)
            self.y += size * 1.32
            self.shape.insert_text((self.left, self.y), each, fontsize=size, fontname=font)
        self.y += size * 0.6

    def figure(self, picture: Picture) -> None:
        width, height = picture.size
        tall = min(self.width * height / width, 230.0)
        self._room(tall + 40)
        out = io.BytesIO()
        paint(picture).finish().save(out, "JPEG", quality=80)
        box = self._lib.Rect(self.left, self.y + 4, self.left + self.width, self.y + 4 + tall)
        self.page.insert_image(box, stream=out.getvalue())
        self.y += tall + 6
        self.paragraph(picture.caption, 9, "tiit")


def _set(article: Article, columns: int) -> Any:
    setter = _Setter(columns, 10 if columns > 1 else 11.5)
    setter.shape.insert_text((_MARGIN, setter.y + 16), article.title, fontsize=19, fontname="tibo")
    setter.shape.insert_text(
        (_MARGIN, setter.y + 36), f"{article.author}, {article.date}", fontsize=10, fontname="tiit"
    )
    setter.y = setter.top = setter.y + 50
    for block in article.blocks:
        if block.picture is not None:
            setter.figure(block.picture)
        elif block.kind == "h2":
            setter.heading(block.text, 13)
        else:
            setter.paragraph(block.text)
    setter.finish()
    then = "D:20230401080000Z"
    setter.document.set_metadata(
        {"title": article.title, "author": article.author, "creationDate": then, "modDate": then}
    )
    return setter.document


def _scan(document: Any, seed: str) -> Any:
    """Every page as a picture: a little askew, on tired paper."""
    import pymupdf

    rng = random.Random("scan " + seed)
    scanned: Any = pymupdf.open()
    for page in document:
        pixels = page.get_pixmap(dpi=110, colorspace=pymupdf.csGRAY)
        image = Image.frombytes("L", (pixels.width, pixels.height), pixels.samples)
        image = image.rotate(rng.uniform(-0.8, 0.8), Image.Resampling.BILINEAR, fillcolor=255)
        shade = Image.linear_gradient("L").resize(image.size).point(lambda v: 226 + v // 16)
        image = Image.merge(
            "RGB", [Image.blend(image, shade, 0.28), Image.blend(image, shade, 0.26), Image.blend(image, shade, 0.38)]
        )
        out = io.BytesIO()
        image.save(out, "JPEG", quality=62)
        scanned.new_page(width=_WIDE, height=_HIGH).insert_image(
            pymupdf.Rect(0, 0, _WIDE, _HIGH), stream=out.getvalue()
        )
    return scanned


@functools.lru_cache(maxsize=32)
def render_paper(paper: Paper) -> bytes:
    """The file; the same bytes at every call."""
    if paper.manner == "locked":
        return locked_pdf(paper.article.title, paper.article.text.split("\n\n"), "open", "sesame")
    document = _set(paper.article, 2 if paper.manner == "columns" else 1)
    if paper.manner == "scan":
        document = _scan(document, paper.url)
    elif paper.manner == "rotated":
        for i, page in enumerate(document):
            page.set_rotation((90, 180, 270)[(i + paper.url.count("1")) % 3])
    data: bytes = document.tobytes(deflate=True, garbage=3, no_new_id=True)
    # cut before the page tree: a file of which more is left is repaired, and rightly so
    return data[: 48 if paper.url.endswith("-1.pdf") else 90] if paper.manner == "cut" else data


def _answer(paper: Paper) -> Answer:
    return Answer(200, "application/pdf", render_paper(paper), "pdf")


def answers() -> dict[str, Maker]:
    return {p.url: functools.partial(_answer, p) for p in papers()}


def links() -> list[Link]:
    return [(p.url, f"{p.article.title} (PDF)") for p in papers()]
