"""Captures chosen in Common Crawl's index, fetched: ranges of its WARC files in, a WARC of one's own out.

A recorded stage: what was fetched is an input of all that follows, and a wider choice fetches only what is new.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import REFUSED
from manifests.stage import NO_ENGINE, StageContext
from pipelines.crawl import ranges
from pipelines.crawl.index import CHOSEN
from pipelines.fetch.http import USER_AGENT, Session
from pipelines.warc.message import MAX_PAYLOAD

Output = tuple[str, "pa.RecordBatch | bytes"]

#: why a capture that was chosen is not there
REASONS = (*ranges.REASONS, "index_row", "range_not_gzip")

#: one row a capture fetched: where it is from, and where it begins in this part's raw file ``warc``
FETCHED = pa.schema(
    [
        ("place", pa.string()),  # FILE:OFFSET, what the next generation knows it by
        ("url", pa.string()),
        ("file", pa.string()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("start", pa.int64()),
    ]
)

AHEAD = 2  # reads waiting for each thread, in memory


@dataclass(frozen=True)
class CommonCrawl:
    """Exchange, recorded: "chosen" (pipelines.crawl.index.CHOSEN) and "known" (place; may be absent) -> rows "fetched"
    (FETCHED), sorted by file and offset, rows "refused" (REFUSED; reasons: REASONS), and the raw file "warc", gzip
    members as they stand in the files read.

    ``index_row``: an offset or a length that cannot be; ``range_not_gzip``: the bytes there are no gzip member, so the
    index is of other files.
    """

    prefix: str = "https://data.commoncrawl.org/"
    threads: int = 8  # Common Crawl asks for few: it answers 503 to those who ask for much
    tries: int = 6
    try_s: float = 60.0  # seconds for one request
    deadline_s: float = 300.0  # for a range with all its tries
    # bytes that are read for nothing rather than asked around: what a request costs in time at 10 Mbit/s or more
    gap: int = 64 << 10
    most: int = 8 << 20  # bytes of one request
    allow_private: tuple[str, ...] = ()
    user_agent: str = USER_AGENT

    def __call__(self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        rows = _new(tables)
        urls, files, offsets, lengths = (rows[c].to_pylist() for c in ("url", "file", "offset", "length"))
        sound = [
            i
            for i in range(len(urls))
            if files[i] and offsets[i] is not None and offsets[i] >= 0 and 0 < (lengths[i] or 0) <= MAX_PAYLOAD
        ]
        refused = [
            _refused(urls[i], "index_row", files[i], offsets[i], lengths[i])
            for i in sorted(set(range(len(urls))) - set(sound))
        ]
        fetched: list[dict[str, Any]] = []
        end = ctx.ends.get("warc", 0)
        plan = ranges.reads(
            [files[i] for i in sound], [offsets[i] for i in sound], [lengths[i] for i in sound], self.gap, self.most
        )
        with Session(allow_private=self.allow_private, user_agent=self.user_agent) as session:
            reader = ranges.Ranges(session, self.prefix, tries=self.tries, try_s=self.try_s, deadline_s=self.deadline_s)
            places = [(offsets[i], lengths[i]) for i in sound]
            for read, found in self._in_order(plan, places, reader):
                for k, piece in zip(read.rows, found, strict=True):
                    i = sound[k]
                    if not ctx(i):
                        continue
                    file, offset, length = files[i], offsets[i], lengths[i]
                    if isinstance(piece, str) or piece[:2] != b"\x1f\x8b":
                        reason = piece if isinstance(piece, str) else "range_not_gzip"
                        refused.append(_refused(urls[i], reason, file, offset, length))
                        continue
                    fetched.append(
                        {
                            "place": f"{file}:{offset}",
                            "url": urls[i],
                            "file": file,
                            "offset": offset,
                            "length": length,
                            "start": end,
                        }
                    )
                    end += length
                    yield "warc", piece
        yield "fetched", pa.RecordBatch.from_pylist(fetched, FETCHED)
        if refused:
            yield "refused", pa.RecordBatch.from_pylist(refused, REFUSED)

    def _in_order(
        self, plan: Iterator[ranges.Read], places: list[tuple[int, int]], reader: ranges.Ranges
    ) -> Iterator[tuple[ranges.Read, list[bytes | str]]]:
        """Each read with what came of its rows, in the plan's order; `threads` at a time, and no more in memory than
        AHEAD times that.
        """
        waiting: deque[tuple[ranges.Read, Future[list[bytes | str]]]] = deque()
        with ThreadPoolExecutor(max_workers=self.threads) as pool:
            for read in plan:
                waiting.append((read, pool.submit(_pieces, reader, read, places)))
                if len(waiting) >= self.threads * AHEAD:
                    first, future = waiting.popleft()
                    yield first, future.result()
            for first, future in waiting:
                yield first, future.result()


def _pieces(reader: ranges.Ranges, read: ranges.Read, places: list[tuple[int, int]]) -> list[bytes | str]:
    """The bytes, or the reason, of each row of a read. A row that points behind the end of its file must not cost its
    neighbours.
    """
    mine = [places[k] for k in read.rows]
    found = reader.get(read.file, read.start, read.stop)
    if isinstance(found, bytes):
        return [found[offset - read.start : offset - read.start + length] for offset, length in mine]
    if found == "range_wrong" and len(mine) > 1:
        return [reader.get(read.file, offset, offset + length) for offset, length in mine]
    return [found] * len(mine)


def _new(tables: Mapping[str, Any]) -> pa.Table:
    """The captures to fetch: each once, without those known, by file and offset."""
    chosen = tables["chosen"] if len(tables["chosen"]) else CHOSEN.empty_table()
    rows = chosen.select(["url", "file", "offset", "length"]).append_column(
        "place",
        pc.binary_join_element_wise(chosen["file"], chosen["offset"].cast(pa.string()), ":", null_handling="replace"),
    )
    known = tables.get("known")
    if known is not None and len(known):
        rows = rows.filter(pc.invert(pc.is_in(rows["place"], value_set=known["place"].combine_chunks())))
    rows = rows.sort_by([("file", "ascending"), ("offset", "ascending")])
    places = rows["place"].combine_chunks()
    if len(rows) > 1:
        rows = rows.filter(
            pc.not_equal(places, pa.concat_arrays([pa.array([None], pa.string()), places[:-1]])).fill_null(True)
        )
    return rows


def _refused(url: str | None, reason: str, file: str | None, offset: int | None, length: int | None) -> dict[str, Any]:
    return {
        "url": url,
        "reason": reason,
        "provenance": {"file": file, "offset": offset, "length": length, "page": None},
    }
