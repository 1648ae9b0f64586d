"""The proxy that the environment names (http_proxy, https_proxy, all_proxy, no_proxy), and connections through it."""

import base64
import time
import urllib.parse
import urllib.request
from urllib.parse import urlsplit

from pipelines.fetch.guard import Fault, Target
from pipelines.fetch.wire import Connection, connect, left, read_head


class ProxyDown(ConnectionError):  # noqa: N818
    """The proxy that the environment names does not answer."""


def proxy_of(target: Target) -> str | None:
    """The URL of the proxy for a request; None for a direct one."""
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get(target.scheme) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass_environment(target.netloc, proxies):  # type: ignore[attr-defined]
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def login_of(proxy: str) -> str:
    """The Proxy-Authorization for the user name in a proxy's URL; "" where it has none."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return ""
    user, password = urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or "")
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def to_proxy(proxy: str, until: float) -> Connection:
    """A connection to the proxy. Raises ProxyDown where nothing listens, after a second try."""
    parts = urlsplit(proxy)
    if parts.scheme != "http" or not parts.hostname:
        name = f"{parts.scheme}://{parts.hostname}"
        raise ValueError(f"the proxy variable names {name}: only http:// proxies are supported")
    port = parts.port or 80
    for pause in (0.5, 0.0):
        try:
            return connect([parts.hostname], port, until)
        except ConnectionRefusedError:
            if pause:
                time.sleep(min(pause, left(until)))
    where = f"http://{parts.hostname}:{port}"
    raise ProxyDown(f"nothing answers at the proxy {where}: start it, or unset the proxy variable")


def tunnel(conn: Connection, target: Target, proxy: str, until: float) -> None:
    """CONNECT to an https host: from then on the connection leads to it."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    request = f"CONNECT {host}:{target.port} HTTP/1.1\r\nHost: {host}:{target.port}\r\n"
    if login := login_of(proxy):
        request += f"Proxy-Authorization: {login}\r\n"
    conn.until(until)
    conn.send(f"{request}\r\n".encode("latin-1"), until)
    head = read_head(conn)
    if head.status == 504:
        raise Fault("timeout", "the proxy got no answer in time")
    if not 200 <= head.status < 300:
        raise Fault("refused", f"the proxy answered {head.status} to CONNECT")
