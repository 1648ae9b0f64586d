"""The text layer of a PDF page: its words with boxes on the page as a reader sees it, and the boxes of its pictures."""

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from ocr.layout import DOWN, LEFT, RIGHT, SLANTED, UP, Box, Segment, Word, union
from ocr.pdf import clean, mupdf_call

#: MuPDF flags: clip to the visible page (64). Off on purpose: keep ligatures (1), so that "ﬁ" becomes "fi"; the
#: character id where there is no Unicode (128), which would hide U+FFFD, the sign of a broken font.
FLAGS = 64
BOLD = 16  # flag of a span
_BULLETS = {"\uf0b7": "•", "\uf0a7": "▪", "\uf0d8": "➢"}  # where the fonts Symbol and Wingdings have them
SIZE_ERROR = 1.5  # ratio by which the sizes of a scan's invisible text layer are wrong, at most


@dataclass(frozen=True)
class LayerWord:
    """A word of the text layer, which a reader may or may not see."""

    word: Word
    hidden: bool  # drawn invisible (text render mode 3, or no opacity)
    line: tuple[int, int]  # the source's block and line
    direction: int
    size: float
    bold: bool


def size_of(page: Any) -> tuple[float, float]:
    """Width and height of the page as a reader sees it, its crop box after rotation; points."""
    return float(page.rect.width), float(page.rect.height)


def read_words(page: Any) -> list[LayerWord]:
    """Every word of the text layer whose middle is on the page, in the order of the file. Boxes are clipped to it."""
    width, height = size_of(page)
    with mupdf_call("page_broken"):
        text = page.get_textpage(flags=FLAGS)
        raw = text.extractWORDS()
        tree = text.extractDICT()["blocks"] if raw else []
    blocks = {block["number"]: block["lines"] for block in tree if "lines" in block}
    matrix = page.rotation_matrix
    boxes = as_shown([w[:4] for w in raw], matrix, width, height)
    styles: dict[tuple[int, int], dict[str, Any] | None] = {}
    words = []
    for (x0, y0, x1, y1, string, block, line, _), box in zip(raw, boxes, strict=True):
        string = clean(_BULLETS.get(string, string))
        if not string or box[2] - box[0] <= 0 or box[3] - box[1] <= 0:
            continue
        if (block, line) not in styles:
            styles[block, line] = _line_at(blocks.get(block, []), line, (x0 + x1) / 2, (y0 + y1) / 2)
        style = styles[block, line]
        if style is None:  # no such line: a word without a style
            words.append(LayerWord(Word(string, box), False, (block, line), RIGHT, box[3] - box[1], False))
            continue
        spans = style["spans"]
        span = next((s for s in spans if _holds(s["bbox"], (x0 + x1) / 2, (y0 + y1) / 2)), spans[0])
        if style["wmode"]:  # MuPDF puts the box of a vertical glyph one glyph too far down
            dx, dy = (d * span["size"] for d in style["dir"])
            box = as_shown([(x0 - dx, y0 - dy, x1 - dx, y1 - dy)], matrix, width, height)[0]
        bold = bool(span["flags"] & BOLD) or "bold" in span["font"].lower()
        direction = _direction(style["dir"], matrix)
        hidden = span.get("alpha", 255) == 0
        words.append(LayerWord(Word(string, box), hidden, (block, line), direction, float(span["size"]), bold))
    return words


def segments(words: list[LayerWord]) -> list[Segment]:
    """Neighbouring words of one line of the source and of one direction, as segments.

    An OCR engine estimated the sizes in a scan's invisible text layer, line by line. Those sizes are all set to their
    median where they differ from it by less than SIZE_ERROR.
    """
    estimates = sorted(w.size for w in words if w.hidden)
    usual = estimates[len(estimates) // 2] if estimates else 0.0
    out: list[Segment] = []
    for (_, direction), neighbours in groupby(words, key=lambda w: (w.line, w.direction)):
        run = list(neighbours)
        main = max(run, key=lambda w: len(w.word.text))
        bold = 2 * sum(len(w.word.text) for w in run if w.bold) > sum(len(w.word.text) for w in run)
        size = usual if main.hidden and usual / SIZE_ERROR < main.size < usual * SIZE_ERROR else main.size
        out.append(Segment(_with_leaders([w.word for w in run]), direction, size, bold))
    return out


def _with_leaders(words: list[Word]) -> tuple[Word, ...]:
    """The words, with each run of single dots (". . . ." in a table of contents) as one word."""
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
    with mupdf_call("page_broken"):
        pictures = page.get_image_info()
    boxes = as_shown([p["bbox"] for p in pictures[:limit]], page.rotation_matrix, width, height)
    return [b for b in boxes if b[2] - b[0] >= 1 and b[3] - b[1] >= 1]


def coverage(boxes: list[Box], width: float, height: float, cells: int = 64) -> float:
    """Share of the page that the boxes cover together, on a grid of cells x cells."""
    grid = np.zeros((cells, cells), dtype=bool)
    for x0, y0, x1, y1 in boxes:
        rows = slice(round(y0 / height * cells), round(y1 / height * cells))
        grid[rows, round(x0 / width * cells) : round(x1 / width * cells)] = True
    return float(grid.mean())


def as_shown(boxes: list[Any], matrix: Any, width: float, height: float) -> list[Box]:
    """Boxes in the frame of the unrotated page -> on the page as a reader sees it, clipped to it."""
    if not boxes:
        return []
    b = np.nan_to_num(np.asarray(boxes, dtype=np.float64), nan=0.0, posinf=1e9, neginf=-1e9)
    xs = b[:, [0, 2]] * matrix.a + b[:, [1, 3]] * matrix.c + matrix.e
    ys = b[:, [0, 2]] * matrix.b + b[:, [1, 3]] * matrix.d + matrix.f
    out = np.stack([xs.min(1), ys.min(1), xs.max(1), ys.max(1)], 1).clip(0, [width, height, width, height])
    return [tuple(row) for row in out.tolist()]


def _line_at(lines: list[Any], index: int, x: float, y: float) -> Any:
    """The line of that index if it holds the point, else the line that does: `lines` lacks the lines off the page."""
    if index < len(lines) and _holds(lines[index]["bbox"], x, y):
        return lines[index]
    return next((line for line in lines if _holds(line["bbox"], x, y)), None)


def _holds(box: Any, x: float, y: float) -> bool:
    return bool(box[0] - 0.5 <= x <= box[2] + 0.5 and box[1] - 0.5 <= y <= box[3] + 0.5)


def _direction(d: Any, matrix: Any) -> int:
    x, y = d[0] * matrix.a + d[1] * matrix.c, d[0] * matrix.b + d[1] * matrix.d
    if abs(y) <= 0.18 * abs(x):  # within 10 degrees
        return RIGHT if x > 0 else LEFT
    if abs(x) <= 0.18 * abs(y):
        return DOWN if y > 0 else UP
    return SLANTED
