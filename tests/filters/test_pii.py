"""Personal data: each form is matched, similar text is not matched, and any text takes linear time."""

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.flat import flat_of
from filters.pii import KINDS, counts, find, redact

FORMS = {
    "email": ["jane.doe+list@mail.example.org", "a_b@x-y.co.uk", "müller@firma.de"],
    "phone": [
        "+44 20 7946 0958",
        "(212) 555-0187",
        "212-555-0187",
        "+4915112345678",
        "030 1234 5678",
        "+1 (415) 555-2671",
        "0049 30 123456",
    ],
    "ip": ["8.8.8.8", "151.101.1.69", "2606:4700:4700::1111"],
    "card": ["4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005"],
    "iban": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "NO93 8601 1117 947"],
}
OTHER = [
    "in 2019 and 2020", "1914-1918", "10.1.2.3 and 127.0.0.1 and 999.1.1.1", "at 10:20:30", "version 1.2.3",
    "4111 1111 1111 1112",
    "DE89 3704 0044 0532 0130 01", "@home and me@ and @", "12,345,678.90", "ISBN 978-3-16-148410-0", "a.b@c",
    "2024-01-31 12:00:00",
    "std::vector::iterator", "1 000 000 000", "0000 0000 0000 0000",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "example"), [(kind, e) for kind, examples in FORMS.items() for e in examples])
def test_a_form_is_matched(kind: str, example: str) -> None:
    for text in (example, f"Write to {example}, please.", f"({example})"):
        assert [(k, text[a:b]) for k, a, b in find(text)] == [(kind, example)]
        assert redact(text) == text.replace(example, f"[{kind}]")
        assert redact(text, set(KINDS) - {kind}).count(f"[{kind}]") == 0
        (count,) = counts(flat_of([["nothing", text, "here"]]))[f"{kind}s"].tolist()
        assert count == 1


@pytest.mark.parametrize("text", OTHER)
def test_other_text_is_not_matched(text: str) -> None:
    assert find(text) == []
    assert redact(text) == text


def test_a_text_of_several_kinds_and_several_documents() -> None:
    text = "Mail a@b.example or call +44 20 7946 0958; pay DE89 3704 0044 0532 0130 00 from 8.8.8.8"
    assert redact(text) == "Mail [email] or call [phone]; pay [iban] from [ip]"
    assert redact(text, ["ip"]) == text.replace("8.8.8.8", "[ip]")
    numbers = counts(flat_of([[text, "c@d.example"], [], ["nothing"]]))
    assert {kind: values.tolist() for kind, values in numbers.items()} == {
        "emails": [2, 0, 0], "ibans": [1, 0, 0], "cards": [0, 0, 0], "ips": [1, 0, 0], "phones": [1, 0, 0],
    }  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                *(e for examples in FORMS.values() for e in examples),
                *OTHER,
                "@",
                "+",
                " ",
                ".",
                "שלום",
                "👩\u200d👧",
                "1",
            ]
        ),
        max_size=8,
    )
)
def test_matches_do_not_overlap_and_the_rest_is_unchanged(pieces: list[str]) -> None:
    text = "".join(pieces)
    matches = find(text)
    assert all(b <= c for (_, _, b), (_, c, _) in itertools.pairwise(matches))
    rest, at = "", 0
    for _, start, end in matches:
        rest, at = rest + text[at:start], end
    redacted = redact(text)
    for kind in KINDS:
        redacted = redacted.replace(f"[{kind}]", "")
    assert redacted == rest + text[at:]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.sampled_from("0123456789 .-+()@:aFz[]\u0661\u05d0"), max_size=60), max_size=4))
def test_the_columnar_counts_are_those_of_the_texts(paragraphs: list[str]) -> None:
    numbers = counts(flat_of([paragraphs]))
    for kind in KINDS:
        assert numbers[f"{kind}s"].tolist() == [sum(k == kind for p in paragraphs for k, _, _ in find(p))]


@pytest.mark.parametrize(
    "unit", ["1", "a", "@", "a@", "a.", "1 ", "+1", "::", "A1", "1.", "(1)", "9-", "a@b.cd +44 20 7946 0958 "]
)
def test_a_megabyte_of_any_form_takes_less_than_five_seconds(unit: str) -> None:
    start = time.process_time()
    find(unit * (1_000_000 // len(unit)))
    assert time.process_time() - start < 5
