"""Image addresses that do not simply answer with an image: one maker for each fault."""

from __future__ import annotations

import functools
import io
import random
import struct
import zlib
from collections.abc import Mapping

from PIL import Image

from pipelines.sample.answers import HTML, Answer, Maker, failure, redirect
from pipelines.sample.drawing.canvas import COLOURS
from pipelines.sample.pictures import COUNTS, FEATURES, Picture, render

_BASE = "http://corner.example/broken/"


def stand_in(url: str) -> Picture:
    """The picture that a page announces at a faulty address; where the address works after all, it is what comes."""
    rng = random.Random("stand-in " + url)
    kind = rng.choice(("boats", "night", "garden", "street", "still"))
    return Picture(url, kind, rng.choice(list(COLOURS)), rng.randint(*COUNTS[kind]), rng.choice(FEATURES[kind]))


def _good(name: str) -> bytes:
    return render(stand_in(f"{_BASE}{name}.jpg"))


def _png(width: int, height: int, packed: bytes) -> bytes:
    """A 1-bit grey PNG of any size, from an already deflated body."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@functools.lru_cache(maxsize=1)
def _bomb() -> Answer:
    """400 million pixels in about 50 kB."""
    side = 20_000
    packer = zlib.compressobj(6)
    row = b"\0" * (1 + side // 8)
    body = b"".join(packer.compress(row * 500) for _ in range(side // 500)) + packer.flush()
    return Answer(200, "image/png", _png(side, side, body), "odd")


def _plain(width: int, height: int, format: str) -> bytes:
    out = io.BytesIO()
    image = Image.new("RGB", (width, height), (60, 120, 180))
    image.save(out, format)
    return out.getvalue()


def _dance() -> Answer:
    out = io.BytesIO()
    frames = [Image.new("RGB", (320, 240), c) for c in ((200, 40, 40), (40, 200, 40), (40, 40, 200))]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=200, loop=0)
    return Answer(200, "image/gif", out.getvalue(), "odd")


def _page_as_image() -> Answer:
    return Answer(
        200, "image/jpeg", b"<!doctype html><html><body><p>Please log in to see this picture.</p></body></html>", "odd"
    )


def _svg() -> Answer:
    text = b'<svg xmlns="http://www.w3.org/2000/svg" width="400" height="300"><circle cx="200" cy="150" r="90" fill="teal"/></svg>'
    return Answer(200, "image/svg+xml", text, "odd")


def _reserved(name: str) -> Answer:
    return Answer(200, "image/jpeg", _good(name), "odd", {"X-Robots-Tag": "noai, noimageai"})


def answers() -> Mapping[str, Maker]:
    """Name below ``http://corner.example/broken/`` -> its answer."""
    jpeg = "image/jpeg"
    made: dict[str, Maker] = {
        "forbidden-1.jpg": lambda: failure(403, "Forbidden"),
        "error-1.jpg": lambda: failure(500, "Internal server error"),
        "busy-1.jpg": lambda: failure(429, "Too many requests", {"Retry-After": "1"}),
        "endless-1.jpg": lambda: redirect(_BASE + "endless-2.jpg"),
        "endless-2.jpg": lambda: redirect(_BASE + "endless-1.jpg"),
        "private-1.jpg": lambda: redirect("http://169.254.169.254/latest/meta-data/"),
        "page-1.jpg": _page_as_image,
        "page-2.jpg": _page_as_image,
        "drawing-1.jpg": _svg,
        "nothing-1.jpg": lambda: Answer(200, jpeg, b"", "odd"),
        "half-1.jpg": lambda: Answer(200, jpeg, _good("half-1")[: len(_good("half-1")) // 2], "odd"),
        "short-1.jpg": lambda: Answer(200, jpeg, _good("short-1")[:9000], "odd", manner="short"),
        "bomb-1.png": _bomb,
        "reserved-1.jpg": lambda: _reserved("reserved-1"),
        "reserved-2.jpg": lambda: _reserved("reserved-2"),
        "drip-1.jpg": lambda: Answer(200, jpeg, _good("drip-1"), "odd", manner="drip"),
        "hang-1.jpg": lambda: Answer(200, jpeg, b"", "odd", manner="hang"),
        "reset-1.jpg": lambda: Answer(200, jpeg, b"", "odd", manner="reset"),
        "huge-1.jpg": lambda: Answer(200, jpeg, _good("huge-1") + b"\0" * (32 << 20), "odd"),
        "garbage-1.png": lambda: Answer(
            200, "image/png", _png(640, 480, b"this is no deflated stream at all" * 40), "odd"
        ),
        "dot-1.png": lambda: Answer(200, "image/png", _plain(1, 1, "PNG"), "odd"),
        "banner-1.png": lambda: Answer(200, "image/png", _plain(1500, 180, "PNG"), "odd"),
        "dance-1.gif": _dance,
        "untyped-1.jpg": lambda: Answer(200, "application/octet-stream", _good("untyped-1"), "odd"),
        "liar-1.jpg": lambda: Answer(200, HTML, _good("liar-1"), "odd"),
        "moved-1.jpg": lambda: redirect(_BASE + "moved-2.jpg?step=2", 301),
        "moved-2.jpg?step=2": lambda: redirect(_BASE + "moved-3.jpg", 302),
        "moved-3.jpg": lambda: Answer(200, jpeg, _good("moved-1"), "image"),
    }
    for i in (1, 2):
        made[f"gone-{i}.jpg"] = lambda: failure(410, "Gone")
    return {_BASE + name: maker for name, maker in made.items()}
