"""From Common Crawl's index to documents, step by step on one core: the rates that docs/scale.md plans with.

Each row: what is done, how many of it, how many a second of processor time, and bytes a piece where they matter. The
index is made here, with the columns of Common Crawl's; the pages are the real ones beside the checkout where they are
there, else made by rule (`bench extract`), in a WARC file written here; ranges come from a server on loopback, so their
rate is what reading costs the processor, never what a network does.
"""

from __future__ import annotations

import gzip
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.extract import PAGES, pages
from dedup.sign import Sign
from filters.decide import Decide
from filters.rules import load
from filters.text import TextScores
from pipelines.crawl.commoncrawl import CommonCrawl
from pipelines.crawl.index import CHOSEN, INDEX, Choose, field_of, where
from pipelines.html.stages import SLICES, Extract
from pipelines.warc.read import Record, records

CAPTURES = 1_000_000
SHARE = 0.4  # of them English

Row = dict[str, Any]


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _index(path: Path) -> None:
    """An index file as Common Crawl's are: sorted by host, a row group for every 100,000 or so captures."""
    rng = random.Random(1)
    hosts = sorted(f"{rng.randrange(1 << 40):010x}.example" for _ in range(CAPTURES // 40))
    host = [hosts[i * len(hosts) // CAPTURES] for i in range(CAPTURES)]
    languages = rng.choices(["eng", "deu", "rus,eng", "zho", None], [SHARE, 0.2, 0.2, 0.1, 0.1], k=CAPTURES)
    table = pa.table(
        {
            "url": [f"https://www.{h}/some/path/{i}.html" for i, h in enumerate(host)],
            "url_host_registered_domain": host,
            "fetch_status": pa.array([200] * CAPTURES, pa.int16()),
            "content_mime_detected": ["text/html"] * CAPTURES,
            "content_languages": languages,
            "warc_filename": [
                f"crawl-data/CC-MAIN-2024-10/segments/1/warc/CC-MAIN-20240220211055-{rng.randrange(900):05d}.warc.gz"
                for _ in host
            ],
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
            head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nContent-Length: {len(block)}\r\n\r\n".encode()
            f.write(gzip.compress(head + block + b"\r\n\r\n"))


@contextmanager
def _served(path: Path) -> Iterator[str]:
    data = path.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            start, _, stop = self.headers["Range"].removeprefix("bytes=").partition("-")
            body = data[int(start) : int(stop) + 1]
            self.send_response(206)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Range", f"bytes {start}-{stop}/{len(data)}")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def rows() -> list[Row]:
    source = "real pages" if PAGES.exists() else "made pages"
    with tempfile.TemporaryDirectory() as folder:
        index, warc = Path(folder, "index.parquet"), PAGES if PAGES.exists() else Path(folder, "pages.warc.gz")
        _index(index)
        if warc is not PAGES:
            _warc(warc)
        batch = pa.RecordBatch.from_pylist([{"path": str(index), "file": "index", "size": 1, "changed": ""}], INDEX)
        choose = Choose(field_of(where({"content_languages": "eng"})))
        took = _seconds(lambda: list(choose(batch)))
        out = [_row("captures read in the index", "made index", CAPTURES, took, index.stat().st_size)]
        found = [r for r in records(str(warc)) if isinstance(r, Record)]
        chosen = pa.Table.from_pylist(
            [{"key": 0, "url": r.url, "file": "x", "offset": r.offset, "length": r.length} for r in found], CHOSEN
        )
        with _served(warc) as prefix:
            for name, gap in (
                ("captures fetched, each by itself", -1),
                ("captures fetched, neighbours together", 1 << 16),
            ):
                stage = CommonCrawl(prefix=prefix, gap=gap, allow_private=("127.0.0.0/8",))
                took = _seconds(lambda stage=stage: list(stage({"chosen": chosen})))  # type: ignore[misc]
                out.append(_row(name, source, len(found), took, warc.stat().st_size))
        took = _seconds(lambda: list(records(str(warc))))
        out.append(_row("pages read from WARC", source, len(found), took, sum(len(r.payload) for r in found)))
        whole = pa.RecordBatch.from_pylist([{"path": str(warc), "offset": 0, "length": None}], SLICES)
        took = _seconds(lambda: list(Extract()(whole)))
        out.append(_row("pages to documents, as a stage", source, len(found), took, sum(len(r.payload) for r in found)))
        documents = [b for name, b in Extract()(whole) if name == "documents" and isinstance(b, pa.RecordBatch)]
        out += _behind(documents, source)
    return out


def _behind(documents: list[pa.RecordBatch], source: str) -> list[Row]:
    """Text scores, decisions and MinHash signatures of the documents."""
    many = sum(b.num_rows for b in documents)
    made: dict[str, list[Any]] = {"scores": [], "decisions": []}
    score, decide, sign = TextScores(), Decide(load({"preset": "obelics"})), Sign()
    list(score(documents[0].slice(0, 1)))  # warm up: word lists, the language model

    def scored() -> None:
        made["scores"] = [rows for b in documents for _, rows in score(b)]

    def decided() -> None:
        made["decisions"] = [
            rows for b, s in zip(documents, made["scores"], strict=True) for _, rows in decide(_beside(b, s))
        ]

    def signed() -> None:
        for b, d in zip(documents, made["decisions"], strict=True):
            list(sign(_beside(b, d)))

    steps = {"documents scored": scored, "documents decided on": decided, "documents signed for MinHash": signed}
    return [_row(name, source, many, _seconds(step), sum(b.nbytes for b in documents)) for name, step in steps.items()]


def _beside(a: pa.RecordBatch, b: pa.RecordBatch) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([*a.columns, *b.columns], names=[*a.schema.names, *b.schema.names])


def _row(step: str, source: str, n: int, seconds: float, size: int) -> Row:
    return {"step": step, "source": source, "n": n, "per_s": n / seconds, "bytes_each": size / n}
