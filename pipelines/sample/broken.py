"""Image addresses that do not simply answer with an image: one maker for each fault."""

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
    """The picture that a page announces at a faulty address, and the answer where the address works after all."""
    rng = random.Random("stand-in " + url)
    kind = rng.choice(("boats", "night", "garden", "street", "still"))
    return Picture(url, kind, rng.choice(list(COLOURS)), rng.randint(*COUNTS[kind]), rng.choice(FEATURES[kind]))


def _good(name: str) -> bytes:
    return render(stand_in(f"{_BASE}{name}.jpg"))


def _png(width: int, height: int, compressed: bytes) -> bytes:
    """A 1-bit grey PNG of any size, from an already compressed body."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", compressed) + chunk(b"IEND", b"")


@functools.lru_cache(maxsize=1)
def _bomb() -> Answer:
    """400 million pixels in about 50 kB."""
    side = 20_000
    compressor = zlib.compressobj(6)
    row = b"\0" * (1 + side // 8)
    body = b"".join(compressor.compress(row * 500) for _ in range(side // 500)) + compressor.flush()
    return Answer(200, "image/png", _png(side, side, body), "odd")


def _plain_png(width: int, height: int) -> Answer:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (60, 120, 180)).save(out, "PNG")
    return Answer(200, "image/png", out.getvalue(), "odd")


def _animation() -> Answer:
    out = io.BytesIO()
    frames = [Image.new("RGB", (320, 240), c) for c in ((200, 40, 40), (40, 200, 40), (40, 40, 200))]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=200, loop=0)
    return Answer(200, "image/gif", out.getvalue(), "odd")


_GARBAGE = b"this is no deflated stream at all" * 40
_PAGE = b"<!doctype html><html><body><p>Please log in to see this picture.</p></body></html>"
_SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="400" height="300">'
    b'<circle cx="200" cy="150" r="90" fill="teal"/></svg>'
)
_RESERVED = {"X-Robots-Tag": "noai, noimageai"}


def answers() -> Mapping[str, Maker]:
    """Address below ``http://corner.example/broken/`` -> its answer."""
    jpeg = "image/jpeg"
    makers: dict[str, Maker] = {
        "forbidden-1.jpg": lambda: failure(403, "Forbidden"),
        "error-1.jpg": lambda: failure(500, "Internal server error"),
        "busy-1.jpg": lambda: failure(429, "Too many requests", {"Retry-After": "1"}),
        **dict.fromkeys(("gone-1.jpg", "gone-2.jpg"), lambda: failure(410, "Gone")),
        "endless-1.jpg": lambda: redirect(_BASE + "endless-2.jpg"),
        "endless-2.jpg": lambda: redirect(_BASE + "endless-1.jpg"),
        "private-1.jpg": lambda: redirect("http://169.254.169.254/latest/meta-data/"),
        **dict.fromkeys(("page-1.jpg", "page-2.jpg"), lambda: Answer(200, jpeg, _PAGE, "odd")),
        "drawing-1.jpg": lambda: Answer(200, "image/svg+xml", _SVG, "odd"),
        "nothing-1.jpg": lambda: Answer(200, jpeg, b"", "odd"),
        "half-1.jpg": lambda: Answer(200, jpeg, _good("half-1")[: len(_good("half-1")) // 2], "odd"),
        "short-1.jpg": lambda: Answer(200, jpeg, _good("short-1")[:9000], "odd", manner="short"),
        "bomb-1.png": _bomb,
        "reserved-1.jpg": lambda: Answer(200, jpeg, _good("reserved-1"), "odd", _RESERVED),
        "reserved-2.jpg": lambda: Answer(200, jpeg, _good("reserved-2"), "odd", _RESERVED),
        "drip-1.jpg": lambda: Answer(200, jpeg, _good("drip-1"), "odd", manner="drip"),
        "hang-1.jpg": lambda: Answer(200, jpeg, b"", "odd", manner="hang"),
        "reset-1.jpg": lambda: Answer(200, jpeg, b"", "odd", manner="reset"),
        "huge-1.jpg": lambda: Answer(200, jpeg, _good("huge-1") + b"\0" * (32 << 20), "odd"),
        "garbage-1.png": lambda: Answer(200, "image/png", _png(640, 480, _GARBAGE), "odd"),
        "dot-1.png": lambda: _plain_png(1, 1),
        "banner-1.png": lambda: _plain_png(1500, 180),
        "dance-1.gif": _animation,
        "untyped-1.jpg": lambda: Answer(200, "application/octet-stream", _good("untyped-1"), "odd"),
        "liar-1.jpg": lambda: Answer(200, HTML, _good("liar-1"), "odd"),
        "moved-1.jpg": lambda: redirect(_BASE + "moved-2.jpg?step=2", 301),
        "moved-2.jpg?step=2": lambda: redirect(_BASE + "moved-3.jpg", 302),
        "moved-3.jpg": lambda: Answer(200, jpeg, _good("moved-1"), "image"),
    }
    return {_BASE + name: maker for name, maker in makers.items()}
