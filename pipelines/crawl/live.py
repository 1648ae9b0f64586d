"""A polite crawl within hosts: robots.txt, sitemaps, links, and the PDFs that they lead to. It writes WARC files, so
that every run starts from WARC.

A recorded stage. A host gets one request at a time, with a pause between two; several hosts are crawled in parallel.
When the crawl is refreshed, pages of the earlier crawl are requested under a condition (conditional.py).
"""

import io
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from manifests.stage import NO_ENGINE, Output, StageContext
from pipelines.crawl.conditional import VALIDATORS, EarlierPage, earlier_pages, validators
from pipelines.crawl.links import SITEMAP_BYTES, authority_of, canonical, hosts_of, page_links, sitemap
from pipelines.fetch.guard import Target, parse
from pipelines.fetch.http import USER_AGENT, Response, Session, absolute_location, second_try
from pipelines.fetch.images import OF_THE_HOST
from pipelines.fetch.optout import directives
from pipelines.fetch.robots import Robots, Rules
from pipelines.fetch.wire import Headers, header
from pipelines.warc.write import WarcFile

__all__ = ["PAGE", "Crawl", "hosts_of"]

#: one row for each URL, in the order of the crawl
PAGE = pa.schema(
    [
        ("url", pa.string()),
        # one of manifests.schema.STATUSES, or "not_page": neither HTML nor PDF, so not read. Only "ok" is in the WARC
        ("status", pa.string()),
        ("http_status", pa.int32()),
        ("depth", pa.int32()),  # links from a seed or a sitemap, from 0
        ("bytes", pa.int64()),
        ("type", pa.string()),  # media type as the server states it
        ("location", pa.string()),  # target of a redirect; followed only within the host
        *VALIDATORS,
    ]
)

# a refresh adds the column `earlier`: the paths of the files conditional.EARLIER, for each partition of the last crawl
SEED = pa.schema([("host", pa.string()), ("seeds", pa.list_(pa.string()))])

PAGES = ("text/html", "application/xhtml+xml", "application/pdf")
ACCEPT = "text/html,application/xhtml+xml,application/pdf;q=0.9,*/*;q=0.5"
SITEMAPS = 32  # files read of one host
REDIRECTS = 5  # followed in a row
PIECE = 4 * 2**20  # bytes of WARC in one output


@dataclass(frozen=True)
class Crawl:
    """Map, recorded. Rows of SEED -> "pages" (PAGE) and the raw file "warc" (gzip members, WARC 1.1)."""

    max_pages: int = 1000  # requests for pages and PDFs of one host
    max_depth: int = 5
    delay_s: float = 0.5  # between two requests to a host; robots.txt may ask for more
    crawl_delay_cap_s: float = 30.0  # a longer Crawl-delay counts as this
    host_s: float = 3600.0  # seconds for one host
    deadline_s: float = 30.0  # seconds for one URL
    max_bytes: int = 50 * 2**20
    give_up_after: int = 5  # failures in a row that end the crawl of a host
    hosts: int = 16  # crawled at the same time
    sitemaps: bool = True
    allow_private: tuple[str, ...] = ()
    user_agent: str = USER_AGENT

    stage_name: ClassVar[str] = "pipelines.crawl.live:Crawl"
    tables: ClassVar[Mapping[str, pa.Schema]] = {"pages": PAGE}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        numbers = []
        for i in range(batch.num_rows):
            if ctx(i):
                numbers.append(i)
            else:
                ctx.lost(i, url=batch["seeds"][i][0].as_py())
        rows = batch.select(["host", "seeds"]).take(pa.array(numbers, pa.int64())).to_pylist()
        files = batch["earlier"][0].as_py() if "earlier" in batch.schema.names and batch.num_rows else []
        earlier = earlier_pages(files, {row["host"].lower() for row in rows})
        info = io.BytesIO()
        WarcFile(info).write_info(f"{ctx.part:06d}-{ctx.first:06d}.warc.gz", self.user_agent)
        end = ctx.ends.get("warc", 0) + len(info.getvalue())
        yield "warc", info.getvalue()
        with (
            tempfile.TemporaryDirectory(prefix="crawl-") as folder,
            Session(allow_private=self.allow_private, user_agent=self.user_agent) as session,
            ThreadPoolExecutor(max_workers=self.hosts) as pool,
        ):
            # each host has a WARC file of its own, so that the output has the order of the rows
            paths = [Path(folder, str(i)) for i in range(len(rows))]
            tasks = [
                pool.submit(_HostCrawl(self, row["host"].lower(), session, earlier).run, row["seeds"], path)
                for row, path in zip(rows, paths, strict=True)
            ]
            for i, task, path in zip(numbers, tasks, paths, strict=True):
                pages = self._result(task, lambda i=i: ctx(i))  # type: ignore[misc]
                with path.open("rb") as file:
                    while piece := file.read(PIECE):
                        yield "warc", piece
                for page in pages:
                    if page["offset"] is not None:
                        page["offset"] += end
                end += path.stat().st_size
                path.unlink()
                yield "pages", pa.RecordBatch.from_pylist(pages, PAGE)

    def _result(self, task: Future[list[dict[str, Any]]], is_alive: Callable[[], object]) -> list[dict[str, Any]]:
        """The task's result. While the host is within its time, the engine gets a sign of life every few seconds."""
        until = time.monotonic() + self.host_s + 60
        while not task.done() and time.monotonic() < until:
            wait([task], timeout=5)
            is_alive()
        return task.result()


class _HostCrawl:
    """The crawl of one host: its frontier, its pace, and a row for each URL."""

    def __init__(self, stage: Crawl, host: str, session: Session, earlier: dict[str, EarlierPage]) -> None:
        self.stage, self.host, self.session, self.earlier = stage, host, session, earlier
        self.robots = Robots(session)
        self.rows: list[dict[str, Any]] = []
        self.next_request = 0.0  # monotonic time
        self.queued_urls: set[str] = set()  # all that were ever in the frontier
        self.frontier: deque[tuple[str, int, int]] = deque()  # URL, depth, redirects that led to it

    def run(self, seeds: list[str], path: Path) -> list[dict[str, Any]]:
        """Crawl the host from its seeds, and write its records to a file. -> its rows (PAGE), offsets in that file"""
        self.until = time.monotonic() + self.stage.host_s
        with path.open("wb") as file:
            self.warc = WarcFile(file)
            self._crawl(seeds)
        return self.rows

    def _crawl(self, seeds: list[str]) -> None:
        for seed in seeds:
            if authority_of(seed) != self.host:
                raise ValueError(f"seed {seed!r} is not on host {self.host!r}")
            self._add(canonical(seed), 0)
        if self.stage.sitemaps and self.frontier:
            self._read_sitemaps(parse(self.frontier[0][0]))
        requests = failures = 0
        while self.frontier and requests < self.stage.max_pages and time.monotonic() < self.until:
            url, depth, redirects = self.frontier.popleft()
            target = parse(url)
            rules = self._rules(target)
            if rules.failed or not rules.allows(target.path):
                self._row(url, depth, Response(rules.failed or "robots"))
                continue
            requests += 1
            page = self._page(url, depth, rules)
            failures = failures + 1 if page.status in OF_THE_HOST else 0
            if failures >= self.stage.give_up_after:
                break
            self._follow(url, depth, redirects, page)

    def _page(self, url: str, depth: int, rules: Rules) -> Response:
        """Request a page, and write its row and its records: as it is now, or as the earlier crawl has it if it has not
        changed."""
        earlier = self.earlier.get(url)
        page = answer = self._get(url, rules, self.stage.max_bytes, True, earlier.conditions() if earlier else {})
        copy: tuple[Response, bytes] | None = None
        if answer.http_status == 304:
            copy = earlier.restore(url, answer) if earlier else None
            if copy is None:  # no condition was sent, or the earlier records are gone
                page = answer = self._get(url, rules, self.stage.max_bytes, True)
                if answer.http_status == 304:
                    page = replace(answer, status="empty")
        start = self.warc.end
        if copy:
            page = copy[0]
            self.warc.copy(copy[1])
        elif page.status == "ok":
            self.warc.write_exchange(url, page)
        stored: dict[str, Any] = {}
        if page.status == "ok":
            stored = {**validators(answer, earlier if copy else None), "offset": start, "length": self.warc.end - start}
        self._row(url, depth, page, stored)
        return page

    def _follow(self, url: str, depth: int, redirects: int, page: Response) -> None:
        if page.status == "redirects":
            location = _location(url, page)
            if authority_of(location) == self.host and redirects < REDIRECTS:
                self._add(location, depth, redirects + 1)
            return
        if page.status != "ok" or depth >= self.stage.max_depth or _media_type(page.headers) == "application/pdf":
            return
        if not {"nofollow", "none"} & set(directives(page.headers, self.stage.user_agent)):
            for link in page_links(page.body, url, self.host):
                self._add(link, depth + 1)

    def _add(self, url: str, depth: int, redirects: int = 0) -> None:
        # at most four times the pages: room for what robots.txt excludes, and a bound for pages of endless links
        if url and url not in self.queued_urls and len(self.queued_urls) < 4 * self.stage.max_pages + 100:
            self.queued_urls.add(url)
            self.frontier.append((url, depth, redirects))

    def _rules(self, target: Target) -> Rules:
        if self.robots.is_cached(target):
            return self.robots.rules(target)
        self._wait()
        rules = self.robots.rules(target)
        self._schedule_next(rules)
        return rules

    def _read_sitemaps(self, target: Target) -> None:
        rules = self._rules(target)
        if rules.failed:
            return
        waiting = deque([*rules.sitemaps, f"{target.scheme}://{target.netloc}/sitemap.xml"])
        requested: set[str] = set()
        while waiting and len(requested) < SITEMAPS and time.monotonic() < self.until:
            url = canonical(waiting.popleft())
            if authority_of(url) != self.host or url in requested:
                continue
            if not self._rules(parse(url)).allows(parse(url).path):
                continue
            requested.add(url)
            answer = self._get(url, rules, SITEMAP_BYTES, False)
            is_index, urls = sitemap(answer.body) if answer.status == "ok" else (False, [])
            if is_index:
                waiting.extend(urls)
                continue
            for page in (page for page in urls if authority_of(page) == self.host):
                self._add(canonical(page), 0)

    def _get(
        self, url: str, rules: Rules, max_bytes: int, pages_only: bool, conditions: Mapping[str, str] | None = None
    ) -> Response:
        until = min(self.until, time.monotonic() + self.stage.deadline_s)

        def request(pause: float = 0.0) -> Response:
            self._wait(pause)
            try:
                return self.session.get(
                    url,
                    deadline_s=max(until - time.monotonic(), 0.001),
                    max_bytes=max_bytes,
                    max_redirects=0,
                    headers={"Accept": ACCEPT, **(conditions or {})},
                    judge=_judge if pages_only else None,
                )
            finally:
                self._schedule_next(rules)

        answer = request()
        pause = second_try(answer, until)
        return answer if pause is None else request(pause)

    def _wait(self, pause: float = 0.0) -> None:
        time.sleep(max(0.0, self.next_request - time.monotonic(), pause))

    def _schedule_next(self, rules: Rules) -> None:
        delay = max(self.stage.delay_s, min(rules.delay or 0.0, self.stage.crawl_delay_cap_s))
        self.next_request = time.monotonic() + delay

    def _row(self, url: str, depth: int, page: Response, stored: Mapping[str, Any] | None = None) -> None:
        row = {"url": url, "status": page.status, "http_status": page.http_status, "depth": depth}
        row["bytes"] = len(page.body) if page.status == "ok" else None
        row["type"] = _media_type(page.headers) or None
        row["location"] = (_location(url, page) or None) if page.status == "redirects" else None
        self.rows.append({**row, **dict.fromkeys(name for name, _ in VALIDATORS), **(stored or {})})


def _media_type(headers: Headers) -> str:
    return header(headers, "content-type").split(";")[0].strip().lower()


def _location(url: str, answer: Response) -> str:
    return canonical(absolute_location(url, answer))


def _judge(status: int, headers: Headers) -> str | None:
    return None if _media_type(headers) in ("", *PAGES) else "not_page"
