from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr.document import REASONS, Limits, RefusedError, clean, open_document
from tests.ocr import pdfs


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<html>no</html>", "not_pdf"),
        (b"%PDF-1.7\nnothing at all", "corrupt"),
        (pdfs.no_pages(), "no_pages"),
        (pdfs.encrypted(), "encrypted"),
        (pdfs.plain()[:200], "corrupt"),
    ],
)
def test_what_cannot_be_opened_has_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(RefusedError) as refusal, open_document(data):
        pass
    assert refusal.value.reason == reason
    assert str(refusal.value) == REASONS[reason]


def test_a_file_over_the_limit_is_not_opened() -> None:
    data = pdfs.plain()
    with pytest.raises(RefusedError, match="more bytes"), open_document(data, Limits(max_bytes=len(data) - 1)):
        pass
    with open_document(data, Limits(max_bytes=len(data))) as document:
        assert document.pages == 1


def test_what_a_pdf_says_of_itself_is_kept() -> None:
    with open_document(pdfs.described()) as document:
        assert (document.title, document.lang) == ("Harvest report", "de")
        assert document.license == "https://creativecommons.org/licenses/by-sa/4.0/"
        assert document.optout == ("tdm-reservation",)
        assert not document.repaired


def test_what_a_pdf_does_not_say_is_null() -> None:
    with open_document(pdfs.plain()) as document:
        assert (document.title, document.lang, document.license, document.optout) == (None, None, None, ())


def test_a_file_cut_short_is_repaired_or_refused() -> None:
    data = pdfs.plain(pages=6)
    with open_document(data[: len(data) - 300]) as document:
        assert document.repaired
        assert document.pages == 6


def test_the_document_is_closed_on_leaving() -> None:
    with open_document(pdfs.plain()) as document:
        handle = document.handle
    assert handle.is_closed


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_gives_pages_or_a_known_reason(data: st.DataObject) -> None:
    whole = bytearray(pdfs.plain())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(8, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    outcome = ""
    try:
        with open_document(bytes(whole)) as document:
            outcome = "pages" if document.pages > 0 else "none"
    except RefusedError as e:
        outcome = e.reason
    assert outcome == "pages" or outcome in REASONS


def test_text_is_one_clean_line() -> None:
    assert clean(" soft\u00ad hy\u00adphen\n\tand\x00 \ud800control\u200b ") == "soft hyphen and control"
