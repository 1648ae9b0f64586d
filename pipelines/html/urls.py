"""Addresses: one spelling for one image, so that fetching, counting and deduplication agree.

The equivalences are those of RFC 3986 §6.2.2 and §6.2.3: case of scheme and host, default port, empty path, dot
segments, case of percent-encoding. The query stays: its order may matter to the server. The fragment is never sent.
"""

import re
from urllib.parse import quote, urljoin, urlsplit

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


def absolute(base: str, ref: str) -> str | None:
    """The canonical address of a reference in a page with the base address `base`; None where it is no http(s) one."""
    ref = ref.strip()
    if not ref or ref.startswith(("http://", "https://")):
        return canonical(ref)
    try:
        return canonical(urljoin(base, ref.replace("\\", "/") if ref[0] in "\\/" else ref))
    except ValueError:
        return None


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
