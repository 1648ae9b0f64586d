"""Real PDFs, some of them broken: each gives pages or a refusal, in a separate process with a time limit."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ocr.pdf import REASONS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT.parent / "shared" / "realweb" / "pdfs"
GROUPS = 8

pytestmark = [pytest.mark.real, pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real PDFs at {FOLDER}")]

PROGRAM = """
import json, sys
import pyarrow as pa
from ocr.stages import INPUT, Pages
rows = [{"path": p, "offset": None, "length": None, "url": "file:" + p} for p in sys.argv[1:]]
out = {}
for name, piece in Pages(max_pages=5, ocr=False)(pa.RecordBatch.from_pylist(rows, schema=INPUT)):
    if name in ("documents", "refused"):
        for row in piece.to_pylist():
            out.setdefault(row["provenance"]["file"], []).append(row.get("reason", "page"))
            for node in row.get("nodes", [])[1:]:
                assert node["text"] == " ".join(node["text"].split()) != "", node
                for word in node["words"]:
                    left, top, width, height = word["box"]
                    assert 0 <= left <= left + width <= 1.00001 and 0 <= top <= top + height <= 1.00001, word
json.dump(out, sys.stdout)
"""


def read(paths: list[Path]) -> dict[str, list[str]]:
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, paths)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    rows: dict[str, list[str]] = json.loads(process.stdout)
    return rows


@pytest.mark.parametrize("group", range(GROUPS))
def test_every_real_pdf_gives_pages_or_a_reason(group: int) -> None:
    paths = sorted(FOLDER.glob("*.pdf"))[group::GROUPS]
    rows_of = read(paths)
    assert sorted(rows_of) == sorted(map(str, paths))
    assert {r for rows in rows_of.values() for r in rows} - {"page"} <= set(REASONS)


def test_files_with_a_fixed_result() -> None:
    names = {
        "docling-normal_4pages.pdf": ["page"] * 4,
        "olmocr-edgar-rotated90.pdf": ["page"],
        "olmocr-lincoln_letter.pdf": ["no_text_layer"],
        "pdfjs-print_protection.pdf": ["encrypted"],
        "pdfjs-bug1606566.pdf": ["not_pdf"],
        "pdfjs-GHOSTSCRIPT-698804-1-fuzzed.pdf": ["no_pages"],
    }
    rows_of = read([FOLDER / name for name in names])
    assert {Path(p).name: rows for p, rows in rows_of.items()} == names
