"""A list of refused hosts and addresses, as a score: the entry of the list that covers a document's address."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import pyarrow as pa

from filters.needs import readable
from manifests.stage import NO_ENGINE, Output, StageContext
from manifests.urls import split_url


@dataclass(frozen=True)
class Blocklist:
    """Map: documents -> ("scores", ``blocked_host`` string: the entry of the list that covers the document's address,
    null without one). The rule ``blocked_host: {any_of: []}`` drops every document with an entry.

    ``path``: a file with one entry in a line: a host (with all its subdomains), or the beginning of an address, such as
    ``a.example/forum/``. Lines of hosts files (``0.0.0.0 a.example``) are accepted; # begins a comment.
    """

    path: str

    tables: ClassVar[Mapping[str, pa.Schema]] = {"scores": pa.schema([("blocked_host", pa.string())])}
    files: ClassVar[tuple[str, ...]] = ("path",)
    name: ClassVar[str] = "blocked_host"

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        entry = [covered(url or "", self.path) for url in batch["url"].to_pylist()]
        yield "scores", pa.RecordBatch.from_arrays([pa.array(entry, pa.string())], schema=self.tables["scores"])


def covered(url: str, path: str) -> str | None:
    """The entry of a list's file that covers an address: its host, a parent domain, or a beginning of the address."""
    hosts, beginnings = entries(path)
    parts = split_url(url)
    if parts is None:  # malformed, so no entry covers it
        return None
    host = name = (parts.hostname or "").rstrip(".")
    while name:
        if name in hosts:
            return name
        name = name.partition(".")[2]  # the parent domain
    address = f"{host}{parts.path or '/'}" + (f"?{parts.query}" if parts.query else "")
    return next((b for b in beginnings.get(host, ()) if address.startswith(b)), None)


@lru_cache(maxsize=8)
def entries(path: str) -> tuple[frozenset[str], dict[str, tuple[str, ...]]]:
    """Hosts, and beginnings of addresses by host. Raises ValueError, one line, for a missing file or a wrong line."""
    with readable(f"block-list `{path}`"), open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    hosts: set[str] = set()
    beginnings: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(lines, 1):
        fields = line.split("#")[0].split()
        if not fields:
            continue
        host, _, rest = fields[-1].rpartition("://")[2].partition("/")
        host = host.lower().strip(".")
        if len(fields) > 2 or not host:
            where = f"block-list `{path}`, line {number}"
            raise ValueError(f"{where}: expected a host or an address, got `{line.strip()[:80]}`")
        if rest:
            beginnings[host] = (*beginnings.get(host, ()), f"{host}/{rest}")
        else:
            hosts.add(host)
    return frozenset(hosts), beginnings
