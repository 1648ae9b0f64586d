"""Images from their addresses: one outcome an address, each image's bytes once.

A recorded stage: what the web answered is an input of all that follows. The exchange brings every address of a host to
one part, so that limits per host hold. A row's number, for ``at``, is its place among the part's sorted addresses.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import OUTCOME
from manifests.stage import NO_ENGINE, StageContext
from pipelines.fetch.downloader import Spool, download
from pipelines.fetch.guard import Refused, Target, parse
from pipelines.fetch.http import USER_AGENT, Response, Session, second_try
from pipelines.fetch.image import Looked, look
from pipelines.fetch.optout import reserved
from pipelines.fetch.robots import Robots, Rules
from pipelines.fetch.schedule import Schedule
from pipelines.fetch.wire import Headers

Output = tuple[str, pa.RecordBatch | bytes]

#: statuses that say something of the host rather than of the address
OF_THE_HOST = frozenset({"dns", "refused", "tls", "timeout"})

ROWS = 4096  # outcomes a batch


@dataclass(frozen=True)
class Fetch:
    """Exchange: "wanted" (key: uint64, url: string, ...) and "known" (url: string, ...; may be absent) -> rows
    "outcomes" (manifests.schema.OUTCOME, sorted by url) and the raw file "blobs" (the original bytes of the images that
    are ok, each once by sha256, in the outcomes' order).

    Every distinct address of wanted that is not in known is asked for once; a reset, a 5xx or a 429 once more.
    """

    # wall clock an address, with its redirects and second try; waiting for the host's turn and robots.txt apart
    deadline_s: float = 20.0
    # above 99.9 % of web images; what the 100 megapixels of the next line take as a JPEG of good quality
    max_bytes: int = 20 * 2**20
    # 300 MB as RGB. Pillow (Image.MAX_IMAGE_PIXELS) warns at 89 and refuses at 179 megapixels
    max_pixels: float = 100e6
    threads: int = 32
    per_host: int = 2
    # a host that failed so often in a row, in the way of a host that is gone, is asked no more in this part
    give_up_after: int = 8
    max_redirects: int = 5
    robots: bool = True
    # honour Crawl-delay up to this many seconds; 0 leaves it aside, as fetchers of images do
    crawl_delay_cap_s: float = 0.0
    allow_private: tuple[str, ...] = ()  # CIDR ranges that may be reached
    user_agent: str = USER_AGENT

    def __call__(self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        urls = _wanted(tables)
        session = Session(allow_private=self.allow_private, user_agent=self.user_agent)
        with tempfile.TemporaryFile(prefix="images-") as file, session:
            spool = Spool(file)
            visit = _Visit(self, urls, session)
            skipped: set[int] = set()
            looks: dict[int, Looked] = {}
            hashes: dict[int, str] = {}

            def check(row: int, body: bytes) -> str | None:
                if not ctx(row):
                    skipped.add(row)
                    return "quarantined"
                looks[row] = look(body, self.max_pixels)
                return None if looks[row].status == "ok" else looks[row].status

            def store(row: int, sha256: str | None, body: bytes | None) -> None:
                if sha256 is not None and body is not None:
                    hashes[row] = sha256
                    spool.add(sha256, body)
                # tells the engine, too, that we are alive while nothing but failures comes
                elif row not in skipped and not ctx(row):
                    skipped.add(row)

            download(urls, visit.next, check, store, threads=self.threads)
            if len(visit.answers) != len(urls):
                raise RuntimeError(f"{len(urls) - len(visit.answers)} of {len(urls)} addresses were never asked for")
            yield from self._ordered(urls, visit, looks, hashes, skipped, spool, ctx)

    def _ordered(
        self,
        urls: list[str],
        visit: _Visit,
        looks: dict[int, Looked],
        hashes: dict[int, str],
        skipped: set[int],
        spool: Spool,
        ctx: StageContext,
    ) -> Iterator[Output]:
        places: dict[str, tuple[int, int]] = {}
        end = 0
        rows: list[dict[str, Any]] = []
        sent = False
        for row, url in enumerate(urls):
            if row in skipped:
                continue
            answer, optout, size = visit.answers[row]
            out: dict[str, Any] = {
                "url": url,
                "status": answer.status,
                "final_url": answer.final_url,
                "optout": optout,
                "bytes": size,
            }
            if (looked := looks.get(row)) is not None:
                out |= {k: getattr(looked, k) for k in ("status", "format", "width", "height", "frames", "phash")}
            if (sha256 := hashes.get(row)) is not None:
                if sha256 not in places:
                    body = spool.read(sha256)
                    places[sha256] = (end, len(body))
                    end += len(body)
                    yield "blobs", body
                out |= {"sha256": sha256, "part": ctx.part, "offset": places[sha256][0], "length": places[sha256][1]}
            rows.append(out)
            if len(rows) == ROWS:
                yield "outcomes", pa.RecordBatch.from_pylist(rows, OUTCOME)
                rows, sent = [], True
        if rows or not sent:
            yield "outcomes", pa.RecordBatch.from_pylist(rows, OUTCOME)


def _wanted(tables: Mapping[str, Any]) -> list[str]:
    wanted = pc.unique(tables["wanted"]["url"]).drop_null()
    known = tables.get("known")
    if known is not None and len(known):
        wanted = wanted.filter(pc.invert(pc.is_in(wanted, value_set=known["url"].combine_chunks().cast(wanted.type))))
    return sorted(wanted.to_pylist())


@dataclass
class _Visit:
    """The asking: whose turn it is, what robots.txt says, which hosts are gone. `next` does one address, whichever is
    next.
    """

    stage: Fetch
    urls: list[str]
    session: Session
    # row -> answer without body, opt-out, bytes
    answers: dict[int, tuple[Response, str | None, int | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._robots = Robots(self.session)
        self._schedule = Schedule([_host(url) for url in self.urls], self.stage.per_host)
        self._failures: Counter[str] = Counter()
        self._gone: dict[str, str] = {}
        self._lock = threading.Lock()

    def next(self) -> tuple[int, bytes | None, str | None]:
        row, host = self._schedule.take()
        holds: str | None = host
        delay = 0.0
        try:
            answer, holds, delay = self._ask(self.urls[row], host)
        finally:
            if holds is not None:  # addresses without a host share the host ""
                self._schedule.give_back(holds, delay)
        optout = None
        if answer.status == "optout":
            optout = reserved(answer.headers, self.session.user_agent)
        body = answer.body if answer.status == "ok" else None
        size = len(body) if body is not None else None
        self.answers[row] = (Response(answer.status, final_url=answer.final_url), optout, size)
        return row, body, None if body is not None else answer.status

    def _ask(self, url: str, host: str) -> tuple[Response, str | None, float]:
        """-> (answer, the host whose slot is still held or None, seconds it asked to rest)"""
        stage = self.stage
        try:
            target = parse(url)
        except Refused as fault:
            return Response(fault.status, final_url=url, detail=str(fault)), host, 0.0
        with self._lock:
            gone = self._gone.get(host)
        if gone:
            return Response(gone, final_url=url, detail="the host gave no answer before"), host, 0.0
        delay = 0.0
        if stage.robots:
            rules = self._robots.rules(target)
            if status := _barred(rules, target):
                self._count(host, status)
                return Response(status, final_url=url, detail="robots.txt"), host, 0.0
            delay = min(rules.delay or 0.0, stage.crawl_delay_cap_s)
        holds: list[str | None] = [host]
        until = time.monotonic() + stage.deadline_s

        def on_redirect(following: str, remaining: float) -> str | None:
            try:
                to = parse(following)
            except Refused as fault:
                return fault.status
            if to.host != holds[0]:
                old, holds[0] = holds[0], None
                if old is None or not self._schedule.move(old, to.host, remaining):
                    return "timeout"
                holds[0] = to.host
            return _barred(self._robots.rules(to, min(remaining, 15.0)), to) if stage.robots else None

        answer = self._get(url, until, on_redirect)
        if holds[0] == host and (wait := second_try(answer, until)) is not None:
            time.sleep(wait)
            answer = self._get(url, until, on_redirect)
        self._count(host, answer.status)
        return answer, holds[0], delay if holds[0] == host else 0.0

    def _get(self, url: str, until: float, on_redirect: Any) -> Response:
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
    try:
        return parse(url).host
    except Refused:
        return ""


def _barred(rules: Rules, target: Target) -> str | None:
    if rules.failed:
        return rules.failed
    return None if rules.allows(target.path) else "robots"
