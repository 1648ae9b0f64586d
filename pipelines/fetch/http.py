"""One bounded GET: a total deadline, a byte cap, guarded addresses on every hop, and one status for whatever happens.

`Session.get` never raises for what the web does; it raises `ProxyDown` when the proxy the environment names is not
there, since every address would fail for a reason that is not its own. The standard variables http_proxy, https_proxy,
no_proxy and SSL_CERT_FILE count. A session may be used by many threads; it keeps idle connections for the next request
to the same host.
"""

from __future__ import annotations

import functools
import os
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urljoin

from pipelines.fetch.guard import Guard, Refused, Target, parse
from pipelines.fetch.proxy import ProxyDown, login_of, proxy_of, to_proxy, tunnel
from pipelines.fetch.wire import (
    ACCEPT_ENCODING,
    Connection,
    Fault,
    Head,
    Headers,
    Stale,
    connect,
    keeps_alive,
    left,
    read_body,
    read_head,
)

USER_AGENT = "panoramix/0.1"
MAX_REDIRECTS = 5  # what RFC 9309 2.3.1.2 asks of crawlers for robots.txt; browsers follow 20
REDIRECTS = (301, 302, 303, 307, 308)
IDLE = 64  # connections kept open
DRAIN = 65_536  # bytes of a body nobody wants that are read so as to keep its connection
NAMES_S = 300.0  # seconds a resolved name is good for
FIRST_RETRY_S = 1.0  # before a second try, where the server does not say
LONGEST_RETRY_S = 5.0  # a server that asks for more is left alone

# sees status and headers before the body is read; answers a status to stop there
Judge = Callable[[int, Headers], str | None]
# sees a redirect's target and the seconds left; answers a status to stop there
Hop = Callable[[str, float], str | None]


@dataclass(frozen=True)
class Response:
    """``status``: one of manifests.schema.STATUSES; ``body`` holds what came, decoded, also where the status says that
    it is not all.
    """

    status: str
    http_status: int | None = None
    headers: Headers = ()
    body: bytes = b""
    final_url: str = ""
    hops: tuple[str, ...] = ()  # every URL asked for, in order
    again: bool = False  # a reset, a 5xx or a 429: one more try may succeed
    detail: str = ""
    sent: bytes = b""  # the last request's head, and the head of its answer, as on the wire
    head: bytes = b""
    address: str = ""  # the peer's; empty behind a proxy

    def get(self, name: str, default: str = "") -> str:
        return next((v for k, v in self.headers if k.lower() == name.lower()), default)


def status_of(http_status: int) -> str:
    """The status of a final answer that is not a success."""
    if http_status in (403, 404, 410, 429):
        return f"http_{http_status}"
    if 400 <= http_status < 500:
        return "http_4xx"
    return "http_5xx" if http_status >= 500 else "redirects"


def retry_after(response: Response, now: float | None = None) -> float | None:
    """Seconds the server asks us to wait (RFC 9110 10.2.3: a number, or a date); None where it does not say."""
    value = response.get("retry-after").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - (time.time() if now is None else now))
    except (ValueError, TypeError, OverflowError):
        return None


def second_try(response: Response, until: float) -> float | None:
    """Seconds to wait before a second try, or None where there is to be none: only after a reset, a 5xx or a 429, only
    if the server
    does not ask for long, and only within the monotonic time ``until``."""
    if not response.again:
        return None
    asked = retry_after(response)
    wait = FIRST_RETRY_S if asked is None else asked
    return wait if wait <= LONGEST_RETRY_S and time.monotonic() + wait < until else None


@functools.lru_cache(maxsize=4)
def _context(cert_file: str, cert_dir: str) -> ssl.SSLContext:
    # OpenSSL reads SSL_CERT_FILE and SSL_CERT_DIR itself: they are arguments so that a change of theirs is seen
    return ssl.create_default_context()


class Session:
    """Connections, resolved names and the rule that guards them."""

    def __init__(self, *, allow_private: tuple[str, ...] = (), user_agent: str = USER_AGENT) -> None:
        self.guard = Guard(allow_private)
        self.user_agent = user_agent
        self._lock = threading.Lock()
        self._idle: OrderedDict[tuple[str, ...], list[Connection]] = OrderedDict()
        self._names: dict[tuple[str, int], tuple[float, list[str] | Refused]] = {}

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            for connections in self._idle.values():
                for connection in connections:
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
        on_redirect: Hop | None = None,
    ) -> Response:
        """GET ``url`` within ``deadline_s`` seconds of wall clock, all hops together, and at most ``max_bytes`` of
        decoded body.

        ``partial``: of a body announced as longer, read the first ``max_bytes``; without it nothing. The status is
        "too_large" either way.
        ``max_redirects`` 0 follows none: the redirect itself is answered, status "redirects".
        ``judge`` may end a request when its headers are there, ``on_redirect`` before a hop; what they answer is the
        status.
        """
        until = time.monotonic() + deadline_s
        hops: list[str] = []
        response = Response("bad_url", final_url=url)
        try:
            while True:
                target = parse(url)
                hops.append(url)
                response = self._once(target, dict(headers or {}), until, max_bytes, partial, judge)
                response = replace(response, final_url=url, hops=tuple(hops))
                if response.status != "redirects":
                    return response
                location = response.get("location")
                following = join(url, location) if location and response.http_status in REDIRECTS else ""
                if not following or len(hops) > max_redirects or following in hops:
                    return response
                if on_redirect and (stop := on_redirect(following, left(until))):
                    return Response(stop, final_url=following, hops=tuple(hops), detail="hop")
                url = following
        except Refused as fault:
            return Response(fault.status, final_url=url, hops=tuple(hops), detail=str(fault))
        except Fault as fault:
            return Response(fault.status, final_url=url, hops=tuple(hops), again=fault.again, detail=str(fault))
        except TimeoutError as fault:
            return Response("timeout", final_url=url, hops=tuple(hops), detail=str(fault))
        except ssl.SSLError as fault:
            return Response("tls", final_url=url, hops=tuple(hops), detail=str(fault))
        except ProxyDown:
            raise
        except OSError as fault:
            again = isinstance(fault, ConnectionResetError | BrokenPipeError)
            return Response("refused", final_url=url, hops=tuple(hops), again=again, detail=str(fault))

    def _once(
        self, target: Target, headers: dict[str, str], until: float, max_bytes: int, partial: bool, judge: Judge | None
    ) -> Response:
        proxy = proxy_of(target)
        self.guard.check_literal(target.host)
        absolute = proxy is not None and target.scheme == "http"
        lines = {
            "Host": target.netloc,
            "User-Agent": self.user_agent,
            "Accept": "*/*",
            "Accept-Encoding": ACCEPT_ENCODING,
            "Connection": "keep-alive",
        }
        if absolute and proxy and (login := login_of(proxy)):
            lines["Proxy-Authorization"] = login
        lines |= headers
        if any("\n" in v or "\r" in v for v in lines.values()):
            raise ValueError("a request header holds a line break")
        sent = (
            f"GET {target.url if absolute else target.path} HTTP/1.1\r\n"
            + "".join(f"{k}: {v}\r\n" for k, v in lines.items())
            + "\r\n"
        )
        request = sent.encode("latin-1", "replace")
        key = ("proxy", proxy) if absolute and proxy else (target.scheme, target.netloc, proxy or "")
        conn, head = self._ask(key, target, proxy, request, until)
        kept = False
        try:
            kept, response = self._answer(conn, head, max_bytes, partial, judge)
            return replace(response, sent=request, head=head.raw, address="" if proxy else conn.address)
        finally:
            if kept and keeps_alive(head):
                self._keep(key, conn)
            else:
                conn.close()

    def _ask(
        self, key: tuple[str, ...], target: Target, proxy: str | None, request: bytes, until: float
    ) -> tuple[Connection, Head]:
        """Send on a kept connection if there is one that still lives, else on a new one."""
        kept = self._kept(key)
        while True:
            conn = kept or self._open(target, proxy, until)
            kept = None  # the next one is new, so that a request is sent twice at most
            conn.until(until)
            try:
                try:
                    conn.send(request, until)
                except (BrokenPipeError, ConnectionResetError):
                    if conn.used:
                        raise Stale from None
                    raise
                head = read_head(conn)
            except Stale:
                conn.close()
                continue
            except BaseException:
                conn.close()
                raise
            conn.used += 1
            return conn, head

    def _answer(
        self, conn: Connection, head: Head, max_bytes: int, partial: bool, judge: Judge | None
    ) -> tuple[bool, Response]:
        """-> (the connection may be used again, the answer)"""
        said = Response("ok", head.status, head.headers)
        if not (200 <= head.status < 300 or head.status == 304):
            status, body, whole = read_body(conn, head, min(max_bytes, DRAIN))
            if status == "timeout" and head.status not in REDIRECTS:
                return False, replace(said, status="timeout")
            again = head.status >= 500 or head.status == 429
            return whole, replace(said, status=status_of(head.status), body=body, again=again)
        if judge and (stop := judge(head.status, head.headers)):
            return False, replace(said, status=stop)
        status, body, whole = read_body(conn, head, max_bytes, partial)
        if status == "ok" and not body and head.status != 304:
            status = "empty"
        return whole, replace(said, status=status, body=body)

    def _open(self, target: Target, proxy: str | None, until: float) -> Connection:
        if proxy is None:
            conn = connect(self._resolved(target, until), target.port, until)
        else:
            conn = to_proxy(proxy, until)
        try:
            if target.scheme == "https":
                if proxy is not None:
                    tunnel(conn, target, proxy, until)
                context = _context(os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", ""))
                conn.secure(context, target.host.rstrip("."), until)
        except BaseException:
            conn.close()
            raise
        return conn

    def _resolved(self, target: Target, until: float) -> list[str]:
        key = (target.host, target.port)
        with self._lock:
            when, known = self._names.get(key, (0.0, []))
        if when > time.monotonic():
            if isinstance(known, Refused):
                raise Refused(known.status, str(known))
            return known
        try:
            answer: list[str] | Refused = list(self.guard.resolve(target.host, target.port, left(until)))
        except Refused as fault:
            answer = fault
        with self._lock:
            if len(self._names) > 100_000:
                self._names.clear()
            self._names[key] = (time.monotonic() + NAMES_S, answer)
        if isinstance(answer, Refused):
            raise answer
        return answer

    def _kept(self, key: tuple[str, ...]) -> Connection | None:
        with self._lock:
            connections = self._idle.get(key)
            if not connections:
                return None
            conn = connections.pop()
            if not connections:
                del self._idle[key]
            return conn

    def _keep(self, key: tuple[str, ...], conn: Connection) -> None:
        with self._lock:
            self._idle.setdefault(key, []).append(conn)
            self._idle.move_to_end(key)
            if sum(map(len, self._idle.values())) > IDLE:
                oldest, connections = next(iter(self._idle.items()))
                connections.pop(0).close()
                if not connections:
                    del self._idle[oldest]


def join(url: str, location: str) -> str:
    """A Location header made absolute, without fragment; "" where it is none."""
    # header bytes came as latin-1; addresses outside ASCII are UTF-8 in practice
    text = location.encode("latin-1", "replace").decode("utf-8", "replace")
    try:
        return urljoin(url, text).split("#")[0]
    except ValueError:
        return ""


def get(
    url: str,
    *,
    deadline_s: float,
    max_bytes: int,
    max_redirects: int = MAX_REDIRECTS,
    allow_private: tuple[str, ...] = (),
    user_agent: str = USER_AGENT,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """`Session.get` for one address."""
    with Session(allow_private=allow_private, user_agent=user_agent) as session:
        return session.get(
            url, deadline_s=deadline_s, max_bytes=max_bytes, max_redirects=max_redirects, headers=headers
        )
