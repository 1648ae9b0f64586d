"""PDFs for tests: one function for each kind, which returns the bytes of the file."""

import io

import pymupdf
from PIL import Image

TITLE = "A report on the harvest"
LEFT = [f"Left line {n} of the first column here" for n in range(1, 11)]
RIGHT = [f"Right row {n} of the second column now" for n in range(1, 11)]


def to_bytes(pdf: pymupdf.Document, **options: object) -> bytes:
    data: bytes = pdf.tobytes(no_new_id=True, **options)
    pdf.close()
    return data


def plain(pages: int = 1, title: str | None = None) -> bytes:
    pdf = pymupdf.open()
    for n in range(pages):
        page = pdf.new_page(width=400, height=500)
        page.insert_text((50, 80), TITLE, fontsize=20)
        page.insert_text((50, 120), f"This is page {n + 1}.", fontsize=11)
        page.insert_text((50, 134), "It has two lines.", fontsize=11)
        page.insert_text((50, 180), "And a second paragraph.", fontsize=11)
    if title is not None:
        pdf.set_metadata({"title": title})
    return to_bytes(pdf)


def columns() -> bytes:
    """A title over two columns and a page number below. Drawn row by row, so the file is not in reading order."""
    pdf = pymupdf.open()
    page = pdf.new_page(width=500, height=600)
    page.insert_text((120, 80), TITLE + " of the whole valley", fontsize=20)
    for n, (left_text, right_text) in enumerate(zip(LEFT, RIGHT, strict=True)):
        y = 130 + 14 * n + (20 if n >= 5 else 0)  # the gap between two paragraphs is at the same height in both columns
        page.insert_text((260, y), right_text, fontsize=11)
        page.insert_text((40, y), left_text, fontsize=11)
    page.insert_text((240, 560), "17", fontsize=9)
    return to_bytes(pdf)


def table() -> bytes:
    pdf = pymupdf.open()
    page = pdf.new_page(width=500, height=400)
    for n, (name, a, b) in enumerate(
        [("Name", "Acres", "Tons"), ("Oats", "12", "30"), ("Rye", "7", "15"), ("Wheat", "20", "64")]
    ):
        for x, text in ((40, name), (200, a), (360, b)):
            page.insert_text((x, 100 + 16 * n), text, fontsize=11)
    return to_bytes(pdf)


def turned(degrees: int, crop: bool = False) -> bytes:
    """Upright text on a page with a rotation. With `crop`, the crop box excludes a word in the corner."""
    pdf = pymupdf.open()
    page = pdf.new_page(width=400, height=600)
    page.insert_text((150, 200), "First words", fontsize=14)
    page.insert_text((150, 320), "Second words", fontsize=14)
    page.insert_text((5, 20), "Cut", fontsize=10)
    if crop:
        page.set_cropbox(pymupdf.Rect(100, 100, 350, 500))
    page.set_rotation(degrees)
    return to_bytes(pdf)


def sideways() -> bytes:
    """Text that runs up an unrotated page, as in landscape tables, and a stamp that runs to the right."""
    pdf = pymupdf.open()
    page = pdf.new_page(width=400, height=600)
    for n, line in enumerate(["The first line runs up", "and so does the second"]):
        page.insert_text((100 + 16 * n, 500), line, fontsize=11, rotate=90)
    page.insert_text((300, 50), "Stamp", fontsize=11)
    return to_bytes(pdf)


def picture_of(pdf: bytes, dpi: int = 200) -> bytes:
    """The first page as PNG."""
    with pymupdf.open(stream=pdf, filetype="pdf") as opened:
        data: bytes = opened[0].get_pixmap(dpi=dpi, colorspace=pymupdf.csGRAY).tobytes("png")
    return data


PLAIN_LINES = [
    (80, 20, TITLE),
    (120, 11, "This is page 1."),
    (134, 11, "It has two lines."),
    (180, 11, "And a second paragraph."),
]


def scanned(hidden: int = 0) -> bytes:
    """A page that is one picture of text. The first `hidden` lines have an invisible text layer, as scanners add it."""
    pdf = pymupdf.open()
    page = pdf.new_page(width=400, height=500)
    page.insert_image(page.rect, stream=picture_of(plain()), keep_proportion=False)
    for y, size, text in PLAIN_LINES[:hidden]:
        page.insert_text((50, y), text, fontsize=size, render_mode=3)
    return to_bytes(pdf)


def hidden() -> bytes:
    """Words that a reader sees, and words that no reader sees: invisible, white on white, under a picture."""
    pdf = pymupdf.open()
    page = pdf.new_page(width=400, height=500)
    page.insert_text((50, 100), "Seen by all", fontsize=12)
    page.insert_text((50, 200), "Invisible stuffing", fontsize=12, render_mode=3)
    page.insert_text((50, 300), "White on white", fontsize=12, color=(1, 1, 1))
    page.insert_text((50, 400), "Covered words", fontsize=12)
    grey = io.BytesIO()
    Image.new("RGB", (8, 8), (90, 90, 90)).save(grey, "PNG")
    page.insert_image(pymupdf.Rect(40, 380, 200, 420), stream=grey.getvalue(), keep_proportion=False)
    return to_bytes(pdf)


def blank() -> bytes:
    pdf = pymupdf.open()
    pdf.new_page(width=400, height=500)
    return to_bytes(pdf)


def encrypted() -> bytes:
    pdf = pymupdf.open(stream=plain(), filetype="pdf")
    return to_bytes(pdf, encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="secret", owner_pw="owner")


def no_pages() -> bytes:
    return (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n"
        b"trailer<</Root 1 0 R/Size 3>>\n%%EOF\n"
    )


def sized(width: float, height: float, fontsize: float = 8) -> bytes:
    pdf = pymupdf.open()
    page = pdf.new_page(width=width, height=height)
    page.insert_text((10, min(height / 2, 100)), "Some words on a page", fontsize=fontsize)
    return to_bytes(pdf)


def described() -> bytes:
    """A PDF that states its title, language and licence, and reserves text and data mining."""
    pdf = pymupdf.open(stream=plain(title="  Harvest\n report "), filetype="pdf")
    pdf.xref_set_key(pdf.pdf_catalog(), "Lang", "(de-CH)")
    pdf.set_xml_metadata(
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tdm:reservation="1">'
        "<cc:license>https://creativecommons.org/licenses/by-sa/4.0/</cc:license></rdf:Description></x:xmpmeta>"
    )
    return to_bytes(pdf)
