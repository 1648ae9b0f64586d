"""Words of a page -> words, lines and blocks in reading order.

The text layer comes as segments: words on one baseline, in one direction, of one size. The segments of the direction
that has most of the text are turned so that this direction becomes left to right: a landscape table on a portrait page
reads as its reader reads it, and vertical Japanese is read correctly as well. Arabic and Hebrew are mirrored.
`order.rows` puts the segments in order, and they are grouped into paragraphs. Text in other directions (a stamp in the
margin, labels of axes) follows, each direction by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from statistics import median

from ocr.order import Piece, Row, rows

Box = tuple[float, float, float, float]  # x0, y0, x1, y1; points of the page as a reader sees it, origin top left

RIGHT, DOWN, LEFT, UP, SLANTED = range(5)  # direction of a line's text on the page as a reader sees it

WIDE_GAP = 1.2  # heights between two words that split a segment; a wide word gap in justified text is smaller
SAME_LINE_GAP = 1.5  # heights between two segments on one baseline that are still one line
NEW_PARAGRAPH = 1.35  # of the column's usual line distance
INDENT = 0.7  # heights by which a first line is indented, at least
SIZE_STEP = 1.12  # ratio of sizes that separates a heading from its text
HEADING_WORDS = 25  # a heading has no more words


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    box: Box
    score: float = 1.0  # 1.0 from a text layer, confidence/100 from OCR


@dataclass(frozen=True, slots=True)
class Segment:
    """Words on one baseline, as the source groups them."""

    words: tuple[Word, ...]
    direction: int  # RIGHT .. SLANTED
    size: float  # of the font, points
    bold: bool


@dataclass(frozen=True, slots=True)
class Line:
    box: Box
    start: int  # its words: [start, end) of the page's words
    end: int


@dataclass(frozen=True, slots=True)
class Block:
    role: str  # heading, paragraph, item, table
    text: str
    box: Box
    start: int  # its lines: [start, end) of the page's lines
    end: int


@dataclass(frozen=True, slots=True)
class Layout:
    words: tuple[Word, ...]
    lines: tuple[Line, ...]
    blocks: tuple[Block, ...]


def union(boxes: Sequence[Box]) -> Box:
    return (min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes))


def turned(box: Box, direction: int, width: float, height: float) -> Box:
    """The box on a page that is turned so that `direction` becomes left to right."""
    x0, y0, x1, y1 = box
    if direction == DOWN:  # the top of the letters is on the right: lines further right come first
        return (y0, width - x1, y1, width - x0)
    if direction == LEFT:
        return (width - x1, height - y1, width - x0, height - y0)
    return (height - y1, x0, height - y0, x1) if direction == UP else box


_Group = tuple[str, list[list[Segment]]]  # role and rows of a block


def layout(segments: Sequence[Segment], width: float, height: float) -> Layout:
    """Order and group the segments of a page of that size (points)."""
    weight = [0] * 5
    for s in segments:
        weight[s.direction] += sum(len(w.text) for w in s.words)
    body = _body_size(segments)
    groups: list[_Group] = []
    for direction in sorted(range(5), key=lambda d: (-weight[d], d)):
        some = [p for s in segments if s.direction == direction for p in _split(s, width, height)]
        groups += _groups(some, direction, width, height, body)
    return _layout_of(groups, width, height)


def _gap(a: Box, b: Box) -> float:
    """Horizontal distance of two boxes; negative where they overlap."""
    return max(b[0] - a[2], a[0] - b[2])


def _split(segment: Segment, width: float, height: float) -> Iterator[Segment]:
    """The segment, split at wide gaps: some PDFs draw one line across all columns."""
    start = 0
    boxes = [turned(w.box, segment.direction, width, height) for w in segment.words]
    for i, (a, b) in enumerate(pairwise(boxes), 1):
        if _gap(a, b) > WIDE_GAP * min(b[3] - b[1], a[3] - a[1]):
            yield replace(segment, words=segment.words[start:i])
            start = i
    yield replace(segment, words=segment.words[start:])


_RTL = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")


def _groups(segments: list[Segment], direction: int, width: float, height: float, body: float) -> Iterator[_Group]:
    letters = "".join(w.text for s in segments for w in s.words)
    mirrored = 2 * len(_RTL.findall(letters)) > len(letters)
    pieces = []
    for i, s in enumerate(segments):
        x0, y0, x1, y1 = turned(union([w.box for w in s.words]), direction, width, height)
        pieces.append(Piece(-x1 if mirrored else x0, y0, -x0 if mirrored else x1, y1, len(s.words), i))
    for _, column in groupby(rows(pieces), key=lambda row: row.column):
        yield from _paragraphs(list(column), segments, body)


_BULLET = re.compile("[•‣▪▫◦●○■□➢✓❖*·–—\uf0b7\uf0a7\ufffd-]")  # bullets of Symbol come as private use or U+FFFD
_NUMBERED = re.compile(r"\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]|\[\d{1,3}\]")


def _paragraphs(column: list[Row], segments: Sequence[Segment], body: float) -> Iterator[_Group]:
    """The rows of one column, split where a paragraph ends."""
    facts = [_RowFacts.of(row, segments) for row in column]
    steps = [_step(a, b) for a, b in pairwise(facts) if b.middle > a.middle]
    usual = min(median(steps), 2.6) if len(steps) >= 3 else 1.3
    left = min(f.x0 for f in facts)
    start = 0
    for i in range(1, len(facts) + 1):
        if i == len(facts) or _is_paragraph_end(facts[i - 1], facts[i], usual, left):
            yield _role(facts[start:i], body), [f.segments for f in facts[start:i]]
            start = i


@dataclass(frozen=True, slots=True)
class _RowFacts:
    segments: list[Segment]
    x0: float
    middle: float
    height: float
    size: float
    bold: bool
    tabular: bool  # cells, with gaps between them that are wider than a word gap
    item: bool  # begins as a list item does

    @classmethod
    def of(cls, row: Row, segments: Sequence[Segment]) -> _RowFacts:
        own = [segments[p.index] for p in row.pieces]
        main = max(row.pieces, key=lambda p: (p.words, -p.index))
        first = own[0].words[0].text
        bullet = bool(_BULLET.fullmatch(first) or (_BULLET.match(first) and first[0] in "•‣▪●■➢\uf0b7"))
        item = (bullet or bool(_NUMBERED.fullmatch(first))) and sum(len(s.words) for s in own) > 1
        gaps = [abs(max(b.x0 - a.x1, a.x0 - b.x1)) > 2 * main.height for a, b in pairwise(row.pieces)]
        return cls(
            segments=own,
            x0=min(p.x0 for p in row.pieces),
            middle=main.middle,
            height=main.height,
            size=segments[main.index].size,
            bold=all(s.bold for s in own),
            tabular=sum(gaps) >= (2 if item else 1),
            item=item,
        )


def _step(a: _RowFacts, b: _RowFacts) -> float:
    """Distance of two rows, in heights of the larger."""
    return (b.middle - a.middle) / max(a.height, b.height)


def _is_paragraph_end(a: _RowFacts, b: _RowFacts, usual: float, left: float) -> bool:
    """Whether a paragraph ends between two rows of a column."""
    if a.tabular or b.tabular:
        return a.tabular != b.tabular or _step(a, b) > 2 * NEW_PARAGRAPH * usual
    if _step(a, b) > NEW_PARAGRAPH * usual:
        return True
    if b.item or max(a.size, b.size) > SIZE_STEP * min(a.size, b.size) or a.bold != b.bold:
        return True
    indented = b.x0 - left > INDENT * b.height and a.x0 - left < 0.3 * a.height
    ends = a.segments[-1].words[-1].text[-1] in '.!?:;"”’)]。'
    return indented and not a.item and ends


def _role(facts: Sequence[_RowFacts], body: float) -> str:
    if len(facts) > 1 and all(f.tabular for f in facts):
        return "table"
    words = [w.text for f in facts for s in f.segments for w in s.words]
    text = "".join(words)
    letters = sum(c.isalpha() for c in text)
    big = all(f.size > SIZE_STEP * body for f in facts)
    bold = all(f.bold for f in facts) and all(f.size > 0.95 * body for f in facts)
    short = len(words) <= HEADING_WORDS and len(facts) <= 4 and letters >= max(3, len(text) / 2)
    if short and (big or (bold and text[-1] not in ".,;")):
        return "heading"
    return "item" if facts[0].item else "paragraph"


def _body_size(segments: Sequence[Segment]) -> float:
    """The median font size of the letters; 0 for a page without any."""
    sizes = sorted(s.size for s in segments for w in s.words for _ in w.text)
    return sizes[(len(sizes) - 1) // 2] if sizes else 0.0


def _layout_of(groups: Sequence[_Group], width: float, height: float) -> Layout:
    words: list[Word] = []
    lines: list[Line] = []
    blocks: list[Block] = []
    for role, rows_of_group in groups:
        first_line = len(lines)
        texts: list[list[str]] = []
        for row in rows_of_group:
            texts.append([w.text for s in row for w in s.words])
            for k, s in enumerate(row):
                start, box = len(words), union([w.box for w in s.words])
                if k and _is_one_line(row[k - 1], s, width, height):
                    last = lines.pop()
                    start, box = last.start, union([last.box, box])
                words += s.words
                lines.append(Line(box, start, len(words)))
        box = union([x.box for x in lines[first_line:]])
        blocks.append(Block(role, paragraph(texts), box, first_line, len(lines)))
    return Layout(tuple(words), tuple(lines), tuple(blocks))


def _is_one_line(a: Segment, b: Segment, width: float, height: float) -> bool:
    one = turned(a.words[-1].box, a.direction, width, height)
    two = turned(b.words[0].box, b.direction, width, height)
    return _gap(one, two) < SAME_LINE_GAP * min(one[3] - one[1], two[3] - two[1])


#: scripts that are written without blanks between words: kana, Han, CJK punctuation, full-width forms
_NO_BLANKS = re.compile("[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uff60\U00020000-\U0003ffff]")


def paragraph(lines: Sequence[Sequence[str]]) -> str:
    """One text from several lines of words. A word that is hyphenated at the end of a line becomes one word.

    A hyphen is removed only where a letter stands before it, a small letter begins the next line, and the word has no
    other hyphen ("state-of-the-" + "art" keeps its hyphen). Kana and Han get no blank between them. The words of the
    page, which are kept beside the text, stay as they are printed.
    """
    out: list[str] = []
    for line in lines:
        for i, word in enumerate(line):
            last = out[-1] if out else ""
            hyphenated = len(last) > 2 and last[-1] in "-‐" and last[-2].isalpha() and "-" not in last[:-1]
            if i == 0 and hyphenated and word[0].islower():
                out[-1] = last[:-1] + word
            elif last and (i == 0 or len(word) == 1) and _NO_BLANKS.match(last[-1]) and _NO_BLANKS.match(word):
                out[-1] = last + word
            else:
                out.append(word)
    return " ".join(out)
