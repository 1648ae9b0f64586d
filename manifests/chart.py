"""Two charts as inline SVG: bars with their numbers, and a histogram over logarithmic bins."""

from __future__ import annotations

import html
from collections.abc import Sequence

from manifests.sketch import ZERO, low, quantile

WIDTH, BAR = 340, 17
LABEL = 150


def bars(rows: Sequence[tuple[str, int]], of: int | None = None, most: int = 14) -> str:
    """Horizontal bars, as long as their numbers; `of`: print shares of that number. More than `most` rows are summed
    up.
    """
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
            f"<rect class=b x='{LABEL}' y='{y}' width='{max(width, 1):.1f}' height='{BAR - 2}' rx=2 />"
            f"<text class=soft x='{LABEL + width + 5:.1f}' y='{y + 12}'>{n:,}{share}</text>"
        )
    return f"<svg width={WIDTH} height={len(rows) * (BAR + 4)} role=img>{''.join(out)}</svg>"


def histogram(counts: dict[int, int], height: int = 90) -> str:
    """Counts by bin of `manifests.sketch`, with the 5th, 50th and 95th percentiles written below."""
    numbers = sorted(b for b in counts if b != ZERO)
    zeros = counts.get(ZERO, 0)
    if not numbers:
        return f"<svg width={WIDTH} height=20 role=img><text x=0 y=13>all {zeros:,} are zero</text></svg>"
    first, last = numbers[0], max(numbers[-1], numbers[0] + 7)
    step = (WIDTH - 10) / (last - first + 1)
    top = max(counts.values())
    out = []
    for b in numbers:
        tall = (height - 4) * counts[b] / top
        out.append(
            f"<rect class=b x='{(b - first) * step:.1f}' y='{height - tall:.1f}' width='{max(step - 0.6, 0.8):.1f}' height='{tall:.1f}' />"
        )
    percentiles = "  ".join(f"p{q} {_short(quantile(counts, q / 100))}" for q in (5, 50, 95))
    said = f"{percentiles}" + (f"  zero: {zeros:,}" if zeros else "")
    axis = f"<text class=soft x=0 y={height + 13}>{_short(low(first))}</text>"
    axis += f"<text class=soft x={WIDTH - 10} y={height + 13} text-anchor=end>{_short(low(last + 1))}</text>"
    return f"<svg width={WIDTH} height={height + 32} role=img>{''.join(out)}{axis}<text x=0 y={height + 28}>{said}</text></svg>"


def _short(value: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
