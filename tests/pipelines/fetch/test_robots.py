import time

import pytest

from pipelines.fetch.guard import parse as target
from pipelines.fetch.http import Session
from pipelines.fetch.robots import Robots, parse
from tests.pipelines.crawl.conftest import LOOPBACK, Local

US = "mybot/1.0"


def allows(text: str, path: str) -> bool:
    return parse(text.encode(), US).allows(path)


# RFC 9309: 2.2.1 to 2.2.3, and the examples of its section 5
@pytest.mark.parametrize(
    ("text", "path", "allowed"),
    [
        ("", "/", True),
        ("User-agent: *\nDisallow: /", "/x", False),
        ("User-agent: *\nDisallow: /", "/robots.txt", True),
        ("User-agent: *\nDisallow:", "/x", True),
        ("User-agent: *\nDisallow: /\nUser-agent: mybot\nAllow: /", "/x", True),
        ("User-agent: MYBOT/3\nDisallow: /a", "/a", False),
        ("User-agent: other\nDisallow: /", "/x", True),
        ("User-agent: other\nUser-agent: mybot\nDisallow: /", "/x", False),
        ("User-agent: mybot\nDisallow: /a\nUser-agent: x\nDisallow: /c\nUser-agent: mybot\nDisallow: /b", "/b", False),
        ("User-agent: mybot\nDisallow: /a\nUser-agent: x\nDisallow: /c\nUser-agent: mybot\nDisallow: /b", "/c", True),
        ("User-agent: *\nAllow: /p\nDisallow: /", "/page", True),
        ("User-agent: *\nDisallow: /folder\nAllow: /folder", "/folder/x", True),
        ("User-agent: *\nDisallow: /*.gif$", "/a/b.gif", False),
        ("User-agent: *\nDisallow: /*.gif$", "/a/b.gif?x", True),
        ("User-agent: *\nDisallow: /a*c*e", "/abcde", False),
        ("User-agent: *\nDisallow: /a*c*e", "/abce"[:4], True),
        ("User-agent: *\nDisallow: /fish$", "/fish", False),
        ("User-agent: *\nDisallow: /fish$", "/fishes", True),
        ("User-agent: *\nDisallow: /a%3Cd", "/a<d", False),
        ("User-agent: *\nDisallow: /%61bc", "/abc", False),
        ("User-agent: *\nDisallow: /ツ", "/%E3%83%84", False),
        ("User-agent: *\nDisallow: /x?y=", "/x?y=1", False),
        ("\ufeffUser-agent: * # all\nDisallow: /x # this", "/x", False),
        ("user-agent:*\rdisallow:/x", "/x", False),
        ("Disallow: /x\nUser-agent: *", "/x", True),
        ("User-agent: *\nSitemap: http://a/s\nDisallow: /x", "/x", False),
        ("User-agent: *\nnonsense\nDisallow: /x", "/x", False),
    ],
)
def test_the_longest_matching_rule_decides(text: str, path: str, allowed: bool) -> None:
    assert allows(text, path) is allowed


def test_delay_and_sitemaps_are_read() -> None:
    text = b"Sitemap: http://a.example/s.xml#x\nUser-agent: *\nCrawl-delay: 2.5\n"
    text += b"User-agent: mybot\nCrawl-delay: 7\nDisallow: /x\n"
    rules = parse(text, US)
    assert rules.delay == 7
    assert rules.sitemaps == ("http://a.example/s.xml#x",)
    assert parse(b"User-agent: *\nCrawl-delay: 2.5\nDisallow:\n", US).delay == 2.5
    assert parse(b"User-agent: *\nCrawl-delay: soon\n", US).delay is None


def test_a_hostile_pattern_takes_no_time() -> None:
    text = "User-agent: *\n" + "".join(f"Disallow: /{'*a' * 900}{i}b$\n" for i in range(50))
    start = time.monotonic()
    assert allows(text, "/" + "a" * 8000)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    ("status", "body", "failed", "allowed"),
    [
        ("200", b"User-agent: *\nDisallow: /x", None, False),
        ("404", b"User-agent: *\nDisallow: /x", None, True),
        ("403", b"", None, True),
        ("200", b"", None, True),
        ("429", b"", "robots", True),
        ("500", b"", "robots", True),
        ("503", b"", "robots", True),
    ],
)
def test_the_answer_decides_about_a_host(
    local: Local, status: str, body: bytes, failed: str | None, allowed: bool
) -> None:
    local.web.pages["/robots.txt"] = ({"status": status}, body)
    with Session(allow_private=LOOPBACK, user_agent=US) as session:
        robots = Robots(session)
        for _ in range(3):
            rules = robots.rules(target(f"{local.base}/x"))
    assert rules.failed == failed
    assert rules.allows("/x") is allowed
    assert local.web.paths() == ["/robots.txt"]


def test_only_500_kib_of_a_file_are_read(local: Local) -> None:
    local.web.pages["/robots.txt"] = ({}, b"User-agent: *\nDisallow: /x\n" + b"# more\n" * 100_000)
    with Session(allow_private=LOOPBACK, user_agent=US) as session:
        assert not Robots(session).rules(target(f"{local.base}/x")).allows("/x")


def test_a_host_that_cannot_be_reached_has_its_own_status() -> None:
    with Session(user_agent=US) as session:
        assert Robots(session).rules(target("http://127.0.0.1:9/x")).failed == "private_address"
