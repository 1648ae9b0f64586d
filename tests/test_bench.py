"""The measurements of the complete product run, on small inputs."""

from pathlib import Path

import pytest

from bench import _pictures, _texts, scale, whole


def test_texts_are_the_same_each_time_and_unlike_each_other() -> None:
    (first,), (again,) = (list(_texts.blocks(3000)) for _ in range(2))
    assert first.equals(again)
    (later,) = _texts.blocks(100, _texts.BLOCK)
    assert not later.equals(first.slice(0, 100))
    texts = [text for text in first["text"].to_pylist() if text]
    assert 0.85 < len(set(texts)) / len(texts) < 0.97  # copies and notices, and no others
    assert 450 < sum(map(len, texts)) / len(texts) < 750
    assert len({url.split("/")[2] for url in first["url"].to_pylist()}) > 200


def test_pictures_are_distinct_and_large_enough_for_the_rules() -> None:
    pictures = {_pictures.picture(n) for n in range(20)}
    assert len(pictures) == 20 and min(map(len, pictures)) > 5120


@pytest.mark.slow
def test_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "ROWS", 300)
    rows = whole.rows()
    assert [rows[0]["stage"], rows[-2]["stage"], rows[-1]["stage"]] == ["texts.read", "driver", "together"]
    assert rows[-1]["cpu_s"] == pytest.approx(sum(row["cpu_s"] for row in rows[:-1]))
    assert all(row["peak_MB"] > 30 for row in rows)


@pytest.mark.slow
def test_sizes_are_run_once_and_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["--texts", "200", "400", "--images", "30", "--out", str(tmp_path)]
    rows = scale.rows(scale.arguments("scale").parse_args(given))
    assert {(row["kind"], row["size"]) for row in rows} == {("texts", 200), ("texts", 400), ("images", 30)}
    grown = [row for row in rows if "peak growth" in row]
    assert grown and all(row["size"] == 400 for row in grown)
    records = sorted(path.name for path in tmp_path.iterdir())
    assert records == ["scale-local-images-30.json", "scale-local-texts-200.json", "scale-local-texts-400.json"]
    monkeypatch.setattr(scale, "_measure", None)  # what has records is not run again
    assert scale.rows(scale.arguments("scale").parse_args(given)) == rows
