"""Addresses: one spelling for one page or image, and the parts that every room needs.

The readers store image addresses in the form of `canonical`, and everything that a user writes (`explain`, `forget`,
block-lists) is brought into the same form. Its equivalences are those of RFC 3986 §6.2.2 and §6.2.3: case of scheme
and host, default port, empty path, dot segments, case of percent-encoding. The query stays: its order may matter to the
server. The fragment is never sent.

No function here raises an error for a malformed URL. A host is compared in two forms, and keys of stored data depend on
the form: `netloc_of` keeps the port and a user name, `host_of` has neither.
"""

import re
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

MAX_URL = 8000  # characters of the longest address: servers often refuse longer ones (RFC 9110 §4.1)

_PORT = {"http": 80, "https": 443}
_HEX = re.compile(r"%[0-9a-fA-F]{2}")
_BARE_PERCENT = re.compile(r"%(?![0-9a-fA-F]{2})")
_UNSAFE = re.compile(r"[^\x21-\x7e]|[\"<>\\^`{|}]")
# nearly every address: there is nothing to normalise in it
_PLAIN = re.compile(r"https?://[a-z0-9.-]+\.[a-z]{2,}/(?:[A-Za-z0-9_~!$&'()*+,;=:@?/-]|\.(?![./]))*\Z")
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\Z")
_CONTROL = re.compile(r"[\t\n\r]")
_BLANKS = "".join(map(chr, range(33)))
# most addresses; `urlsplit` finds the same host of these in five times the time
_PLAIN_HOST = re.compile(r"https?://([a-z0-9.-]+)(?:[/?#]|\Z)")
#: schemes of the addresses that readers give to rows without an address on the web
OF_FILES = ("conversations", "pairs", "text", "file")


def split_url(url: str | None) -> SplitResult | None:
    """The parts of a URL; None for a malformed one, such as ``http://[::1/``. Its `port` may raise ValueError."""
    try:
        return urlsplit(url or "")
    except ValueError:
        return None


def netloc_of(url: str | None) -> str:
    """``host:port`` in lower case, as the URL spells it, behind a user name if it has one; "" where there is none."""
    parts = split_url(url)
    return parts.netloc.lower() if parts else ""


def host_of(url: str | None) -> str:
    """The host name or IP address in lower case, without port, brackets and user name; "" where there is none."""
    if plain := _PLAIN_HOST.match(url or ""):
        return plain[1]
    parts = split_url(url)
    return parts.hostname or "" if parts else ""


def join_url(base: str, reference: str) -> str:
    """A reference that was read at `base`, made absolute (RFC 3986 5.2); "" for a malformed one."""
    try:
        return urljoin(base, reference)
    except ValueError:
        return ""


def canonical(url: str) -> str | None:
    """One spelling for an absolute http(s) address, without fragment and credentials; None for any other.

    Idempotent: canonical(canonical(u)) == canonical(u).
    """
    if len(url) <= MAX_URL and _PLAIN.match(url):
        return url
    # WHATWG URL, basic parser, steps 1 to 3: remove controls and blanks at the ends, tabs and newlines everywhere
    url = _CONTROL.sub("", url.strip(_BLANKS))
    if not url or len(url) > MAX_URL:
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    scheme, ascii_host = parts.scheme.lower(), _host(host or "")
    if scheme not in _PORT or ascii_host is None:
        return None
    explicit_port = f":{port}" if port not in (None, _PORT[scheme]) else ""
    query = "?" + _escape(parts.query) if parts.query else ""
    out = f"{scheme}://{ascii_host}{explicit_port}{_dots(_escape(parts.path)) or '/'}{query}"
    return out if len(out) <= MAX_URL else None


def as_stored(text: str) -> str | None:
    """The form in which a run stores an address that a user writes in any spelling; None for what is no address.

    Addresses of rows of files (``conversations:FILE/ROW``, ``pairs:FILE/KEY``, ``text:FILE/ROW``, ``file:PDF``) are
    quoted as the readers quote them. The fragment is left out.
    """
    scheme, colon, rest = text.strip().partition(":")
    if colon and scheme.lower() in OF_FILES:
        return f"{scheme.lower()}:{quote(unquote(rest.partition('#')[0]), safe='/:')}" if rest else None
    return canonical(text.strip())


def host_as_stored(text: str) -> str | None:
    """A bare host as addresses have it: lower case, IDNA, without a final dot; None for what is no bare host."""
    text = text.strip().rstrip(".")
    address = canonical(f"http://{text}")
    return host_of(address) if address and not re.search(r"[/?#@:\\%\s]", text) else None


def _host(host: str) -> str | None:
    """A host in lower-case ASCII, IDNA where needed; None where it cannot be one."""
    host = host.rstrip(".").lower()
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    if ":" in host:  # IPv6: urlsplit has checked and unwrapped it
        return f"[{host}]"
    return host if _HOST.match(host) else None


def _escape(text: str) -> str:
    """Percent-encode what may not stand in an address; upper-case the hex digits that are there."""
    text = _BARE_PERCENT.sub("%25", _HEX.sub(lambda m: m[0].upper(), text))
    return _UNSAFE.sub(lambda m: quote(m[0], safe="", errors="replace"), text)


def _dots(path: str) -> str:
    """RFC 3986 §5.2.4: remove dot segments."""
    if "/." not in path:
        return path
    out: list[str] = []
    parts = path.split("/")
    for part in parts:
        if part == "..":
            if len(out) > 1:
                out.pop()
        elif part != ".":
            out.append(part)
    if parts[-1] in (".", ".."):
        out.append("")
    return "/".join(out)
