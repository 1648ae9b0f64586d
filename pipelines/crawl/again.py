"""A crawl over pages that an earlier one has: ask whether they have changed (RFC 9110 13.1), and keep what has not.

A server that answers 304 Not Modified sends no page. The earlier response and its request are then copied as they
stand, with the date they were
fetched: the new WARC file is whole without the old one, which a ``revisit`` record would still need.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.fetch.http import Response
from pipelines.warc.read import Record, records

#: files of an earlier crawl that are read here: the rows of its addresses, and the WARC file they are in
EARLIER = ("pages", "warc")

#: of an address that is in the WARC file: what its server said to ask with, and where response and request stand
VALIDATORS = (("etag", pa.string()), ("last_modified", pa.string()), ("offset", pa.int64()), ("length", pa.int64()))


@dataclass(frozen=True)
class Kept:
    """One page of an earlier crawl."""

    etag: str | None
    last_modified: str | None
    path: str
    offset: int
    length: int

    def conditions(self) -> dict[str, str]:
        """Request headers that ask for the page only if it has changed. Both where both are known: servers heed the
        first they know.
        """
        asked = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in asked.items() if value}

    def answer(self, url: str, now: Response) -> tuple[Response, bytes] | None:
        """The page as it was, under the headers of its time and the status of ``now`` (a 304); and its records. None
        where the file is gone
        or broken: the page is then to be asked for again."""
        try:
            with fsspec.open(self.path, "rb") as f:
                f.seek(self.offset)
                members = f.read(self.length)
            found = next(records(self.path, self.offset, self.length), None)
        except OSError:
            return None
        if not isinstance(found, Record) or found.url != url or len(members) != self.length or not found.payload:
            return None
        return Response(
            "ok", now.http_status, tuple(found.headers.items()), found.payload, now.final_url, now.hops
        ), members


def validators(answer: Response, before: Kept | None = None) -> dict[str, str | None]:
    """The columns ``etag`` and ``last_modified`` of an answer; of a 304 that leaves one out, as they were (RFC 9111
    3.2).
    """
    return {
        "etag": answer.get("etag") or (before.etag if before else None),
        "last_modified": answer.get("last-modified") or (before.last_modified if before else None),
    }


def kept(files: Iterable[tuple[str, str]], hosts: set[str]) -> dict[str, Kept]:
    """By address, the pages of ``hosts`` that an earlier crawl has and may ask about. ``files``: addresses of EARLIER,
    for each of its parts.

    Crawls of before this table had the columns have nothing to ask with; files that are gone are passed over.
    """
    out: dict[str, Kept] = {}
    wanted = ["url", "status", *(name for name, _ in VALIDATORS)]
    for pages, warc in files:
        try:
            with fsspec.open(pages, "rb") as f:
                file = pq.ParquetFile(f)
                if not set(wanted) <= set(file.schema_arrow.names):
                    continue
                table = file.read(wanted)
        except FileNotFoundError:
            continue
        table = table.filter(pc.and_(pc.equal(table["status"], "ok"), pc.is_valid(table["offset"])))
        for row in table.to_pylist():
            if (row["etag"] or row["last_modified"]) and row["url"].split("/", 3)[2].lower() in hosts:
                out[row["url"]] = Kept(row["etag"], row["last_modified"], warc, row["offset"], row["length"])
    return out
