"""Reading order: positions of lines on a page -> the rows in the order in which they are read, column by column.

A recursive XY-cut (Nagy and Seth, 1984) over line segments, with two changes to the textbook:

* a vertical cut comes before any horizontal one, so columns are read down first even where their paragraphs end at the
  same height; whatever spans the columns (a title, the caption of a wide figure) cuts the page into bands first;
* a gutter between the columns of a *table* does not count: the cells are read row by row. Aligned lines of few words
  are a table; other columns are prose.

The geometry here is of text that runs from left to right, with lines that go down; `layout` turns other text.
"""

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

MIN_GUTTER = 0.8  # of the median line height: narrower gaps are word gaps
MIN_COLUMN_WIDTH = 2.5  # of it: a narrower column has bullets, boxes or line numbers, not text
MIN_COLUMN_LINES = 3  # on either side of a gutter between columns
ALIGNED = 0.2  # largest distance between lines of a table's row, heights
TABLE_ALIGNED = 0.7  # share of the shorter side's lines that have a neighbour at the same height on the other side ...
TABLE_WORDS = 3.0  # ... and words a line, on the side with fewer, below which aligned columns are a table
# heights between a page's running head or foot and its text, at least (boxes include about 0.3 of leading)
RUNNING_GAP = 0.7
RUNNING_WORDS = 20  # in a running head or foot, at most
MAX_REACH = 300  # strips that are searched ahead for columns
MAX_DEPTH = 60  # of cuts; deeper than any page that a person laid out
# half the height of a line's core, in line heights: font boxes of neighbouring lines overlap, cores do not
CORE = 0.25


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of words on one baseline without a wide gap: the unit of reading order."""

    x0: float
    y0: float
    x1: float
    y1: float
    words: int
    index: int

    @property
    def middle(self) -> float:
        return (self.y0 + self.y1) / 2

    @property
    def height(self) -> float:
        return self.y1 - self.y0


@dataclass(frozen=True, slots=True)
class Row:
    """Pieces on one baseline, in reading order, and the number of their column (in reading order)."""

    pieces: tuple[Piece, ...]
    column: int


def rows(pieces: Sequence[Piece]) -> list[Row]:
    """The rows of a page in reading order. Every piece is in exactly one row."""
    if not pieces:
        return []
    heights = sorted(p.height for p in pieces)
    cutter = _Cutter(max(heights[len(heights) // 2], 1e-6))
    head, body, foot = _running(strips(pieces))
    out = list(cutter.single(head)) if head else []
    out += cutter.region([p for band in body for p in band], 0)
    return out + (list(cutter.single(foot)) if foot else [])


def _running(bands: list[list[Piece]]) -> tuple[list[list[Piece]], list[list[Piece]], list[list[Piece]]]:
    """The page's strips as head, body and foot. A single short row at the top or bottom belongs to no column."""

    def is_running(one: list[Piece], other: list[Piece]) -> bool:
        gap = max(min(p.y0 for p in other) - max(p.y1 for p in one), min(p.y0 for p in one) - max(p.y1 for p in other))
        short = one_row(one) and sum(p.words for p in one) <= RUNNING_WORDS
        return short and gap > RUNNING_GAP * max(p.height for p in one)

    head = 1 if len(bands) > 1 and is_running(bands[0], bands[1]) else 0
    foot = 1 if len(bands) > 1 + head and is_running(bands[-1], bands[-2]) else 0
    return bands[:head], bands[head : len(bands) - foot], bands[len(bands) - foot :]


class _Cutter:
    """The recursive cut; `columns` counts the columns so far. height: median of the lines."""

    def __init__(self, height: float) -> None:
        self.height = height
        self.columns = 0

    def region(self, pieces: list[Piece], depth: int) -> Iterator[Row]:
        if depth >= MAX_DEPTH:
            yield from self.single(strips(pieces))
            return
        cut = self.column_cut(pieces)
        if cut is not None:
            yield from self.sides(pieces, cut, depth)
            return
        bands = strips(pieces)
        if len(bands) == 1:
            yield from self.strip(pieces, depth)
            return
        new_column = True
        for band, has_columns in self.banded(bands):
            if not has_columns and one_row(band):
                self.columns += new_column
                new_column = False
                yield self.row(band)
            else:
                yield from (self.region if has_columns else self.strip)(band, depth + 1)
                new_column = True

    def sides(self, pieces: list[Piece], cut: float, depth: int) -> Iterator[Row]:
        yield from self.region([p for p in pieces if p.x1 <= cut], depth + 1)
        yield from self.region([p for p in pieces if p.x1 > cut], depth + 1)

    def strip(self, pieces: list[Piece], depth: int) -> Iterator[Row]:
        """Pieces that no horizontal line separates: one row, or cells of several lines side by side."""
        if not one_row(pieces) and depth < MAX_DEPTH:
            wide = [g for g in gutters(pieces, self.height * 0.3) if g[0] > 0]
            if wide:
                yield from self.sides(pieces, max(wide)[1], depth)
                return
            if len(pieces) > 1:  # overlapping lines: no columns, the order is by height
                yield from self.single([[p] for p in sorted(pieces, key=lambda p: (p.middle, p.x0, p.index))])
                return
        yield from self.single([pieces])

    def single(self, bands: list[list[Piece]]) -> Iterator[Row]:
        """The strips as rows of one column."""
        self.columns += 1
        for band in bands:
            yield self.row(band)

    def row(self, pieces: list[Piece]) -> Row:
        return Row(tuple(sorted(pieces, key=lambda p: (p.x0, p.index))), self.columns)

    def column_cut(self, pieces: list[Piece]) -> float | None:
        """The x of the widest gutter between columns of prose; None where there is none."""
        widest_first = sorted(gutters(pieces, self.height * MIN_GUTTER), key=lambda gutter: -gutter[0])
        return next((x for _, x in widest_first if is_column_gutter(pieces, x)), None)

    def banded(self, bands: list[list[Piece]]) -> Iterator[tuple[list[Piece], bool]]:
        """Neighbouring strips joined where together they have columns: (pieces, whether they have columns)."""
        i = 0
        while i < len(bands):
            for end in self.ends(bands, i):
                group = [p for band in bands[i:end] for p in band]
                if end - i < len(bands) and self.column_cut(group) is not None:
                    yield group, True
                    i = end
                    break
            else:
                yield bands[i], False
                i += 1

    def ends(self, bands: list[list[Piece]], start: int) -> list[int]:
        """Where a run of strips that begins at `start` and shares a gutter may end, the longest run first.

        These are the places where one of its gutters ends. Gaps only shrink as strips join, so one pass finds them all.
        """
        least = self.height * MIN_GUTTER
        left, right = float("inf"), float("-inf")
        free = [(min(p.x0 for band in bands for p in band), max(p.x1 for band in bands for p in band))]
        inner: list[tuple[float, float]] = []
        ends: list[int] = []
        stop = min(len(bands), start + MAX_REACH)
        for end in range(start, stop):
            for p in bands[end]:
                sides = [side for lo, hi in free for side in ((lo, min(hi, p.x0)), (max(lo, p.x1), hi))]
                free = [(a, b) for a, b in sides if b - a >= least]
                left, right = min(left, p.x0), max(right, p.x1)
            if any(not any(a <= hi and lo <= b for a, b in free) for lo, hi in inner):
                ends.append(end)
            if not free:
                break
            inner = [(a, b) for a, b in free if left < a and b < right]
        else:
            ends.append(stop)
        return [end for end in reversed(ends) if end - start > 1]


def one_row(pieces: Sequence[Piece]) -> bool:
    """Whether the pieces are on about one baseline (indices and exponents are), and none is above another."""
    middles = [p.middle for p in pieces]
    if max(middles) - min(middles) > 0.5 * max(p.height for p in pieces):
        return False
    ordered = sorted(pieces, key=lambda p: (p.x0, p.index))
    return all(b.x0 - a.x1 > -0.5 * min(a.height, b.height) for a, b in pairwise(ordered))


def strips(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """The pieces from top to bottom, split wherever a horizontal line can pass between their cores."""
    out: list[list[Piece]] = []
    bottom = float("-inf")
    for p in sorted(pieces, key=lambda p: (p.middle - CORE * p.height, p.x0, p.index)):
        if p.middle - CORE * p.height >= bottom or not out:
            out.append([])
        out[-1].append(p)
        bottom = max(bottom, p.middle + CORE * p.height)
    return out


def gutters(pieces: Sequence[Piece], least: float) -> list[tuple[float, float]]:
    """Vertical gaps of at least `least` that no piece crosses, with pieces on both sides: (width, x of the middle)."""
    out = []
    edge = float("-inf")
    for p in sorted(pieces, key=lambda p: (p.x0, p.index)):
        if p.x0 - edge >= least and edge != float("-inf"):
            out.append((p.x0 - edge, (p.x0 + edge) / 2))
        edge = max(edge, p.x1)
    return out


def is_column_gutter(pieces: Sequence[Piece], x: float) -> bool:
    """Whether the pieces on the two sides of `x` are columns, each of which is read down.

    They are not where a side has fewer than three lines or is very narrow, where they are not side by side (for a third
    of the shorter side), or in a table: most lines have a neighbour at their height and one side has few words a line.
    """
    left = [p for p in pieces if p.x1 <= x]
    right = [p for p in pieces if p.x1 > x]
    few, many = sorted((left, right), key=len)
    if len(strips(few)) < MIN_COLUMN_LINES:
        return False
    for side in (left, right):
        mean_height = sum(p.height for p in side) / len(side)
        if max(p.x1 for p in side) - min(p.x0 for p in side) < MIN_COLUMN_WIDTH * mean_height:
            return False
    spans = [(min(p.y0 for p in side), max(p.y1 for p in side)) for side in (left, right)]
    beside = min(s[1] for s in spans) - max(s[0] for s in spans)
    if beside < min(s[1] - s[0] for s in spans) / 3:
        return False
    words = min(sum(p.words for p in side) / len(strips(side)) for side in (left, right))
    if words >= TABLE_WORDS:
        return True
    middles = sorted(p.middle for p in many)
    near = [(p.middle - ALIGNED * p.height, p.middle + ALIGNED * p.height) for p in few]
    aligned = sum(bisect.bisect_left(middles, low) < bisect.bisect_right(middles, high) for low, high in near)
    return aligned < TABLE_ALIGNED * len(few)
