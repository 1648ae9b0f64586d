"""A picture for the dataset card: of each configuration, how long its texts are, how large its images, and how many it
has.

Drawn with Pillow from the histograms of `stats.json`, so the base install can make a card; the same statistics, the
same bytes.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from manifests.sketch import ZERO, low, quantile

NAME = "plots.png"
#: histograms of a source in `stats.json`, and what they are called
SHOWN = {
    "tokens": "text tokens of a sample",
    "images": "images of a sample",
    "short side": "short side of an image, px",
}

_WIDTH, _HEIGHT, _GAP, _TOP, _FONT = 300, 90, 24, 34, 13  # pixels
_BAR, _INK, _SOFT = "#4477aa", "#222222", "#777777"
_LEAST = 8  # bins that a panel is wide, an octave


def png(stats: Mapping[str, Any]) -> bytes:
    """A row of panels for each source. stats: `stats.json` of a run with at least one source."""
    sources = sorted((s for s in stats["sources"].values() if s["samples"]), key=lambda s: str(s["config"]))
    size = (_GAP + len(SHOWN) * (_WIDTH + _GAP), max(1, len(sources)) * (_TOP + _HEIGHT + 2 * _GAP) + _GAP)
    page = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(_FONT)
    for row, source in enumerate(sources):
        for column, (name, title) in enumerate(SHOWN.items()):
            counts = {int(b): n for b, n in source["sketches"].get(name, {}).items()}
            left, top = _GAP + column * (_WIDTH + _GAP), _GAP + row * (_TOP + _HEIGHT + 2 * _GAP)
            draw.text((left, top), f"{source['config']}: {title}", fill=_INK, font=font)
            _histogram(draw, font, counts, left, top + _TOP)
    out = io.BytesIO()
    page.quantize(16).save(out, "PNG")
    return out.getvalue()


def _histogram(draw: ImageDraw.ImageDraw, font: Any, counts: dict[int, int], left: int, top: int) -> None:
    """Bars over logarithmic bins, and below them the first and last edge and three percentiles."""
    bins = sorted(b for b in counts if b != ZERO)
    bottom = top + _HEIGHT
    draw.line((left, bottom, left + _WIDTH, bottom), fill=_SOFT)
    if not bins:
        draw.text((left, bottom + 4), "none", fill=_SOFT, font=font)
        return
    first, last = bins[0], max(bins[-1], bins[0] + _LEAST - 1)
    step, most = _WIDTH / (last - first + 1), max(counts[b] for b in bins)
    for b in bins:
        x, tall = left + (b - first) * step, max(1, round((_HEIGHT - 4) * counts[b] / most))
        draw.rectangle((x, bottom - tall, x + max(step - 1, 1), bottom), fill=_BAR)
    percentiles = "   ".join(f"p{q} {_short(quantile(counts, q / 100))}" for q in (5, 50, 95))
    draw.text((left, bottom + 4), f"{_short(low(first))}", fill=_SOFT, font=font)
    draw.text((left + _WIDTH, bottom + 4), _short(low(last + 1)), fill=_SOFT, font=font, anchor="ra")
    draw.text((left + _WIDTH / 2, bottom + 4), percentiles, fill=_INK, font=font, anchor="ma")


def _short(edge: float) -> str:
    """The least whole number of a bin, as all that is shown here is counted in whole numbers."""
    value = math.ceil(edge)
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
