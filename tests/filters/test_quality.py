"""A classifier trained here, its file, and its score."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from filters import quality
from filters.quality import Quality, read_texts, train
from manifests.stage import DirectContext
from tests.filters.make import documents

GOOD = [
    f"The committee of {town} met on day {i} and agreed that the harbour should be built."
    for i in range(60)
    for town in ("Ayr", "Oban", "Wick")
]
BAD = [
    f"Buy cheap {thing} now!!! click here {i} best price free shipping order today"
    for i in range(60)
    for thing in ("shoes", "pills", "bags")
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("model") / "quality.bin")
    said = train(GOOD, BAD, path)
    assert said["trained"] + said["held_out"] == len(GOOD) + len(BAD)
    assert 10 < said["held_out"] < 80
    assert said["precision"] > 0.95
    assert said["recall"] > 0.95
    return path


def test_the_score(model: str) -> None:
    batch = documents(
        ["The committee met and agreed", "that the harbour should be built."],
        ["click here for cheap pills, order now!!!"],
        [],
        ["x"],
    )
    ((table, scores),) = Quality(model)(batch, DirectContext(skip=frozenset({(3, 0)})))
    good, bad, empty, refused = scores["quality"].to_pylist()
    assert table == "scores"
    assert good > 0.8
    assert bad < 0.2
    assert (empty, refused) == (None, None)
    assert scores.schema == Quality.tables["scores"]


def test_the_same_texts_make_the_same_model(model: str, tmp_path: Path) -> None:
    again = tmp_path / "again.bin"
    train(GOOD, BAD, str(again))
    assert again.read_bytes() == Path(model).read_bytes()


def test_what_the_process_held_before_is_not_learnt(model: str, tmp_path: Path) -> None:
    """A hole of a hundred megabytes in the heap, full of NaN: fastText would take its matrix from there, and read what
    it finds.
    """
    held = [np.full(25_000, np.nan, np.float32) for _ in range(2_000)]  # of 100 kB: small enough for the heap
    last = held.pop()  # behind the hole, which else would go back to the system
    del held
    test_the_same_texts_make_the_same_model(model, tmp_path)
    assert np.isnan(last).all()


def test_what_cannot_be(model: str, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("__label__hq one two\n__label__lq three four\n")
    # in a process of its own and with a large matrix: otherwise fastText would use what earlier work left in its memory
    assert quality._train(str(tmp_path / "other.txt"), str(tmp_path / "other.bin"), lr=0.1, **quality.SETTINGS)
    with pytest.raises(ValueError, match=r"no label `positive`; it has hq, lq"):
        list(Quality(str(tmp_path / "other.bin"))(documents(["text"])))
    with pytest.raises(ValueError, match=r"quality model `/nowhere/q.bin`"):
        list(Quality("/nowhere/q.bin")(documents(["text"])))
    with pytest.raises(ValueError, match="2 negative texts are too few"):
        train(GOOD, ["one", "two"], str(tmp_path / "none.bin"))


def test_files(tmp_path: Path) -> None:
    lines, tables = tmp_path / "a.txt", tmp_path / "b.jsonl.gz"
    lines.write_text("first\nsecond\n")
    tables.write_bytes(
        gzip.compress("\n".join(json.dumps({"text": t, "url": "x"}) for t in ("third", "fourth")).encode())
    )
    assert [t.strip() for t in read_texts([str(lines), str(tables)])] == ["first", "second", "third", "fourth"]
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        list(read_texts([str(tmp_path / "none.txt")]))
    broken = tmp_path / "c.jsonl"
    broken.write_text('{"text": "one"}\n{"txt": "two"}\n')
    with pytest.raises(ValueError, match=r"c.jsonl, line 2: expected a JSON table with a key `text`"):
        list(read_texts([str(broken)]))
