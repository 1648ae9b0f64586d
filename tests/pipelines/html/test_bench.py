"""The benchmark of extraction runs. It uses generated pages where the real ones do not exist."""

from pathlib import Path

import pytest

from bench import extract as bench


@pytest.mark.slow
def test_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trafilatura")
    monkeypatch.setattr(bench, "PAGES", Path("/nowhere"))
    rows = bench.rows(rounds=1)
    assert [row["contender"] for row in rows][:2] == ["ours", "lexbor parse and walk"]
    assert all(row["pages"] == 200 and row["pages_per_s"] > 0 for row in rows)
    assert rows[1]["of_limit"] == 1
