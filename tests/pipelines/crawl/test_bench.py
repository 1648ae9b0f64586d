"""The benchmark of the crawl runs, every row of it. It uses generated pages where the real ones do not exist."""

from pathlib import Path

import pytest

from bench import crawl as bench


@pytest.mark.slow
def test_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "PAGES", Path("/nowhere"))
    monkeypatch.setattr(bench, "CAPTURES", 4000)
    monkeypatch.setattr(bench, "IMAGES", 32)
    rows = bench.rows()
    assert [row["step"] for row in rows] == [
        "captures read in the index",
        "captures fetched, each by itself",
        "captures fetched, neighbours together",
        "pages read from WARC",
        "pages to documents, as a stage",
        "documents scored",
        "documents decided",
        "documents signed for MinHash",
        "images fetched",
    ]
    assert all(row["n"] > 0 and row["per_s"] > 0 for row in rows)
