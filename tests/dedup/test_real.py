"""Deduplication of the texts of real pages: copies are dropped, originals and unlike pages stay."""

import json
from pathlib import Path

import pytest

from dedup.sign import Sign
from dedup.verify import Verify

from .drive import Doc, chain, drops_of
from .prose import vary

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
TRUTH = SHARED / "realweb" / "truth.jsonl"


@pytest.mark.real
def test_copies_of_real_pages_are_dropped() -> None:
    if not TRUTH.exists():
        pytest.skip(f"needs {TRUTH.name} of the shared real pages")
    texts = [r["text"] for r in map(json.loads, TRUTH.read_text().splitlines()) if len(r.get("text", "").split()) >= 80]
    assert len(texts) >= 50
    originals = [
        Doc(f"o{n:04d}", tuple(p for p in t.split("\n") if p.strip()), f"http://o.example/{n}", 200)
        for n, t in enumerate(texts)
    ]
    exact = [Doc(f"e{n:04d}", o.texts, f"http://e.example/{n}", 100) for n, o in enumerate(originals)]
    near = [Doc(f"n{n:04d}", (vary(t, 0.03, n),), f"http://n.example/{n}", 100) for n, t in enumerate(texts)]
    drops = drops_of(chain([originals, exact, near], 3, Sign(bands=28, rows=4), Verify(0.6), 64))
    assert not [d for d in drops if d.startswith("o")], "a real page was taken for another"
    assert all(drops[e.id] == ("duplicate_text", "o" + e.id[1:]) for e in exact)
    assert sum(n.id in drops for n in near) >= 0.97 * len(near)
    assert all(drops[n.id] == ("near_duplicate", "o" + n.id[1:]) for n in near if n.id in drops)
