import gzip
import io
import json
import time
from typing import Any

import pyarrow as pa
import pytest
from warcio.archiveiterator import ArchiveIterator

from pipelines.crawl.live import PAGE, SEED, Crawl, hosts_of
from tests.pipelines.crawl.conftest import Local, Origin, assert_within, get

HTML = {"Content-Type": "text/html; charset=utf-8"}


def run(seeds: list[str], stage: Crawl) -> tuple[dict[str, dict[str, Any]], bytes]:
    batch = pa.RecordBatch.from_pylist([{"host": h, "seeds": s} for h, s in hosts_of(seeds)], SEED)
    rows: list[dict[str, Any]] = []
    warc = b""
    for name, data in stage(batch):
        if name == "warc":
            warc += data
        else:
            assert name == "pages"
            assert data.schema == PAGE
            rows += data.to_pylist()
    assert len({r["url"] for r in rows}) == len(rows)
    return {r["url"]: r for r in rows}, warc


def records(warc: bytes) -> list[tuple[str, str | None, bytes, Any]]:
    rows = []
    for record in ArchiveIterator(io.BytesIO(warc), check_digests="raise"):
        rows.append(
            (record.rec_type, record.rec_headers.get_header("WARC-Target-URI"), record.content_stream().read(), record)
        )
    return rows


def page(*links: str) -> tuple[dict[str, str], bytes]:
    return HTML, b"<p>" + "".join(f'<a href="{link}">x</a>' for link in links).encode()


QUICK = Crawl(delay_s=0, deadline_s=0.5)


def test_a_host_is_crawled_from_seeds_sitemaps_and_links(proxied: Local) -> None:
    web = proxied.web
    index = b"<sitemapindex><loc>http://a.example/s.xml.gz</loc><loc>http://b.example/s.xml</loc></sitemapindex>"
    web.pages |= {
        "a.example/robots.txt": ({}, b"User-agent: *\nDisallow: /private\nSitemap: http://a.example/index.xml"),
        "a.example/index.xml": ({}, index),
        "a.example/s.xml.gz": (
            {},
            gzip.compress(b"<urlset><loc>http://a.example/mapped</loc><loc>http://b.example/no</loc></urlset>"),
        ),
        "a.example/mapped": page(),
        "a.example/": page(
            "/one", "/private/x", "/paper.pdf", "http://b.example/", "/moved", "/away", "/data", "/gone", "/photo.png"
        ),
        "a.example/one": ({**HTML, "Content-Encoding": "gzip"}, gzip.compress(page("/two")[1])),
        "a.example/two": page("/three"),
        "a.example/three": page("/four"),
        "a.example/paper.pdf": ({"Content-Type": "application/pdf"}, b"%PDF-1.4 " + bytes(100)),
        "a.example/moved": ({"status": "301", "Location": "/new"}, b""),
        "a.example/new": page(),
        "a.example/away": ({"status": "302", "Location": "http://b.example/there"}, b""),
        "a.example/data": ({"Content-Type": "application/zip"}, b"PK"),
    }
    rows, warc = run(["http://a.example/"], Crawl(delay_s=0, deadline_s=2, max_depth=2))
    by_path = {u.removeprefix("http://a.example"): (r["status"], r["http_status"], r["depth"]) for u, r in rows.items()}
    assert by_path == {
        "/": ("ok", 200, 0),
        "/mapped": ("ok", 200, 0),
        "/one": ("ok", 200, 1),
        "/private/x": ("robots", None, 1),
        "/paper.pdf": ("ok", 200, 1),
        "/moved": ("redirects", 301, 1),
        "/new": ("ok", 200, 1),
        "/away": ("redirects", 302, 1),
        "/data": ("not_page", 200, 1),
        "/gone": ("http_404", 404, 1),
        "/two": ("ok", 200, 2),
    }
    assert rows["http://a.example/away"]["location"] == "http://b.example/there"
    assert {h for h, _ in web.asked} == {"a.example"}
    assert "/private/x" not in web.paths()
    assert web.peak["a.example"] == 1

    warc_records = records(warc)
    assert warc_records[0][0] == "warcinfo"
    assert sorted(u or "" for t, u, _, _ in warc_records if t == "response") == sorted(
        u for u, r in rows.items() if r["status"] == "ok"
    )
    assert [t for t, *_ in warc_records[1:]] == ["response", "request"] * 6
    response = next(r for r in warc_records if r[0] == "response" and r[1] == "http://a.example/one")
    assert response[2] == page("/two")[1]
    assert response[3].http_headers.get_header("X-Crawl-Content-Encoding") == "gzip"
    assert (
        response[3].http_headers.get_header("Content-Length")
        == str(len(response[2]))
        == str(rows["http://a.example/one"]["bytes"])
    )
    assert response[3].rec_headers.get_header("WARC-Payload-Digest").startswith("sha1:")
    request = next(r for r in warc_records if r[0] == "request" and r[1] == "http://a.example/one")
    assert request[3].http_headers.protocol == "GET"
    assert request[3].http_headers.statusline.startswith("/one ")


def test_a_disallowed_host_gets_requests_for_robots_txt_alone(proxied: Local) -> None:
    proxied.web.pages |= {
        "no.example/robots.txt": ({}, b"User-agent: *\nDisallow: /"),
        "no.example/": page("/x"),
        "down.example/robots.txt": ({"status": "503"}, b""),
        "down.example/": page("/x"),
    }
    rows, warc = run(["http://no.example/", "http://down.example/"], QUICK)
    assert {r["status"] for r in rows.values()} == {"robots"}
    assert set(proxied.web.paths()) == {"/robots.txt"}
    assert len(records(warc)) == 1


def test_a_crawl_delay_is_observed_up_to_the_limit(proxied: Local) -> None:
    proxied.web.pages |= {
        "slow.example/robots.txt": ({}, b"User-agent: *\nCrawl-delay: 100\nAllow: /"),
        "slow.example/": page("/1", "/2"),
        "slow.example/1": page(),
        "slow.example/2": page(),
    }
    start = time.monotonic()
    rows, _ = run(["http://slow.example/"], Crawl(delay_s=0, crawl_delay_cap_s=0.2, sitemaps=False))
    assert len(rows) == 3
    assert time.monotonic() - start >= 0.6


def test_a_crawl_is_bounded_in_pages_failures_and_time(proxied: Local) -> None:
    pages = {f"big.example/{i}": page(*[f"/{j}" for j in range(i * 10, i * 10 + 10)]) for i in range(200)}
    proxied.web.pages |= pages
    rows, _ = run(["http://big.example/1"], Crawl(delay_s=0, max_pages=25, sitemaps=False))
    assert len(rows) == 25
    rows, _ = run(
        ["http://hung.example/hang/" + str(i) for i in range(20)],
        Crawl(delay_s=0, deadline_s=0.1, give_up_after=3, sitemaps=False),
    )
    assert [r["status"] for r in rows.values()] == ["timeout"] * 3
    assert_within(1.5, lambda: run(["http://big.example/1"], Crawl(delay_s=0.1, host_s=0.5)))


def test_redirects_to_private_addresses_are_rows_and_never_followed(proxied: Local) -> None:
    rows, _ = run(
        ["http://a.example/to?http://127.0.0.1/x", "http://a.example/loop", "http://a.example/chain/9"], QUICK
    )
    assert {r["status"] for r in rows.values()} == {"redirects"}
    assert {h for h, _ in proxied.web.asked} == {"a.example"}
    assert "http://a.example/chain/3" not in rows  # after five redirects


def test_a_seed_of_another_host_is_an_error() -> None:
    batch = pa.RecordBatch.from_pylist([{"host": "a.example", "seeds": ["http://b.example/"]}], SEED)
    with pytest.raises(ValueError, match=r"http://b\.example/"):
        list(QUICK(batch))


@pytest.mark.real
def test_the_origin_sees_one_request_of_a_host_at_a_time(fresh_origin: Origin) -> None:
    web = fresh_origin.module
    with open(web.HERE / "pages.warc.gz", "rb") as file:
        urls = [r.rec_headers.get_header("WARC-Target-URI") for r in ArchiveIterator(file)]
    seeds = ["http://papers.example/index.html", *[u for u in urls if u.startswith("http")][:40]]
    rows, _ = run(seeds, Crawl(delay_s=0, max_pages=15, max_depth=0, crawl_delay_cap_s=0, deadline_s=60))
    rows |= run(seeds[:1], Crawl(delay_s=0, max_pages=15, max_depth=1, deadline_s=60))[0]
    assert sum(r["status"] == "ok" for r in rows.values()) >= 40
    stats = json.loads(get("http://origin.example/stats", deadline_s=10, max_bytes=2**20).body)
    assert stats["busiest_host"][1] == 1, stats


@pytest.mark.real
def test_the_origin_is_crawled_politely(origin: Origin) -> None:
    web = origin.module
    with open(web.HERE / "pages.warc.gz", "rb") as file:
        urls = [r.rec_headers.get_header("WARC-Target-URI") for r in ArchiveIterator(file)]
    urls = [u for u in urls if u.startswith("http") and "://" not in u.split("://", 1)[1]]
    disallowed = [u for u in urls if web.digest(u.split("/")[2]) % 16 == 0][:5]
    delayed = [u for u in urls if web.digest(u.split("/")[2]) % 16 == 1][:2]
    plain = [u for u in urls if web.digest(u.split("/")[2]) % 16 > 1][:20]
    seeds = [*disallowed, *delayed, *plain, "http://papers.example/index.html"]
    before = json.loads(get("http://origin.example/stats", deadline_s=10, max_bytes=2**20).body)["served"]
    rows, warc = run(seeds, Crawl(delay_s=0, max_pages=30, max_depth=1, crawl_delay_cap_s=0.05, deadline_s=4))
    for url in disallowed:
        assert rows[url.split("#")[0]]["status"] == "robots"
    allowed = {u.split("#")[0] for u in [*delayed, *plain, "http://papers.example/index.html"]}
    assert {rows[u]["status"] for u in allowed} == {"ok"}
    assert sum(r["type"] == "application/pdf" and r["status"] == "ok" for r in rows.values()) == 29
    hosts = {r[1].split("/")[2] for r in records(warc) if r[0] == "response" and r[1]}
    assert not any(web.digest(h) % 16 == 0 for h in hosts)
    served = json.loads(get("http://origin.example/stats", deadline_s=10, max_bytes=2**20).body)["served"]
    assert served["robots"] - before.get("robots", 0) <= 2 * len(hosts_of(seeds))
