"""Registered domains: the unit of the validation split, so that no site is in both splits."""

import functools
import urllib.parse

import tldextract

from manifests.schema import key64
from manifests.urls import host_of

# the list that comes with the package: no network, and the same list everywhere
_suffixes = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


@functools.lru_cache(maxsize=65536)
def registered_domain(host: str) -> str:
    """``news.bbc.co.uk`` -> ``bbc.co.uk``.

    A host under no public suffix counts by its last two labels, an IP address as it is.
    """
    parts = _suffixes(host)
    if parts.ipv4:
        return host
    return parts.top_domain_under_public_suffix or ".".join(host.rsplit(".", 2)[-2:])


def split_of(url: str, share: float, seed: int) -> str:
    """``validation`` for a share (0 to 1) of registered domains, by hash; ``train`` for the others."""
    # a local file has no host: it counts by its path, so all pages of a PDF are together
    host = host_of(url) or urllib.parse.urlsplit(url).path
    return "validation" if key64(f"validation {seed} {registered_domain(host)}") < share * 2**64 else "train"
