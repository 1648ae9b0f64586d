"""Which addresses may be reached.

http(s) only. Without a proxy a host is resolved once, every address it has is checked, and the connection is made to
one of those very addresses, so that a name cannot change its address between the check and the use. Behind a proxy
names are the proxy's business and are not resolved here, but a literal private address is still refused. Both hold for
every hop of a redirect.

What is private is what IANA's special-purpose registries call not globally reachable (RFC 6890 and its updates), as the
`ipaddress` module has them, and multicast and reserved space besides.
"""

from __future__ import annotations

import ipaddress
import queue
import re
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PORTS = {"http": 80, "https": 443}
LONGEST_URL = 16_384  # characters; longer ones are data in disguise, and no server takes them

# RFC 6052 and RFC 8215: an IPv4 address carried in the last 32 bits of an IPv6 one
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
# an underscore is no host-name character by RFC 952, but real hosts use it
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_-])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_-])?)*\.?\Z")
_CONTROL = re.compile(r"[\x00-\x20\x7f\\]")


class Refused(Exception):  # noqa: N818  (an answer, not a fault of ours)
    """An address that is not reached. ``status`` is one of manifests.schema.STATUSES."""

    def __init__(self, status: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True)
class Target:
    """A request's parts: ``host`` is ASCII without brackets, ``path`` starts with a slash, is percent-encoded and holds
    the query.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.path}"


def parse(url: str) -> Target:
    """The parts of an http(s) URL, or Refused("bad_url").

    User names in a URL are refused: they are credentials, or a trick to make one host look like another.
    """
    if len(url) > LONGEST_URL:
        raise Refused("bad_url", f"{len(url)} characters")
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError as fault:
        raise Refused("bad_url", str(fault)) from None
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        raise Refused("bad_url", f"scheme {scheme or 'missing'}")
    if "@" in parts.netloc or _CONTROL.search(parts.netloc):
        raise Refused("bad_url", "credentials or control characters in the host")
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii").lower()
        except UnicodeError as fault:
            raise Refused("bad_url", str(fault)) from None
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError as fault:
            raise Refused("bad_url", str(fault)) from None
    elif not _NAME.match(host) or len(host) > 253 or any(len(label) > 63 for label in host.split(".")):
        raise Refused("bad_url", "no host")
    if port == 0:
        raise Refused("bad_url", "port 0")
    # what is already encoded stays as it is; what may not stand in a request line is encoded as UTF-8, as browsers do
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~|[]")
    query = quote(parts.query, safe="/?%:@!$&'()*+,;=~|[]{}^`\\")
    return Target(scheme, host, port or PORTS[scheme], path + (f"?{query}" if query else ""))


def literal(host: str) -> Address | None:
    """The address a host spells out, in any of the spellings resolvers take (127.1, 0x7f.0.0.1, 2130706433), or None
    for a name.
    """
    host = host.rstrip(".")
    try:
        return ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        pass
    if re.fullmatch(r"[0-9a-fA-FxX.]+", host) and host[:1].isdigit():
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            pass
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):  # RFC 6761: always loopback
        return ipaddress.IPv4Address("127.0.0.1")
    return None


def _inner(address: Address) -> Address:
    """The IPv4 address an IPv6 one stands for: what a gateway would reach."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address.sixtofour:
            return address.sixtofour
        if address.teredo:
            return address.teredo[1]
        if any(address in net for net in _NAT64):
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


@dataclass(frozen=True)
class Guard:
    """The rule. ``allow_private``: CIDR ranges that may be reached although they are private."""

    allow_private: tuple[str, ...] = ()
    _ranges: tuple[Network, ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        try:
            ranges = tuple(ipaddress.ip_network(text) for text in self.allow_private)
        except ValueError as fault:
            raise ValueError(f"allow_private: {fault}; give ranges such as 10.0.0.0/8") from None
        object.__setattr__(self, "_ranges", ranges)

    def allows(self, address: Address) -> bool:
        if any(address in net for net in self._ranges if net.version == address.version):
            return True
        inner = _inner(address)
        if any(inner in net for net in self._ranges if net.version == inner.version):
            return True
        for a in (address, inner):
            if a is address and inner is not address and not address.is_multicast:
                continue  # a carrier's own range is "reserved"; what counts is what it carries
            if (
                not a.is_global
                or a.is_multicast
                or a.is_reserved
                or a.is_unspecified
                or a.is_loopback
                or a.is_link_local
            ):
                return False
        return True

    def check_literal(self, host: str) -> None:
        """Refuse a host that spells out a private address. A name passes: behind a proxy that is all there is to check."""
        address = literal(host)
        if address is not None and not self.allows(address):
            raise Refused("private_address", str(address))

    def resolve(self, host: str, port: int, timeout: float) -> Sequence[str]:
        """Every address of a host, each allowed, IPv4 and IPv6 in the resolver's order. Refused: dns, private_address,
        timeout.
        """
        self.check_literal(host)
        found = _lookup(host, port, timeout)
        for text in found:
            if not self.allows(ipaddress.ip_address(text.split("%")[0])):
                raise Refused("private_address", text)
        return found


def _lookup(host: str, port: int, timeout: float) -> list[str]:
    # the system's resolver knows no deadline, so it runs in a thread that is left behind when the time is up
    box: queue.SimpleQueue[list[str] | OSError | UnicodeError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            box.put(
                list(dict.fromkeys(str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
            )
        except (OSError, UnicodeError) as fault:
            box.put(fault)

    threading.Thread(target=ask, daemon=True, name=f"resolve {host}").start()
    try:
        answer = box.get(timeout=max(timeout, 0.001))
    except queue.Empty:
        raise Refused("timeout", f"no answer for {host}") from None
    if isinstance(answer, Exception):
        raise Refused("dns", str(answer))
    if not answer:
        raise Refused("dns", f"{host} has no address")
    return answer
