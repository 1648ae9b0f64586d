"""Maps, route maps and labelled diagrams."""

import itertools
import math
import random

from pipelines.sample.drawing.canvas import INK, WHITE, Canvas, Colour, Point, dark, light, mix, ring

_PLACES = (
    "Arden", "Brill", "Corve", "Dunny", "Elm", "Farrow", "Gale", "Hythe", "Ivel", "Kirk", "Lowick", "Marle", "Norr",
    "Ock", "Penn", "Quay",
)  # fmt: skip
SEA: Colour = (214, 232, 244)
_WATER: Colour = (70, 140, 220)


def _winding(a: Point, b: Point, swing: float, rng: random.Random, steps: int = 24) -> list[Point]:
    """A line from `a` to `b` that swings to either side."""
    phase, waves = rng.uniform(0, 6), rng.uniform(1.5, 3)
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = math.hypot(dx, dy)
    points = []
    for i in range(steps + 1):
        t = i / steps
        off = swing * math.sin(phase + t * waves * 2 * math.pi) * math.sin(t * math.pi)
        points.append((a[0] + dx * t - dy / length * off, a[1] + dy * t + dx / length * off))
    return points


def island_map(canvas: Canvas, colour: Colour, count: int, feature: str, rng: random.Random) -> None:
    """Land in `colour` on the left, `count` islands in the sea on the right, and a river, a road or a railway."""
    w, h = canvas.width, canvas.height
    for i in range(7):
        canvas.path([(0, h * (i + 0.5) / 7), (w, h * (i + 0.5) / 7)], mix(SEA, WHITE, 0.5), 2)
    coast = [(w * (0.58 + rng.uniform(-0.06, 0.06)), h * i / 14) for i in range(15)]
    canvas.shape([(0, 0), *[(x + 7, y) for x, y in coast], (0, h)], light(colour, 0.6))
    canvas.shape([(0, 0), *coast, (0, h)], colour)
    lake = ring(w * 0.2, h * rng.uniform(0.25, 0.75), [h * rng.uniform(0.1, 0.2) for _ in range(9)])
    canvas.shape(lake, dark(colour, 0.2))
    for i in range(count):
        # a row of islands along the right, so that none hides another
        x, y = w * (0.79 + 0.09 * (-1) ** i * rng.uniform(0.5, 1)), h * (i + 0.5) / count
        r = min(h * 0.36 / count, h * 0.1)
        canvas.shape(ring(x, y, [r * rng.uniform(1.05, 1.3) for _ in range(8)]), light(colour, 0.5))
        canvas.shape(ring(x, y, [r * rng.uniform(0.75, 1.0) for _ in range(8)]), colour)
    way = _winding((0, h * rng.uniform(0.2, 0.8)), (w * 0.57, h * rng.uniform(0.3, 0.7)), h * 0.16, rng)
    if feature == "river":
        canvas.path(way, (225, 240, 252), h * 0.06)
        canvas.path(way, _WATER, h * 0.042)
    elif feature == "road":
        canvas.path(way, INK, h * 0.042)
        canvas.path(way, (255, 250, 225), h * 0.03)
    else:
        canvas.path(way, WHITE, h * 0.05)
        canvas.path(way, INK, h * 0.014)
        for x, y in way[1::2]:
            canvas.path([(x, y - h * 0.022), (x, y + h * 0.022)], INK, 4)
    for name, at in zip(rng.sample(_PLACES, 3), (4, 11, 18), strict=True):
        x, y = way[at]
        canvas.disc(x, y, h * 0.02, INK)
        canvas.disc(x, y, h * 0.013, WHITE)
        canvas.words(x, y - h * 0.06, name, h * 0.04)
    canvas.words(w * 0.95, h * 0.05, "N", h * 0.05, INK)
    canvas.shape([(w * 0.95, h * 0.08), (w * 0.94, h * 0.13), (w * 0.96, h * 0.13)], INK)


def route(canvas: Canvas, colour: Colour, count: int, subject: str, rng: random.Random) -> None:
    """One thick line with `count` stops, like an underground map."""
    w, h = canvas.width, canvas.height
    for _ in range(3):
        y = h * rng.uniform(0.2, 0.9)
        canvas.path([(0, y), (w, y + h * rng.uniform(-0.3, 0.3))], (226, 226, 224), h * 0.02)
    canvas.path(_winding((0, h * 0.85), (w, h * rng.uniform(0.6, 0.95)), h * 0.08, rng), (205, 226, 243), h * 0.09)
    canvas.words(w * 0.05, h * 0.08, subject[0].upper() + subject[1:], h * 0.05, INK, "lm")
    levels = [h * rng.choice((0.3, 0.45, 0.6, 0.72)) for _ in range(4)]
    line: list[Point] = []
    for x, level in zip((w * 0.08, w * 0.34, w * 0.62, w * 0.92), levels, strict=True):
        if line:
            line.append((x - abs(level - line[-1][1]), line[-1][1]))
        line.append((x, level))
    canvas.path(line, colour, h * 0.05)
    spans = [math.dist(a, b) for a, b in itertools.pairwise(line)]
    for i, name in enumerate(rng.sample(_PLACES, count)):
        left = sum(spans) * i / (count - 1) if count > 1 else 0.0
        at = line[-1]
        for (a, b), span in zip(itertools.pairwise(line), spans, strict=True):
            if left <= span:
                t = left / span if span else 0.0
                at = (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t)
                break
            left -= span
        canvas.disc(*at, h * 0.042, dark(colour, 0.5))
        canvas.disc(*at, h * 0.028, WHITE)
        canvas.words(at[0], at[1] + h * (0.085 if i % 2 else -0.08), name, h * 0.037)


def rings(canvas: Canvas, colour: Colour, count: int, subject: str, rng: random.Random) -> None:
    """`count` rings about one centre, each with a leader line and a letter."""
    w, h = canvas.width, canvas.height
    x, y, radius = w * 0.42, h * 0.54, min(w, h) * 0.4
    canvas.words(w / 2, h * 0.06, subject[0].upper() + subject[1:], h * 0.05)
    for i in range(count):
        r = radius * (count - i) / count
        canvas.disc(x, y, r, WHITE)
        canvas.disc(x, y, r - 3, colour if i % 2 == 0 else light(colour, 0.55))
    canvas.disc(x, y, radius * 0.06, dark(colour, 0.6))
    for i in range(count):
        r = radius * (count - i - 0.5) / count
        row = h * 0.2 + h * 0.68 * i / max(1, count - 1)
        angle = rng.uniform(-0.9, 0.9)
        canvas.path([(x + r * math.cos(angle), y + r * math.sin(angle)), (w * 0.86, row)], INK, 2)
        canvas.disc(x + r * math.cos(angle), y + r * math.sin(angle), 5, INK)
        canvas.words(w * 0.9, row, "ABCDEFGH"[i], h * 0.06)


def flow(canvas: Canvas, colour: Colour, count: int, subject: str, rng: random.Random) -> None:
    """`count` numbered boxes on two rows, joined by arrows."""
    w, h = canvas.width, canvas.height
    canvas.words(w / 2, h * 0.08, subject[0].upper() + subject[1:], h * 0.055)
    top = math.ceil(count / 2)
    across, tall = w * 0.9 / top, h * 0.24
    centres = []
    for i in range(count):
        row, col = (0, i) if i < top else (1, top - 1 - (i - top))
        centres.append((w * 0.05 + across * (col + 0.5), h * (0.34 if row == 0 else 0.75)))
    for a, b in itertools.pairwise(centres):
        canvas.path([a, b], INK, 5)
        mid = (a[0] * 0.5 + b[0] * 0.5, a[1] * 0.5 + b[1] * 0.5)
        angle = math.atan2(b[1] - a[1], b[0] - a[0])
        head = [(mid[0] + 15 * math.cos(angle + d), mid[1] + 15 * math.sin(angle + d)) for d in (0, 2.4, -2.4)]
        canvas.shape(head, INK)
    for i, (x, y) in enumerate(centres):
        half, radius = across * 0.36, 18 if rng.random() < 0.7 else 0
        canvas.box(x - half, y - tall / 2, x + half, y + tall / 2, colour, radius, edge=dark(colour))
        canvas.words(x, y, str(i + 1), h * 0.1, WHITE)


def cutaway(canvas: Canvas, colour: Colour, count: int, subject: str, rng: random.Random) -> None:
    """The inside of a tube: `count` parts, a lens at one end, a letter for each part."""
    w, h = canvas.width, canvas.height
    canvas.words(w / 2, h * 0.08, subject[0].upper() + subject[1:], h * 0.055)
    left, right, y = w * 0.08, w * 0.92, h * 0.52
    taper = rng.uniform(0.45, 0.95)
    step = (right - left) / count
    for i in range(count):
        a, b = left + step * i, left + step * (i + 1) - 7
        tall = h * 0.23 * (1 - (1 - taper) * i / max(1, count - 1))
        canvas.box(a, y - tall, b, y + tall, dark(colour, 0.4), radius=6)
        canvas.box(a + 8, y - tall + 16, b - 8, y + tall - 16, colour if i % 2 == 0 else light(colour, 0.4), radius=4)
        x = (a + b) / 2
        start, end, letter = (y - tall * 0.5, h * 0.2, h * 0.17) if i % 2 == 0 else (y + tall * 0.5, h * 0.86, h * 0.9)
        canvas.path([(x, start), (x, end)], INK, 2)
        canvas.disc(x, start, 5, INK)
        canvas.words(x, letter, "ABCDEFGH"[i], h * 0.055)
    canvas.disc(left + 6, y, 13, (190, 225, 245), tall=h * 0.2 / 13)
    canvas.path([(0, y), (w, y)], mix(colour, INK, 0.7), 1)
