"""From Common Crawl's index to documents and images, step by step on one core: the rates that docs/scale.md plans with.

Each row: the step, the number of items, items a second of processor time, and bytes of an item. The index is generated,
with the columns of Common Crawl's. The pages are the real ones beside the checkout where there are any, else generated
by rule (`bench extract`) and written to a WARC file. Ranges and images come from a server on loopback, in the same
process, so their rate is what they cost the processor, and says nothing about a network.
"""

import gzip
import io
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from bench._inputs import PAGES, joined
from bench.extract import pages
from dedup.sign import Sign
from filters.decide import Decide
from filters.rules import load
from filters.text import TextScores
from pipelines.crawl.commoncrawl import CommonCrawl
from pipelines.crawl.index import CHOSEN, INDEX, Choose, field_of, where
from pipelines.fetch.images import Fetch
from pipelines.html.stages import SLICES, Extract
from pipelines.warc.read import Record, records

CAPTURES = 1_000_000
SHARE = 0.4  # of them English
IMAGES = 2000
HOSTS = 50  # of the images, all of them addresses of loopback (127.0.0.0/8)
LOOPBACK = ("127.0.0.0/8",)

Row = dict[str, Any]


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _index(path: Path) -> None:
    """An index file like Common Crawl's: sorted by host, about 100,000 captures in a row group."""
    rng = random.Random(1)
    hosts = sorted(f"{rng.randrange(1 << 40):010x}.example" for _ in range(CAPTURES // 40))
    host = [hosts[i * len(hosts) // CAPTURES] for i in range(CAPTURES)]
    languages = rng.choices(["eng", "deu", "rus,eng", "zho", None], [SHARE, 0.2, 0.2, 0.1, 0.1], k=CAPTURES)
    folder = "crawl-data/CC-MAIN-2024-10/segments/1/warc"
    table = pa.table(
        {
            "url": [f"https://www.{h}/some/path/{i}.html" for i, h in enumerate(host)],
            "url_host_registered_domain": host,
            "fetch_status": pa.array([200] * CAPTURES, pa.int16()),
            "content_mime_detected": ["text/html"] * CAPTURES,
            "content_languages": languages,
            "warc_filename": [f"{folder}/CC-MAIN-20240220211055-{rng.randrange(900):05d}.warc.gz" for _ in host],
            "warc_record_offset": pa.array([rng.randrange(1 << 30) for _ in host], pa.int32()),
            "warc_record_length": pa.array([rng.randrange(1 << 15) for _ in host], pa.int32()),
        }
    )
    pq.write_table(table, path, compression="gzip", row_group_size=100_000)


def _warc(path: Path) -> None:
    """The pages as a WARC file, a gzip member each."""
    with path.open("wb") as f:
        for url, html in pages()[1]:
            block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + html
            head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nContent-Length: {len(block)}"
            f.write(gzip.compress(f"{head}\r\n\r\n".encode() + block + b"\r\n\r\n"))


@contextmanager
def _served(data: bytes) -> Iterator[int]:
    """Yields the port of a server on loopback. Each path but robots.txt gives the data or a range of it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = b"" if self.path == "/robots.txt" else data
            if span := self.headers["Range"]:
                start, _, stop = span.removeprefix("bytes=").partition("-")
                body = data[int(start) : int(stop) + 1]
            self.send_response(206 if span else 200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            if span:
                self.send_header("Content-Range", f"bytes {start}-{stop}/{len(data)}")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("0.0.0.0", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def rows() -> list[Row]:
    source = "real pages" if PAGES.exists() else "generated pages"
    with tempfile.TemporaryDirectory() as folder:
        index, warc = Path(folder, "index.parquet"), PAGES if PAGES.exists() else Path(folder, "pages.warc.gz")
        _index(index)
        if warc is not PAGES:
            _warc(warc)
        batch = pa.RecordBatch.from_pylist([{"path": str(index), "file": "index", "size": 1, "changed": ""}], INDEX)
        choose = Choose(field_of(where({"content_languages": "eng"})))
        seconds = _seconds(lambda: list(choose(batch)))
        out = [_row("captures read in the index", "generated index", CAPTURES, seconds, index.stat().st_size)]
        responses = [r for r in records(str(warc)) if isinstance(r, Record)]
        n, size = len(responses), sum(len(r.payload) for r in responses)
        places = [{"key": 0, "url": r.url, "file": "x", "offset": r.offset, "length": r.length} for r in responses]
        chosen = pa.Table.from_pylist(places, CHOSEN)
        with _served(warc.read_bytes()) as port:
            for name, gap in (("each by itself", -1), ("neighbours together", 1 << 16)):
                stage = CommonCrawl(prefix=f"http://127.0.0.1:{port}/", gap=gap, allow_private=LOOPBACK)
                seconds = _seconds(lambda stage=stage: list(stage({"chosen": chosen})))  # type: ignore[misc]
                out.append(_row(f"captures fetched, {name}", source, n, seconds, warc.stat().st_size))
        out.append(_row("pages read from WARC", source, n, _seconds(lambda: list(records(str(warc)))), size))
        file = pa.RecordBatch.from_pylist([{"path": str(warc), "offset": 0, "length": None}], SLICES)
        seconds = _seconds(lambda: list(Extract()(file)))
        out.append(_row("pages to documents, as a stage", source, n, seconds, size))
        documents = [b for name, b in Extract()(file) if name == "documents" and isinstance(b, pa.RecordBatch)]
    return [*out, *_documents(documents, source), _images()]


def _images() -> Row:
    """Images fetched: robots.txt, request, check and hash of each."""
    noise = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    jpeg = io.BytesIO()
    Image.fromarray(noise).resize((640, 426)).save(jpeg, "JPEG", quality=85)
    with _served(jpeg.getvalue()) as port:
        urls = [f"http://127.0.0.{1 + i % HOSTS}:{port}/{i}.jpg" for i in range(IMAGES)]
        stage = Fetch(allow_private=LOOPBACK)
        list(stage({"wanted": pa.table({"url": urls[:HOSTS]})}))  # the import of img2dataset takes seconds
        seconds = _seconds(lambda: list(stage({"wanted": pa.table({"url": urls})})))
    return _row("images fetched", "generated image", IMAGES, seconds, IMAGES * len(jpeg.getvalue()))


def _documents(documents: list[pa.RecordBatch], source: str) -> list[Row]:
    """Text scores, decisions and MinHash signatures of the documents."""
    n, size = sum(b.num_rows for b in documents), sum(b.nbytes for b in documents)
    score, decide, sign = TextScores(), Decide(load({"preset": "obelics"})), Sign()
    list(score(documents[0].slice(0, 1)))  # warm up: word lists, the language model
    table: list[Row] = []

    def measure(step: str, stage: Any, batches: list[pa.RecordBatch]) -> list[dict[str, pa.RecordBatch]]:
        start = time.process_time()
        results = [dict(stage(batch)) for batch in batches]
        table.append(_row(step, source, n, time.process_time() - start, size))
        return results

    scores = measure("documents scored", score, documents)
    with_scores = [joined(batch, rows["scores"]) for batch, rows in zip(documents, scores, strict=True)]
    decisions = measure("documents decided", decide, with_scores)
    with_decisions = [joined(batch, rows["decisions"]) for batch, rows in zip(documents, decisions, strict=True)]
    measure("documents signed for MinHash", sign, with_decisions)
    return table


def _row(step: str, source: str, n: int, seconds: float, size: int) -> Row:
    return {"step": step, "source": source, "n": n, "per_s": n / seconds, "bytes_each": size / n}
