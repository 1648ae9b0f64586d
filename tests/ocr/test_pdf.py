from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr.pdf import REASONS, RefusedError, clean, open_pdf, read_range
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
def test_a_file_that_cannot_be_opened_has_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(RefusedError) as refusal, open_pdf(data):
        pass
    assert refusal.value.reason == reason
    assert str(refusal.value) == REASONS[reason]


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    data, path = pdfs.plain(), tmp_path / "a.pdf"
    path.write_bytes(data)
    with pytest.raises(RefusedError, match="more bytes"):
        read_range(str(path), max_bytes=len(data) - 1)
    assert read_range(str(path), max_bytes=len(data)) == data


def test_the_metadata_of_a_pdf_is_read() -> None:
    with open_pdf(pdfs.described()) as pdf:
        assert (pdf.title, pdf.lang) == ("Harvest report", "de")
        assert pdf.license == "https://creativecommons.org/licenses/by-sa/4.0/"
        assert pdf.optout == ("tdm-reservation",)
        assert not pdf.repaired


def test_missing_metadata_of_a_pdf_is_null() -> None:
    with open_pdf(pdfs.plain()) as pdf:
        assert (pdf.title, pdf.lang, pdf.license, pdf.optout) == (None, None, None, ())


def test_a_truncated_file_is_repaired() -> None:
    data = pdfs.plain(pages=6)
    with open_pdf(data[: len(data) - 300]) as pdf:
        assert pdf.repaired
        assert pdf.pages == 6


def test_the_pdf_is_closed_at_the_end_of_the_block() -> None:
    with open_pdf(pdfs.plain()) as pdf:
        handle = pdf.handle
    assert handle.is_closed


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_file_has_pages_or_a_reason(data: st.DataObject) -> None:
    damaged = bytearray(pdfs.plain())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(8, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    outcome = ""
    try:
        with open_pdf(bytes(damaged)) as pdf:
            outcome = "pages" if pdf.pages > 0 else "none"
    except RefusedError as e:
        outcome = e.reason
    assert outcome == "pages" or outcome in REASONS


def test_text_is_one_clean_line() -> None:
    assert clean(" soft\u00ad hy\u00adphen\n\tand\x00 \ud800control\u200b ") == "soft hyphen and control"
