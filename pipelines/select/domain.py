"""Registered domains: the unit of the validation split, so that no site is on both sides."""

from __future__ import annotations

import functools
import urllib.parse

import tldextract

from manifests.schema import key64


@functools.lru_cache(maxsize=1)
def _suffixes() -> tldextract.TLDExtract:
    # the list that comes with the package: no network, same everywhere
    return tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


@functools.lru_cache(maxsize=65536)
def registered_domain(host: str) -> str:
    """``news.bbc.co.uk`` -> ``bbc.co.uk``; a host under no known suffix counts by its last two labels, an address as it
    is.
    """
    found = _suffixes()(host)
    return found.top_domain_under_public_suffix or ".".join(host.rsplit(".", 2)[-2:]) if not found.ipv4 else host


def split_of(url: str, share: float, seed: int) -> str:
    """``validation`` for a share (0..1) of registered domains, by hash; ``train`` for the others."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or parts.path  # a local file: by its path, all pages of a PDF together
    return "validation" if key64(f"validation {seed} {registered_domain(host)}") < share * 2**64 else "train"
