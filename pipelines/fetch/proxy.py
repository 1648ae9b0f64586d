"""The proxy the environment names (http_proxy, https_proxy, all_proxy, no_proxy): which one, and the way through it."""

from __future__ import annotations

import base64
import time
import urllib.parse
import urllib.request
from urllib.parse import urlsplit

from pipelines.fetch.guard import Target
from pipelines.fetch.wire import Connection, Fault, connect, left, read_head


class ProxyDown(ConnectionError):  # noqa: N818
    """The proxy that the environment names does not answer."""


def proxy_of(target: Target) -> str | None:
    """The proxy URL for a request, or None for a direct one."""
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get(target.scheme) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass_environment(target.netloc, proxies):  # type: ignore[attr-defined]
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def login_of(proxy: str) -> str:
    """The Proxy-Authorization that a proxy URL's user name asks for, or ""."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return ""
    user, word = urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or "")
    return "Basic " + base64.b64encode(f"{user}:{word}".encode()).decode()


def to_proxy(proxy: str, until: float) -> Connection:
    """A connection to the proxy; ProxyDown where nothing listens."""
    parts = urlsplit(proxy)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"the proxy variable names {parts.scheme}://{parts.hostname}: only http:// proxies are served")
    port = parts.port or 80
    for last in (False, True):
        try:
            return connect([parts.hostname], port, until)
        except ConnectionRefusedError:
            if last:
                where = f"http://{parts.hostname}:{port}"
                raise ProxyDown(
                    f"nothing answers at the proxy {where}: start it, or unset the proxy variable"
                ) from None
            time.sleep(min(0.5, left(until)))
    raise AssertionError


def tunnel(conn: Connection, target: Target, proxy: str, until: float) -> None:
    """CONNECT to an https host, so that what follows on the connection is with it."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    request = f"CONNECT {host}:{target.port} HTTP/1.1\r\nHost: {host}:{target.port}\r\n"
    if login := login_of(proxy):
        request += f"Proxy-Authorization: {login}\r\n"
    conn.until(until)
    conn.send(f"{request}\r\n".encode("latin-1"), until)
    head = read_head(conn)
    if head.status == 504:
        raise Fault("timeout", "the proxy waited in vain")
    if not 200 <= head.status < 300:
        raise Fault("refused", f"the proxy answered {head.status} to CONNECT")
