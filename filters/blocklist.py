"""Hosts and addresses that a list refuses, as a score: what of the list a document's address met."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import pyarrow as pa

from manifests.stage import NO_ENGINE, StageContext
from manifests.urls import split_url

Output = tuple[str, pa.RecordBatch | bytes]


@dataclass(frozen=True)
class Blocklist:
    """Map: documents -> ("scores", ``blocked_host`` string: the entry of the list that covers the document's address,
    null without one).

    ``path``: a file with an entry a line: a host (with all its subdomains), or the beginning of an address, as
    ``a.example/forum/``. Lines as in hosts files (``0.0.0.0 a.example``) are read too; # begins a comment. A rule
    ``blocked_host: {any_of: []}`` drops.
    """

    path: str

    files: ClassVar[tuple[str, ...]] = ("path",)
    name: ClassVar[str] = "blocked_host"

    def columns(self) -> pa.Schema:
        return pa.schema([("blocked_host", pa.string())])

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        met = [covered(url or "", self.path) for url in batch["url"].to_pylist()]
        yield "scores", pa.RecordBatch.from_arrays([pa.array(met, pa.string())], schema=self.columns())


def covered(url: str, path: str) -> str | None:
    """The entry of a list's file that covers an address: its host, one it is a subdomain of, or a beginning of it."""
    hosts, beginnings = entries(path)
    parts = split_url(url)
    if parts is None:  # malformed, so no entry covers it
        return None
    host = (parts.hostname or "").rstrip(".")
    labels = host.split(".")
    for i in range(len(labels)):
        if (name := ".".join(labels[i:])) in hosts:
            return name
    where = f"{host}{parts.path or '/'}" + (f"?{parts.query}" if parts.query else "")
    return next((b for b in beginnings.get(host, ()) if where.startswith(b)), None)


@lru_cache(maxsize=8)
def entries(path: str) -> tuple[frozenset[str], dict[str, tuple[str, ...]]]:
    """Hosts, and beginnings of addresses by host. Raises ValueError, one line, for a file that is not there or a line
    that is no host.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"block-list `{path}` cannot be read: {getattr(error, 'strerror', None) or error}") from error
    hosts: set[str] = set()
    beginnings: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(lines, 1):
        fields = line.split("#")[0].split()
        if not fields:
            continue
        host, _, rest = fields[-1].rpartition("://")[2].partition("/")
        host = host.lower().strip(".")
        if len(fields) > 2 or not host:
            raise ValueError(
                f"block-list `{path}`, line {number}: expected a host or an address, got `{line.strip()[:80]}`"
            )
        if rest:
            beginnings[host] = (*beginnings.get(host, ()), f"{host}/{rest}")
        else:
            hosts.add(host)
    return frozenset(hosts), beginnings
