import pytest

from pipelines.fetch.optout import directives, reserved

US = "mybot/1.0 (+http://mybot.example)"

# `is_disallowed` of img2dataset 1.47.0 does not recognise the first five
CASES = [
    (["max-image-preview:large, noai"], "noai"),
    (["noindex, mybot: noai"], "noai"),
    (["unavailable_after: Wed, 03 Dec 2025 13:09:53 GMT, noai"], "noai"),
    (["none"], "none"),
    (["noml"], "noml"),
    (["noai, noimageai"], "noai"),
    (["NoImageAI"], "noimageai"),
    (["max-snippet: 20", "noimageai"], "noimageai"),
    (["mybot: noai"], "noai"),
    (["MyBot/2.0: noai"], "noai"),
    (["*: noai"], "noai"),
    (["otherbot: noai"], None),
    (["otherbot: nofollow, noai"], None),
    (["otherbot: noai, mybot: noimageai"], "noimageai"),
    (["otherbot: noai", "noindex"], "noindex"),
    (["otherbot: unavailable_after: 25 Jun 2010 15:00:00 PST, noai"], None),
    (["mybot: max-image-preview: large, noai"], "noai"),
    (["unavailable_after: 2025-12-03T13:09:53Z,noai"], "noai"),
    (["noimageindex"], "noimageindex"),
    (["max-image-preview: none"], None),
    (["all, nofollow, noarchive"], None),
    (["", ",,", ":", "::"], None),
]


@pytest.mark.parametrize(("values", "expected"), CASES)
def test_the_directives_of_x_robots_tag(values: list[str], expected: str | None) -> None:
    assert reserved([("x-robots-TAG", v) for v in values], US) == expected


def test_the_directive_of_tdm_reservation() -> None:
    assert reserved([("TDM-Reservation", "1")], US) == "tdm-reservation"
    assert reserved([("tdm-reservation", "0")], US) is None
    assert reserved([("TDM-Reservation", "1"), ("X-Robots-Tag", "noai")], US) == "noai"


def test_directives_keep_their_order() -> None:
    assert directives([("X-Robots-Tag", "nofollow, max-snippet:3"), ("X-Robots-Tag", "noai")], US) == [
        "nofollow",
        "max-snippet",
        "noai",
    ]
