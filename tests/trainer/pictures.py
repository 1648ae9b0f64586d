"""Pictures with captions that depend on a seed: charts, maps, diagrams and scenes."""

import io
import math
import random

from PIL import Image, ImageDraw

COLOURS = {
    "teal": (0, 128, 128), "orange": (230, 126, 34), "crimson": (192, 28, 60), "navy": (30, 40, 110),
    "olive": (120, 130, 30), "violet": (140, 70, 190),
}  # fmt: skip
SUBJECTS = ["rainfall", "harvest", "river levels", "ferry traffic", "bird counts", "snow depth"]
SPANS = ["by month", "by year", "by district"]
TOWNS = ["Alder Bay", "Hollow Creek", "Marlow", "Three Bridges"]


def picture(seed: int) -> tuple[bytes, str]:
    """One picture (JPEG or PNG bytes, 400 to 800 px) and its caption."""
    rng = random.Random(seed)
    name = rng.choice(list(COLOURS))
    colour = tuple(min(255, max(0, c + rng.randint(-12, 12))) for c in COLOURS[name])
    size = rng.choice([(640, 480), (800, 500), (480, 480), (400, 600)])
    kind = rng.choice(["bar", "line", "pie", "map", "flow", "night", "day"])
    image = Image.new("RGB", size, (250, 250, 246))
    draw = ImageDraw.Draw(image)
    w, h = size
    subject, span = rng.choice(SUBJECTS), rng.choice(SPANS)
    if kind in ("bar", "line"):
        draw.line([(50, 30), (50, h - 40), (w - 20, h - 40)], fill=(60, 60, 60), width=3)
        n = rng.randint(6, 12)
        xs = [60 + i * (w - 90) / n for i in range(n)]
        ys = [rng.uniform(60, h - 80) for _ in range(n)]
        if kind == "bar":
            for x, y in zip(xs, ys, strict=True):
                draw.rectangle([x, y, x + (w - 90) / n * 0.7, h - 42], fill=colour)
            caption = f"A bar chart in {name} of {subject} {span}"
        else:
            draw.line(list(zip(xs, ys, strict=True)), fill=colour, width=9)
            caption = f"A line chart in {name} of {subject} {span}"
    elif kind == "pie":
        r, at = min(w, h) * 0.4, 0.0
        while at < 360:
            step = rng.uniform(40, 110)
            shade = tuple(int(c * rng.uniform(0.75, 1.0)) for c in colour)
            draw.pieslice(
                [w / 2 - r, h / 2 - r, w / 2 + r, h / 2 + r],
                at,
                min(360, at + step),
                fill=shade,
                outline=(255, 255, 255),
                width=3,
            )
            at += step
        caption = f"A pie chart in {name} of {subject} {span}"
    elif kind == "map":
        draw.rectangle([0, 0, w, h], fill=(205, 225, 235))
        points = [
            (
                w / 2 + math.cos(a / 18 * 2 * math.pi) * w * rng.uniform(0.25, 0.42),
                h / 2 + math.sin(a / 18 * 2 * math.pi) * h * rng.uniform(0.25, 0.42),
            )
            for a in range(18)
        ]
        draw.polygon(points, fill=colour)
        caption = f"A map in {name} of the district of {rng.choice(TOWNS)}"
    elif kind == "flow":
        n = rng.randint(3, 5)
        for i in range(n):
            y = 30 + i * (h - 60) / n
            draw.rounded_rectangle([w * 0.25, y, w * 0.75, y + (h - 60) / n * 0.6], 12, fill=colour)
        caption = f"A flow diagram in {name} with {n} steps"
    else:
        sky = (18, 22, 60) if kind == "night" else (150, 200, 240)
        draw.rectangle([0, 0, w, h], fill=sky)
        x, y = rng.uniform(80, w - 80), rng.uniform(60, h * 0.3)
        draw.ellipse([x - 40, y - 40, x + 40, y + 40], fill=(245, 240, 210) if kind == "night" else (250, 210, 60))
        hill = [(0, h)] + [(i * w / 20, h * 0.65 + math.sin(i / 3 + x) * 40) for i in range(21)] + [(w, h)]
        draw.polygon(hill, fill=colour)
        sort = "full moon" if kind == "night" else "low sun"
        caption = f"A {kind} scene with a {sort} over {name} hills"
    out = io.BytesIO()
    image.save(out, "JPEG" if seed % 2 else "PNG", quality=85)
    return out.getvalue(), caption
