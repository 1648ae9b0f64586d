"""Two charts as SVG, inside a page or as a file of their own: bars with their numbers, and histograms over bins."""

import html
import math
from collections.abc import Callable, Sequence

from manifests.sketch import ZERO, low, quantile

WIDTH, HEIGHT, BAR, LABEL = 340, 90, 17, 150  # pixels: of a chart, of a histogram, of a bar with its gap, of a name
_AXIS, _TITLE, _GAP = 32, 22, 24  # pixels: below a histogram, above it, and around it in a sheet
#: colours of a sheet. A page brings its own style for the same classes (report.css).
_STYLE = "text{font:11px system-ui,sans-serif;fill:#1d2330}.soft{fill:#667085}.b{fill:#3b6fb6}.title{font-weight:600}"


def bars(rows: Sequence[tuple[str, int]], of: int | None = None, most: int = 14) -> str:
    """Horizontal bars with numbers, and shares of the number `of`. Rows beyond `most` become one bar with their sum."""
    if len(rows) > most:
        rest = rows[most - 1 :]
        rows = [*rows[: most - 1], (f"{len(rest)} others", sum(n for _, n in rest))]
    top = max((n for _, n in rows), default=1) or 1
    out = []
    for i, (name, n) in enumerate(rows):
        y = i * (BAR + 4)
        width = (WIDTH - LABEL - 80) * n / top
        share = f" ({n / of:.0%})" if of else ""
        out.append(
            f"<text x='{LABEL - 6}' y='{y + 12}' text-anchor='end'>{html.escape(name)}</text>"
            f"<rect class='b' x='{LABEL}' y='{y}' width='{max(width, 1):.1f}' height='{BAR - 2}' rx='2' />"
            f"<text class='soft' x='{LABEL + width + 5:.1f}' y='{y + 12}'>{n:,}{share}</text>"
        )
    return f"<svg width='{WIDTH}' height='{len(rows) * (BAR + 4)}' role='img'>{''.join(out)}</svg>"


def histogram(counts: dict[int, int], whole: bool = False) -> str:
    """Counts by bin of `manifests.sketch`, with the 5th, 50th and 95th percentiles below.

    whole: the values are whole numbers, so the least whole number of a bin is written in place of its lower edge.
    """
    edge: Callable[[float], float] = math.ceil if whole else float
    numbers = sorted(b for b in counts if b != ZERO)
    zeros = counts.get(ZERO, 0)
    if not numbers:
        text = f"all {zeros:,} are zero" if zeros else "none"
        return f"<svg width='{WIDTH}' height='20' role='img'><text x='0' y='13'>{text}</text></svg>"
    first, last = numbers[0], max(numbers[-1], numbers[0] + 7)
    step = (WIDTH - 10) / (last - first + 1)
    top = max(counts.values())
    out = []
    for b in numbers:
        x, width, height = (b - first) * step, max(step - 0.6, 0.8), (HEIGHT - 4) * counts[b] / top
        place = f"x='{x:.1f}' y='{HEIGHT - height:.1f}'"
        out.append(f"<rect class='b' {place} width='{width:.1f}' height='{height:.1f}' />")
    percentiles = "  ".join(f"p{q} {_short(edge(quantile(counts, q / 100)))}" for q in (5, 50, 95))
    label = percentiles + (f"  zero: {zeros:,}" if zeros else "")
    out.append(f"<text class='soft' x='0' y='{HEIGHT + 13}'>{_short(edge(low(first)))}</text>")
    end = f"x='{WIDTH - 10}' y='{HEIGHT + 13}' text-anchor='end'"
    out.append(f"<text class='soft' {end}>{_short(edge(low(last + 1)))}</text>")
    out.append(f"<text x='0' y='{HEIGHT + 28}'>{label}</text>")
    return f"<svg width='{WIDTH}' height='{HEIGHT + _AXIS}' role='img'>{''.join(out)}</svg>"


def sheet(rows: Sequence[Sequence[tuple[str, dict[int, int]]]]) -> str:
    """An SVG file: rows of histograms of whole numbers, each with its title above it."""
    across, down = WIDTH + _GAP, _TITLE + HEIGHT + _AXIS + _GAP
    panels = [
        f"<g transform='translate({_GAP + x * across} {_GAP + y * down})'>"
        f"<text class='title' x='0' y='11'>{html.escape(title)}</text>"
        f"<g transform='translate(0 {_TITLE})'>{histogram(counts, whole=True)}</g></g>"
        for y, row in enumerate(rows)
        for x, (title, counts) in enumerate(row)
    ]
    size = f"width='{_GAP + max(map(len, rows), default=1) * across}' height='{_GAP + len(rows) * down}'"
    head = f"<svg xmlns='http://www.w3.org/2000/svg' {size}><style>{_STYLE}</style>"
    return f"{head}<rect width='100%' height='100%' fill='#fff'/>{''.join(panels)}</svg>\n"


def _short(value: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
