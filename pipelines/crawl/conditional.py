"""Conditional requests (RFC 9110 13.1): a crawl asks whether a page that an earlier crawl stored has changed.

A server that answers 304 Not Modified sends no page. The earlier response and its request are then copied unchanged,
with the date of their fetch. So the new WARC file is complete without the old one, which a ``revisit`` record would
still need.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.urls import netloc_of
from pipelines.fetch.http import Response
from pipelines.warc.read import Record, records

#: outputs of an earlier crawl that are read here: the rows of its URLs, and its WARC file
EARLIER = ("pages", "warc")

#: columns of a URL that is in the WARC file: the validators that its server sent, and where response and request are
VALIDATORS = (("etag", pa.string()), ("last_modified", pa.string()), ("offset", pa.int64()), ("length", pa.int64()))


@dataclass(frozen=True)
class EarlierPage:
    """One page of an earlier crawl: its validators, and the place of its records."""

    etag: str | None
    last_modified: str | None
    path: str
    offset: int
    length: int

    def conditions(self) -> dict[str, str]:
        """Request headers that ask for the page only if it has changed. Both are sent where both are known, because a
        server uses the first one that it supports."""
        headers = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in headers.items() if value}

    def restore(self, url: str, not_modified: Response) -> tuple[Response, bytes] | None:
        """The page with its headers of that time and the status of the 304 answer; and the bytes of its records.

        None where the file is gone or damaged: the page must then be requested without conditions.
        """
        try:
            with fsspec.open(self.path, "rb") as file:
                file.seek(self.offset)
                members = file.read(self.length)
            record = next(records(self.path, self.offset, self.length), None)
        except OSError:
            return None
        if not isinstance(record, Record) or record.url != url or len(members) != self.length or not record.payload:
            return None
        headers = tuple(record.headers.items())
        status, final_url, hops = not_modified.http_status, not_modified.final_url, not_modified.hops
        return Response("ok", status, headers, record.payload, final_url, hops), members


def validators(answer: Response, earlier: EarlierPage | None) -> dict[str, str | None]:
    """The columns ``etag`` and ``last_modified`` of an answer. One that a 304 leaves out stays (RFC 9111 3.2)."""
    return {
        "etag": answer.get("etag") or (earlier.etag if earlier else None),
        "last_modified": answer.get("last-modified") or (earlier.last_modified if earlier else None),
    }


def earlier_pages(files: Iterable[tuple[str, str]], hosts: set[str]) -> dict[str, EarlierPage]:
    """By URL, the pages of ``hosts`` (host[:port]) that can be requested under a condition.

    files: paths of the outputs EARLIER, for each partition of the earlier crawl. Files that are gone are left out, and
    so are crawls recorded before `pages` had the columns VALIDATORS.
    """
    pages: dict[str, EarlierPage] = {}
    columns = ["url", "status", *(name for name, _ in VALIDATORS)]
    for rows, warc in files:
        try:
            with fsspec.open(rows, "rb") as file:
                parquet = pq.ParquetFile(file)
                if not set(columns) <= set(parquet.schema_arrow.names):
                    continue
                table = parquet.read(columns, use_threads=False)
        except FileNotFoundError:
            continue
        table = table.filter(pc.and_(pc.equal(table["status"], "ok"), pc.is_valid(table["offset"])))
        for row in table.to_pylist():
            if (row["etag"] or row["last_modified"]) and netloc_of(row["url"]) in hosts:
                pages[row["url"]] = EarlierPage(row["etag"], row["last_modified"], warc, row["offset"], row["length"])
    return pages
