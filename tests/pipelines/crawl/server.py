"""A small server on loopback with the faults of the web, for tests. The first segment of a path selects the answer.

A page with an ETag or a Last-Modified header is answered with 304 if the request has that validator.
"""

from __future__ import annotations

import gzip
import io
import socketserver
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image


def picture(fmt: str = "JPEG", size: tuple[int, int] = (96, 64), seed: int = 0, **options: object) -> bytes:
    """A smooth image with waves that depend on the seed, so that its perceptual hash is meaningful."""
    w, h = size
    x, y = np.meshgrid(np.linspace(0, 1, w), np.linspace(0, 1, h))
    rng = np.random.default_rng(seed)
    waves = [np.sin(2 * np.pi * (a * x + b * y) + c) for a, b, c in rng.uniform(-2, 2, (3, 3))]
    image = Image.fromarray(np.uint8(np.stack(waves, axis=-1) * 100 + 128))
    out = io.BytesIO()
    mode = options.pop("mode", None)
    (image.convert(str(mode)) if mode else image).save(out, fmt, **options)
    return out.getvalue()


def bomb(side: int = 30_000) -> bytes:
    """A black one-bit PNG of side x side pixels in a few kilobytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    engine = zlib.compressobj()
    row = bytes(1 + (side + 7) // 8)
    data = b"".join(engine.compress(row) for _ in range(side)) + engine.flush()
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


class Web:
    """Pages by path, as (headers, body), and counters by Host header: requests, and the most requests at one time."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[dict[str, str], bytes]] = {}
        self.asked: list[tuple[str, str]] = []  # (host, path)
        self.flying: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self.connections = 0
        self.lock = threading.Lock()
        self.slow = 0.0
        self.hold = threading.Event()

    def paths(self, host: str | None = None) -> list[str]:
        return [p for h, p in self.asked if host in (None, h)]


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        web = self.server.web
        with web.lock:
            web.connections += 1
        while (line := self.rfile.readline()).strip():
            target = line.split(b" ")[1].decode("latin-1")
            headers: dict[str, str] = {}
            while (row := self.rfile.readline()).strip():
                name, _, value = row.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            host, path = headers.get("host", ""), target
            self.range = headers.get("range")
            self.validators = headers.get("if-none-match"), headers.get("if-modified-since")
            if target.startswith("http"):  # a request to a proxy
                path = "/" + target.split("://", 1)[1].partition("/")[2]
            with web.lock:
                web.asked.append((host, path))
                web.flying[host] += 1
                web.peak[host] = max(web.peak[host], web.flying[host])
            time.sleep(web.slow)
            with web.lock:  # before the answer, since a client may send its next request before this thread goes on
                web.flying[host] -= 1
            try:
                if not self.answer(web, host, path):
                    return
            except OSError:
                return

    def say(self, status: int, headers: dict[str, str], body: bytes = b"") -> bool:
        headers = {"Content-Length": str(len(body)), **headers}
        head = (
            f"HTTP/1.1 {status} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items() if v is not None) + "\r\n"
        )
        self.wfile.write(head.encode("latin-1") + body)
        return "close" not in headers.get("Connection", "")

    def answer(self, web: Web, host: str, path: str) -> bool:
        for key in (f"{host}{path}", path):
            if key in web.pages:
                headers, body = web.pages[key]
                headers = dict(headers)
                etag, modified = headers.get("ETag"), headers.get("Last-Modified")
                if (etag and etag == self.validators[0]) or (
                    not self.validators[0] and modified and modified == self.validators[1]
                ):
                    return self.say(304, {"Content-Length": None, **({"ETag": etag} if etag else {})})  # type: ignore[dict-item]
                if "Accept-Ranges" in headers and self.range:
                    start, _, stop = self.range.removeprefix("bytes=").partition("-")
                    part = body[int(start) : int(stop) + 1]
                    headers["Content-Range"] = f"bytes {start}-{int(start) + len(part) - 1}/{len(body)}"
                    return self.say(206 if part else 416, headers, part)
                return self.say(int(headers.pop("status", "200")), headers, body)
        kind = path.split("?")[0].split("/")[1]
        jpeg = {"Content-Type": "image/jpeg"}
        if kind.isdigit():
            return self.say(int(kind), {"Retry-After": "0"}, b"no")
        match kind:
            case "image":
                return self.say(200, jpeg, picture(seed=len(path)))
            case "hang":
                web.hold.wait(30)
                return False
            case "drip":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not web.hold.wait(0.05):
                    self.wfile.write(b"x")
                return False
            case "driphead":
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                while not web.hold.wait(0.05):
                    self.wfile.write(b"X")
                return False
            case "endless":
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    self.wfile.write(bytes(65536))
            case "endlesshead":
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                while True:
                    self.wfile.write(b"X-More: " + b"x" * 1000 + b"\r\n")
            case "cut":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
                return False
            case "chunked":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                self.wfile.write(b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: 1\r\n\r\n")
                return True
            case "cutchunk":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n wo")
                return False
            case "gzip":
                return self.say(200, {"Content-Encoding": "gzip"}, gzip.compress(b"hello " * 1000))
            case "cutgzip":
                return self.say(200, {"Content-Encoding": "gzip"}, gzip.compress(b"hello " * 1000)[:-12])
            case "nogzip":
                return self.say(200, {"Content-Encoding": "gzip"}, b"not gzip at all")
            case "gzipbomb":
                return self.say(200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(200 * 2**20), 1))
            case "nothttp":
                self.wfile.write(b"SSH-2.0-OpenSSH_9\r\n")
                return False
            case "reset":
                return False
            case "once":  # the connection closes after its first answer, without a header that announces it
                self.say(200, jpeg, b"body")
                return False
            case "interim":
                self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
                return self.say(200, {}, b"body")
            case "to":
                return self.say(302, {"Location": path.split("?", 1)[1]}, b"moved")
            case "loop":
                return self.say(302, {"Location": path})
            case "chain":
                n = int(path.split("/")[2])
                return self.say(302, {"Location": f"/chain/{n - 1}"}) if n else self.say(200, {}, b"end")
        return self.say(404, {}, b"nothing here")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128
    web: Web

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # clients close connections during answers on purpose


@contextmanager
def serving() -> Iterator[tuple[Web, int]]:
    """Yields the web and the port of its server."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.web = web = Web()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield web, server.server_address[1]
        finally:
            web.hold.set()
            server.shutdown()
            thread.join()
