"""One HTTP/1.1 connection with a total time limit: connect, send, read the head, read the body.

`http.client` and urllib3 give each socket operation its own timeout, so a server that sends a byte now and then holds a
thread without end. Here each read has the time that is left of one deadline. All sizes are bounded: head, body, and
decoded body.
"""

import io
import re
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.fetch.guard import Fault
from pipelines.fetch.message import CodingError, decode, header_fields

ACCEPT_ENCODING = "gzip, br"
HEAD_BYTES = 131_072  # status line and headers together; browsers stop at about 256 KiB, servers at 8 to 64
PIECE = 65_536

# content codings that are undone. A body in any other is left as it is, as browsers do
_CODINGS = ("gzip", "x-gzip", "deflate", "br")
_STATUS = re.compile(rb"HTTP/(1\.[01]) +(\d{3})(?:[ \t\r\n]|\Z)")

Headers = tuple[tuple[str, str], ...]


class Stale(Exception):  # noqa: N818
    """The server had closed a connection that was kept open: nothing of the answer came."""


def left(until: float) -> float:
    """Seconds until a monotonic time. Raises TimeoutError when it has passed."""
    remaining = until - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("deadline")
    return remaining


def header(headers: Headers, name: str, default: str = "") -> str:
    """The first value of a header."""
    return next((value for key, value in headers if key.lower() == name), default)


class _TimedSocket(io.RawIOBase):
    """The receiving end of a socket. Each read has the time that is left of the deadline."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.until = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        self.sock.settimeout(left(self.until))
        return self.sock.recv_into(buffer)  # type: ignore[arg-type]


class Connection:
    """A connected socket and its buffered reader. ``address``: of the peer. ``answers``: read from it up to now."""

    def __init__(self, sock: socket.socket, address: str) -> None:
        self.address, self.answers = address, 0
        self._use(sock)

    def _use(self, sock: socket.socket) -> None:
        self.sock = sock
        self._raw = _TimedSocket(sock)
        self.reader = io.BufferedReader(self._raw, PIECE)

    def until(self, deadline: float) -> None:
        self._raw.until = deadline

    def secure(self, context: ssl.SSLContext, host: str, deadline: float) -> None:
        """Start TLS. The certificate must be valid for ``host``, whatever the address of the connection is."""
        self.sock.settimeout(left(deadline))
        self._use(context.wrap_socket(self.sock, server_hostname=host))

    def send(self, data: bytes, deadline: float) -> None:
        self.sock.settimeout(left(deadline))
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            if self.answers:
                raise Stale from None
            raise

    def close(self) -> None:
        self.sock.close()


def connect(addresses: list[str], port: int, deadline: float) -> Connection:
    """A connection to the first address that accepts one. Each gets an equal share of the time left. Raises the OSError
    of the last one."""
    error: OSError = ConnectionRefusedError("no address")
    for i, address in enumerate(addresses):
        remaining = left(deadline)
        try:
            sock = socket.create_connection((address, port), timeout=remaining / (len(addresses) - i))
        except OSError as failure:
            error = failure
            continue
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Connection(sock, address)
    raise error


@dataclass(frozen=True)
class Head:
    """Status line and headers of an answer. ``raw``: the bytes that came."""

    status: int
    version: str
    headers: Headers
    raw: bytes

    def tokens(self, name: str) -> list[str]:
        """The elements of a header whose value is a list, over all its lines, in lower case."""
        values = [value for key, value in self.headers if key.lower() == name]
        return [token.strip().lower() for value in values for token in value.split(",")]

    def keeps_alive(self) -> bool:
        tokens = self.tokens("connection")
        return "close" not in tokens and (self.version == "1.1" or "keep-alive" in tokens)


def read_head(conn: Connection) -> Head:
    """The head of the next answer; interim (1xx) answers are skipped. Raises Stale if a connection that was used before
    ends before the first byte."""
    for _ in range(8):
        rows: list[bytes] = []
        size = 0
        while True:
            try:
                row = conn.reader.readline(HEAD_BYTES + 1)
                end = "closed before the end of the head"
            except TimeoutError:
                raise
            except OSError as error:
                row, end = b"", f"reset: {error}"
            if not row:
                if not rows and conn.answers:
                    raise Stale
                raise Fault("refused", end, retryable=True)
            size += len(row)
            if size > HEAD_BYTES:
                raise Fault("too_large", "head")
            if rows and row in (b"\r\n", b"\n"):
                break
            if rows or row.strip():  # blank lines before a status line are ignored (RFC 9112 2.2)
                rows.append(row)
        match = _STATUS.match(rows[0])
        if not match:
            raise Fault("refused", "not HTTP")
        if (status := int(match[2])) >= 200:
            headers = tuple(header_fields(b"".join(rows[1:]).decode("latin-1")))
            return Head(status, match[1].decode(), headers, b"".join(rows) + b"\r\n")
    raise Fault("refused", "interim answers without end")


def read_body(conn: Connection, head: Head, max_bytes: int, partial: bool = False) -> tuple[str, bytes, bool]:
    """-> (status, body, whether the connection stands at its next answer). The status is "ok", or that of the Fault;
    the body then holds what came before it.

    A body that is announced as longer than ``max_bytes`` is read only if ``partial`` is set.
    """
    body = bytearray()
    chunked = any("chunked" in token for token in head.tokens("transfer-encoding"))
    length = 0 if head.status in (204, 304) else None if chunked else _length(head)
    try:
        if length is not None and length > max_bytes and not partial:
            raise Fault("too_large", f"{length} bytes announced")
        pieces = _chunks(conn) if length is None and chunked else _plain(conn, length)
        for piece in _decoded(head, pieces, max_bytes):
            body += piece
            if len(body) > max_bytes:
                raise Fault("too_large", f"more than {max_bytes} bytes")
    except Fault as fault:
        return fault.status, bytes(body[:max_bytes]), False
    except TimeoutError:
        return "timeout", bytes(body), False
    except OSError:
        return "truncated", bytes(body), False
    return "ok", bytes(body), chunked or length is not None


def _length(head: Head) -> int | None:
    values = set(head.tokens("content-length"))
    text = values.pop() if len(values) == 1 else ""
    return int(text) if text.isdigit() and text.isascii() else None


def _plain(conn: Connection, length: int | None) -> Iterator[bytes]:
    """The next ``length`` bytes; None: all bytes until the server closes the connection."""
    while length != 0:
        piece = conn.reader.read1(PIECE if length is None else min(length, PIECE))
        if not piece:
            if length is None:
                return
            raise Fault("truncated", f"{length} bytes missing")
        if length is not None:
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
        yield from _plain(conn, size)
        if conn.reader.readline(8).strip():
            raise Fault("truncated", "chunk end")
    for _ in range(64):  # trailers
        if not conn.reader.readline(8192).strip():
            return
    raise Fault("truncated", "trailers without end")


def _decoded(head: Head, pieces: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    """The body without its content codings."""
    codings = [coding for coding in head.tokens("content-encoding") if coding in _CODINGS]
    if len(codings) > 2:
        raise Fault("undecodable", f"{len(codings)} content codings")
    pieces = _bounded(pieces, max_bytes)
    for coding in reversed(codings):
        pieces = decode(coding, pieces)
    try:
        yield from pieces
    except CodingError as error:
        raise Fault("undecodable", str(error)) from None
    except EOFError as error:
        raise Fault("truncated", str(error)) from None


def _bounded(pieces: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    """Bounds the bytes that come, also where they decode to nothing."""
    size = 0
    for piece in pieces:
        yield piece
        size += len(piece)
        if size > max_bytes:
            raise Fault("too_large", f"more than {max_bytes} bytes")
