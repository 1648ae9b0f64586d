import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from ocr import page as page_module
from ocr import tesseract
from ocr.page import Page, normal, read_page
from ocr.pdf import RefusedError, open_pdf
from ocr.picture import Render
from ocr.tesseract import Ocr
from tests.ocr import pdfs

NO_OCR = Ocr("none")
with_tesseract = pytest.mark.skipif(tesseract.version() is None, reason="Tesseract is not installed")


def read(data: bytes, number: int = 0, ocr: Ocr = NO_OCR, **options: object) -> Page:
    with open_pdf(data) as pdf:
        return read_page(pdf, number, ocr=ocr, **options)  # type: ignore[arg-type]


def texts(page: Page) -> list[tuple[str, str]]:
    return [(b.role, b.text) for b in page.layout.blocks]


def refusal(data: bytes, **options: object) -> str:
    with pytest.raises(RefusedError) as refused:
        read(data, **options)  # type: ignore[arg-type]
    return refused.value.reason


def pixels(page: Page) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(page.jpeg)).convert("L"))


def test_a_plain_page() -> None:
    page = read(pdfs.plain())
    assert texts(page) == [
        ("heading", pdfs.TITLE),
        ("paragraph", "This is page 1. It has two lines."),
        ("paragraph", "And a second paragraph."),
    ]
    assert (page.source, page.why_ocr, page.rotation, page.number, page.pages) == ("pdf", None, 0, 0, 1)
    assert [w.text for w in page.layout.words[:5]] == ["A", "report", "on", "the", "harvest"]
    assert {w.score for w in page.layout.words} == {1.0}


def test_the_left_column_comes_first_for_any_order_in_the_file() -> None:
    page = read(pdfs.columns())
    assert texts(page) == [
        ("heading", pdfs.TITLE + " of the whole valley"),
        ("paragraph", " ".join(pdfs.LEFT[:5])),
        ("paragraph", " ".join(pdfs.LEFT[5:])),
        ("paragraph", " ".join(pdfs.RIGHT[:5])),
        ("paragraph", " ".join(pdfs.RIGHT[5:])),
        ("paragraph", "17"),
    ]
    assert len(page.layout.lines) == 22


def test_a_table_is_read_row_by_row_and_has_its_role() -> None:
    assert texts(read(pdfs.table())) == [("table", "Name Acres Tons Oats 12 30 Rye 7 15 Wheat 20 64")]


@pytest.mark.parametrize("crop", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_boxes_hold_all_the_ink_on_rotated_and_cropped_pages(degrees: int, crop: bool) -> None:
    page = read(pdfs.turned(degrees, crop))
    assert page.rotation == degrees
    words = {w.text for w in page.layout.words}
    assert words == {"First", "Second", "words"} | (set() if crop else {"Cut"})
    shape = (250, 400) if crop else (400, 600)
    assert (round(page.width), round(page.height)) == (shape if degrees % 180 == 0 else shape[::-1])
    image = pixels(page).copy()
    assert (image < 128).any()
    for word in page.layout.words:
        left, top, width, height = normal(word.box, page.width, page.height)
        x0, x1 = int(left * image.shape[1]), int(np.ceil((left + width) * image.shape[1]))
        y0, y1 = int(top * image.shape[0]), int(np.ceil((top + height) * image.shape[0]))
        assert (image[y0:y1, x0:x1] < 128).any(), word
        image[y0:y1, x0:x1] = 255
    if not crop:
        assert not (image < 128).any()


def test_boxes_of_a_rotated_page_are_those_of_the_displayed_page() -> None:
    boxes = {w.text: w.box for w in read(pdfs.turned(90)).layout.words}
    # Upright text on a page turned clockwise runs down, and the second line is left of the first.
    x0, y0, x1, y1 = boxes["First"]
    assert y1 - y0 > x1 - x0
    assert boxes["Second"][2] < x0


def test_sideways_text_is_read_in_its_direction_and_comes_before_the_stamp() -> None:
    assert [t for _, t in texts(read(pdfs.sideways()))] == ["The first line runs up and so does the second", "Stamp"]


def test_invisible_words_are_left_out() -> None:
    page = read(pdfs.hidden())
    assert texts(page) == [("paragraph", "Seen by all")]
    assert page.signals.chars == len("Seenbyall")
    assert page.signals.hidden == len("InvisiblestuffingWhiteonwhiteCoveredwords")
    assert page.signals.coverage == pytest.approx(160 * 40 / (400 * 500), rel=0.15)


def test_the_invisible_text_layer_of_a_scan_is_its_text() -> None:
    page = read(pdfs.scanned(hidden=4))
    assert page.source == "pdf"
    assert [t for _, t in texts(page)] == [pdfs.TITLE, "This is page 1. It has two lines.", "And a second paragraph."]
    assert page.signals.coverage == 1.0
    assert len(page.pictures) == 1


def test_a_scan_without_text_is_refused_without_an_engine() -> None:
    assert refusal(pdfs.scanned()) == "no_text_layer"
    short = pdfs.scanned(hidden=2)  # fewer than 50 characters on a page that a picture covers
    assert refusal(short) == "no_text_layer"


@with_tesseract
def test_a_scan_is_read_by_ocr() -> None:
    page = read(pdfs.scanned(), ocr=Ocr())
    assert (page.source, page.why_ocr) == ("ocr", "no_chars")
    assert [t for _, t in texts(page)] == [pdfs.TITLE, "This is page 1. It has two lines.", "And a second paragraph."]
    assert all(0.45 < w.score < 1 for w in page.layout.words)
    first = page.layout.words[0].box  # the title stands at (50, 80), 20 points high
    assert 45 < first[0] < 60
    assert 60 < first[1] < first[3] < 85


def test_a_blank_page_is_refused_as_blank() -> None:
    assert refusal(pdfs.blank()) == "blank"


def test_pages_of_odd_sizes_are_read() -> None:
    assert refusal(pdfs.sized(2000, 100)) == "page_size"
    page = read(pdfs.sized(3000, 2400))
    assert max(page.pixel_width, page.pixel_height) <= 2048
    assert page.dpi < 50
    small = read(pdfs.sized(3000, 2400, 250), render=Render(max_pixels=10_000))
    assert 9_000 < small.pixel_width * small.pixel_height <= 10_000


def test_a_page_with_too_many_words_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "MAX_WORDS", 16)
    assert refusal(pdfs.plain()) == "too_many_words"
    monkeypatch.setattr(page_module, "MAX_WORDS", 17)
    assert len(read(pdfs.plain()).layout.words) == 17


@pytest.mark.parametrize(("gray", "mode"), [(False, "RGB"), (True, "L")])
def test_the_picture_of_a_page_is_a_jpeg_in_its_mode(gray: bool, mode: str) -> None:
    page = read(pdfs.plain(), render=Render(gray=gray))
    image = Image.open(io.BytesIO(page.jpeg))
    assert (image.format, image.mode) == ("JPEG", mode)
    assert image.size == (page.pixel_width, page.pixel_height) == (834, 1042)
    assert page.dpi == 150


@pytest.mark.parametrize("make", [pdfs.plain, pdfs.columns, pdfs.hidden])
def test_a_page_has_the_same_bytes_each_time(make: Callable[[], bytes]) -> None:
    assert read(make()) == read(make())
