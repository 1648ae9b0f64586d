"""Parts of URLs that every room needs. No function here raises an error for a malformed URL.

A host is compared in two forms, and keys of stored data depend on the form: `netloc_of` keeps the port and a user
name, `host_of` has neither.
"""

import re
from urllib.parse import SplitResult, urljoin, urlsplit

# most addresses; of these, `urlsplit` finds the same host in five times the time
_PLAIN = re.compile(r"https?://([a-z0-9.-]+)(?:[/?#]|\Z)")


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
    if plain := _PLAIN.match(url or ""):
        return plain[1]
    parts = split_url(url)
    return parts.hostname or "" if parts else ""


def join_url(base: str, reference: str) -> str:
    """A reference that was read at `base`, made absolute (RFC 3986 5.2); "" for a malformed one."""
    try:
        return urljoin(base, reference)
    except ValueError:
        return ""
