"""Bar charts, line plots and pie charts: the colour fills a good part of the picture, and the items can be counted."""

import math
import random

from pipelines.sample.drawing.canvas import INK, WHITE, Canvas, Colour, dark, light, mix

_AXES = {
    "month": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep"),
    "year": ("2015", "2016", "2017", "2018", "2019", "2020", "2021", "2022", "2023"),
    "decade": ("1930s", "1940s", "1950s", "1960s", "1970s", "1980s", "1990s", "2000s", "2010s"),
    "century": ("14th", "15th", "16th", "17th", "18th", "19th", "20th"),
    "hour": ("06", "08", "10", "12", "14", "16", "18", "20", "22"),
    "week": ("W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W9"),
    "day": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
}
_LETTERS = ("A", "B", "C", "D", "E", "F", "G", "H", "I")


def _labels(subject: str) -> tuple[str, ...]:
    return _AXES.get(subject.rsplit(" ", 1)[-1], _LETTERS)


def _frame(canvas: Canvas, colour: Colour, subject: str) -> tuple[float, float, float, float]:
    """Title and grid; the plotting area as (left, top, right, bottom)."""
    w, h = canvas.width, canvas.height
    canvas.box(0, 0, w, h * 0.13, colour)
    canvas.words(w / 2, h * 0.065, subject[0].upper() + subject[1:], h * 0.05, WHITE)
    left, top, right, bottom = w * 0.11, h * 0.2, w * 0.95, h * 0.87
    for i in range(5):
        y = bottom - (bottom - top) * i / 4
        canvas.path([(left, y), (right, y)], mix(light(colour, 0.6), (150, 150, 150), 0.3), 1)
        canvas.words(left - 8, y, str(i * 25), h * 0.032, INK, "rm")
    canvas.path([(left, top), (left, bottom), (right, bottom)], INK, 2)
    return left, top, right, bottom


def bars(canvas: Canvas, colour: Colour, count: int, subject: str, rng: random.Random) -> None:
    left, top, right, bottom = _frame(canvas, colour, subject)
    step = (right - left) / count
    for i, label in zip(range(count), _labels(subject), strict=False):
        height = (bottom - top) * rng.uniform(0.3, 0.98)
        x = left + step * (i + 0.5)
        canvas.box(x - step * 0.34, bottom - height, x + step * 0.34, bottom, colour, edge=dark(colour))
        canvas.words(x, bottom + canvas.height * 0.05, label, canvas.height * 0.035)


def lines(canvas: Canvas, colour: Colour, count: int, subject: str, rng: random.Random) -> None:
    left, top, right, bottom = _frame(canvas, colour, subject)
    labels = _labels(subject)[: rng.randint(6, 9)]
    step = (right - left) / (len(labels) - 1)
    marks = [left + step * i for i in range(len(labels))]
    for x, label in zip(marks, labels, strict=True):
        canvas.words(x, bottom + canvas.height * 0.05, label, canvas.height * 0.035)
    band = (bottom - top) / count
    for i in range(count):
        # every line has a band of its own, so that the lines can be counted
        middle, swing, phase = bottom - band * (i + 0.5), band * rng.uniform(0.28, 0.42), rng.uniform(0, 6)
        points = [(x, middle + swing * math.sin(phase + j * rng.uniform(0.8, 1.2))) for j, x in enumerate(marks)]
        shade = mix(colour, dark(colour, 0.6), i / max(1, count - 1) * 0.6)
        if i == 0:
            canvas.shape([(left, bottom), *points, (right, bottom)], light(colour, 0.55))
        canvas.path(points, shade, canvas.height * 0.014)
        for x, y in points:
            canvas.disc(x, y, canvas.height * 0.016, shade)


def pie(canvas: Canvas, colour: Colour, count: int, subject: str, rng: random.Random) -> None:
    w, h = canvas.width, canvas.height
    canvas.words(w / 2, h * 0.07, subject[0].upper() + subject[1:], h * 0.05)
    radius = min(w * 0.3, h * 0.39)
    x, y = w * 0.36, h * 0.54
    weights = [rng.uniform(0.7, 1.6) for _ in range(count)]
    start = rng.uniform(0, 360)
    changes = ((light, 0.0), (light, 0.45), (dark, 0.35), (light, 0.22), (dark, 0.15), (light, 0.65))
    shades = [change(colour, share) for change, share in changes]  # neighbours never have the same shade
    for i, weight in enumerate(weights):
        sweep = 360 * weight / sum(weights)
        shade = shades[i % len(shades)]
        canvas.slice(x, y, radius, start, start + sweep, shade)
        angle = math.radians(start + sweep / 2)
        label_x, label_y = x + radius * 0.65 * math.cos(angle), y + radius * 0.65 * math.sin(angle)
        canvas.words(label_x, label_y, f"{100 * weight / sum(weights):.0f}%", h * 0.035)
        row = h * (0.25 + 0.1 * i)
        canvas.box(w * 0.74, row - h * 0.025, w * 0.79, row + h * 0.025, shade)
        canvas.words(w * 0.81, row, f"Group {_LETTERS[i]}", h * 0.036, INK, "lm")
        start += sweep
