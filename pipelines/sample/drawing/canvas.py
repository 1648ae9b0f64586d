"""A canvas that is drawn at twice its size and then reduced, so that edges are smooth."""

import functools
import math
from collections.abc import Iterable, Sequence

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Point = tuple[float, float]

#: the colours that captions name; they differ even at the size of a thumbnail
COLOURS: dict[str, Colour] = {
    "red": (205, 35, 40),
    "orange": (244, 134, 18),
    "yellow": (243, 205, 30),
    "green": (44, 150, 58),
    "teal": (0, 158, 158),
    "blue": (34, 84, 208),
    "purple": (124, 52, 176),
    "pink": (240, 106, 172),
    "brown": (128, 80, 44),
    "grey": (118, 122, 128),
}

WHITE: Colour = (255, 255, 255)
INK: Colour = (38, 40, 46)
_SCALE = 2


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`a` with `share` (0..1) of `b`."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def light(colour: Colour, share: float = 0.85) -> Colour:
    return mix(colour, WHITE, share)


def dark(colour: Colour, share: float = 0.45) -> Colour:
    return mix(colour, (0, 0, 0), share)


#: the font inside Pillow at a size in pixels: the same glyphs on every machine
_font = functools.lru_cache(maxsize=32)(ImageFont.load_default)


class Canvas:
    """`width` x `height` pixels; origin top left; every length is in pixels of the finished picture."""

    def __init__(self, width: int, height: int, background: Colour) -> None:
        self.width, self.height = width, height
        self._image = Image.new("RGB", (width * _SCALE, height * _SCALE), background)
        self._draw = ImageDraw.Draw(self._image)

    def box(
        self, x0: float, y0: float, x1: float, y1: float, fill: Colour, radius: float = 0, edge: Colour | None = None
    ) -> None:
        corners = (x0 * _SCALE, y0 * _SCALE, x1 * _SCALE, y1 * _SCALE)
        if radius:
            self._draw.rounded_rectangle(corners, radius * _SCALE, fill, edge, 3)
        else:
            self._draw.rectangle(corners, fill, edge, 3)

    def disc(self, x: float, y: float, radius: float, fill: Colour, tall: float = 1.0) -> None:
        r = radius * _SCALE
        self._draw.ellipse((x * _SCALE - r, y * _SCALE - r * tall, x * _SCALE + r, y * _SCALE + r * tall), fill)

    def slice(self, x: float, y: float, radius: float, start: float, end: float, fill: Colour) -> None:
        """A slice of a disc, degrees clockwise from three o'clock, with a white edge."""
        x, y, r = x * _SCALE, y * _SCALE, radius * _SCALE
        self._draw.pieslice((x - r, y - r, x + r, y + r), start, end, fill, WHITE, 4)

    def shape(self, points: Iterable[Point], fill: Colour) -> None:
        self._draw.polygon([(x * _SCALE, y * _SCALE) for x, y in points], fill)

    def path(self, points: Sequence[Point], fill: Colour, width: float) -> None:
        scaled = [(x * _SCALE, y * _SCALE) for x, y in points]
        self._draw.line(scaled, fill, round(width * _SCALE), joint="curve")
        if width >= 5:
            for x, y in (scaled[0], scaled[-1]):
                r = width * _SCALE / 2 - 1
                self._draw.ellipse((x - r, y - r, x + r, y + r), fill)

    def words(self, x: float, y: float, text: str, size: float, fill: Colour = INK, anchor: str = "mm") -> None:
        """`anchor` as in Pillow: `mm` middle, `lm` left, `rm` right."""
        self._draw.text((x * _SCALE, y * _SCALE), text, fill, _font(round(size * _SCALE)), anchor)

    def fade(self, top: Colour, bottom: Colour, y0: float = 0, y1: float | None = None) -> None:
        """A vertical blend over the full width."""
        end, steps = self.height if y1 is None else y1, 80
        for i in range(steps):
            a, b = y0 + (end - y0) * i / steps, y0 + (end - y0) * (i + 1) / steps
            self._draw.rectangle((0, a * _SCALE, self.width * _SCALE, b * _SCALE), mix(top, bottom, i / (steps - 1)))

    def finish(self) -> Image.Image:
        return self._image.reduce(_SCALE)


def ring(x: float, y: float, radii: Sequence[float]) -> list[Point]:
    """A closed outline round (x, y) with one radius for each direction, as smooth as a coast."""
    n = len(radii)
    outline = []
    for i in range(n * 4):
        at, share = divmod(i, 4)
        blend = (1 - math.cos(share / 4 * math.pi)) / 2
        r = radii[at] * (1 - blend) + radii[(at + 1) % n] * blend
        angle = 2 * math.pi * i / (n * 4)
        outline.append((x + r * math.cos(angle), y + r * math.sin(angle)))
    return outline
