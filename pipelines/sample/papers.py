"""PDFs made by code: born digital, in two columns, scanned, rotated, locked and cut off, linked from one host.

Needs PyMuPDF (the extra `pdf`), which is loaded only when a PDF is asked for.
"""

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

_PAGE_WIDTH, _PAGE_HEIGHT, _MARGIN = 595.0, 842.0, 62.0  # A4, points


@dataclass(frozen=True, eq=False)  # hashed by identity, as a key of caches
class Paper:
    url: str
    manner: Manner
    article: Article


@functools.lru_cache(maxsize=1)
def papers() -> tuple[Paper, ...]:
    book = Sketchbook("papers")
    papers: list[Paper] = []
    for number, (manner, i) in enumerate((manner, i) for manner, n in COUNTS.items() for i in range(1, n + 1)):
        topic = TOPICS[number % len(TOPICS)]
        subject = topic.subjects[(number * 7 + 1) % len(topic.subjects)]
        url = f"http://{HOST}/pdf/{manner}-{i}.pdf"
        article = compose(topic, subject, url, "paper " + url, book, 1 + number % 2, 2 + number % 3)
        papers.append(Paper(url, manner, article))
    return tuple(papers)


@functools.cache
def _width(word: str, font: str) -> float:
    """Width of a word and the blank after it, in ems."""
    import pymupdf

    return float(pymupdf.get_text_length(word + " ", fontname=font, fontsize=1))


class _Typesetter:
    """Sets paragraphs into columns, page after page."""

    def __init__(self, columns: int, size: float) -> None:
        import pymupdf

        self.document: Any = pymupdf.open()
        self.columns, self.size, self.gap = columns, size, 22.0
        self.width = (_PAGE_WIDTH - 2 * _MARGIN - self.gap * (columns - 1)) / columns
        self.top = _MARGIN
        self._new_page()

    def _new_page(self) -> None:
        self.finish()
        self.page: Any = self.document.new_page(width=_PAGE_WIDTH, height=_PAGE_HEIGHT)
        # one shape a page: a commit for every line takes ten times as long
        self.shape: Any = self.page.new_shape()
        self.column, self.y = 0, self.top
        self.text(_PAGE_WIDTH / 2 - 6, _PAGE_HEIGHT - 34, str(self.document.page_count), 9)

    def finish(self) -> None:
        if self.document.page_count:
            self.shape.commit()

    def text(self, x: float, y: float, text: str, size: float, font: str = "tiro") -> None:
        self.shape.insert_text((x, y), text, fontsize=size, fontname=font)

    def _reserve(self, height: float) -> None:
        """Go to the next column or page unless this one has `height` points left."""
        if self.y + height > _PAGE_HEIGHT - _MARGIN:
            if self.column + 1 < self.columns:
                self.column, self.y = self.column + 1, self.top
            else:
                self.top = _MARGIN
                self._new_page()

    @property
    def left(self) -> float:
        return _MARGIN + self.column * (self.width + self.gap)

    def heading(self, text: str, size: float) -> None:
        self._reserve(size * 4)
        self.y += size * 1.3
        self.text(self.left, self.y, text, size, "tibo")
        self.y += size * 0.6

    def paragraph(self, text: str, size: float = 0, font: str = "tiro") -> None:
        size = size or self.size
        lines, line = [], ""
        for word in text.split():
            longer = f"{line} {word}".strip()
            if line and sum(_width(w, font) for w in longer.split()) * size > self.width:
                lines.append(line)
                longer = word
            line = longer
        for each in [*lines, line]:
            self._reserve(size * 1.32)
            self.y += size * 1.32
            self.text(self.left, self.y, each, size, font)
        self.y += size * 0.6

    def figure(self, picture: Picture) -> None:
        height = min(self.width * picture.size[1] / picture.size[0], 230.0)
        self._reserve(height + 40)
        out = io.BytesIO()
        paint(picture).finish().save(out, "JPEG", quality=80)
        box = (self.left, self.y + 4, self.left + self.width, self.y + 4 + height)
        self.page.insert_image(box, stream=out.getvalue())
        self.y += height + 6
        self.paragraph(picture.caption, 9, "tiit")


def _typeset(article: Article, columns: int) -> Any:
    setter = _Typesetter(columns, 10 if columns > 1 else 11.5)
    setter.text(_MARGIN, setter.y + 16, article.title, 19, "tibo")
    setter.text(_MARGIN, setter.y + 36, f"{article.author}, {article.date}", 10, "tiit")
    setter.y = setter.top = setter.y + 50
    for block in article.blocks:
        if block.picture is not None:
            setter.figure(block.picture)
        elif block.kind == "h2":
            setter.heading(block.text, 13)
        else:
            setter.paragraph(block.text)
    setter.finish()
    dates = dict.fromkeys(("creationDate", "modDate"), "D:20230401080000Z")
    setter.document.set_metadata({"title": article.title, "author": article.author, **dates})
    return setter.document


def _scan(document: Any, seed: str) -> Any:
    """Every page as a picture: slightly rotated, on discoloured paper."""
    import pymupdf

    rng = random.Random("scan " + seed)
    scan: Any = pymupdf.open()
    for page in document:
        pixels = page.get_pixmap(dpi=110, colorspace=pymupdf.csGRAY)
        image = Image.frombytes("L", (pixels.width, pixels.height), pixels.samples)
        image = image.rotate(rng.uniform(-0.8, 0.8), Image.Resampling.BILINEAR, fillcolor=255)
        shade = Image.linear_gradient("L").resize(image.size).point(lambda v: 226 + v // 16)
        image = Image.merge("RGB", [Image.blend(image, shade, share) for share in (0.28, 0.26, 0.38)])
        out = io.BytesIO()
        image.save(out, "JPEG", quality=62)
        sheet = scan.new_page(width=_PAGE_WIDTH, height=_PAGE_HEIGHT)
        sheet.insert_image(sheet.rect, stream=out.getvalue())
    return scan


@functools.lru_cache(maxsize=32)
def render_paper(paper: Paper) -> bytes:
    """The file; the same bytes at every call."""
    if paper.manner == "locked":
        return locked_pdf(paper.article.title, paper.article.text.split("\n\n"), "open", "sesame")
    document = _typeset(paper.article, 2 if paper.manner == "columns" else 1)
    if paper.manner == "scan":
        document = _scan(document, paper.url)
    elif paper.manner == "rotated":
        for i, page in enumerate(document):
            page.set_rotation((90, 180, 270)[(i + paper.url.count("1")) % 3])
    data: bytes = document.tobytes(deflate=True, garbage=3, no_new_id=True)
    # cut before the page tree: a reader repairs a file that keeps more
    return data[: 48 if paper.url.endswith("-1.pdf") else 90] if paper.manner == "cut" else data


def _answer(paper: Paper) -> Answer:
    return Answer(200, "application/pdf", render_paper(paper), "pdf")


def answers() -> dict[str, Maker]:
    return {p.url: functools.partial(_answer, p) for p in papers()}


def links() -> list[Link]:
    return [(p.url, f"{p.article.title} (PDF)") for p in papers()]
