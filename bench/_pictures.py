"""Pictures by code, each unlike the others and cheap to draw, and a server of them on loopback."""

import io
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from bench import _texts

SIDE = 320  # pixels
HOSTS = 50  # addresses of loopback
LOOPBACK = "127.0.0.0/8"


def picture(number: int) -> bytes:
    """A JPEG of about 14 KB: smooth colours and fine noise, drawn from the number."""
    rng = np.random.default_rng(number)
    ground = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    noise = rng.integers(0, 24, (SIDE // 2, SIDE // 2), np.uint8).repeat(2, 0).repeat(2, 1)
    sink = io.BytesIO()
    Image.fromarray(np.asarray(ground) // 2 + noise[..., None]).save(sink, "JPEG", quality=80)
    return sink.getvalue()


def write_list(path: Path, count: int, port: int) -> None:
    """A list with the columns `url` and `text`: pictures of many hosts, each with a sentence."""
    rng = random.Random(1)
    sentences = [s for batch in _texts.blocks(10_000) for t in batch["text"].to_pylist() if t for s in t.split(". ")]
    captions = [f"{rng.choice(sentences)[:200]} {i}" for i in range(count)]
    urls = [f"http://127.0.0.{1 + i % HOSTS}:{port}/{i}.jpg" for i in range(count)]
    pq.write_table(pa.table({"url": urls, "text": captions}), path, compression="zstd", row_group_size=10_000)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.strip("/").removesuffix(".jpg")
        body = picture(int(name)) if name.isdigit() else b""
        self.send_response_only(200 if body else 404)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


@contextmanager
def served(port: int = 0) -> Iterator[int]:
    """The port of a server of all pictures (``/NUMBER.jpg``) on all addresses of loopback, until the block ends."""
    server = _Server(("0.0.0.0", port), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
