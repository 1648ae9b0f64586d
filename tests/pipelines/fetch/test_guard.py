import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.fetch.guard import Fault, Guard, literal, parse

BAD = [
    "", "x", "file:///etc/passwd", "ftp://a.example/x", "data:image/png;base64,AA", "javascript:alert(1)", "http://",
    "http:///x", "http://a b/x", "http://user:word@a.example/", "http://a.example\\@b.example/", "http://a..example/",
    "http://-/x\n", "http://a.example:99999/", "http://a.example:0/", "http://[::1/x", "http://[zz]/",
    "http://" + "a" * 64 + ".example/", "http://a.example/" + "x" * 20_000,
]  # fmt: skip


@pytest.mark.parametrize("url", [u for u in BAD if u != "http://-/x\n"])
def test_a_url_that_is_not_a_web_address_is_refused(url: str) -> None:
    with pytest.raises(Fault) as fault:
        parse(url)
    assert fault.value.status == "bad_url"


def test_a_url_is_encoded_for_a_request_line() -> None:
    t = parse("HTTPS://Exämple.example:443/ä b%20c?q=ü x#part")
    assert (t.scheme, t.host, t.port) == ("https", "xn--exmple-cua.example", 443)
    assert t.path == "/%C3%A4%20b%20c?q=%C3%BC%20x"
    assert t.url == "https://xn--exmple-cua.example/%C3%A4%20b%20c?q=%C3%BC%20x"
    assert parse("http://a.example").path == "/"
    assert parse("http://[2001:db8::1]:81/x").netloc == "[2001:db8::1]:81"


@given(st.text(max_size=60))
def test_no_text_raises_another_error_or_breaks_a_request_line(text: str) -> None:
    for url in (text, f"http://{text}", f"http://a.example/{text}"):
        try:
            t = parse(url)
        except Fault:
            continue
        assert t.path.isascii()
        assert t.host.isascii()
        assert not any(c in t.path + t.host for c in " \r\n\t\0")


PRIVATE = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.0.0.1.", "localhost", "a.localhost",
    "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
    "240.0.0.1", "192.0.2.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_are_refused_in_every_spelling(host: str) -> None:
    with pytest.raises(Fault) as fault:
        Guard().check_literal(host)
    assert fault.value.status == "private_address"


def test_full_width_digits_of_an_address_are_read() -> None:
    with pytest.raises(Fault, match=r"127\.0\.0\.1"):
        Guard().check_literal(parse("http://１２７.0.0.1/").host)


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "2606:4700::1111", "a.example", "dead.beef", "64:ff9b::808:808", "::ffff:8.8.8.8"]
)
def test_public_addresses_and_names_pass(host: str) -> None:
    Guard().check_literal(host)


def test_allow_private_opens_its_ranges_and_no_others() -> None:
    guard = Guard(("127.0.0.0/8", "fc00::/7"))
    guard.check_literal("127.0.0.1")
    guard.check_literal("fc00::1")
    with pytest.raises(Fault):
        guard.check_literal("10.0.0.1")
    with pytest.raises(ValueError, match=r"allow_private.*10\.0\.0\.0/8"):
        Guard(("everything",))


def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"both.example": ["8.8.8.8", "10.0.0.1"], "good.example": ["8.8.8.8", "2606:4700::1111"]}
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, port, **_: [(0, 0, 0, "", (a, port)) for a in answers[host]]
    )
    assert Guard().resolve("good.example", 80, 5) == answers["good.example"]
    with pytest.raises(Fault) as fault:
        Guard().resolve("both.example", 80, 5)
    assert fault.value.status == "private_address"
    assert Guard(("10.0.0.0/8",)).resolve("both.example", 80, 5) == answers["both.example"]


def test_a_resolver_without_an_answer_is_left_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    hold = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: hold.wait(10) and [])
    with pytest.raises(Fault) as fault:
        Guard().resolve("slow.example", 80, 0.1)
    hold.set()
    assert fault.value.status == "timeout"


@given(st.integers(0, 2**32 - 1))
def test_every_spelling_of_an_address_is_recognised(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    a, b, c, d = address.packed
    for text in (str(address), str(number), hex(number), f"0x{a:x}.{b}.{c * 256 + d}"):
        assert literal(text) == address
