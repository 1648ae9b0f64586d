"""What must not be in the data: the list of takedowns, and what it covers.

Four kinds of entries, told apart by how they look:

    0123456789abcdef0123456789abcdef        id     a document
    https://example.com/a/page              url    the page, pair or PDF of that address, and the image of that address
    example.com                             host   every page and every image of the host and of the hosts below it
    (64 hex digits)                         hash   every image of that sha256, of the bytes as fetched

A run keeps its list in `forgotten.parquet`; a recipe may bring one as a text file, an entry a line, `#` beginning a
comment. Addresses are compared without scheme, fragment, upper case in the host, and a slash at the end: a takedown
should rather take one page too many.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

NAME = "forgotten.parquet"
#: why a document or an image left
REASON = "forgotten"
LIST = pa.schema([("kind", pa.string()), ("value", pa.string())])
_KEPT = pa.schema([*LIST, ("asked_at", pa.timestamp("ms", tz="UTC"))])

_ID, _HASH = re.compile(r"[0-9a-f]{32}\Z"), re.compile(r"[0-9a-f]{64}\Z")
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+\.?\Z|localhost\Z")


class ForgetError(ValueError):
    """An entry that is none of the four kinds, or a list that cannot be read; the message names it."""


class Entry(NamedTuple):
    kind: str  #: id, url, host or hash
    value: str


def entry(text: str) -> Entry:
    """What is meant by `text`. Raises ForgetError."""
    text = text.strip()
    low = text.lower()
    if _ID.match(low):
        return Entry("id", low)
    if _HASH.match(low):
        return Entry("hash", low)
    if "://" in text and _host(text):
        return Entry("url", address(text))
    try:
        host = low.encode("idna").decode() if not low.isascii() else low
    except UnicodeError:
        host = ""
    if _HOST.match(host):
        return Entry("host", host.rstrip("."))
    raise ForgetError(
        f"{text[:200]!r}: neither an id (32 hex digits), nor an image's sha256 (64), nor an address with its https://, nor a host such as example.com"
    )


def entries(lines: Iterable[str], where: str) -> list[Entry]:
    """Of a text file: one a line, blank lines and comments left out. Raises ForgetError naming the line."""
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
    """What addresses are compared by."""
    rest = url.strip().partition("#")[0].partition("://")[2] or url
    host, slash, path = rest.partition("/")
    return f"{host.lower()}{slash}{path}".rstrip("/")


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:  # an unclosed bracket, and the like
        return ""


class Forgotten:
    """A list, ready to be asked."""

    def __init__(self, listed: Iterable[Entry | tuple[str, str]]) -> None:
        found: dict[str, set[str]] = {"id": set(), "url": set(), "host": set(), "hash": set()}
        for kind, value in listed:
            found[kind].add(value)
        self._ids, self._urls, self._hosts, self._hashes = found.values()

    @classmethod
    def of(cls, table: pa.Table | None) -> Forgotten:
        """From a table of LIST; None is an empty one."""
        return cls([] if table is None else zip(table["kind"].to_pylist(), table["value"].to_pylist(), strict=True))

    def __bool__(self) -> bool:
        return bool(self._ids or self._urls or self._hosts or self._hashes)

    def document(self, id: str | None, url: str | None) -> bool:
        return id in self._ids or self._place(url)

    def image(self, url: str | None, sha256: str | None) -> bool:
        return sha256 in self._hashes or self._place(url)

    def _place(self, url: str | None) -> bool:
        if not url or not (self._urls or self._hosts):
            return False
        return address(url) in self._urls or self.host(_host(url))

    def host(self, host: str) -> bool:
        """A host on the list, or below one that is."""
        parts = host.lower().split(".")
        return any(".".join(parts[i:]) in self._hosts for i in range(len(parts)))


def read(data: bytes | None, where: str) -> list[Entry]:
    """The entries of a run's list, sorted; none where there is no list. Raises ForgetError."""
    if data is None:
        return []
    try:
        table = pq.read_table(io.BytesIO(data), columns=LIST.names)
    except (pa.ArrowException, OSError) as error:
        raise ForgetError(f"{where}: no list that can be read ({str(error).splitlines()[0]})") from error
    return sorted({Entry(*pair) for pair in zip(table["kind"].to_pylist(), table["value"].to_pylist(), strict=True)})


def added(data: bytes | None, new: Sequence[Entry], where: str) -> bytes:
    """The list with `new` entries at its end, each with the time it came; the same bytes where all are there already."""
    have = set(read(data, where))
    fresh = [one for one in dict.fromkeys(new) if one not in have]
    if data is not None and not fresh:
        return data
    now = datetime.now(UTC).replace(microsecond=0)
    rows = pa.Table.from_pylist(
        [{"kind": one.kind, "value": one.value, "asked_at": now} for one in fresh], schema=_KEPT
    )
    table = rows if data is None else pa.concat_tables([pq.read_table(io.BytesIO(data)), rows])
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def digest(listed: Iterable[Entry]) -> str:
    """Names a list's content: a manifest keeps that of the list its shards were made by."""
    return hashlib.sha256("\n".join(f"{kind} {value}" for kind, value in sorted(set(listed))).encode()).hexdigest()
