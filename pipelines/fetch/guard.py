"""Which addresses may be reached.

Only http and https. Without a proxy, a host is resolved once, every one of its addresses is checked, and the connection
goes to one of these addresses, so a name cannot change its address between check and use. Behind a proxy, the proxy
resolves names, but a literal private address is still refused. Both hold for every hop of a redirect.

Private is what IANA's special-purpose registries call not globally reachable (RFC 6890 and its updates), as in the
`ipaddress` module, and also multicast and reserved addresses.
"""

import contextlib
import ipaddress
import queue
import re
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS = {"http": 80, "https": 443}
LONGEST_URL = 16_384  # characters; no server takes a longer one

# RFC 6052 and RFC 8215: an IPv4 address in the last 32 bits of an IPv6 address
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
# RFC 952 has no underscore in host names, but hosts that exist have it
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_-])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_-])?)*\.?\Z")
_CONTROL = re.compile(r"[\x00-\x20\x7f\\]")


class Fault(Exception):  # noqa: N818  (a fault of the web, not of this program)
    """A request without a complete answer. ``status``: one of manifests.schema.STATUSES. ``retryable``: a second try
    may succeed."""

    def __init__(self, status: str, detail: str, retryable: bool = False) -> None:
        super().__init__(detail)
        self.status, self.retryable = status, retryable


@dataclass(frozen=True)
class Target:
    """The parts of a request. ``host``: lower-case ASCII without brackets. ``path``: from its slash on, with the query,
    percent-encoded."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.netloc}"

    @property
    def url(self) -> str:
        return self.origin + self.path


def parse(url: str) -> Target:
    """The parts of an http(s) URL. Raises Fault("bad_url").

    User names in a URL are refused: they are credentials, or a trick to make one host look like another.
    """
    if len(url) > LONGEST_URL:
        raise Fault("bad_url", f"{len(url)} characters")
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
        if not host.isascii():
            host = host.encode("idna").decode("ascii").lower()
        if ":" in host:
            ipaddress.IPv6Address(host)
    except ValueError as error:  # UnicodeError is one of them
        raise Fault("bad_url", str(error)) from None
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        raise Fault("bad_url", f"scheme {scheme or 'missing'}")
    if "@" in parts.netloc or _CONTROL.search(parts.netloc):
        raise Fault("bad_url", "credentials or control characters in the host")
    if ":" not in host and (not _NAME.match(host) or len(host) > 253 or max(map(len, host.split("."))) > 63):
        raise Fault("bad_url", "no host")
    if port == 0:
        raise Fault("bad_url", "port 0")
    # as browsers do: what is encoded stays, and what may not stand in a request line is encoded as UTF-8
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~|[]")
    query = quote(parts.query, safe="/?%:@!$&'()*+,;=~|[]{}^`\\")
    return Target(scheme, host, port or PORTS[scheme], path + (f"?{query}" if query else ""))


def target_of(url: str) -> Target | None:
    """The parts of an http(s) URL; None where `parse` refuses it."""
    try:
        return parse(url)
    except Fault:
        return None


def literal(host: str) -> Address | None:
    """The address that a host spells out, in any spelling that resolvers take (127.1, 0x7f.0.0.1, 2130706433); None for
    a name."""
    host = host.rstrip(".")
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host.split("%")[0])
    if re.fullmatch(r"[0-9a-fA-FxX.]+", host) and host[:1].isdigit():
        with contextlib.suppress(OSError):
            return ipaddress.IPv4Address(socket.inet_aton(host))
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):  # RFC 6761: always loopback
        return ipaddress.IPv4Address("127.0.0.1")
    return None


def _embedded(address: Address) -> Address:
    """The IPv4 address that a gateway would reach for an IPv6 one; else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if any(address in net for net in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo or address


def _is_public(a: Address) -> bool:
    special = a.is_multicast or a.is_reserved or a.is_unspecified or a.is_loopback or a.is_link_local
    return a.is_global and not special


class Guard:
    """The rule. ``allow_private``: CIDR ranges that may be reached although they are private."""

    def __init__(self, allow_private: tuple[str, ...] = ()) -> None:
        try:
            self._ranges = tuple(ipaddress.ip_network(text) for text in allow_private)
        except ValueError as error:
            raise ValueError(f"allow_private: {error}; give ranges such as 10.0.0.0/8") from None

    def allows(self, address: Address) -> bool:
        embedded = _embedded(address)
        if any(a in net for a in (address, embedded) for net in self._ranges if net.version == a.version):
            return True
        # an IPv6 range that carries IPv4 addresses counts as reserved: only the IPv4 address decides there
        return _is_public(embedded) and (embedded is address or not address.is_multicast)

    def check_literal(self, host: str) -> None:
        """Refuse a host that spells out a private address. A name passes; behind a proxy no more can be checked."""
        address = literal(host)
        if address is not None and not self.allows(address):
            raise Fault("private_address", str(address))

    def resolve(self, host: str, port: int, timeout: float) -> Sequence[str]:
        """All addresses of a host, IPv4 and IPv6 in the resolver's order. Raises Fault (dns, private_address,
        timeout) unless each of them is allowed."""
        self.check_literal(host)
        addresses = _lookup(host, port, timeout)
        for text in addresses:
            if not self.allows(ipaddress.ip_address(text.split("%")[0])):
                raise Fault("private_address", text)
        return addresses


def _lookup(host: str, port: int, timeout: float) -> list[str]:
    # the system's resolver has no timeout, so it runs in a thread, which is left behind when the time is up
    result: queue.SimpleQueue[list[str] | OSError | UnicodeError] = queue.SimpleQueue()

    def resolve() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            result.put(list(dict.fromkeys(str(row[4][0]) for row in rows)))
        except (OSError, UnicodeError) as error:
            result.put(error)

    threading.Thread(target=resolve, daemon=True, name=f"resolve {host}").start()
    try:
        addresses = result.get(timeout=max(timeout, 0.001))
    except queue.Empty:
        raise Fault("timeout", f"no answer for {host}") from None
    if isinstance(addresses, Exception) or not addresses:
        raise Fault("dns", str(addresses or f"{host} has no address"))
    return addresses
