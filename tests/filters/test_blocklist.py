"""Hosts and addresses of a block-list."""

from pathlib import Path

import pyarrow as pa
import pytest

from filters.blocklist import Blocklist, covered
from filters.decide import Decide
from filters.rules import Rule, Rules
from filters.text import TextScores
from tests.filters.make import documents, zipped


@pytest.fixture
def blocklist(tmp_path: Path) -> str:
    path = tmp_path / "hosts.txt"
    path.write_text(
        "# adult\nBad.Example\n0.0.0.0 ads.example # as in a hosts file\nhttps://forum.example/private/\nshop.example/?q=\n"
        "HTTPS://me:secret@Maps.Example:443/./tiles/\nmünchen.example\n\n"
    )
    return str(path)


@pytest.mark.parametrize(
    ("url", "entry"),
    [
        ("http://bad.example/x", "bad.example"),
        ("https://www.BAD.example:8443/", "bad.example"),
        ("http://notbad.example/", None),
        ("http://bad.example.org/", None),
        ("http://ads.example", "ads.example"),
        ("http://forum.example/private/1.html", "forum.example/private/"),
        ("http://forum.example/public/private/", None),
        ("http://www.forum.example/private/1.html", None),
        ("http://shop.example?q=1", "shop.example/?q="),
        ("HTTP://maps.example/x/../tiles/1.png", "maps.example/tiles/"),
        ("http://www.xn--mnchen-3ya.example/", "xn--mnchen-3ya.example"),
        ("http://[broken/", None),
        ("", None),
    ],
)
def test_an_entry_covers_its_host_or_the_addresses_below_it(blocklist: str, url: str, entry: str | None) -> None:
    assert covered(url, blocklist) == entry


def test_the_rule_gives_its_reason(blocklist: str) -> None:
    batch = documents(["one"], ["two"])
    batch = batch.set_column(
        batch.schema.get_field_index("url"), "url", pa.array(["http://bad.example/", "http://a.example/"])
    )
    ((_, scores),) = Blocklist(blocklist)(batch)
    assert scores["blocked_host"].to_pylist() == ["bad.example", None]
    ((_, words),) = TextScores()(batch)
    rules = Rules(document=(Rule("blocked_host", any_of=()), Rule("words", min=2)))
    ((_, decisions),) = Decide(rules)(zipped(batch, words, scores))
    assert decisions["reason"].to_pylist() == ["blocked_host", "words_low"]


def test_a_wrong_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"block-list `/nowhere/x` cannot be read: No such file"):
        covered("http://a.example/", "/nowhere/x")
    path = tmp_path / "words.txt"
    path.write_text("a.example\nthese are no hosts\n")
    with pytest.raises(ValueError, match=r"line 2: expected a host or an address, got `these are no hosts`"):
        covered("http://a.example/", str(path))
