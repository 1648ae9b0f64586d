"""Reading order: where lines stand on a page -> the rows a reader reads, column by column.

A recursive XY-cut (Nagy and Seth, 1984) over line segments, with two changes to the textbook:

* a vertical cut goes before any horizontal one, so columns are read down first even where their paragraphs happen to end at the
  same height; what spans the columns (a title, a wide figure's caption) cuts the page into bands first;
* a gutter between the columns of a *table* does not count: its cells are read row by row. A table is told from columns of prose
  by aligned lines of few words.

Everything here is geometry in one frame where text runs left to right and lines go down; see `layout.turned` for other directions.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MIN_GUTTER = 0.8  # of the median line height: narrower gaps are word gaps
MIN_COLUMN_LINES = 3  # on either side, for a gutter to be one between columns
TABLE_ALIGNED = 0.6  # share of the shorter side's lines that have a neighbour at the same height on the other side ...
TABLE_WORDS = 3.0  # ... and words a line, on the side with fewer, under which aligned columns are a table
MAX_REACH = 300  # strips looked ahead for columns
MAX_DEPTH = 60  # of cuts; deeper than any page that a person laid out
CORE = 0.25  # a line's ink, up and down from its middle, in heights: font boxes overlap between lines, cores do not


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of words on one baseline without a wide gap: what is put in order."""

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
    """Pieces on one baseline, in reading order, and the column they stand in (numbered as read)."""

    pieces: tuple[Piece, ...]
    column: int


def rows(pieces: Sequence[Piece], right_to_left: bool = False) -> list[Row]:
    """The rows of a page as read. Every piece is in exactly one row."""
    if not pieces:
        return []
    heights = sorted(p.height for p in pieces)
    cutter = _Cutter(max(heights[len(heights) // 2], 1e-6), right_to_left)
    return list(cutter.region(list(pieces), 0))


class _Cutter:
    def __init__(self, height: float, right_to_left: bool) -> None:
        self.height = height
        self.reverse = right_to_left
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
        fresh = True
        for band, joined in self.banded(bands):
            if joined:
                yield from self.region(band, depth + 1)
                fresh = True
            elif one_row(band):
                if fresh:
                    self.columns += 1
                    fresh = False
                yield self.row(band)
            else:
                yield from self.strip(band, depth + 1)
                fresh = True

    def sides(self, pieces: list[Piece], cut: float, depth: int) -> Iterator[Row]:
        left = [p for p in pieces if p.x1 <= cut]
        right = [p for p in pieces if p.x1 > cut]
        for side in (right, left) if self.reverse else (left, right):
            yield from self.region(side, depth + 1)

    def strip(self, pieces: list[Piece], depth: int) -> Iterator[Row]:
        """Pieces no horizontal line can part: one row, or cells of several lines side by side."""
        if not one_row(pieces) and depth < MAX_DEPTH:
            wide = [g for g in gutters(pieces, self.height * 0.3) if g[0] > 0]
            if wide:
                yield from self.sides(pieces, max(wide)[1], depth)
                return
            if len(pieces) > 1:  # overlapping lines: give up on columns, read by height
                yield from self.single([[p] for p in sorted(pieces, key=lambda p: (p.middle, p.x0, p.index))])
                return
        self.columns += 1
        yield self.row(pieces)

    def single(self, bands: list[list[Piece]]) -> Iterator[Row]:
        self.columns += 1
        for band in bands:
            yield self.row(band)

    def row(self, pieces: list[Piece]) -> Row:
        return Row(tuple(sorted(pieces, key=lambda p: (-p.x1 if self.reverse else p.x0, p.index))), self.columns)

    def column_cut(self, pieces: list[Piece]) -> float | None:
        """The x of the widest gutter between columns of prose; None where there is none."""
        best: tuple[float, float] | None = None
        for width, x in gutters(pieces, self.height * MIN_GUTTER):
            if (best is None or width > best[0]) and is_column_gutter(pieces, x):
                best = (width, x)
        return best[1] if best else None

    def banded(self, bands: list[list[Piece]]) -> Iterator[tuple[list[Piece], bool]]:
        """Neighbouring strips joined where together they have columns: (pieces, whether joined)."""
        i = 0
        while i < len(bands):
            end = self.reach(bands, i)
            group = [p for band in bands[i:end] for p in band]
            if end - i > 1 and end - i < len(bands) and self.column_cut(group) is not None:
                yield group, True
                i = end
            else:
                yield bands[i], False
                i += 1

    def reach(self, bands: list[list[Piece]], start: int) -> int:
        """Where strips from `start` on stop sharing a vertical gap. Gaps only shrink as strips join, so one walk finds it."""
        least = self.height * MIN_GUTTER
        free = [(min(p.x0 for band in bands for p in band), max(p.x1 for band in bands for p in band))]
        for end in range(start, min(len(bands), start + MAX_REACH)):
            for p in bands[end]:
                free = [(a, b) for lo, hi in free for a, b in ((lo, min(hi, p.x0)), (max(lo, p.x1), hi)) if b - a >= least]
            if not free:
                return end
        return min(len(bands), start + MAX_REACH)


def one_row(pieces: Sequence[Piece]) -> bool:
    """Whether the pieces stand on one baseline, about."""
    middles = [p.middle for p in pieces]
    return max(middles) - min(middles) <= 0.5 * min(p.height for p in pieces)


def strips(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """The pieces from top to bottom, parted wherever a horizontal line can pass between their cores."""
    out: list[list[Piece]] = []
    bottom = float("-inf")
    for p in sorted(pieces, key=lambda p: (p.middle - CORE * p.height, p.x0, p.index)):
        if p.middle - CORE * p.height >= bottom or not out:
            out.append([])
        out[-1].append(p)
        bottom = max(bottom, p.middle + CORE * p.height)
    return out


def gutters(pieces: Sequence[Piece], least: float) -> list[tuple[float, float]]:
    """Vertical gaps at least `least` wide that no piece crosses, with pieces on both sides: (width, x of the middle)."""
    out = []
    edge = float("-inf")
    for p in sorted(pieces, key=lambda p: (p.x0, p.index)):
        if p.x0 - edge >= least and edge != float("-inf"):
            out.append((p.x0 - edge, (p.x0 + edge) / 2))
        edge = max(edge, p.x1)
    return out


def is_column_gutter(pieces: Sequence[Piece], x: float) -> bool:
    """Whether what stands on either side of `x` are columns to be read down one after the other.

    They are not where a side has under three lines, where they do not stand side by side (a third of the shorter's height), or
    where they are a table's: most lines have a neighbour at their height and one side has few words a line.
    """
    left = [p for p in pieces if p.x1 <= x]
    right = [p for p in pieces if p.x1 > x]
    few, many = sorted((left, right), key=len)
    if len(strips(few)) < MIN_COLUMN_LINES:
        return False
    spans = [(min(p.y0 for p in side), max(p.y1 for p in side)) for side in (left, right)]
    beside = min(s[1] for s in spans) - max(s[0] for s in spans)
    if beside < min(s[1] - s[0] for s in spans) / 3:
        return False
    words = min(sum(p.words for p in side) / len(strips(side)) for side in (left, right))
    if words >= TABLE_WORDS:
        return True
    middles = sorted(p.middle for p in many)
    return sum(_near(middles, p.middle, 0.3 * p.height) for p in few) < TABLE_ALIGNED * len(few)


def _near(values: Sequence[float], x: float, within: float) -> bool:
    """Whether sorted `values` hold one within `within` of x."""
    i = bisect.bisect_left(values, x - within)
    return i < len(values) and values[i] <= x + within
