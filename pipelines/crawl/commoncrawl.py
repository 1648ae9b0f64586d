"""Captures that were chosen in Common Crawl's index, fetched: ranges of its WARC files are copied to our own WARC file.

A recorded stage: what was fetched is an input of all later steps, and a wider choice fetches only what is new.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import REFUSED
from manifests.stage import NO_ENGINE, Output, StageContext
from pipelines.crawl import ranges
from pipelines.crawl.index import CAPTURE
from pipelines.fetch.http import USER_AGENT, Session
from pipelines.warc.message import MAX_PAYLOAD

#: why a chosen capture was not fetched. ``index_row``: its offset or length is impossible; ``range_not_gzip``: the
#: bytes there are no gzip member, so the index is of other files
REASONS = (*ranges.REASONS, "index_row", "range_not_gzip")

#: one row for each capture fetched. `place`: FILE:OFFSET, by which a later generation recognises it. `start`: where it
#: begins in this partition's raw file ``warc``
FETCHED = pa.schema({"place": pa.string(), **CAPTURE, "start": pa.int64()})

AHEAD = 2  # ranges in memory for each thread


@dataclass(frozen=True)
class CommonCrawl:
    """Exchange, recorded. "chosen" (pipelines.crawl.index.CHOSEN) and "previous" (place; optional) -> "fetched"
    (FETCHED, sorted by file and offset), "refused" (REFUSED; reasons: REASONS), and the raw file "warc": gzip members,
    unchanged."""

    prefix: str = "https://data.commoncrawl.org/"
    threads: int = 8  # few: Common Crawl answers 503 to clients that send many requests
    tries: int = 6
    try_s: float = 60.0  # seconds for one request
    deadline_s: float = 300.0  # seconds for a range with all its tries
    # bytes read without need rather than in two requests: what a request costs in time at 10 Mbit/s or more
    gap: int = 64 << 10
    most: int = 8 << 20  # bytes of one request
    allow_private: tuple[str, ...] = ()
    user_agent: str = USER_AGENT

    stage_name: ClassVar[str] = "pipelines.crawl.commoncrawl:CommonCrawl"
    tables: ClassVar[Mapping[str, pa.Schema]] = {"fetched": FETCHED, "refused": REFUSED}

    def __call__(self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        captures = _new_captures(tables).to_pylist()
        rows = [row for row in captures if _is_possible(row)]
        refused = [_refused(row, "index_row") for row in captures if not _is_possible(row)]
        fetched: list[dict[str, Any]] = []
        end = ctx.ends.get("warc", 0)
        places = [(row["offset"], row["length"]) for row in rows]
        reads = ranges.plan_reads([row["file"] for row in rows], places, self.gap, self.most)
        with Session(allow_private=self.allow_private, user_agent=self.user_agent) as session:
            reader = ranges.Ranges(session, self.prefix, tries=self.tries, try_s=self.try_s, deadline_s=self.deadline_s)
            for read, results in self._in_order(reads, places, reader):
                for i, result in zip(read.rows, results, strict=True):
                    row = rows[i]
                    if not ctx(i):
                        ctx.lost(i, url=row["url"], file=row["file"], offset=row["offset"])
                        continue
                    if isinstance(result, str) or not result.startswith(b"\x1f\x8b"):
                        refused.append(_refused(row, result if isinstance(result, str) else "range_not_gzip"))
                    else:
                        fetched.append({**row, "start": end})
                        end += row["length"]
                        yield "warc", result
        yield "fetched", pa.RecordBatch.from_pylist(fetched, FETCHED)
        yield "refused", pa.RecordBatch.from_pylist(refused, REFUSED)

    def _in_order(
        self, reads: Iterator[ranges.Read], places: list[tuple[int, int]], reader: ranges.Ranges
    ) -> Iterator[tuple[ranges.Read, list[bytes | str]]]:
        """Each read with the result of each of its rows, in order. `threads` run at a time, and at most AHEAD times as
        many are in memory."""
        waiting: deque[tuple[ranges.Read, Future[list[bytes | str]]]] = deque()
        with ThreadPoolExecutor(max_workers=self.threads) as pool:
            for read in reads:
                waiting.append((read, pool.submit(_read, reader, read, places)))
                if len(waiting) >= self.threads * AHEAD:
                    first, future = waiting.popleft()
                    yield first, future.result()
            for first, future in waiting:
                yield first, future.result()


def _read(reader: ranges.Ranges, read: ranges.Read, places: list[tuple[int, int]]) -> list[bytes | str]:
    """The bytes or the reason of each row of a read. After a wrong range each row is read by itself, so that a row that
    points behind the end of its file does not cost its neighbours."""
    rows = [places[i] for i in read.rows]
    result = reader.get(read.file, read.start, read.stop)
    if isinstance(result, bytes):
        return [result[offset - read.start : offset - read.start + length] for offset, length in rows]
    if result == "range_wrong" and len(rows) > 1:
        return [reader.get(read.file, offset, offset + length) for offset, length in rows]
    return [result] * len(rows)


def _new_captures(tables: Mapping[str, Any]) -> pa.Table:
    """The captures to fetch, by file and offset: each once, without those that an earlier generation fetched."""
    rows = tables["chosen"].select(["url", "file", "offset", "length"])
    places = pc.binary_join_element_wise(rows["file"], rows["offset"].cast(pa.string()), ":", null_handling="replace")
    rows = rows.add_column(0, "place", places)
    previous = tables.get("previous")
    if previous is not None and len(previous):
        rows = rows.filter(pc.invert(pc.is_in(rows["place"], value_set=previous["place"].combine_chunks())))
    rows = rows.sort_by([("file", "ascending"), ("offset", "ascending")])
    if len(rows) > 1:
        sorted_places = rows["place"].combine_chunks()
        before = pa.concat_arrays([pa.array([None], pa.string()), sorted_places[:-1]])
        rows = rows.filter(pc.not_equal(sorted_places, before).fill_null(True))
    return rows


def _is_possible(row: dict[str, Any]) -> bool:
    offset, length = row["offset"], row["length"] or 0
    return bool(row["file"]) and offset is not None and offset >= 0 and 0 < length <= MAX_PAYLOAD


def _refused(row: dict[str, Any], reason: str) -> dict[str, Any]:
    provenance = {"file": row["file"], "offset": row["offset"], "length": row["length"], "page": None}
    return {"url": row["url"], "reason": reason, "provenance": provenance}
