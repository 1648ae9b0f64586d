"""The scores of extraction on real pages with reference articles."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.html.interleave import extract_files

SHARED = Path(__file__).resolve().parents[3].parent / "shared"

#: (suite, figure, lowest value): at least the value of trafilatura with images
FLOORS = [
    ("article", "f1", 0.957),
    ("reader", "f1", 0.950),
    ("snippets", "f1", 0.905),
    ("reader", "image_recall", 0.88),
    ("reader", "image_precision", 0.88),
]


@pytest.mark.real
def test_scores_on_real_pages_are_above_their_floors(tmp_path: Path) -> None:
    pages, scorer = SHARED / "realweb/pages.warc.gz", SHARED / "eval/extraction.py"
    if not pages.exists() or not scorer.exists():
        pytest.skip(f"no real pages at {pages}")
    docs = tmp_path / "docs.jsonl"
    with docs.open("w") as f:
        for document in extract_files([str(pages)]):
            f.write(json.dumps(document) + "\n")
    output = subprocess.run([sys.executable, str(scorer), str(docs)], capture_output=True, text=True, check=True).stdout
    figures = json.loads(output.splitlines()[-1])
    assert {(suite, name): figures[suite][name] for suite, name, floor in FLOORS if figures[suite][name] < floor} == {}
