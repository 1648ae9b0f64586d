"""Training logs as curves: inline SVG, one chart a quantity, one line a source."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, LEFT = 420, 150, 46
COLOURS = ("#3b6fb6", "#b3412e", "#3f8f5b", "#8a5fb0")
Points = Sequence[tuple[float, float]]


def section(folder: Path) -> str:
    """The training section of a report: a row of charts for each stage below `folder` that has a ``log.jsonl``; empty
    without any.
    """
    out = []
    for log in sorted(folder.glob("*/log.jsonl"), key=lambda path: (path.stat().st_mtime_ns, path.parent.name)):
        lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
        if lines:
            out.append(f"<h3>{html.escape(log.parent.name)}</h3><div class=row>{''.join(charts(lines))}</div>")
    return f"<h2>Training</h2>{''.join(out)}" if out else ""


def charts(lines: Sequence[dict[str, Any]]) -> list[str]:
    """Loss of each source, gradient norm, tokens a second, and MFU where it is known."""
    sources = dict.fromkeys(line["source"] for line in lines)
    losses: dict[str, Points] = {
        name: [(line["step"], line["loss"]) for line in lines if line["source"] == name] for name in sources
    }
    rates = [(line["step"], line["tokens"] / line["seconds"]) for line in lines]
    out = [
        chart("loss, nats a token", losses),
        chart("gradient norm", {"": [(line["step"], line["gradient_norm"]) for line in lines]}),
    ]
    out.append(chart("tokens a second", {"": rates}))
    shares = [(line["step"], line["mfu"]) for line in lines if line.get("mfu") is not None]
    return [*out, chart("MFU", {"": shares})] if shares else out


def chart(title: str, series: dict[str, Points]) -> str:
    """One figure; values that are not finite leave no point."""
    kept = {name: [(x, y) for x, y in points if math.isfinite(y)] for name, points in series.items()}
    flat = [point for points in kept.values() for point in points]
    if not flat:
        return ""
    low, high = min(0.0, min(y for _, y in flat)), max(y for _, y in flat) or 1.0
    first, last = min(x for x, _ in flat), max(x for x, _ in flat)

    def place(x: float, y: float) -> str:
        across = LEFT + (WIDTH - LEFT - 8) * (x - first) / ((last - first) or 1)
        return f"{across:.1f},{HEIGHT - 18 - (HEIGHT - 30) * (y - low) / ((high - low) or 1):.1f}"

    out = []
    for i, (name, points) in enumerate(kept.items()):
        colour = COLOURS[i % len(COLOURS)]
        out.append(
            f"<polyline fill=none stroke='{colour}' stroke-width=1.3 points='{' '.join(place(x, y) for x, y in points)}'/>"
        )
        if name:
            out.append(
                f"<text x={WIDTH - 8} y={14 + 13 * i} text-anchor=end style='fill:{colour}'>{html.escape(name)}</text>"
            )
    for value in (low, high):
        out.append(
            f"<text class=soft x={LEFT - 5} y={place(first, value).split(',')[1]} text-anchor=end>{value:.3g}</text>"
        )
    out.append(f"<text class=soft x={LEFT} y={HEIGHT - 3}>step {first:g}</text>")
    out.append(f"<text class=soft x={WIDTH - 8} y={HEIGHT - 3} text-anchor=end>{last:g}</text>")
    body = f"<svg width={WIDTH} height={HEIGHT} role=img>{''.join(out)}</svg>"
    return f"<figure><figcaption>{html.escape(title)}</figcaption>{body}</figure>"
