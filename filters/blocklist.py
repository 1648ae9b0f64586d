"""A list of refused hosts and addresses, as a score: the entry of the list that covers a document's address."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import pyarrow as pa

from filters.needs import readable
from manifests.stage import NO_ENGINE, Output, StageContext
from manifests.urls import canonical, host_of


@dataclass(frozen=True)
class Blocklist:
    """Map: documents -> ("scores", ``blocked_host`` string: the entry of the list that covers the document's address,
    null without one). The rule ``blocked_host: {any_of: []}`` drops every document with an entry.

    ``path``: a file with one entry in a line: a host (with all its subdomains), or the beginning of an address, such as
    ``a.example/forum/``, in any spelling (`manifests.urls`). Lines of hosts files (``0.0.0.0 a.example``) are accepted;
    # begins a comment.
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
    address = canonical(url)
    if address is None:  # no address on the web, so no entry covers it
        return None
    host = name = host_of(address)
    while name:
        if name in hosts:
            return name
        name = name.partition(".")[2]  # the parent domain
    return next((b for b in beginnings.get(host, ()) if _below(address).startswith(b)), None)


def _below(address: str) -> str:
    """An address without scheme and port, which entries do not name."""
    return host_of(address) + address[address.index("/", address.index("://") + 3) :]


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
        text = fields[-1]
        address = canonical(text if "://" in text else f"http://{text.strip('.')}")
        if len(fields) > 2 or address is None:
            where = f"block-list `{path}`, line {number}"
            raise ValueError(f"{where}: expected a host or an address, got `{line.strip()[:80]}`")
        host, beginning = host_of(address), _below(address)
        if beginning == f"{host}/":
            hosts.add(host)
        else:
            beginnings[host] = (*beginnings.get(host, ()), beginning)
    return frozenset(hosts), beginnings
