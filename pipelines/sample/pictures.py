"""A picture of the sample web: what it shows, the sentence that says so, and its bytes.

A caption names the kind, the colour, a count and one more thing that can be seen, in a small vocabulary and one fixed
order of words; kind, colour and count vary independently of one another and of the page the picture stands on.
"""

from __future__ import annotations

import functools
import io
import random
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.sample.drawing import charts, plans, scenes
from pipelines.sample.drawing.canvas import COLOURS, WHITE, Canvas, light

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")
_PLURAL = {
    "bar": "bars",
    "line": "lines",
    "pie": "slices",
    "ring": "rings",
    "flow": "steps",
    "cutaway": "parts",
    "route": "stops",
}
_NAMES = {
    "bar": "bar chart",
    "line": "line plot",
    "pie": "pie chart",
    "ring": "ring diagram",
    "flow": "flow diagram",
    "cutaway": "cutaway diagram",
    "route": "route map",
}

#: how many of the counted thing a kind may have, both ends included
COUNTS: Mapping[str, tuple[int, int]] = {
    "bar": (3, 7),
    "line": (1, 4),
    "pie": (2, 6),
    "map": (1, 5),
    "route": (3, 7),
    "ring": (2, 5),
    "flow": (3, 6),
    "cutaway": (2, 6),
    "night": (1, 4),
    "boats": (1, 4),
    "garden": (2, 6),
    "street": (2, 5),
    "still": (1, 5),
}
KINDS = tuple(COUNTS)

#: the other thing that can be seen, for the kinds that show no subject
FEATURES: Mapping[str, tuple[str, ...]] = {
    "map": ("river", "road", "railway"),
    "night": ("full", "half", "crescent"),
    "boats": ("by day", "at sunset", "in fog"),
    "garden": ("one tree", "two trees", "three trees"),
    "street": ("tram", "bus", "tree", "lamp"),
    "still": ("apples", "jars", "bowls", "bottles"),
}

_SIZES = ((640, 480), (640, 480), (800, 600), (720, 480), (600, 600), (480, 600), (960, 640))


@dataclass(frozen=True)
class Picture:
    """``feature`` is one of FEATURES, or the subject of a chart or diagram. ``url`` ends in .jpg, .png or .webp."""

    url: str
    kind: str
    colour: str
    count: int
    feature: str

    @property
    def caption(self) -> str:
        n = NUMBERS[self.count]
        s = "" if self.count == 1 else "s"
        if self.kind == "map":
            return f"A map in {self.colour}, with {n} island{s} and a {self.feature}"
        if self.kind == "night":
            return f"A night scene in {self.colour}, with {n} hill{s} under a {self.feature} moon"
        if self.kind == "boats":
            return f"A sea scene in {self.colour}, with {n} sailing boat{s} {self.feature}"
        if self.kind == "garden":
            return f"A garden scene in {self.colour}, with {n} flower{s} before {self.feature}"
        if self.kind == "street":
            return f"A street scene in {self.colour}, with {n} house{s} and a {self.feature}"
        if self.kind == "still":
            return f"A still life in {self.colour}, with {n} {self.feature[:-1] + s} on a table"
        thing = _PLURAL[self.kind] if s else _PLURAL[self.kind][:-1]
        return f"A {_NAMES[self.kind]} in {self.colour} with {n} {thing}, showing {self.feature}"

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels; between 480 and 960 on the longer side."""
        return random.Random("size " + self.url).choice(_SIZES)

    @property
    def mime(self) -> str:
        return {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}[self.url.rsplit(".", 1)[-1]]


def paint(picture: Picture) -> Canvas:
    rng = random.Random("paint " + picture.url)
    colour = COLOURS[picture.colour]
    width, height = picture.size
    tint = (
        light(colour, 0.86)
        if picture.kind in ("bar", "line", "pie")
        else plans.SEA
        if picture.kind == "map"
        else light(colour, 0.93)
    )
    canvas = Canvas(width, height, tint if picture.kind != "route" else WHITE)
    count, feature = picture.count, picture.feature
    match picture.kind:
        case "bar":
            charts.bars(canvas, colour, count, feature, rng)
        case "line":
            charts.lines(canvas, colour, count, feature, rng)
        case "pie":
            charts.pie(canvas, colour, count, feature, rng)
        case "map":
            plans.island_map(canvas, colour, count, feature, rng)
        case "route":
            plans.route(canvas, colour, count, feature, rng)
        case "ring":
            plans.rings(canvas, colour, count, feature, rng)
        case "flow":
            plans.flow(canvas, colour, count, feature, rng)
        case "cutaway":
            plans.cutaway(canvas, colour, count, feature, rng)
        case "night":
            scenes.night(canvas, colour, count, feature, rng)
        case "boats":
            scenes.boats(canvas, colour, count, feature, rng)
        case "garden":
            scenes.garden(canvas, colour, count, NUMBERS.index(feature.split()[0]), rng)
        case "street":
            scenes.street(canvas, colour, count, feature, rng)
        case "still":
            scenes.table(canvas, colour, count, feature, rng)
        case other:
            raise ValueError(f"unknown kind of picture: {other}")
    return canvas


@functools.lru_cache(maxsize=128)
def render(picture: Picture) -> bytes:
    """The file, in the format its address names; about 10 ms."""
    image = paint(picture).finish()
    out = io.BytesIO()
    match picture.mime:
        case "image/jpeg":
            image.save(out, "JPEG", quality=85)
        case "image/png":
            image.save(out, "PNG", compress_level=1)
        case _:
            image.save(out, "WEBP", quality=80, method=0)
    return out.getvalue()


class Sketchbook:
    """Hands out new pictures; no two have the same caption or the same address."""

    def __init__(self, seed: str, after: Sketchbook | None = None) -> None:
        """``after``: a book whose captions are not to be used again."""
        self._rng = random.Random("sketchbook " + seed)
        self._captions: set[str] = set(after._captions) if after else set()
        self.pictures: dict[str, Picture] = {}

    def new(self, base: str, kind: str, subjects: tuple[str, ...]) -> Picture:
        """A picture below the address ``base``; ``subjects`` is what a chart or a diagram may show.

        Raises ValueError where every caption of that kind is spent.
        """
        rng = self._rng
        for _ in range(500):
            colour, count = rng.choice(list(COLOURS)), rng.randint(*COUNTS[kind])
            feature = rng.choice(FEATURES.get(kind) or subjects)
            ending = rng.choices(("jpg", "png", "webp"), (70, 20, 10))[0]
            slug = feature.replace(" ", "-")
            made = Picture(f"{base}{slug}-{len(self.pictures):04d}.{ending}", kind, colour, count, feature)
            if made.caption not in self._captions:
                self._captions.add(made.caption)
                self.pictures[made.url] = made
                return made
        raise ValueError(f"no new caption left for kind {kind}")
