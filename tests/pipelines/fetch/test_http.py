import gzip
import resource
import socket
import ssl
import threading
import time
from pathlib import Path

import brotli
import pytest

from pipelines.fetch import wire
from pipelines.fetch.http import ProxyDown, Response, Session, retry_after, second_try, user_agent
from pipelines.fetch.optout import product
from tests.pipelines.crawl.conftest import LOOPBACK, Local, assert_within, get

MIB = 2**20


def ask(local: Local, path: str, deadline_s: float = 5, max_bytes: int = MIB, **options: object) -> Response:
    return get(local.base + path, deadline_s=deadline_s, max_bytes=max_bytes, allow_private=LOOPBACK, **options)


@pytest.mark.parametrize(
    ("path", "status", "http_status"),
    [
        ("/404", "http_404", 404),
        ("/403", "http_403", 403),
        ("/410", "http_410", 410),
        ("/429", "http_429", 429),
        ("/418", "http_4xx", 418),
        ("/500", "http_5xx", 500),
        ("/503", "http_5xx", 503),
        ("/204", "empty", 204),
        ("/301", "redirects", 301),
        ("/cut", "truncated", 200),
        ("/cutchunk", "truncated", 200),
        ("/cutgzip", "truncated", 200),
        ("/nogzip", "undecodable", 200),
        ("/nothttp", "refused", None),
        ("/reset", "refused", None),
        ("/endlesshead", "too_large", None),
        ("/endless", "too_large", 200),
        ("/loop", "redirects", 302),
        ("/chain/6", "redirects", 302),
        ("/to?http://169.254.169.254/latest", "private_address", None),
        ("/to?http://10.0.0.1/", "private_address", None),
        ("/to?file:///etc/passwd", "bad_url", None),
        ("/to?//user@a.example/", "bad_url", None),
    ],
)
def test_each_fault_of_the_web_is_one_status(local: Local, path: str, status: str, http_status: int | None) -> None:
    answer = ask(local, path)
    assert (answer.status, answer.http_status) == (status, http_status), answer


@pytest.mark.parametrize(
    ("path", "body"),
    [("/chunked", b"hello world"), ("/gzip", b"hello " * 1000), ("/chain/5", b"end"), ("/interim", b"body")],
)
def test_a_complete_answer_is_ok(local: Local, path: str, body: bytes) -> None:
    answer = ask(local, path)
    assert (answer.status, answer.body) == ("ok", body)


def test_brotli_is_decoded_up_to_the_limit(local: Local) -> None:
    local.web.pages["/br"] = ({"Content-Encoding": "br"}, brotli.compress(b"hello " * 1000))
    local.web.pages["/brbomb"] = ({"Content-Encoding": "br"}, brotli.compress(bytes(64 * MIB), quality=1))
    local.web.pages["/brcut"] = ({"Content-Encoding": "br"}, brotli.compress(b"hello " * 1000)[:-3])
    assert ask(local, "/br").body == b"hello " * 1000
    assert ask(local, "/brbomb").status == "too_large"
    assert ask(local, "/brcut").status == "truncated"


def test_several_gzip_members_and_deflate_without_header_are_decoded(local: Local) -> None:
    import zlib

    raw = zlib.compressobj(wbits=-15)
    local.web.pages["/two"] = ({"Content-Encoding": "gzip"}, gzip.compress(b"one ") + gzip.compress(b"two"))
    local.web.pages["/raw"] = ({"Content-Encoding": "deflate"}, raw.compress(b"hello") + raw.flush())
    local.web.pages["/zlib"] = ({"Content-Encoding": "deflate"}, zlib.compress(b"hello"))
    local.web.pages["/odd"] = ({"Content-Encoding": "utf-8"}, b"plain")
    assert ask(local, "/two").body == b"one two"
    assert ask(local, "/raw").body == ask(local, "/zlib").body == b"hello"
    assert ask(local, "/odd").body == b"plain"


def test_a_gzip_bomb_stops_at_the_limit_and_takes_no_memory(local: Local) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    local.web.pages["/bomb"] = ({"Content-Encoding": "gzip"}, gzip.compress(bytes(300 * MIB), 1))
    after_making = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = ask(local, "/bomb", max_bytes=4 * MIB)
    assert answer.status == "too_large"
    assert len(answer.body) <= 4 * MIB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - max(before, after_making) < 60 * 1024  # KiB


@pytest.mark.parametrize("path", ["/hang", "/drip", "/driphead"])
def test_the_deadline_is_total(local: Local, path: str) -> None:
    def work() -> None:
        assert ask(local, path, deadline_s=0.5).status == "timeout"

    assert_within(1.0, work)


def test_every_wait_for_the_server_counts_towards_one_deadline(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    deadlines: set[float] = set()

    real = wire.left

    def left(until: float) -> float:
        deadlines.add(until)
        return real(until)

    monkeypatch.setattr(wire, "left", left)
    before = time.monotonic()
    assert ask(local, "/drip", deadline_s=0.5).status == "timeout"
    after = time.monotonic()
    (deadline,) = deadlines
    assert before + 0.5 <= deadline <= after


def test_all_redirects_together_have_one_deadline(local: Local) -> None:
    local.web.slow = 0.2

    def work() -> None:
        assert ask(local, "/chain/5", deadline_s=0.5).status == "timeout"

    assert_within(0.8, work)


def test_loopback_is_refused_unless_allowed(local: Local) -> None:
    assert get(f"{local.base}/image/1", deadline_s=5, max_bytes=MIB).status == "private_address"
    assert get(f"http://localhost:{local.port}/image/1", deadline_s=5, max_bytes=MIB).status == "private_address"
    assert local.web.asked == []


def test_the_connection_goes_to_the_address_that_was_checked(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []

    def lookup(host: str, port: int, timeout: float) -> list[str]:
        names.append(host)
        return ["127.0.0.1"]

    monkeypatch.setattr("pipelines.fetch.guard._lookup", lookup)
    with Session(allow_private=LOOPBACK) as session:
        for _ in range(3):
            answer = session.get(f"http://name.example:{local.port}/once", deadline_s=5, max_bytes=MIB)
            assert (answer.status, answer.address) == ("ok", "127.0.0.1")
    assert names == ["name.example"]
    assert local.web.asked[0][0] == f"name.example:{local.port}"


def test_names_without_an_address_and_ports_without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        answer = get(f"http://127.0.0.1:{unused.getsockname()[1]}/", deadline_s=5, max_bytes=1, allow_private=LOOPBACK)
    assert answer.status == "refused"
    monkeypatch.setattr("pipelines.fetch.guard.socket.getaddrinfo", fail)
    assert get("http://nowhere.example/", deadline_s=5, max_bytes=1).status == "dns"


def test_connections_are_reused_and_a_stale_one_is_replaced(local: Local) -> None:
    with Session(allow_private=LOOPBACK) as session:
        for _ in range(5):
            assert session.get(f"{local.base}/image/1", deadline_s=5, max_bytes=MIB).status == "ok"
        assert local.web.connections == 1
        for _ in range(3):
            assert session.get(f"{local.base}/once", deadline_s=5, max_bytes=MIB).body == b"body"


def test_a_judge_can_refuse_an_answer_before_its_body(local: Local) -> None:
    with Session(allow_private=LOOPBACK) as session:
        answer = session.get(
            f"{local.base}/endless", deadline_s=5, max_bytes=10**12, judge=lambda status, headers: "optout"
        )
    assert (answer.status, answer.body) == ("optout", b"")


def test_behind_a_proxy_names_are_not_resolved_and_private_literals_are_refused(
    proxied: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxied.web.pages["some.example/x"] = ({}, b"through the proxy")

    def never(*_: object, **__: object) -> None:
        raise AssertionError("resolved a name")

    monkeypatch.setattr("pipelines.fetch.guard._lookup", never)
    assert get("http://some.example/x", deadline_s=5, max_bytes=MIB).body == b"through the proxy"
    for private in (
        "http://127.0.0.1/x",
        "http://2130706433/",
        "http://[::1]/",
        "http://localhost/",
        "http://some.example/to?http://10.1.1.1/",
    ):
        assert get(private, deadline_s=5, max_bytes=MIB).status == "private_address"
    assert [h for h, _ in proxied.web.asked] == ["some.example", "some.example"]


def test_no_proxy_leads_to_direct_requests(proxied: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert get(f"{proxied.base}/image/1", deadline_s=5, max_bytes=MIB).status == "private_address"
    assert get(f"{proxied.base}/chain/1", deadline_s=5, max_bytes=MIB, allow_private=LOOPBACK).body == b"end"


def test_a_proxy_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(ProxyDown, match="unset the proxy variable"):
            get("http://some.example/", deadline_s=5, max_bytes=1)


def test_tls_checks_the_name_and_not_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("right.example").configure_cert(context)
    monkeypatch.setattr("pipelines.fetch.guard._lookup", lambda host, port, timeout: ["127.0.0.1"])
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]

    def serve() -> None:
        for _ in range(3):
            sock, _peer = server.accept()
            try:
                with context.wrap_socket(sock, server_side=True) as tls:
                    tls.recv(4096)
                    tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsafe")
            except OSError:
                sock.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        untrusted = get(f"https://right.example:{port}/", deadline_s=5, max_bytes=MIB, allow_private=LOOPBACK)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        right = get(f"https://right.example:{port}/", deadline_s=5, max_bytes=MIB, allow_private=LOOPBACK)
        wrong = get(f"https://wrong.example:{port}/", deadline_s=5, max_bytes=MIB, allow_private=LOOPBACK)
        thread.join(5)
    finally:
        server.close()
    assert (untrusted.status, right.status, right.body, wrong.status) == ("tls", "ok", b"safe", "tls")


def test_a_second_try_needs_a_retryable_answer_and_enough_time() -> None:
    later = time.monotonic() + 60

    def answer_with(value: str) -> Response:
        return Response("http_429", 429, (("Retry-After", value),), retryable=True)

    assert retry_after(answer_with("3")) == 3
    assert retry_after(answer_with("Thu, 01 Jan 1970 00:01:00 GMT"), now=0) == 60
    assert retry_after(answer_with("soon")) is None
    assert second_try(answer_with("2"), later) == 2
    assert second_try(answer_with("600"), later) is None
    assert second_try(answer_with("2"), time.monotonic() + 1) is None
    assert second_try(Response("http_404", 404), later) is None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "panoramix/0.1"),
        ({"contact": "me@example.org"}, "panoramix/0.1 (+mailto:me@example.org)"),
        ({"contact": "mailto:me@example.org"}, "panoramix/0.1 (+mailto:me@example.org)"),
        ({"contact": "https://example.org/@bot"}, "panoramix/0.1 (+https://example.org/@bot)"),
        ({"name": "My-Bot/2.1"}, "My-Bot/2.1"),
        ({"name": "mybot", "contact": "http://a.example"}, "mybot (+http://a.example)"),
    ],
)
def test_the_user_agent_has_a_product_and_a_contact(arguments: dict[str, str], text: str) -> None:
    assert user_agent(**arguments) == text
    assert product(text) == text.split("/")[0].split(" ")[0].lower()


@pytest.mark.parametrize(
    "arguments",
    [
        {"contact": ""},
        {"contact": "me"},
        {"contact": "me@localhost"},
        {"contact": "ftp://a.example/"},
        {"contact": "https://"},
        {"contact": "me@example.org\r\nCookie: x"},
        {"contact": "me@example.org\n"},
        {"contact": "ich@bücher.example"},
        {"contact": "https://a.example/)("},
        {"name": ""},
        {"name": "my bot/1"},
        {"name": "bot2000/1"},
        {"name": "bot/1\nCookie: x"},
    ],
)
def test_a_wrong_contact_or_name_is_an_error_of_one_line(arguments: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"^(contact|user_agent): ") as error:
        user_agent(**arguments)
    assert "\n" not in str(error.value)


def test_the_user_agent_is_sent(local: Local) -> None:
    agent = user_agent("me@example.org")
    with Session(allow_private=LOOPBACK, user_agent=agent) as session:
        answer = session.get(f"{local.base}/image/1", deadline_s=5, max_bytes=MIB)
    assert f"User-Agent: {agent}\r\n".encode() in answer.sent
