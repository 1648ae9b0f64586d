"""A picture of the sample web: what it shows, the caption that says so, and its bytes.

A caption names the kind, the colour, a count and one more visible thing, in a small vocabulary and a fixed word order.
Kind, colour and count are independent of one another and of the page that the picture stands on.
"""

from __future__ import annotations

import functools
import io
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipelines.sample.answers import Answer
from pipelines.sample.drawing import charts, plans, scenes
from pipelines.sample.drawing.canvas import COLOURS, WHITE, Canvas, Colour, light

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")


@dataclass(frozen=True)
class Kind:
    draw: Callable[[Canvas, Colour, int, str, random.Random], None]
    counts: tuple[int, int]  # how many of the counted thing a picture may have, both ends included
    caption: str
    features: tuple[str, ...] = ()  # the other visible thing; empty for a kind that shows a subject


_KINDS: Mapping[str, Kind] = {
    "bar": Kind(charts.bars, (3, 7), "A bar chart in {colour} with {n} bar{s}, showing {feature}"),
    "line": Kind(charts.lines, (1, 4), "A line plot in {colour} with {n} line{s}, showing {feature}"),
    "pie": Kind(charts.pie, (2, 6), "A pie chart in {colour} with {n} slice{s}, showing {feature}"),
    "map": Kind(plans.island_map, (1, 5), "A map in {colour}, with {n} island{s} and a {feature}",
                ("river", "road", "railway")),
    "route": Kind(plans.route, (3, 7), "A route map in {colour} with {n} stop{s}, showing {feature}"),
    "ring": Kind(plans.rings, (2, 5), "A ring diagram in {colour} with {n} ring{s}, showing {feature}"),
    "flow": Kind(plans.flow, (3, 6), "A flow diagram in {colour} with {n} step{s}, showing {feature}"),
    "cutaway": Kind(plans.cutaway, (2, 6), "A cutaway diagram in {colour} with {n} part{s}, showing {feature}"),
    "night": Kind(scenes.night, (1, 4), "A night scene in {colour}, with {n} hill{s} under a {feature} moon",
                  ("full", "half", "crescent")),
    "boats": Kind(scenes.boats, (1, 4), "A sea scene in {colour}, with {n} sailing boat{s} {feature}",
                  ("by day", "at sunset", "in fog")),
    "garden": Kind(scenes.garden, (2, 6), "A garden scene in {colour}, with {n} flower{s} before {feature}",
                   ("one tree", "two trees", "three trees")),
    "street": Kind(scenes.street, (2, 5), "A street scene in {colour}, with {n} house{s} and a {feature}",
                   ("tram", "bus", "tree", "lamp")),
    "still": Kind(scenes.table, (1, 5), "A still life in {colour}, with {n} {thing}{s} on a table",
                  ("apples", "jars", "bowls", "bottles")),
}  # fmt: skip
COUNTS: Mapping[str, tuple[int, int]] = {name: kind.counts for name, kind in _KINDS.items()}
KINDS = tuple(_KINDS)
FEATURES: Mapping[str, tuple[str, ...]] = {name: kind.features for name, kind in _KINDS.items() if kind.features}

_SIZES = ((640, 480), (640, 480), (800, 600), (720, 480), (600, 600), (480, 600), (960, 640))
_MIMES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
_OPTIONS: Mapping[str, dict[str, int]] = {
    "image/jpeg": {"quality": 85}, "image/png": {"compress_level": 1}, "image/webp": {"quality": 80, "method": 0},
}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """`feature` is one of FEATURES, or the subject of a chart or diagram. `url` ends in .jpg, .png or .webp."""

    url: str
    kind: str
    colour: str
    count: int
    feature: str

    @property
    def caption(self) -> str:
        s = "" if self.count == 1 else "s"
        values = {"colour": self.colour, "n": NUMBERS[self.count], "s": s, "feature": self.feature}
        return _KINDS[self.kind].caption.format(**values, thing=self.feature[:-1])

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels; between 480 and 960 on the longer side."""
        return random.Random("size " + self.url).choice(_SIZES)

    @property
    def mime(self) -> str:
        return _MIMES[self.url.rsplit(".", 1)[-1]]


def paint(picture: Picture) -> Canvas:
    colour = COLOURS[picture.colour]
    backgrounds = {"map": plans.SEA, "route": WHITE, **dict.fromkeys(("bar", "line", "pie"), light(colour, 0.86))}
    canvas = Canvas(*picture.size, backgrounds.get(picture.kind, light(colour, 0.93)))
    rng = random.Random("paint " + picture.url)
    _KINDS[picture.kind].draw(canvas, colour, picture.count, picture.feature, rng)
    return canvas


@functools.lru_cache(maxsize=128)
def render(picture: Picture) -> bytes:
    """The file, in the format that its address names; about 10 ms."""
    out = io.BytesIO()
    paint(picture).finish().save(out, picture.mime.removeprefix("image/").upper(), **_OPTIONS[picture.mime])
    return out.getvalue()


def picture_answer(picture: Picture) -> Answer:
    return Answer(200, picture.mime, render(picture), "image")


class Sketchbook:
    """Gives out new pictures; no two have the same caption or the same address."""

    def __init__(self, seed: str, after: Sketchbook | None = None) -> None:
        """after: a book whose captions must not be used again."""
        self._rng = random.Random("sketchbook " + seed)
        self._captions: set[str] = set(after._captions) if after else set()
        self.pictures: dict[str, Picture] = {}

    def new(self, base: str, kind: str, subjects: tuple[str, ...]) -> Picture:
        """A picture below the address `base`. subjects: what a chart or a diagram may show.

        Raises ValueError where (nearly) every caption of that kind is used.
        """
        rng = self._rng
        for _ in range(500):
            colour, count = rng.choice(list(COLOURS)), rng.randint(*COUNTS[kind])
            feature = rng.choice(FEATURES.get(kind) or subjects)
            ending = rng.choices(("jpg", "png", "webp"), (70, 20, 10))[0]
            url = f"{base}{feature.replace(' ', '-')}-{len(self.pictures):04d}.{ending}"
            picture = Picture(url, kind, colour, count, feature)
            if picture.caption not in self._captions:
                self._captions.add(picture.caption)
                self.pictures[url] = picture
                return picture
        raise ValueError(f"no new caption left for kind {kind}")
