"""One HTTP/1.1 connection with a total time limit: connect, send, read the head, read the body.

`http.client` and urllib3 give each socket operation its own timeout, so a server that sends a byte now and then holds a
thread for as long as it likes. Here every read has what is left of one deadline. Sizes are bounded everywhere: head,
body, and what the body decodes to.
"""

from __future__ import annotations

import io
import re
import socket
import ssl
import time
import zlib
from collections.abc import Iterator
from typing import Protocol

try:  # optional: without it "br" is not asked for
    import brotli  # type: ignore[import-untyped]

    _BROTLI = hasattr(brotli.Decompressor, "can_accept_more_data")  # 1.2: the first release whose output can be bounded
except ImportError:
    _BROTLI = False

ACCEPT_ENCODING = "gzip, br" if _BROTLI else "gzip"
HEAD_BYTES = 131_072  # status line and headers together; browsers stop at about 256 KiB, servers at 8 to 64
PIECE = 65_536

Headers = tuple[tuple[str, str], ...]


class Fault(Exception):  # noqa: N818  (the web's fault, not an error of ours)
    """What went wrong, as one of manifests.schema.STATUSES. ``again``: a second try may well succeed."""

    def __init__(self, status: str, detail: str, again: bool = False) -> None:
        super().__init__(detail)
        self.status, self.again = status, again


class Stale(Exception):  # noqa: N818
    """A kept connection that the server had closed meanwhile: nothing of the answer came."""


def left(until: float) -> float:
    """Seconds until a monotonic time; TimeoutError when it has passed."""
    remaining = until - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("deadline")
    return remaining


class _Timed(io.RawIOBase):
    """The receiving end of a socket, each read with what is left of the deadline."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.until = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        self.sock.settimeout(left(self.until))
        return self.sock.recv_into(buffer)  # type: ignore[arg-type]


class Connection:
    """A connected socket and its buffered reader. ``address`` is the peer's; ``used`` counts answers read from it."""

    def __init__(self, sock: socket.socket, address: str) -> None:
        self.sock, self.address, self.used = sock, address, 0
        self._raw = _Timed(sock)
        self.reader = io.BufferedReader(self._raw, PIECE)

    def until(self, deadline: float) -> None:
        self._raw.until = deadline

    def secure(self, context: ssl.SSLContext, host: str, deadline: float) -> None:
        """TLS over what is connected; the certificate must be valid for ``host``, whatever address it was reached at."""
        self.sock.settimeout(left(deadline))
        self.sock = context.wrap_socket(self.sock, server_hostname=host)
        self._raw = _Timed(self.sock)
        self.reader = io.BufferedReader(self._raw, PIECE)

    def send(self, data: bytes, deadline: float) -> None:
        self.sock.settimeout(left(deadline))
        self.sock.sendall(data)

    def close(self) -> None:
        self.sock.close()


def connect(addresses: list[str], port: int, deadline: float) -> Connection:
    """The first of the addresses that takes a connection, each given an equal share of what is left. OSError of the
    last one.
    """
    fault: OSError = ConnectionRefusedError("no address")
    for i, address in enumerate(addresses):
        remaining = left(deadline)
        try:
            sock = socket.create_connection((address, port), timeout=remaining / (len(addresses) - i))
        except OSError as err:
            fault = err
            continue
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Connection(sock, address)
    raise fault


class Head:
    """Status line and headers of an answer; ``raw`` is what came."""

    def __init__(self, status: int, version: str, headers: Headers, raw: bytes) -> None:
        self.status, self.version, self.headers, self.raw = status, version, headers, raw

    def all(self, name: str) -> list[str]:
        return [v for k, v in self.headers if k.lower() == name]

    def get(self, name: str, default: str = "") -> str:
        return next(iter(self.all(name)), default)


_STATUS = re.compile(rb"HTTP/(1\.[01]) +(\d{3})(?:[ \t\r\n]|\Z)")


def read_head(conn: Connection) -> Head:
    """The next answer's head; interim (1xx) answers are skipped. Stale if a used connection ends before its first byte."""
    for _ in range(8):
        rows: list[bytes] = []
        size = 0
        while True:
            try:
                row = conn.reader.readline(HEAD_BYTES + 1)
            except TimeoutError:
                raise
            except OSError as fault:
                if not rows and conn.used:
                    raise Stale from None
                raise Fault("refused", f"reset: {fault}", again=True) from None
            size += len(row)
            if not row:
                if not rows and conn.used:
                    raise Stale
                raise Fault("refused", "closed before the answer's head ended", again=True)
            if size > HEAD_BYTES:
                raise Fault("too_large", "head")
            if rows and row in (b"\r\n", b"\n"):
                break
            if rows or row.strip():  # blank lines before a status line are ignored (RFC 9112 2.2)
                rows.append(row)
        match = _STATUS.match(rows[0])
        if not match:
            raise Fault("refused", "not HTTP")
        status = int(match[2])
        if status >= 200:
            return Head(status, match[1].decode(), _headers(rows[1:]), b"".join(rows) + b"\r\n")
    raise Fault("refused", "interim answers without end")


def _headers(rows: list[bytes]) -> Headers:
    found: list[tuple[str, str]] = []
    for row in rows:
        text = row.decode("latin-1").rstrip("\r\n")
        if text[:1] in (" ", "\t") and found:  # a folded line (RFC 9112 5.2) goes on where the last one ended
            found[-1] = (found[-1][0], f"{found[-1][1]} {text.strip()}".strip())
            continue
        name, colon, value = text.partition(":")
        if colon and name.strip():
            found.append((name.strip(), value.strip()))
    return tuple(found)


def keeps_alive(head: Head) -> bool:
    tokens = {t.strip().lower() for v in head.all("connection") for t in v.split(",")}
    return "close" not in tokens and (head.version == "1.1" or "keep-alive" in tokens)


def read_body(conn: Connection, head: Head, max_bytes: int, partial: bool = False) -> tuple[str, bytes, bool]:
    """-> (status, body, whole): "ok", or the Fault's status with what came before it; whole: the connection stands at
    its next answer.

    A body announced as longer than ``max_bytes`` is not read at all, unless ``partial``."""
    kept = bytearray()
    ended: list[bool] = []
    try:
        for piece in _decoded(head, _pieces(conn, head, None if partial else max_bytes, ended), max_bytes):
            kept += piece
            if len(kept) > max_bytes:
                raise Fault("too_large", f"more than {max_bytes} bytes")
    except Fault as fault:
        return fault.status, bytes(kept[:max_bytes]), False
    except TimeoutError:
        return "timeout", bytes(kept), False
    except OSError:
        return "truncated", bytes(kept), False
    return "ok", bytes(kept), bool(ended)


def _length(head: Head) -> int | None:
    values = {v.strip() for row in head.all("content-length") for v in row.split(",")}
    if len(values) == 1 and (text := values.pop()).isdigit() and text.isascii():
        return int(text)
    return None


def _pieces(conn: Connection, head: Head, cap: int | None, ended: list[bool]) -> Iterator[bytes]:
    """The body's bytes as they come, the transfer's framing taken off. ``ended`` gets True where the framing says that
    this was all.
    """
    chunked = any("chunked" in v.lower() for v in head.all("transfer-encoding"))
    length = None if chunked else _length(head)
    if head.status in (204, 304):
        ended.append(True)
    elif chunked:
        yield from _chunks(conn)
        ended.append(True)
    elif length is not None:
        if cap is not None and length > cap:
            raise Fault("too_large", f"{length} bytes announced")
        yield from _exactly(conn, length)
        ended.append(True)
    else:
        while piece := conn.reader.read1(PIECE):
            yield piece


def _exactly(conn: Connection, length: int) -> Iterator[bytes]:
    while length:
        piece = conn.reader.read1(min(length, PIECE))
        if not piece:
            raise Fault("truncated", f"{length} bytes missing")
        length -= len(piece)
        yield piece


def _chunks(conn: Connection) -> Iterator[bytes]:
    while True:
        row = conn.reader.readline(4096)
        digits = row.split(b";")[0].strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,12}", digits):
            raise Fault("truncated", "chunk size")
        size = int(digits, 16)
        if size == 0:
            break
        yield from _exactly(conn, size)
        if conn.reader.readline(8).strip():
            raise Fault("truncated", "chunk end")
    for _ in range(64):  # trailers
        if not conn.reader.readline(8192).strip():
            return
    raise Fault("truncated", "trailers without end")


class _Decoder(Protocol):
    def feed(self, data: bytes, room: int) -> bytes: ...
    def whole(self) -> bool: ...


class _Gzip:
    """gzip (members in a row) and deflate, with and without its zlib header."""

    def __init__(self, name: str) -> None:
        self.name, self.engine, self.begun, self.ended = name, zlib.decompressobj(47), False, False

    def feed(self, data: bytes, room: int) -> bytes:
        out = b""
        while data and len(out) <= room:
            if self.ended:  # what follows the last member without being one is padding
                if not data.startswith(b"\x1f\x8b"):
                    return out
                self.engine, self.ended = zlib.decompressobj(31), False
            try:
                out += self.engine.decompress(data, room + 1 - len(out))
            except zlib.error as fault:
                if self.begun or self.name != "deflate":
                    raise Fault("undecodable", str(fault)) from None
                self.engine = zlib.decompressobj(-15)
                self.begun = True
                continue
            self.begun = True
            self.ended = self.engine.eof
            data = self.engine.unused_data if self.ended else self.engine.unconsumed_tail
        return out

    def whole(self) -> bool:
        return self.ended


class _Brotli:
    def __init__(self) -> None:
        self.engine = brotli.Decompressor()

    def feed(self, data: bytes, room: int) -> bytes:
        try:
            out = self.engine.process(data, output_buffer_limit=room + 1)
            while len(out) <= room and not self.engine.can_accept_more_data():
                more = self.engine.process(b"", output_buffer_limit=room + 1 - len(out))
                if not more:
                    break
                out += more
        except brotli.error as fault:
            raise Fault("undecodable", str(fault)) from None
        return bytes(out)

    def whole(self) -> bool:
        return bool(self.engine.is_finished())


def _decoded(head: Head, pieces: Iterator[bytes], cap: int) -> Iterator[bytes]:
    """The pieces with their Content-Encoding taken off; encodings we do not know are left as they are, as browsers do."""
    decoders: list[_Decoder] = []
    for name in [n.strip().lower() for v in head.all("content-encoding") for n in v.split(",")]:
        if name in ("gzip", "x-gzip", "deflate"):
            decoders.insert(0, _Gzip(name.removeprefix("x-")))
        elif name == "br" and _BROTLI:
            decoders.insert(0, _Brotli())
    if len(decoders) > 2:
        raise Fault("undecodable", f"{len(decoders)} content encodings")
    raw = total = 0
    for piece in pieces:
        raw += len(piece)
        if raw > cap:
            yield b"" if decoders else piece
            raise Fault("too_large", f"more than {cap} bytes")
        for decoder in decoders:
            piece = decoder.feed(piece, cap - total)
        total += len(piece)
        yield piece
    if raw and not all(d.whole() for d in decoders):
        raise Fault("truncated", "the content encoding is not complete")
