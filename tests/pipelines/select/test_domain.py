"""The split is by registered domain: all hosts, pages and schemes of a site are in one split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.select.domain import registered_domain, split_of

LABEL = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("news.bbc.co.uk", "bbc.co.uk"),
        ("bbc.co.uk", "bbc.co.uk"),
        ("a.b.example.com", "example.com"),
        ("a.b.skywatch.example", "skywatch.example"),  # no known suffix: the last two labels
        ("localhost", "localhost"),
        ("192.168.0.7", "192.168.0.7"),
        ("", ""),
    ],
)
def test_registered_domain(host: str, domain: str) -> None:
    assert registered_domain(host) == domain


@given(LABEL, LABEL, LABEL, st.integers(0, 99))
def test_a_site_is_in_one_split(name: str, first: str, second: str, seed: int) -> None:
    urls = [f"http://{name}.com/", f"https://{first}.{name}.com/{second}", f"http://{second}.{name}.com:8080/?{first}"]
    assert len({split_of(u, 0.5, seed) for u in urls}) == 1


def test_the_share_is_about_right_and_shares_of_0_and_1_are_exact() -> None:
    urls = [f"http://site{i}.com/" for i in range(4000)]
    held = sum(split_of(u, 0.1, 0) == "validation" for u in urls)
    assert 320 < held < 480
    assert {split_of(u, 0.0, 0) for u in urls} == {"train"} and {split_of(u, 1.0, 0) for u in urls} == {"validation"}


def test_a_larger_share_holds_out_the_same_sites_and_more() -> None:
    urls = [f"http://site{i}.com/" for i in range(500)]
    small, large = ({u for u in urls if split_of(u, share, 3) == "validation"} for share in (0.05, 0.2))
    assert small < large
    assert {u for u in urls if split_of(u, 0.2, 4) == "validation"} != large  # another seed, other sites


def test_the_pages_of_a_local_pdf_stay_together() -> None:
    assert len({split_of(f"file:papers/a.pdf#page={i}", 0.5, s) for i in range(9) for s in (1,)}) == 1
    assert len({split_of(f"file:papers/{i}.pdf", 0.5, 1) for i in range(40)}) == 2
