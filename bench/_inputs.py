"""Inputs that several comparisons share: the real pages and texts beside the checkout, random words, joined batches."""

import json
import random
from pathlib import Path
from typing import Any

REAL = Path(__file__).resolve().parents[2] / "shared" / "realweb"
PAGES, TRUTH = REAL / "pages.warc.gz", REAL / "truth.jsonl"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def random_words(rng: random.Random, count: int) -> list[str]:
    return ["".join(rng.choices(LETTERS, k=rng.randint(2, 9))) for _ in range(count)]


def reference_texts() -> list[list[str]]:
    """The paragraphs of each real text, without blank lines, with single blanks."""
    with TRUTH.open(encoding="utf-8") as file:
        texts = [row["text"] for row in map(json.loads, file) if row.get("text")]
    return [[" ".join(line.split()) for line in text.split("\n") if line.strip()] for text in texts]


def joined(a: Any, b: Any) -> Any:
    """One record batch with the columns of two that have matching rows."""
    return a.from_arrays([*a.columns, *b.columns], names=[*a.schema.names, *b.schema.names])
