import gzip
import time

import pytest

from pipelines.crawl.links import hosts_of, page_links, sitemap

PAGE = b"""<html><head><base href="/deep/"><meta name="description" content="nofollow"></head><body>
<a href="one.html">1</a> <A CLASS=x HREF='two.html#part'>2</A> <a href=three.html>3</a>
<a href="/one.html?a=1&amp;b=2">4</a>
<a href="http://A.example:80/deep/one.html">again</a> <a href="https://a.example/tls">same host</a>
<a href="http://b.example/">other host</a>
<a rel="external nofollow" href="/no">no</a> <a href="/photo.JPG">image</a> <a href="paper.pdf">paper</a>
<a href="mailto:x@a.example">mail</a>
<a href="javascript:void(0)">script</a> <!-- <a href="/comment">no</a> -->
<script>document.write('<a href="/script">no</a>')</script>
<area href="/map"> <a href="http://[broken/">broken</a> <a name="here">here</a>
<a href="/x y">blank</a></body></html>"""


def test_the_links_of_a_page() -> None:
    assert page_links(PAGE, "http://a.example/start", "a.example") == [
        "http://a.example/deep/one.html",
        "http://a.example/deep/two.html",
        "http://a.example/deep/three.html",
        "http://a.example/one.html?a=1&b=2",
        "https://a.example/tls",
        "http://a.example/deep/paper.pdf",
        "http://a.example/map",
        "http://a.example/x%20y",
    ]


@pytest.mark.parametrize("content", ["nofollow", "noindex, NOFOLLOW", "none"])
def test_the_robots_meta_of_a_page_is_honoured(content: str) -> None:
    assert (
        page_links(f'<meta name="ROBOTS" content="{content}"><a href="/x">'.encode(), "http://a.example/", "a.example")
        == []
    )


@pytest.mark.parametrize(
    "piece", [b"<a ", b"<!--", b"<script", b"<a href='", b"<a href=x", b'<a b="', b"<a x=", b"&", b"<a   " + b" " * 500]
)
def test_a_hostile_page_takes_linear_time(piece: bytes) -> None:
    start = time.monotonic()
    page_links(piece * (2_000_000 // len(piece)), "http://a.example/", "a.example")
    assert time.monotonic() - start < 5


def test_the_addresses_of_sitemaps() -> None:
    head = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]>'
    urls = (
        head
        + b"<urlset><url><loc> http://a.example/?x=1&amp;y=2 </loc></url><url><loc><![CDATA[http://a.example/2]]></loc></url></urlset>"
    )
    index = head + b"<sitemapindex><sitemap><loc>http://a.example/s1.xml.gz</loc></sitemap></sitemapindex>"
    assert sitemap(urls) == (False, ["http://a.example/?x=1&y=2", "http://a.example/2"])
    assert sitemap(gzip.compress(urls)) == sitemap(urls)
    assert sitemap(index) == (True, ["http://a.example/s1.xml.gz"])
    assert sitemap(b"http://a.example/1\nhttp://a.example/2\n") == (False, ["http://a.example/1", "http://a.example/2"])
    assert sitemap(b"\x1f\x8bnot gzip") == (False, [])
    assert len(sitemap(b"<urlset>" + b"<loc>http://a.example/</loc>" * 60_000)[1]) == 50_000


def test_seeds_are_grouped_by_host() -> None:
    seeds = ["http://B.example/x#y", "https://a.example", "http://b.example/x", "http://b.example:8080/"]
    assert hosts_of(seeds) == [
        ("a.example", ["https://a.example/"]),
        ("b.example", ["http://b.example/x"]),
        ("b.example:8080", ["http://b.example:8080/"]),
    ]
    with pytest.raises(ValueError, match=r"ftp://a\.example/"):
        hosts_of(["ftp://a.example/"])
