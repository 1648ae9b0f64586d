"""Training logs as curves: inline SVG, one chart for each quantity, one line for each source."""

import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from manifests.runfiles import RunFiles

WIDTH, HEIGHT, LEFT = 420, 150, 46  # pixels; LEFT: of the labels at the axis
COLOURS = ("#3b6fb6", "#b3412e", "#3f8f5b", "#8a5fb0")
LOG = r"train/[^/]+/log\.jsonl"
Points = Sequence[tuple[float, float]]  # step, value


def section(run: RunFiles) -> str:
    """The training section of a report: charts for each ``train/STAGE/log.jsonl`` of a run; empty without any.

    The stages are in the order in which their logs were last written.
    """
    changed = {path: time for path, time in run.changed("train").items() if re.fullmatch(LOG, path)}
    out = []
    for log in sorted(changed, key=lambda path: (changed[path], path)):
        stage, lines = log.split("/")[1], [json.loads(line) for line in run.read(log).decode().splitlines()]
        if lines:
            out.append(f"<h3>{html.escape(stage)}</h3><div class=row>{''.join(charts(lines))}</div>")
    return f"<h2>Training</h2>{''.join(out)}" if out else ""


def charts(lines: Sequence[dict[str, Any]]) -> list[str]:
    """Loss of each source, gradient norm, tokens per second, and MFU where the log has it."""
    losses: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        losses.setdefault(line["source"], []).append((line["step"], line["loss"]))
    out = [
        chart("loss, nats per token", losses),
        chart("gradient norm", {"": [(line["step"], line["gradient_norm"]) for line in lines]}),
        chart("tokens per second", {"": [(line["step"], line["tokens"] / line["seconds"]) for line in lines]}),
    ]
    mfu = [(line["step"], line["mfu"]) for line in lines if line.get("mfu") is not None]
    return [*out, chart("MFU", {"": mfu})] if mfu else out


def chart(title: str, series: Mapping[str, Points]) -> str:
    """One figure. Values that are not finite give no point; without any point, the figure is empty."""
    finite = {name: [(x, y) for x, y in points if math.isfinite(y)] for name, points in series.items()}
    points = [point for line in finite.values() for point in line]
    if not points:
        return ""
    low, high = min(0.0, min(y for _, y in points)), max(y for _, y in points) or 1.0
    first, last = min(x for x, _ in points), max(x for x, _ in points)

    def place(x: float, y: float) -> str:
        across = LEFT + (WIDTH - LEFT - 8) * (x - first) / ((last - first) or 1)
        return f"{across:.1f},{HEIGHT - 18 - (HEIGHT - 30) * (y - low) / ((high - low) or 1):.1f}"

    def text(x: float, y: object, words: str, style: str = "class='soft'") -> str:
        return f"<text x='{x}' y='{y}' {style}>{html.escape(words)}</text>"

    out = []
    for i, (name, line) in enumerate(finite.items()):
        colour, path = COLOURS[i % len(COLOURS)], " ".join(place(x, y) for x, y in line)
        out.append(f"<polyline fill='none' stroke='{colour}' stroke-width='1.3' points='{path}'/>")
        out.append(text(WIDTH - 8, 14 + 13 * i, name, f"text-anchor='end' style='fill:{colour}'"))
    for value in (low, high):
        y = place(first, value).split(",")[1]
        out.append(text(LEFT - 5, y, f"{value:.3g}", "class='soft' text-anchor='end'"))
    out.append(text(LEFT, HEIGHT - 3, f"step {first:g}"))
    out.append(text(WIDTH - 8, HEIGHT - 3, f"{last:g}", "class='soft' text-anchor='end'"))
    svg = f"<svg width='{WIDTH}' height='{HEIGHT}' role='img'>{''.join(out)}</svg>"
    return f"<figure><figcaption>{html.escape(title)}</figcaption>{svg}</figure>"
