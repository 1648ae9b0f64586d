"""The text layer of a PDF page: its words with boxes on the page as shown, and where its pictures stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ocr.document import clean, native
from ocr.layout import DOWN, LEFT, RIGHT, SLANTED, UP, Box, Segment, Word, union

#: MuPDF flags: clip to the visible page (64). Not set on purpose: keep ligatures (1), so "ﬁ" comes as "fi"; use the
#: character id where there is no Unicode (128), which would turn U+FFFD, the sign of a broken font, into plausible
#: garbage.
FLAGS = 64
BOLD = 16  # span flag
_BULLETS = {"\uf0b7": "•", "\uf0a7": "▪", "\uf0d8": "➢"}  # where Symbol and Wingdings keep them
GUESS = 1.5  # how far, as a ratio, sizes of a scan's invisible layer are off


@dataclass(frozen=True)
class Found:
    """A word as found, before it is known whether a reader sees it."""

    word: Word
    hidden: bool  # drawn invisible (text render mode 3, or no opacity)
    line: tuple[int, int]  # the source's block and line
    direction: int
    size: float
    bold: bool


def size_of(page: Any) -> tuple[float, float]:
    """Width and height of the page as shown: its crop box after rotation; points."""
    return float(page.rect.width), float(page.rect.height)


def find_words(page: Any) -> list[Found]:
    """Every word of the text layer whose middle is on the page, in the order of the file. Boxes are clipped to the
    page.
    """
    width, height = size_of(page)
    with native("page_broken"):
        text = page.get_textpage(flags=FLAGS)
        raw = text.extractWORDS()
        tree = text.extractDICT()["blocks"] if raw else []
    blocks = {block["number"]: block["lines"] for block in tree if "lines" in block}
    matrix = page.rotation_matrix
    boxes = shown([w[:4] for w in raw], matrix, width, height)
    styles: dict[tuple[int, int], dict[str, Any] | None] = {}
    found = []
    for (x0, y0, x1, y1, string, block, line, _), box in zip(raw, boxes, strict=True):
        string = clean(_BULLETS.get(string, string))
        if not string or box[2] - box[0] <= 0 or box[3] - box[1] <= 0:
            continue
        if (block, line) not in styles:
            styles[block, line] = _line_at(blocks.get(block, []), line, (x0 + x1) / 2, (y0 + y1) / 2)
        style = styles[block, line]
        if style is None:  # no such line: a word by itself
            found.append(Found(Word(string, box), False, (block, line), RIGHT, box[3] - box[1], False))
            continue
        span = _span_at(style["spans"], (x0 + x1) / 2, (y0 + y1) / 2)
        if style["wmode"]:  # MuPDF puts the box of a vertical glyph one glyph too far down
            dx, dy = (d * span["size"] for d in style["dir"])
            box = shown([(x0 - dx, y0 - dy, x1 - dx, y1 - dy)], matrix, width, height)[0]
        found.append(
            Found(
                word=Word(string, box),
                hidden=span.get("alpha", 255) == 0,
                line=(block, line),
                direction=_direction(style["dir"], matrix),
                size=float(span["size"]),
                bold=bool(span["flags"] & BOLD) or "bold" in span["font"].lower(),
            )
        )
    return found


def segments(found: list[Found]) -> list[Segment]:
    """Words of one line of the source, side by side and of one direction, made segments.

    The sizes of a scan's invisible layer are some OCR's guesses, line by line: there, what differs little is made one
    size.
    """
    guessed = sorted(f.size for f in found if f.hidden)
    usual = guessed[len(guessed) // 2] if guessed else 0.0
    out: list[Segment] = []
    start = 0
    for i in range(1, len(found) + 1):
        if i == len(found) or found[i].line != found[start].line or found[i].direction != found[start].direction:
            run = found[start:i]
            main = max(run, key=lambda f: len(f.word.text))
            bold = 2 * sum(len(f.word.text) for f in run if f.bold) > sum(len(f.word.text) for f in run)
            size = usual if main.hidden and usual / GUESS < main.size < usual * GUESS else main.size
            out.append(Segment(_leaders([f.word for f in run]), main.direction, size, bold, main.line[0]))
            start = i
    return out


def _leaders(words: list[Word]) -> tuple[Word, ...]:
    """The words, with each run of single dots (". . . ." in a table of contents) made one."""
    out: list[Word] = []
    for word in words:
        if word.text == "." and out and set(out[-1].text) == {"."}:
            last = out[-1]
            out[-1] = Word(last.text + ".", union([last.box, word.box]), last.score)
        else:
            out.append(word)
    return tuple(out)


def picture_boxes(page: Any, limit: int = 1000) -> list[Box]:
    """Boxes of the raster pictures on the page, clipped to it; at most `limit`, in drawing order."""
    width, height = size_of(page)
    with native("page_broken"):
        found = page.get_image_info()
    boxes = shown([i["bbox"] for i in found[:limit]], page.rotation_matrix, width, height)
    return [b for b in boxes if b[2] - b[0] >= 1 and b[3] - b[1] >= 1]


def coverage(boxes: list[Box], width: float, height: float, cells: int = 64) -> float:
    """Share of the page that the boxes cover together, on a grid of cells x cells."""
    grid = np.zeros((cells, cells), dtype=bool)
    for x0, y0, x1, y1 in boxes:
        grid[
            round(y0 / height * cells) : round(y1 / height * cells),
            round(x0 / width * cells) : round(x1 / width * cells),
        ] = True
    return float(grid.mean())


def shown(boxes: list[Any], matrix: Any, width: float, height: float) -> list[Box]:
    """Boxes in the unrotated page's frame -> on the page as shown, clipped to it."""
    if not boxes:
        return []
    b = np.nan_to_num(np.asarray(boxes, dtype=np.float64), nan=0.0, posinf=1e9, neginf=-1e9)
    xs = b[:, [0, 2]] * matrix.a + b[:, [1, 3]] * matrix.c + matrix.e
    ys = b[:, [0, 2]] * matrix.b + b[:, [1, 3]] * matrix.d + matrix.f
    out = np.stack(
        [xs.min(1).clip(0, width), ys.min(1).clip(0, height), xs.max(1).clip(0, width), ys.max(1).clip(0, height)], 1
    )
    return [tuple(row) for row in out.tolist()]


def _line_at(lines: list[Any], index: int, x: float, y: float) -> Any:
    """The line of that index, where it holds the point; else the one that does (lines off the page are left out of
    `lines`).
    """
    if index < len(lines) and _holds(lines[index]["bbox"], x, y):
        return lines[index]
    return next((line for line in lines if _holds(line["bbox"], x, y)), None)


def _span_at(spans: list[Any], x: float, y: float) -> Any:
    return next((s for s in spans if _holds(s["bbox"], x, y)), spans[0])


def _holds(box: Any, x: float, y: float) -> bool:
    return bool(box[0] - 0.5 <= x <= box[2] + 0.5 and box[1] - 0.5 <= y <= box[3] + 0.5)


def _direction(d: Any, matrix: Any) -> int:
    x, y = d[0] * matrix.a + d[1] * matrix.c, d[0] * matrix.b + d[1] * matrix.d
    if abs(y) <= 0.18 * abs(x):  # within 10 degrees
        return RIGHT if x > 0 else LEFT
    if abs(x) <= 0.18 * abs(y):
        return DOWN if y > 0 else UP
    return SLANTED
