"""The sample web behind a forward proxy on loopback: plain HTTP, absolute-form requests, no address is ever resolved.

>>> with serve() as web:  # doctest: +SKIP
...     requests.get("http://skywatch.example/", proxies={"http": web.proxy})
"""

import collections
import contextlib
import email.utils
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from pipelines.sample.answers import Answer
from pipelines.sample.web import answer

#: seconds between the pieces of a drip, bytes a piece, and the longest time that a drip or a hang may take
_PAUSE, _PIECE, _LONGEST = 0.5, 8, 60.0


class Stats:
    """Requests by host and kind, and the largest number of requests in progress at once for one host."""

    def __init__(self) -> None:
        self.requests: collections.Counter[tuple[str, str]] = collections.Counter()
        self.peak: collections.Counter[str] = collections.Counter()
        self._in_progress: collections.Counter[str] = collections.Counter()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def in_progress(self, host: str) -> Iterator[None]:
        with self._lock:
            self._in_progress[host] += 1
            self.peak[host] = max(self.peak[host], self._in_progress[host])
        try:
            yield
        finally:
            with self._lock:
                self._in_progress[host] -= 1

    def count(self, host: str, kind: str) -> None:
        with self._lock:
            self.requests[host, kind] += 1

    def by_kind(self) -> dict[str, int]:
        return dict(collections.Counter(kind for _, kind in self.requests.elements()))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, stats: Stats) -> None:
        self.stats, self.closing = stats, threading.Event()
        self.resets: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def shutdown_request(self, request: Any) -> None:
        if request in self.resets:
            # closed without the shutdown of the base class, which would end the connection in an orderly way
            self.resets.discard(request)
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # a client that closes the connection early is expected (deadlines, byte limits); every other error is shown
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        url = self.path if "://" in self.path else f"http://{self.headers.get('Host', '')}{self.path}"
        host = urlsplit(url).netloc.lower()
        with self.server.stats.in_progress(host):
            response = answer(url)
            self.server.stats.count(host, response.kind)
            self._send(response)

    do_HEAD = do_GET  # noqa: N815  the name that http.server asks for

    def _send(self, response: Answer) -> None:
        self.close_connection = self.close_connection or response.manner != "plain"
        if response.manner == "hang":
            self.server.closing.wait(_LONGEST)
            return
        if response.manner == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.server.resets.add(self.connection)
            return
        unchanged = response.status == 200 and self.headers.get("If-None-Match") == response.etag
        body = b"" if unchanged else response.body
        self.send_response_only(304 if unchanged else response.status)
        self.send_header("Date", email.utils.formatdate(usegmt=True))
        self.send_header("Content-Type", response.mime)
        self.send_header("Content-Length", str(len(body) * 2 if response.manner == "short" else len(body)))
        if response.status == 200:
            self.send_header("ETag", response.etag)
            self.send_header("Last-Modified", "Sun, 01 Oct 2023 06:00:00 GMT")
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if response.manner == "drip":
            for i in range(0, min(len(body), int(_LONGEST / _PAUSE) * _PIECE), _PIECE):
                self.wfile.write(body[i : i + _PIECE])
                if self.server.closing.wait(_PAUSE):
                    break
        else:
            self.wfile.write(body)


@dataclass(frozen=True)
class Web:
    """A running sample web: `proxy` is the value for ``http_proxy``."""

    proxy: str
    stats: Stats


@contextlib.contextmanager
def serve(port: int = 0) -> Iterator[Web]:
    """The sample web on 127.0.0.1:`port` (0: any free one) in a background thread, until the block ends."""
    server = _Server(port, Stats())
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="sample-web", daemon=True)
    thread.start()
    try:
        yield Web(f"http://127.0.0.1:{server.server_address[1]}", server.stats)
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
