"""A polite crawl within hosts: robots.txt, sitemaps, links, and the PDFs they lead to; written as WARC, so every run
starts from WARC.

A recorded stage. One request a host at a time, with a pause between two; hosts in parallel. When it is refreshed, pages
that the crawl before has are asked for under a condition (again.py).
"""

from __future__ import annotations

import io
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from manifests.stage import NO_ENGINE, StageContext
from pipelines.crawl import again
from pipelines.crawl.links import SITEMAP_BYTES, canonical, host_of, hosts_of, page_links, sitemap
from pipelines.fetch.guard import Target, parse
from pipelines.fetch.http import USER_AGENT, Response, Session, join, second_try
from pipelines.fetch.images import OF_THE_HOST
from pipelines.fetch.optout import directives
from pipelines.fetch.robots import Robots, Rules
from pipelines.fetch.wire import Headers
from pipelines.warc.write import Records

__all__ = ["PAGE", "Crawl", "hosts_of"]

Output = tuple[str, pa.RecordBatch | bytes]

#: one row an address the crawl came to, in the order it did
PAGE = pa.schema(
    [
        ("url", pa.string()),
        # manifests.schema.STATUSES, or "not_page": neither HTML nor PDF, so not read. "ok" alone is in the WARC
        ("status", pa.string()),
        ("http_status", pa.int32()),
        ("depth", pa.int32()),  # links from a seed or a sitemap, from 0
        ("bytes", pa.int64()),
        ("type", pa.string()),  # media type as the server states it
        ("location", pa.string()),  # where a redirect leads; followed only within the host
        *again.VALIDATORS,
    ]
)

# a refresh adds `earlier`, as engine.stage.Node.earlier says
SEED = pa.schema([("host", pa.string()), ("seeds", pa.list_(pa.string()))])

PAGES = ("text/html", "application/xhtml+xml", "application/pdf")
SITEMAPS = 32  # files read of one host
PIECE = 4 * 2**20  # bytes of WARC handed over at a time


@dataclass(frozen=True)
class Crawl:
    """Map, recorded: rows (host, seeds; as SEED) -> rows "pages" (PAGE) and the raw file "warc" (gzip members, WARC
    1.1).
    """

    max_pages: int = 1000  # requests for pages and PDFs of one host
    max_depth: int = 5
    delay_s: float = 0.5  # between two requests to a host; robots.txt may ask for more
    crawl_delay_cap_s: float = 30.0  # a Crawl-delay above it counts as this much
    host_s: float = 3600.0  # seconds for one host
    deadline_s: float = 30.0  # seconds for one address
    max_bytes: int = 50 * 2**20
    give_up_after: int = 5  # failures in a row after which a host is left
    hosts: int = 16  # crawled at the same time
    sitemaps: bool = True
    allow_private: tuple[str, ...] = ()
    user_agent: str = USER_AGENT

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        numbers = [i for i in range(batch.num_rows) if ctx(i)]
        wanted = batch.select(["host", "seeds"]).take(pa.array(numbers, pa.int64())).to_pylist()
        before = batch["earlier"][0].as_py() if "earlier" in batch.schema.names and batch.num_rows else []
        kept = again.kept(before, {r["host"].lower() for r in wanted})
        info = io.BytesIO()
        Records(info).info(f"{ctx.part:06d}-{ctx.first:06d}.warc.gz", self.user_agent)
        end = ctx.ends.get("warc", 0) + len(info.getvalue())
        yield "warc", info.getvalue()
        with (
            tempfile.TemporaryDirectory(prefix="crawl-") as folder,
            Session(allow_private=self.allow_private, user_agent=self.user_agent) as session,
            ThreadPoolExecutor(max_workers=self.hosts) as pool,
        ):
            # each host writes to a file of its own, so that they come in the order of the rows
            paths = [Path(folder, str(i)) for i in range(len(wanted))]
            tasks = [
                pool.submit(self._host, r["host"], r["seeds"], session, path, kept)
                for r, path in zip(wanted, paths, strict=True)
            ]
            for i, task, path in zip(numbers, tasks, paths, strict=True):
                rows = self._waited(task, lambda i=i: ctx(i))  # type: ignore[misc]
                with path.open("rb") as file:
                    while piece := file.read(PIECE):
                        yield "warc", piece
                for row in rows:
                    if row["offset"] is not None:
                        row["offset"] += end
                end += path.stat().st_size
                path.unlink()
                yield "pages", pa.RecordBatch.from_pylist(rows, PAGE)

    def _waited(self, task: Future[list[dict[str, Any]]], alive: Callable[[], object]) -> list[dict[str, Any]]:
        # hosts take as long as they may; the engine, which waits for a sign of life, gets one while this one is within
        # its time
        until = time.monotonic() + self.host_s + 60
        while not task.done() and time.monotonic() < until:
            wait([task], timeout=5)
            alive()
        return task.result()

    def _host(
        self, host: str, seeds: list[str], session: Session, path: Path, kept: dict[str, again.Kept]
    ) -> list[dict[str, Any]]:
        with path.open("wb") as file:
            visit = _Visit(self, host.lower(), session, Records(file), kept)
            visit.run(seeds)
        return visit.rows


class _Visit:
    """One host's frontier, and its pace."""

    def __init__(
        self, stage: Crawl, host: str, session: Session, records: Records, kept: dict[str, again.Kept]
    ) -> None:
        self.stage, self.host, self.session, self.records, self.kept = stage, host, session, records, kept
        self.robots = Robots(session)
        self.rows: list[dict[str, Any]] = []
        self.until = time.monotonic() + stage.host_s
        self.next_at = 0.0
        self.seen: set[str] = set()
        self.frontier: deque[tuple[str, int, int]] = deque()  # url, depth, redirects that led to it

    def run(self, seeds: list[str]) -> None:
        for seed in seeds:
            if host_of(seed) != self.host:
                raise ValueError(f"seed {seed!r} is not on host {self.host!r}")
            self._add(canonical(seed), 0)
        if self.stage.sitemaps and self.frontier:
            self._read_sitemaps(parse(self.frontier[0][0]))
        asked = failures = 0
        while self.frontier and asked < self.stage.max_pages and time.monotonic() < self.until:
            url, depth, hops = self.frontier.popleft()
            target = parse(url)
            rules = self._rules(target)
            if rules.failed or not rules.allows(target.path):
                self._row(url, depth, Response(rules.failed or "robots"))
                continue
            asked += 1
            answer = self._page(url, depth, rules)
            failures = failures + 1 if answer.status in OF_THE_HOST else 0
            if failures >= self.stage.give_up_after:
                break
            self._follow(url, depth, hops, answer)

    def _page(self, url: str, depth: int, rules: Rules) -> Response:
        """The page at ``url``, in the WARC file and in the rows: as it is now, or as it was where it has not changed."""
        known = self.kept.get(url)
        said = self._get(
            url, rules, self.stage.max_bytes, judged=True, conditions=known.conditions() if known else None
        )
        answer, members = said, b""
        if said.http_status == 304:
            found = known.answer(url, said) if known else None
            if found is None:  # no condition was set, or what it was set for is gone
                known = None
                answer = said = self._get(url, rules, self.stage.max_bytes, judged=True)
            else:
                answer, members = found
        if answer.http_status == 304 and not members:
            answer = replace(answer, status="empty")
        start = self.records.end
        if members:
            self.records.copy(members)
        elif answer.status == "ok":
            self.records.exchange(url, answer)
        where = {
            **again.validators(said, known if members else None),
            "offset": start,
            "length": self.records.end - start,
        }
        self._row(url, depth, answer, where if answer.status == "ok" else {})
        return answer

    def _follow(self, url: str, depth: int, hops: int, answer: Response) -> None:
        if answer.status == "redirects":
            following = _location(url, answer)
            if host_of(following) == self.host and hops < 5:
                self._add(following, depth, hops + 1)
        elif answer.status == "ok":
            said = set(directives(answer.headers, self.stage.user_agent))
            if _type(answer) != "application/pdf" and depth < self.stage.max_depth and not said & {"nofollow", "none"}:
                for link in page_links(answer.body, url, self.host):
                    self._add(link, depth + 1)

    def _add(self, url: str, depth: int, hops: int = 0) -> None:
        # four times the pages: enough for what robots.txt takes out, and a bound on what a page of endless links can
        # fill
        if url and url not in self.seen and len(self.seen) < 4 * self.stage.max_pages + 100:
            self.seen.add(url)
            self.frontier.append((url, depth, hops))

    def _rules(self, target: Target) -> Rules:
        known = self.robots.known(target)
        if known is None:
            self._wait(0.0)
            known = self.robots.rules(target)
            self._rest(known)
        return known

    def _read_sitemaps(self, target: Target) -> None:
        rules = self._rules(target)
        if rules.failed:
            return
        waiting = deque([*rules.sitemaps, f"{target.scheme}://{target.netloc}/sitemap.xml"])
        read: set[str] = set()
        while waiting and len(read) < SITEMAPS and time.monotonic() < self.until:
            url = canonical(waiting.popleft())
            if host_of(url) != self.host or url in read or not self._rules(parse(url)).allows(parse(url).path):
                continue
            read.add(url)
            answer = self._get(url, rules, SITEMAP_BYTES, judged=False)
            if answer.status != "ok":
                continue
            index, found = sitemap(answer.body)
            if index:
                waiting.extend(found)
                continue
            for found_url in found:
                if host_of(found_url) == self.host:
                    self._add(canonical(found_url), 0)

    def _get(
        self, url: str, rules: Rules, max_bytes: int, judged: bool, conditions: dict[str, str] | None = None
    ) -> Response:
        until = min(self.until, time.monotonic() + self.stage.deadline_s)

        def once() -> Response:
            self._wait(0.0)
            try:
                return self.session.get(
                    url,
                    deadline_s=max(until - time.monotonic(), 0.001),
                    max_bytes=max_bytes,
                    max_redirects=0,
                    headers={
                        "Accept": "text/html,application/xhtml+xml,application/pdf;q=0.9,*/*;q=0.5",
                        **(conditions or {}),
                    },
                    judge=_judge if judged else None,
                )
            finally:
                self._rest(rules)

        answer = once()
        if (pause := second_try(answer, until)) is not None:
            self._wait(pause)
            answer = once()
        return answer

    def _wait(self, extra: float) -> None:
        time.sleep(max(0.0, self.next_at - time.monotonic(), extra))

    def _rest(self, rules: Rules) -> None:
        delay = max(self.stage.delay_s, min(rules.delay or 0.0, self.stage.crawl_delay_cap_s))
        self.next_at = time.monotonic() + delay

    def _row(self, url: str, depth: int, answer: Response, where: Mapping[str, Any] = MappingProxyType({})) -> None:
        ok = answer.status == "ok"
        self.rows.append(
            {
                "url": url,
                "status": answer.status,
                "http_status": answer.http_status,
                "depth": depth,
                "bytes": len(answer.body) if ok else None,
                "type": _type(answer) or None,
                "location": (_location(url, answer) or None) if answer.status == "redirects" else None,
                **dict.fromkeys(name for name, _ in again.VALIDATORS),
                **where,
            }
        )


def _type(answer: Response) -> str:
    return answer.get("content-type").split(";")[0].strip().lower()


def _location(url: str, answer: Response) -> str:
    return canonical(join(url, answer.get("location"))) if answer.get("location") else ""


def _judge(status: int, headers: Headers) -> str | None:
    kind = next((v for k, v in headers if k.lower() == "content-type"), "").split(";")[0].strip().lower()
    return None if not kind or kind in PAGES else "not_page"
