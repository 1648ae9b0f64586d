"""The sample web through its proxy: pages, pictures and the answer of each fault."""

import gzip
import http.client
import io
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from PIL import Image

from pipelines.sample import FAULTS, HOSTS, SEEDS, serve
from pipelines.sample.articles import library
from pipelines.sample.broken import stand_in
from pipelines.sample.faults import IMAGE_FAULTS
from pipelines.sample.pictures import render
from pipelines.sample.server import Web

BROKEN = "http://corner.example/broken/"


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with serve() as running:
        yield running


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def get(
    web: Web, url: str, method: str = "GET", follow: bool = False, **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"http": web.proxy}), *([] if follow else [_NoRedirect])
    )
    try:
        with opener.open(urllib.request.Request(url, method=method, headers=headers), timeout=5) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_pages_and_pictures_come_through_the_proxy(web: Web) -> None:
    article = library()[0][0]
    status, headers, body = get(web, article.url)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert article.blocks[0].text.replace("'", "&#x27;") in body.decode()
    picture = article.pictures[0]
    status, headers, body = get(web, picture.url)
    image = Image.open(io.BytesIO(body))
    assert (status, headers["Content-Type"], image.size) == (200, picture.mime, picture.size)
    assert Image.open(io.BytesIO(get(web, picture.url + "?w=320")[2])).width == 320


def test_head_has_no_body_and_an_unchanged_etag_is_answered_with_304(web: Web) -> None:
    url = library()[0][3].url
    status, headers, body = get(web, url, "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 2000
    status, _, body = get(web, url, **{"If-None-Match": headers["ETag"]})
    assert (status, body) == (304, b"")


def test_sitemaps_have_every_article(web: Web) -> None:
    urls: set[str] = set()
    for seed in SEEDS:
        robots = get(web, seed + "robots.txt")[2].decode()
        sitemaps = re.findall(r"^Sitemap: (\S+)", robots, re.M)
        assert sitemaps, seed
        while sitemaps:
            body = get(web, sitemaps.pop())[2]
            text = (gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).decode()
            locations = [u.replace("&amp;", "&") for u in re.findall(r"<loc>([^<]+)</loc>", text)]
            if "<sitemapindex" in text:
                sitemaps += locations
            else:
                urls.update(locations)
    assert {a.url for a in library()[0]} <= urls


def test_hosts_with_rules_have_a_robots_txt(web: Web) -> None:
    assert "Disallow: /\n" in get(web, "http://closed.example/robots.txt")[2].decode()
    rules = get(web, "http://riverlog.example/robots.txt")[2].decode()
    assert "Crawl-delay: 0.02" in rules
    assert "Disallow: /drafts/" in rules


def test_unknown_addresses_and_hosts_are_errors(web: Web) -> None:
    assert get(web, "http://skywatch.example/nothing-here")[0] == 404
    assert get(web, "http://169.254.169.254/latest/meta-data/")[0] == 502
    assert get(web, "http://unknown.example/")[0] == 502


STATUS = {"http_404": 404, "http_410": 410, "http_403": 403, "http_429": 429, "http_5xx": 500}


@pytest.mark.parametrize("fault", [f for f in IMAGE_FAULTS if f.reason in STATUS], ids=lambda f: f.name)
def test_faults_of_http_have_their_status(web: Web, fault: object) -> None:
    assert {get(web, url)[0] for url in fault.urls} == {STATUS[fault.reason]}  # type: ignore[attr-defined]


def test_redirects_have_their_targets(web: Web) -> None:
    assert get(web, BROKEN + "endless-1.jpg")[1]["Location"] == BROKEN + "endless-2.jpg"
    assert get(web, BROKEN + "endless-2.jpg")[1]["Location"] == BROKEN + "endless-1.jpg"
    assert get(web, BROKEN + "private-1.jpg")[1]["Location"].startswith("http://169.254.169.254/")
    assert get(web, BROKEN + "moved-1.jpg", follow=True)[2][:3] == b"\xff\xd8\xff"
    status, headers, _ = get(web, "http://corner.example/odd/old-address.html")
    assert (status, headers["Location"]) == (301, "http://corner.example/odd/broken-1.html")


def test_an_odd_address_answers_with_the_picture_that_its_page_announces(web: Web) -> None:
    """The caption on the page must describe the picture."""
    for name in ("moved-1.jpg", "untyped-1.jpg", "liar-1.jpg"):
        assert get(web, BROKEN + name, follow=True)[2] == render(stand_in(BROKEN + name))


def test_bodies_that_are_not_images(web: Web) -> None:
    assert get(web, BROKEN + "page-1.jpg")[2].startswith(b"<!doctype html")
    assert get(web, BROKEN + "drawing-1.jpg")[1]["Content-Type"] == "image/svg+xml"
    assert get(web, BROKEN + "nothing-1.jpg")[2] == b""
    half = Image.open(io.BytesIO(get(web, BROKEN + "half-1.jpg")[2]))
    with pytest.raises(OSError, match="truncated"):
        half.load()
    garbage = Image.open(io.BytesIO(get(web, BROKEN + "garbage-1.png")[2]))
    with pytest.raises(OSError, match=r"broken|truncated|decod"):
        garbage.load()
    with pytest.raises(http.client.IncompleteRead):
        get(web, BROKEN + "short-1.jpg")


def test_images_beyond_the_limits(web: Web) -> None:
    bomb = get(web, BROKEN + "bomb-1.png")[2]
    assert len(bomb) < 200_000
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(bomb))
    assert int(get(web, BROKEN + "huge-1.jpg", "HEAD")[1]["Content-Length"]) > 32 << 20
    assert Image.open(io.BytesIO(get(web, BROKEN + "dot-1.png")[2])).size == (1, 1)
    width, height = Image.open(io.BytesIO(get(web, BROKEN + "banner-1.png")[2])).size
    assert width / height > 8
    assert height >= 150
    assert getattr(Image.open(io.BytesIO(get(web, BROKEN + "dance-1.gif")[2])), "n_frames", 1) == 3


def test_opt_out_headers_and_content_types(web: Web) -> None:
    assert "noai" in get(web, BROKEN + "reserved-1.jpg")[1]["X-Robots-Tag"]
    assert get(web, BROKEN + "untyped-1.jpg")[1]["Content-Type"] == "application/octet-stream"
    assert 'content="noai' in get(web, "http://corner.example/odd/please-do-not.html")[2].decode()


def _raw(web: Web, url: str, timeout: float) -> bytes:
    """The bytes that arrive within `timeout` seconds. Raises the errors of the socket."""
    proxy = urlsplit(web.proxy)
    with socket.create_connection((proxy.hostname or "", proxy.port or 0), timeout=timeout) as line:
        line.sendall(f"GET {url} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n\r\n".encode())
        data, end = b"", time.monotonic() + timeout
        while time.monotonic() < end and (piece := line.recv(65536)):
            data += piece
        return data


def test_hang_drip_and_reset_end_without_a_complete_body(web: Web) -> None:
    with pytest.raises(TimeoutError):
        _raw(web, BROKEN + "hang-1.jpg", 0.4)
    dripped = _raw(web, BROKEN + "drip-1.jpg", 1.2).partition(b"\r\n\r\n")[2]
    assert 0 < len(dripped) < 200
    with pytest.raises(ConnectionResetError):
        _raw(web, BROKEN + "reset-1.jpg", 2)


def test_pages_in_other_charsets(web: Web) -> None:
    body = get(web, "http://corner.example/odd/old-letters.html")[2]
    assert b"charset=windows-1252" in body
    assert "crème brûlée" in body.decode("cp1252")
    wrong = get(web, "http://corner.example/odd/wrong-letters.html")[2]
    assert b"charset=utf-8" in wrong
    with pytest.raises(UnicodeDecodeError):
        wrong.decode("utf-8")


def test_every_page_fault_has_a_page_and_a_link_to_it(web: Web) -> None:
    index = "".join(get(web, f"http://{host}/")[2].decode() for host in HOSTS)
    for fault in FAULTS:
        if fault.level in ("document", "dedup", "pdf"):
            assert all(get(web, url, "HEAD")[0] in (200, 301) for url in fault.urls), fault.name
            assert all(url.replace("&", "&amp;") in index for url in fault.urls), fault.name


def test_every_broken_image_is_on_a_page(web: Web) -> None:
    pages = "".join(get(web, f"http://corner.example/odd/broken-{i}.html")[2].decode() for i in range(1, 40))
    assert [u for fault in IMAGE_FAULTS for u in fault.urls if u not in pages] == []


def test_statistics_are_counted_by_host_and_kind() -> None:
    with serve() as web:
        get(web, "http://supper.example/")
        get(web, "http://supper.example/robots.txt")
        get(web, "http://supper.example/no-such-page")
        assert web.stats.by_kind() == {"index": 1, "robots": 1, "missing": 1}
        assert web.stats.requests["supper.example", "robots"] == 1
        assert web.stats.peak["supper.example"] == 1


def test_the_server_stops_while_a_request_hangs() -> None:
    start = time.monotonic()
    with serve() as web, pytest.raises(TimeoutError):
        _raw(web, BROKEN + "hang-1.jpg", 0.2)
    assert time.monotonic() - start < 3
