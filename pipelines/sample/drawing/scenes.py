"""Scenes: a night sky over hills, boats, a garden, a street, things on a table."""

import math
import random

from pipelines.sample.drawing.canvas import INK, WHITE, Canvas, Colour, dark, light, mix

_MOONLIGHT: Colour = (250, 244, 214)
_TRUNK: Colour = (96, 66, 44)
_LEAF: Colour = (58, 128, 62)
#: length as a share of the street, colours of the body and of the glass, windows
_VEHICLES = {"tram": (0.42, (246, 244, 236), (70, 110, 140), 6), "bus": (0.27, (40, 44, 60), (240, 226, 150), 4)}


def _tree(canvas: Canvas, x: float, foot: float, size: float, leaf: Colour) -> None:
    canvas.box(x - size * 0.06, foot - size * 0.5, x + size * 0.06, foot, _TRUNK)
    for dx, dy, r in ((-0.2, -0.55, 0.24), (0.2, -0.55, 0.24), (0, -0.8, 0.28), (0, -0.5, 0.25)):
        canvas.disc(x + dx * size, foot + dy * size, r * size, leaf)


def night(canvas: Canvas, colour: Colour, count: int, moon: str, rng: random.Random) -> None:
    """`count` ridges of hills in `colour` below a dark sky with a full, half or crescent moon."""
    w, h = canvas.width, canvas.height
    top, low = (6, 8, 26), (34, 40, 78)
    canvas.fade(top, low, 0, h * 0.7)
    for _ in range(70):
        canvas.disc(rng.uniform(0, w), rng.uniform(0, h * 0.6), rng.choice((0.8, 1.2, 1.8)), (235, 238, 255))
    x, y, r = w * rng.uniform(0.2, 0.8), h * rng.uniform(0.18, 0.26), h * 0.125
    shadow = mix(top, low, y / (h * 0.7))  # the sky at the moon's height
    if moon == "full":
        canvas.disc(x, y, r * 1.18, (46, 50, 84))
    canvas.disc(x, y, r, _MOONLIGHT)
    if moon == "full":
        for dx, dy, s in ((-0.3, -0.2, 0.22), (0.25, 0.3, 0.18), (0.3, -0.35, 0.12)):
            canvas.disc(x + dx * r, y + dy * r, s * r, (226, 216, 180))
    elif moon == "half":
        canvas.box(x, y - r * 1.05, x + r * 1.05, y + r * 1.05, shadow)
    else:
        canvas.disc(x + r * 0.5, y - r * 0.15, r * 0.95, shadow)
    for i in range(count):
        base = h * (0.5 + 0.42 * i / count)
        phase, waves = rng.uniform(0, 6), rng.uniform(0.8, 1.6)
        ridge = [(w * j / 30, base + h * 0.055 * math.sin(phase + waves * j / 30 * 2 * math.pi)) for j in range(31)]
        shade = mix(light(colour, 0.35), dark(colour, 0.25), i / max(1, count - 1)) if count > 1 else colour
        canvas.shape([(0, h), *ridge, (w, h)], shade)
        canvas.path(ridge, dark(shade, 0.35), 3)


def boats(canvas: Canvas, colour: Colour, count: int, sky: str, rng: random.Random) -> None:
    """`count` boats whose sails are in `colour`, by day, at sunset or in fog."""
    w, h = canvas.width, canvas.height
    above, low, sea = {
        "by day": ((120, 185, 240), (214, 236, 252), (44, 112, 176)),
        "at sunset": ((96, 62, 120), (252, 176, 110), (92, 76, 124)),
        "in fog": ((196, 200, 202), (228, 230, 230), (160, 170, 176)),
    }[sky]
    horizon = h * 0.45
    canvas.fade(above, low, 0, horizon)
    if sky == "at sunset":
        canvas.disc(w * rng.uniform(0.3, 0.7), horizon, h * 0.14, (255, 226, 130))
    elif sky == "by day":
        canvas.disc(w * rng.uniform(0.1, 0.9), h * 0.12, h * 0.06, (255, 240, 150))
    canvas.fade(light(sea, 0.3), dark(sea, 0.25), horizon, h)
    for _ in range(26):
        x, y = rng.uniform(0, w), rng.uniform(horizon + 6, h)
        canvas.path([(x, y), (x + rng.uniform(15, 50), y)], light(sea, 0.45), 2)
    step = w / count
    size = min(step * 0.42, h * 0.26)
    for i in range(count):
        x, y = step * (i + 0.5) + rng.uniform(-0.05, 0.05) * step, h * rng.uniform(0.66, 0.86)
        canvas.shape([(x - 4, y - size * 0.25), (x - 4, y - size * 2.1), (x - size * 0.75, y - size * 0.25)], colour)
        jib = [(x + 5, y - size * 0.25), (x + 5, y - size * 1.8), (x + size * 0.85, y - size * 0.25)]
        canvas.shape(jib, light(colour, 0.22))
        canvas.path([(x, y), (x, y - size * 2.15)], INK, 4)
        deck, keel = y - size * 0.18, y + size * 0.2
        hull = [(x - size * 0.9, deck), (x + size * 0.95, deck), (x + size * 0.6, keel), (x - size * 0.6, keel)]
        canvas.shape(hull, (84, 58, 44))
        canvas.path([(x - size, y + size * 0.3), (x + size, y + size * 0.3)], light(sea, 0.6), 3)


def garden(canvas: Canvas, colour: Colour, count: int, behind: str, rng: random.Random) -> None:
    """`count` large flowers in `colour` in front of a fence, with one tree, two trees or three trees behind it."""
    w, h = canvas.width, canvas.height
    trees = ("one tree", "two trees", "three trees").index(behind) + 1
    canvas.fade((176, 216, 246), (232, 244, 252), 0, h * 0.5)
    canvas.box(0, h * 0.45, w, h, (150, 196, 110))
    for i in range(trees):
        x = w * (i + 0.5 + rng.uniform(-0.12, 0.12)) / trees
        _tree(canvas, x, h * 0.5, h * 0.46, mix(_LEAF, (120, 160, 60), rng.random() * 0.6))
    for i in range(17):
        x = w * i / 16
        plank = [(x - 9, h * 0.6), (x - 9, h * 0.45), (x, h * 0.42), (x + 9, h * 0.45), (x + 9, h * 0.6)]
        canvas.shape(plank, (246, 242, 232))
    canvas.box(0, h * 0.5, w, h * 0.525, (238, 232, 218))
    canvas.box(0, h * 0.62, w, h, (104, 78, 54))
    step = w / count
    for i in range(count):
        x, y, r = step * (i + 0.5), h * rng.uniform(0.6, 0.74), min(step * 0.3, h * 0.13)
        canvas.path([(x, y), (x + rng.uniform(-8, 8), h * 0.98)], (46, 118, 50), 7)
        canvas.disc(x + r * 0.5, y + h * 0.17, r * 0.45, (66, 146, 66), tall=0.5)
        for k in range(7):
            angle = 2 * math.pi * k / 7 + i
            canvas.disc(x + r * 0.72 * math.cos(angle), y + r * 0.72 * math.sin(angle), r * 0.48, colour)
        canvas.disc(x, y, r * 0.42, (92, 60, 30) if colour[0] > 230 and colour[1] > 190 else (252, 214, 70))


def street(canvas: Canvas, colour: Colour, count: int, thing: str, rng: random.Random) -> None:
    """`count` houses in `colour` along a street with a tram, a bus, a tree or a lamp."""
    w, h = canvas.width, canvas.height
    canvas.fade((190, 220, 242), (240, 246, 250), 0, h * 0.7)
    step = w / count
    for i in range(count):
        x0, x1, top = step * i + 5, step * (i + 1) - 5, h * rng.uniform(0.22, 0.36)
        wall = mix(colour, WHITE, rng.uniform(0, 0.18))
        canvas.box(x0, top, x1, h * 0.72, wall, edge=dark(colour, 0.5))
        canvas.shape([(x0 - 5, top), ((x0 + x1) / 2, top - h * 0.14), (x1 + 5, top)], (92, 62, 56))
        across = (x1 - x0) / 5
        for k in (1, 3):
            for y in (top + h * 0.05, top + h * 0.19):
                left, right = x0 + across * (k - 0.05), x0 + across * (k + 1.05)
                canvas.box(left, y, right, y + h * 0.085, (250, 246, 214), edge=INK)
        canvas.box(x0 + across * 2, h * 0.6, x0 + across * 3, h * 0.72, dark(colour, 0.6))
    canvas.box(0, h * 0.72, w, h * 0.78, (200, 196, 188))
    canvas.box(0, h * 0.78, w, h, (88, 90, 96))
    x = w * rng.uniform(0.3, 0.6)
    if thing in _VEHICLES:
        length, body, glass, windows = _VEHICLES[thing]
        long, wide = w * length, w * length / (windows + 1)
        canvas.box(x - long / 2, h * 0.66, x + long / 2, h * 0.9, body, radius=12, edge=INK)
        for k in range(windows):
            canvas.box(x - long / 2 + wide * (k + 0.62), h * 0.69, x - long / 2 + wide * (k + 1.4), h * 0.77, glass)
        for side in (-0.3, 0.3):
            canvas.disc(x + long * side, h * 0.905, h * 0.034, INK)
        if thing == "tram":
            canvas.path([(x, h * 0.66), (x - 22, h * 0.6), (x + 12, h * 0.55)], INK, 4)
            canvas.path([(0, h * 0.55), (w, h * 0.55)], INK, 2)
    elif thing == "tree":
        _tree(canvas, x, h * 0.84, h * 0.52, _LEAF)
    else:
        canvas.path([(x, h * 0.86), (x, h * 0.38)], INK, 9)
        canvas.disc(x, h * 0.35, h * 0.06, (255, 236, 150))
        canvas.box(x - 20, h * 0.84, x + 20, h * 0.87, INK)


def table(canvas: Canvas, colour: Colour, count: int, thing: str, rng: random.Random) -> None:
    """`count` apples, jars, bowls or bottles in `colour` on a table."""
    w, h = canvas.width, canvas.height
    wall = rng.choice(((236, 228, 212), (222, 230, 232), (240, 236, 228)))
    canvas.fade(wall, mix(wall, INK, 0.12), 0, h * 0.62)
    canvas.box(0, h * 0.6, w, h, (176, 132, 88))
    for i in range(5):
        canvas.path([(0, h * (0.65 + 0.08 * i)), (w, h * (0.66 + 0.08 * i))], (158, 116, 76), 2)
    step = w * 0.92 / count
    r = min(step * 0.42, h * 0.17)
    for i in range(count):
        x, foot = w * 0.04 + step * (i + 0.5), h * rng.uniform(0.76, 0.84)
        canvas.disc(x + r * 0.15, foot, r * 0.95, (134, 98, 62), tall=0.22)
        if thing == "apples":
            canvas.disc(x, foot - r * 0.9, r, colour, tall=0.93)
            canvas.disc(x - r * 0.35, foot - r * 1.25, r * 0.22, light(colour, 0.55))
            canvas.path([(x, foot - r * 1.75), (x + r * 0.12, foot - r * 2.1)], _TRUNK, 5)
            canvas.disc(x + r * 0.4, foot - r * 2.0, r * 0.25, _LEAF, tall=0.5)
        elif thing == "jars":
            canvas.box(x - r * 0.8, foot - r * 2.1, x + r * 0.8, foot, colour, radius=r * 0.25, edge=dark(colour))
            canvas.box(x - r * 0.7, foot - r * 2.45, x + r * 0.7, foot - r * 2.1, (230, 226, 216), radius=4, edge=INK)
            canvas.box(x - r * 0.5, foot - r * 1.4, x + r * 0.5, foot - r * 0.6, (252, 250, 242))
        elif thing == "bowls":
            canvas.slice(x, foot - r * 0.9, r, 0, 180, colour)
            canvas.disc(x, foot - r * 0.9, r, dark(colour, 0.35), tall=0.25)
            canvas.disc(x, foot - r * 0.9, r * 0.88, light(colour, 0.5), tall=0.24)
            canvas.box(x - r * 0.4, foot - r * 0.05, x + r * 0.4, foot + r * 0.05, dark(colour))
        else:
            canvas.box(x - r * 0.5, foot - r * 1.9, x + r * 0.5, foot, colour, radius=r * 0.2, edge=dark(colour))
            low, high = foot - r * 1.75, foot - r * 2.4
            canvas.shape([(x - r * 0.5, low), (x - r * 0.2, high), (x + r * 0.2, high), (x + r * 0.5, low)], colour)
            canvas.box(x - r * 0.2, foot - r * 2.9, x + r * 0.2, foot - r * 2.3, dark(colour, 0.2))
            canvas.box(x - r * 0.36, foot - r * 1.3, x - r * 0.22, foot - r * 0.3, light(colour, 0.5))
