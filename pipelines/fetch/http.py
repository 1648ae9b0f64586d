"""One bounded GET: a total deadline, a limit of bytes, checked addresses on every hop, and one status for each outcome.

`Session.get` does not raise for what servers do. It raises `ProxyDown` when the proxy that the environment names does
not answer, because then every URL would fail for a reason that is not its own. The variables http_proxy, https_proxy,
no_proxy and SSL_CERT_FILE count. Threads may share a session; it keeps idle connections for the next request to the
same host.
"""

from __future__ import annotations

import functools
import os
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime

from manifests.urls import join_url
from pipelines.fetch import wire
from pipelines.fetch.guard import Fault, Guard, Target, parse
from pipelines.fetch.proxy import ProxyDown, login_of, proxy_of, to_proxy, tunnel
from pipelines.fetch.wire import Connection, Head, Headers, Stale, left

USER_AGENT = "panoramix/0.1"
MAX_REDIRECTS = 5  # what RFC 9309 2.3.1.2 asks of crawlers for robots.txt; browsers follow 20
REDIRECTS = (301, 302, 303, 307, 308)
IDLE = 64  # connections kept open
DRAIN = 65_536  # bytes that are read of a body without use, to keep its connection
NAMES_S = 300.0  # seconds for which a resolved name is used
FIRST_RETRY_S = 1.0  # before a second try, where the server does not say
LONGEST_RETRY_S = 5.0  # a server that asks for a longer pause gets no second try

# gets status and headers before the body is read; a status that it returns ends the request
Judge = Callable[[int, Headers], str | None]
# gets the target of a redirect and the seconds left; a status that it returns ends the request
OnRedirect = Callable[[str, float], str | None]


def user_agent(contact: str | None = None, name: str = USER_AGENT) -> str:
    """The User-Agent of requests: ``panoramix/0.1``, or with a contact ``panoramix/0.1 (+mailto:me@example.org)``.

    contact: an e-mail address, or an http(s) URL that explains the crawler. name: a product and its version (RFC 9110
    10.1.5); robots.txt files address the product in lower case. Raises ValueError, in one line.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z_-]*(/[A-Za-z0-9._+-]+)?", name):
        raise ValueError(f"user_agent: {name!r} is not a product name of letters, - and _, such as {USER_AGENT}")
    if contact is None:
        return name
    address = re.fullmatch(r"(?:mailto:)?([!-~]+@[!-~]+\.[!-~]+)", contact)
    if re.search(r"[^!-~]|[()\\]", contact) or not (address or re.fullmatch(r"https?://[^/]+\S*", contact)):
        raise ValueError(f"contact: {contact!r} is neither an e-mail address nor an http(s) URL in printable ASCII")
    is_url = contact.startswith(("http://", "https://"))
    return f"{name} (+{contact})" if is_url or address is None else f"{name} (+mailto:{address[1]})"


@dataclass(frozen=True)
class Response:
    """``status``: one of manifests.schema.STATUSES. ``body``: decoded; where the status is an error, what came."""

    status: str
    http_status: int | None = None
    headers: Headers = ()
    body: bytes = b""
    final_url: str = ""
    hops: tuple[str, ...] = ()  # every URL requested, in order
    retryable: bool = False  # a reset, a 5xx or a 429: a second try may succeed
    sent: bytes = b""  # the head of the last request, and of its answer, as on the wire
    head: bytes = b""
    address: str = ""  # of the peer; empty behind a proxy

    def get(self, name: str) -> str:
        """The first value of a header; "" where there is none."""
        return wire.header(self.headers, name)


def status_of(http_status: int) -> str:
    """The status of a final answer that is not a success."""
    if http_status in (403, 404, 410, 429):
        return f"http_{http_status}"
    if 400 <= http_status < 500:
        return "http_4xx"
    return "http_5xx" if http_status >= 500 else "redirects"


def retry_after(response: Response, now: float | None = None) -> float | None:
    """Seconds that the server asks to wait (RFC 9110 10.2.3: a number, or a date); None where it does not say."""
    value = response.get("retry-after").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - (time.time() if now is None else now))
    except (ValueError, TypeError, OverflowError):
        return None


def second_try(response: Response, until: float) -> float | None:
    """Seconds to wait before a second try; None where there is none. There is one after a reset, a 5xx or a 429, if the
    server does not ask for a long pause, and if the monotonic time ``until`` allows it."""
    if not response.retryable:
        return None
    pause = retry_after(response)
    wait = FIRST_RETRY_S if pause is None else pause
    return wait if wait <= LONGEST_RETRY_S and time.monotonic() + wait < until else None


def absolute_location(url: str, response: Response) -> str:
    """The target of a redirect, absolute and without fragment; "" where there is none."""
    # header bytes are decoded as latin-1, but URLs outside ASCII are UTF-8 in practice
    location = response.get("location").encode("latin-1", "replace").decode("utf-8", "replace")
    return join_url(url, location).split("#")[0] if location else ""


@functools.lru_cache(maxsize=4)
def _tls_context(cert_file: str, cert_dir: str) -> ssl.SSLContext:
    # OpenSSL itself reads SSL_CERT_FILE and SSL_CERT_DIR. They are arguments so that a change gives a new context
    return ssl.create_default_context()


class Session:
    """Connections, resolved names, and the rule for addresses."""

    def __init__(self, *, allow_private: tuple[str, ...] = (), user_agent: str = USER_AGENT) -> None:
        self.guard = Guard(allow_private)
        self.user_agent = user_agent
        self._lock = threading.Lock()
        self._idle: list[tuple[tuple[str, ...], Connection]] = []  # the last one was used last
        self._names: dict[tuple[str, int], tuple[float, list[str] | Fault]] = {}

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            for _, connection in self._idle:
                connection.close()
            self._idle.clear()

    def get(
        self,
        url: str,
        *,
        deadline_s: float,
        max_bytes: int,
        max_redirects: int = MAX_REDIRECTS,
        headers: Mapping[str, str] | None = None,
        partial: bool = False,
        judge: Judge | None = None,
        on_redirect: OnRedirect | None = None,
    ) -> Response:
        """GET ``url``. All hops together take at most ``deadline_s`` seconds of wall clock, and the decoded body is at
        most ``max_bytes``.

        partial: of a body that is announced as longer, read the first ``max_bytes``; without it, nothing. The status is
        "too_large" in both cases.
        max_redirects: 0 returns the redirect itself, with status "redirects".
        judge, on_redirect: may end the request with a status, before the body is read and before a hop.
        """
        until = time.monotonic() + deadline_s
        hops: list[str] = []
        try:
            while True:
                target = parse(url)
                hops.append(url)
                response = self._once(target, dict(headers or {}), until, max_bytes, partial, judge)
                response = replace(response, final_url=url, hops=tuple(hops))
                if response.status != "redirects":
                    return response
                following = absolute_location(url, response) if response.http_status in REDIRECTS else ""
                if not following or len(hops) > max_redirects or following in hops:
                    return response
                if on_redirect and (stop := on_redirect(following, left(until))):
                    return Response(stop, final_url=following, hops=tuple(hops))
                url = following
        except Fault as fault:
            response = Response(fault.status, retryable=fault.retryable)
        except TimeoutError:
            response = Response("timeout")
        except ssl.SSLError:
            response = Response("tls")
        except ProxyDown:
            raise
        except OSError as error:
            response = Response("refused", retryable=isinstance(error, ConnectionResetError | BrokenPipeError))
        return replace(response, final_url=url, hops=tuple(hops))

    def _once(
        self, target: Target, headers: dict[str, str], until: float, max_bytes: int, partial: bool, judge: Judge | None
    ) -> Response:
        proxy = proxy_of(target)
        self.guard.check_literal(target.host)
        through_proxy = proxy if target.scheme == "http" else None  # https goes through a tunnel
        lines = {"Host": target.netloc, "User-Agent": self.user_agent, "Accept": "*/*"}
        lines |= {"Accept-Encoding": wire.ACCEPT_ENCODING, "Connection": "keep-alive"}
        if through_proxy and (login := login_of(through_proxy)):
            lines["Proxy-Authorization"] = login
        lines |= headers
        if any("\n" in value or "\r" in value for value in lines.values()):
            raise ValueError("a request header holds a line break")
        first = f"GET {target.url if through_proxy else target.path} HTTP/1.1\r\n"
        text = first + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
        request = text.encode("latin-1", "replace")
        key = ("proxy", through_proxy) if through_proxy else (target.scheme, target.netloc, proxy or "")
        conn, head = self._send(key, target, proxy, request, until)
        reusable = False
        try:
            reusable, response = self._answer(conn, head, max_bytes, partial, judge)
            return replace(response, sent=request, head=head.raw, address="" if proxy else conn.address)
        finally:
            if reusable and head.keeps_alive():
                self._put_idle(key, conn)
            else:
                conn.close()

    def _send(
        self, key: tuple[str, ...], target: Target, proxy: str | None, request: bytes, until: float
    ) -> tuple[Connection, Head]:
        """Send the request on an idle connection if one is still open, else on a new one, and read the head."""
        idle = self._take_idle(key)
        while True:
            conn = idle or self._open(target, proxy, until)
            idle = None  # the next one is new, so a request is sent twice at most
            conn.until(until)
            try:
                conn.send(request, until)
                head = wire.read_head(conn)
            except Stale:
                conn.close()
                continue
            except BaseException:
                conn.close()
                raise
            conn.answers += 1
            return conn, head

    def _answer(
        self, conn: Connection, head: Head, max_bytes: int, partial: bool, judge: Judge | None
    ) -> tuple[bool, Response]:
        """-> (whether the connection may be used again, the answer)"""
        answer = Response("ok", head.status, head.headers)
        if not (200 <= head.status < 300 or head.status == 304):
            status, body, reusable = wire.read_body(conn, head, min(max_bytes, DRAIN))
            if status == "timeout" and head.status not in REDIRECTS:
                return False, replace(answer, status="timeout")
            retryable = head.status >= 500 or head.status == 429
            return reusable, replace(answer, status=status_of(head.status), body=body, retryable=retryable)
        if judge and (stop := judge(head.status, head.headers)):
            return False, replace(answer, status=stop)
        status, body, reusable = wire.read_body(conn, head, max_bytes, partial)
        if status == "ok" and not body and head.status != 304:
            status = "empty"
        return reusable, replace(answer, status=status, body=body)

    def _open(self, target: Target, proxy: str | None, until: float) -> Connection:
        if proxy is None:
            conn = wire.connect(self._resolve(target, until), target.port, until)
        else:
            conn = to_proxy(proxy, until)
        try:
            if target.scheme == "https":
                if proxy is not None:
                    tunnel(conn, target, proxy, until)
                context = _tls_context(os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", ""))
                conn.secure(context, target.host.rstrip("."), until)
        except BaseException:
            conn.close()
            raise
        return conn

    def _resolve(self, target: Target, until: float) -> list[str]:
        """The addresses of a host. A name that cannot be used is remembered as well."""
        key = (target.host, target.port)
        with self._lock:
            expires, addresses = self._names.get(key, (0.0, []))
        if expires <= time.monotonic():
            try:
                addresses = list(self.guard.resolve(target.host, target.port, left(until)))
            except Fault as fault:
                addresses = fault
            with self._lock:
                if len(self._names) > 100_000:
                    self._names.clear()
                self._names[key] = (time.monotonic() + NAMES_S, addresses)
        if isinstance(addresses, Fault):
            raise Fault(addresses.status, str(addresses))
        return addresses

    def _take_idle(self, key: tuple[str, ...]) -> Connection | None:
        with self._lock:
            for i in reversed(range(len(self._idle))):
                if self._idle[i][0] == key:
                    return self._idle.pop(i)[1]
        return None

    def _put_idle(self, key: tuple[str, ...], conn: Connection) -> None:
        with self._lock:
            self._idle.append((key, conn))
            if len(self._idle) > IDLE:
                self._idle.pop(0)[1].close()
