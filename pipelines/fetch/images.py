"""Images fetched from their URLs: one outcome for each URL, the bytes of each image once.

A recorded stage: what the web answered is an input of all later steps. The exchange brings all URLs of a host to one
partition, so that limits of a host hold. The row number that the engine gets is the URL's place among the sorted URLs.
"""

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import OUTCOME
from manifests.stage import NO_ENGINE, Output, StageContext
from pipelines.fetch.downloader import Spool, download
from pipelines.fetch.guard import Target, target_of
from pipelines.fetch.http import USER_AGENT, Response, Session, second_try
from pipelines.fetch.image import look
from pipelines.fetch.optout import reserved
from pipelines.fetch.robots import ROBOTS_S, Robots, Rules
from pipelines.fetch.schedule import Schedule
from pipelines.fetch.wire import Headers

#: statuses that describe the host rather than the URL
OF_THE_HOST = frozenset({"dns", "refused", "tls", "timeout"})

ROWS = 4096  # outcomes in one batch


@dataclass(frozen=True)
class Fetch:
    """Exchange, recorded. "wanted" (url, ...) and "previous" (url, ...; optional) -> "outcomes" (OUTCOME, sorted by
    url) and the raw file "blobs": the original bytes of the images that are ok, each once by sha256, in the order of
    the outcomes.

    Every distinct URL of wanted that is not in previous is requested once; after a reset, a 5xx or a 429 once more.
    """

    # wall clock for one URL, its redirects and its second try, without the waits for the host's turn and for robots.txt
    deadline_s: float = 20.0
    # above 99.9 % of web images; 100 megapixels (max_pixels) as a JPEG of good quality
    max_bytes: int = 20 * 2**20
    # 300 MB as RGB. Pillow (Image.MAX_IMAGE_PIXELS) warns at 89 and refuses at 179 megapixels
    max_pixels: float = 100e6
    threads: int = 32
    per_host: int = 2
    # failures in a row, of a kind that says the host is gone, after which its other URLs fail without a request
    give_up_after: int = 8
    max_redirects: int = 5
    robots: bool = True
    # honour Crawl-delay up to this many seconds; 0 ignores it, as is usual for images
    crawl_delay_cap_s: float = 0.0
    allow_private: tuple[str, ...] = ()  # CIDR ranges that may be reached
    user_agent: str = USER_AGENT

    stage_name: ClassVar[str] = "pipelines.crawl.fetch:Fetch"
    tables: ClassVar[Mapping[str, pa.Schema]] = {"outcomes": OUTCOME}

    def __call__(self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        urls = _new_urls(tables)
        with (
            tempfile.TemporaryFile(prefix="images-") as file,
            Session(allow_private=self.allow_private, user_agent=self.user_agent) as session,
        ):
            partition = _Partition(self, urls, session, Spool(file), ctx)
            download(urls, partition.request_next, partition.check, partition.save, threads=self.threads)
            yield from partition.outputs()


def _new_urls(tables: Mapping[str, Any]) -> list[str]:
    urls = pc.unique(tables["wanted"]["url"]).drop_null()
    previous = tables.get("previous")
    if previous is not None and len(previous):
        urls = urls.filter(pc.invert(pc.is_in(urls, value_set=previous["url"].combine_chunks().cast(urls.type))))
    return sorted(urls.to_pylist())


class _Partition:
    """The URLs of a partition: whose turn it is, what robots.txt says, which hosts are gone, and the outcomes.

    `request_next` is called by many threads, the other methods by one.
    """

    def __init__(self, stage: Fetch, urls: list[str], session: Session, spool: Spool, ctx: StageContext) -> None:
        self.stage, self.urls, self.session, self.spool, self.ctx = stage, urls, session, spool, ctx
        self.rows: dict[int, dict[str, Any]] = {}  # of OUTCOME
        self.quarantined: set[int] = set()
        self._robots = Robots(session)
        self._schedule = Schedule([_host(url) for url in urls], stage.per_host)
        self._failures: Counter[str] = Counter()
        self._gone: dict[str, str] = {}  # host -> status
        self._lock = threading.Lock()

    def request_next(self) -> tuple[int, bytes | None, str | None]:
        """Request the URL whose turn it is: -> (row, body or None, the status where there is no body)."""
        row, host = self._schedule.take()
        slot: str | None = host
        delay = 0.0
        try:
            answer, slot, delay = self._request(self.urls[row], host)
        finally:
            if slot is not None:  # URLs without a host share the host ""
                self._schedule.give_back(slot, delay)
        optout = reserved(answer.headers, self.session.user_agent) if answer.status == "optout" else None
        body = answer.body if answer.status == "ok" else None
        facts = {"status": answer.status, "final_url": answer.final_url, "optout": optout}
        self.rows[row] = {"url": self.urls[row], **facts, "bytes": None if body is None else len(body)}
        return row, body, answer.status if body is None else None

    def check(self, row: int, body: bytes) -> str | None:
        """The status that refuses an image; None for a good one."""
        if not self.ctx(row):
            self.quarantined.add(row)
            return "quarantined"
        facts = look(body, self.stage.max_pixels)
        self.rows[row] |= vars(facts)
        return None if facts.status == "ok" else facts.status

    def save(self, row: int, sha256: str | None, body: bytes | None) -> None:
        if sha256 is not None and body is not None:
            self.rows[row]["sha256"] = sha256
            self.spool.add(sha256, body)
        # this call also shows the engine progress while nothing but failures comes
        elif row not in self.quarantined and not self.ctx(row):
            self.quarantined.add(row)

    def outputs(self) -> Iterator[Output]:
        if len(self.rows) != len(self.urls):
            raise RuntimeError(f"{len(self.urls) - len(self.rows)} of {len(self.urls)} URLs were never requested")
        places: dict[str, dict[str, int]] = {}
        end = 0
        for i in self.quarantined:
            self.ctx.lost(i, url=self.urls[i])
        rows = [self.rows[i] for i in range(len(self.urls)) if i not in self.quarantined]
        for row in rows:
            sha256 = row.get("sha256")
            if sha256 is not None and sha256 not in places:
                body = self.spool.read(sha256)
                places[sha256] = {"part": self.ctx.part, "offset": end, "length": len(body)}
                end += len(body)
                yield "blobs", body
            if sha256 is not None:
                row |= places[sha256]
        for first in range(0, max(len(rows), 1), ROWS):
            yield "outcomes", pa.RecordBatch.from_pylist(rows[first : first + ROWS], OUTCOME)

    def _request(self, url: str, host: str) -> tuple[Response, str | None, float]:
        """-> (answer, the host whose slot is still held or None, seconds for which it must rest)"""
        stage = self.stage
        target = target_of(url)
        if target is None:
            return Response("bad_url", final_url=url), host, 0.0
        with self._lock:
            gone = self._gone.get(host)
        if gone:
            return Response(gone, final_url=url), host, 0.0
        delay = 0.0
        if stage.robots:
            rules = self._robots.rules(target)
            if status := _barred(rules, target):
                self._count(host, status)
                return Response(status, final_url=url), host, 0.0
            delay = min(rules.delay or 0.0, stage.crawl_delay_cap_s)
        slot: str | None = host
        until = time.monotonic() + stage.deadline_s

        def on_redirect(following: str, remaining: float) -> str | None:
            nonlocal slot
            target = target_of(following)
            if target is None:
                return "bad_url"
            if target.host != slot:
                old, slot = slot, None
                if old is None or not self._schedule.move(old, target.host, remaining):
                    return "timeout"
                slot = target.host
            return _barred(self._robots.rules(target, min(remaining, ROBOTS_S)), target) if stage.robots else None

        answer = self._get(url, until, on_redirect)
        if slot == host and (pause := second_try(answer, until)) is not None:
            time.sleep(pause)
            answer = self._get(url, until, on_redirect)
        self._count(host, answer.status)
        return answer, slot, delay if slot == host else 0.0

    def _get(self, url: str, until: float, on_redirect: Callable[[str, float], str | None]) -> Response:
        return self.session.get(
            url,
            deadline_s=max(until - time.monotonic(), 0.001),
            max_bytes=self.stage.max_bytes,
            max_redirects=self.stage.max_redirects,
            headers={"Accept": "image/*,*/*;q=0.5"},
            judge=self._judge,
            on_redirect=on_redirect,
        )

    def _judge(self, status: int, headers: Headers) -> str | None:
        return "optout" if reserved(headers, self.session.user_agent) else None

    def _count(self, host: str, status: str) -> None:
        with self._lock:
            self._failures[host] = self._failures[host] + 1 if status in OF_THE_HOST else 0
            if self._failures[host] >= self.stage.give_up_after:
                self._gone[host] = status


def _host(url: str) -> str:
    return target.host if (target := target_of(url)) else ""


def _barred(rules: Rules, target: Target) -> str | None:
    """The status of a URL that robots.txt does not allow."""
    if rules.failed:
        return rules.failed
    return None if rules.allows(target.path) else "robots"
