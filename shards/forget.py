"""Takedowns: the list of what must not be in the data, and what each entry covers.

An entry is of one of four kinds, recognised by its form:

    0123456789abcdef0123456789abcdef        id     a document
    https://example.com/a/page              url    the page, pair or PDF of that address, and the image of that address
    conversations:vqa.jsonl/17              url    what was made of that row of a file (text:, pairs:, file:)
    example.com                             host   every page and every image of the host and its subdomains
    (64 hex digits)                         hash   every image whose original bytes have that sha256

A run has its list in `forgotten.parquet`. A recipe may name a text file with one entry a line; `#` begins a comment.
Addresses may be written in any spelling (`manifests.urls`). They are compared without scheme, fragment and final slash,
since a takedown should rather remove one page too many.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.parquet import read_parquet
from manifests.urls import as_stored, host_as_stored, host_of

NAME = "forgotten.parquet"
#: the reason in the ledger for a document or an image that the list covers
REASON = "forgotten"
LIST = pa.schema([("kind", pa.string()), ("value", pa.string())])
_STORED = pa.schema([*LIST, ("asked_at", pa.timestamp("ms", tz="UTC"))])

_ID, _HASH = re.compile(r"[0-9a-f]{32}\Z"), re.compile(r"[0-9a-f]{64}\Z")
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+\Z|localhost\Z")


class ForgetError(ValueError):
    """An entry of none of the four kinds, or a list that cannot be read; the message names it."""


class Entry(NamedTuple):
    kind: str  #: id, url, host or hash
    value: str


def entry(text: str) -> Entry:
    """The entry that `text` spells. Raises ForgetError."""
    text = text.strip()
    low = text.lower().removeprefix("sha256:")
    if _ID.match(low) or _HASH.match(low):
        return Entry("id" if _ID.match(low) else "hash", low)
    if as_stored(text) is not None:
        return Entry("url", address(text))
    host = host_as_stored(text)
    if host is not None and _HOST.match(host):
        return Entry("host", host)
    forms = "an id (32 hex digits), an image's sha256 (64), an address with its https:// (of a row of a file:"
    forms += " conversations:FILE/ROW, as explain prints it), a host such as example.com"
    raise ForgetError(f"{text[:200]!r} is none of these: {forms}")


def entries(lines: Iterable[str], where: str) -> list[Entry]:
    """The entries of a text file, without blank lines and comments. Raises ForgetError naming the line."""
    out = []
    for number, line in enumerate(lines, 1):
        text = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()
        if text:
            try:
                out.append(entry(text))
            except ForgetError as error:
                raise ForgetError(f"{where}, line {number}: {error}") from None
    return out


def address(url: str) -> str:
    """The form in which addresses are compared: see the module's docstring."""
    stored = as_stored(url) or url.strip().partition("#")[0]
    return (stored.partition("://")[2] or stored).rstrip("/")


class Forgotten:
    """The entries of a list as a set: does one of them cover this document, image or host?"""

    def __init__(self, listed: Iterable[Entry | tuple[str, str]]) -> None:
        self._listed = {Entry(kind, value) for kind, value in listed}

    @classmethod
    def of(cls, table: pa.Table | None) -> Forgotten:
        """From a table of LIST; None is an empty list."""
        return cls([] if table is None else _entries(table))

    def __bool__(self) -> bool:
        return bool(self._listed)

    def document(self, id: str | None, url: str | None) -> bool:
        return any(self.covering(url, id=id))

    def image(self, url: str | None, sha256: str | None) -> bool:
        return any(self.covering(url, sha256=sha256))

    def host(self, host: str) -> bool:
        """Whether the host, or a domain above it, is on the list."""
        return any(entry in self._listed for entry in _hosts(host))

    def covering(self, url: str | None, id: str | None = None, sha256: str | None = None) -> Iterator[Entry]:
        """The entries that cover a document or an image of this address, id and hash."""
        if not self._listed:
            return
        entries = [Entry("id", id or ""), Entry("hash", sha256 or "")]
        if url:
            entries += [Entry("url", address(url)), *_hosts(host_of(url))]
        yield from (entry for entry in entries if entry in self._listed)


def _hosts(host: str) -> Iterator[Entry]:
    """The entries that would cover a host: its own, and those of the domains above it."""
    parts = host.lower().rstrip(".").split(".")
    return (Entry("host", ".".join(parts[i:])) for i in range(len(parts)))


def read(data: bytes | None, where: str) -> list[Entry]:
    """The entries of a run's list, sorted; none if `data` is None. where: for messages. Raises ForgetError."""
    if data is None:
        return []
    try:
        table = read_parquet(data, LIST.names)
    except (pa.ArrowException, OSError) as error:
        raise ForgetError(f"{where}: no list that can be read ({str(error).splitlines()[0]})") from error
    return sorted(set(_entries(table)))


def _entries(table: pa.Table) -> list[Entry]:
    return [Entry(*pair) for pair in zip(table["kind"].to_pylist(), table["value"].to_pylist(), strict=True)]


def added(data: bytes | None, new: Sequence[Entry], where: str) -> bytes:
    """The list with `new` entries at its end, each with the present time; the same bytes if it has them all."""
    listed = set(read(data, where))
    missing = [entry for entry in dict.fromkeys(new) if entry not in listed]
    if data is not None and not missing:
        return data
    now = datetime.now(UTC).replace(microsecond=0)
    rows = pa.Table.from_pylist([{**entry._asdict(), "asked_at": now} for entry in missing], schema=_STORED)
    table = rows if data is None else pa.concat_tables([read_parquet(data), rows])
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def digest(listed: Iterable[Entry]) -> str:
    """A hash of a list's content; a manifest holds that of the list which its shards obey."""
    return hashlib.sha256("\n".join(f"{kind} {value}" for kind, value in sorted(set(listed))).encode()).hexdigest()
