import json
from pathlib import Path

import pytest
from PIL import Image

from ocr.export import write_pages
from ocr.tesseract import Ocr
from tests.ocr import pdfs

NO_OCR = Ocr("none")


def test_a_picture_and_a_json_file_a_page(tmp_path: Path) -> None:
    (tmp_path / "my.report.pdf").write_bytes(pdfs.plain(pages=2))
    rows = list(write_pages([tmp_path / "my.report.pdf"], tmp_path / "out", ocr=NO_OCR))
    assert [(r["page"], r["words"], r["text_source"]) for r in rows] == [(1, 17, "pdf"), (2, 17, "pdf")]
    assert not any("reason" in r for r in rows)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "my_report-p0001.jpg",
        "my_report-p0001.json",
        "my_report-p0002.jpg",
        "my_report-p0002.json",
    ]
    assert Image.open(rows[0]["image"]).size == (834, 1042)


def test_the_fields_of_pdfa(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdfs.columns())
    (row,) = write_pages([tmp_path / "a.pdf"], tmp_path / "out", ocr=NO_OCR)
    page = json.loads(Path(row["json"]).read_text())
    words, lines = page["words"], page["lines"]
    assert {len(words[k]) for k in ("text", "bbox", "score", "line_pos")} == {row["words"]}
    assert lines["text"][:2] == [pdfs.TITLE + " of the whole valley", pdfs.LEFT[0]]
    for i, (start, end) in enumerate(lines["word_slice"]):
        assert " ".join(words["text"][start:end]) == lines["text"][i]
        assert words["line_pos"][start:end] == [[i, k] for k in range(end - start)]
    assert all(
        0 <= left <= left + width <= 1.000001 and 0 <= top <= top + h <= 1.000001
        for left, top, width, h in words["bbox"]
    )
    rest = {k: v for k, v in page.items() if k not in ("words", "lines", "width", "height")}
    assert rest == {
        "page_index": 0,
        "num_pages": 1,
        "text_source": "pdf",
        "rotation": 0,
        "dpi": 150.0,
        "images_bbox": [],
        "images_bbox_no_text_overlap": [],
    }


def test_pictures_with_and_without_words_on_them(tmp_path: Path) -> None:
    (tmp_path / "scan.pdf").write_bytes(pdfs.scanned(hidden=4))
    (row,) = write_pages([tmp_path / "scan.pdf"], tmp_path / "out", ocr=NO_OCR)
    page = json.loads(Path(row["json"]).read_text())
    assert (page["images_bbox"], page["images_bbox_no_text_overlap"]) == ([[0.0, 0.0, 1.0, 1.0]], [])


def test_refusals_are_rows_and_write_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdfs.encrypted())
    (tmp_path / "b.pdf").write_bytes(pdfs.blank())
    rows = list(write_pages([tmp_path / "a.pdf", tmp_path / "b.pdf", tmp_path / "c.pdf"], tmp_path / "out", ocr=NO_OCR))
    assert [(r["page"], r["reason"]) for r in rows] == [(None, "encrypted"), (1, "blank"), (None, "missing")]
    assert not list((tmp_path / "out").iterdir())


def test_two_files_of_one_name_are_an_error(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.pdf").write_bytes(pdfs.plain())
    with pytest.raises(ValueError, match="different names"):
        list(write_pages([tmp_path / "x" / "a.pdf", tmp_path / "y" / "a.pdf"], tmp_path / "out", ocr=NO_OCR))
