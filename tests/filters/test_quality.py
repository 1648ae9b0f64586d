"""The quality classifier: its training, its file and its score."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from filters.quality import SETTINGS, Quality, _train, read_texts, train
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
    report = train(GOOD, BAD, path)
    assert report["trained"] + report["held_out"] == len(GOOD) + len(BAD)
    assert 10 < report["held_out"] < 80
    assert report["precision"] > 0.95
    assert report["recall"] > 0.95
    return path


def test_good_text_has_a_high_score_and_bad_text_a_low_one(model: str) -> None:
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


def test_the_same_texts_give_the_same_model(model: str, tmp_path: Path) -> None:
    again = tmp_path / "again.bin"
    train(GOOD, BAD, str(again))
    assert again.read_bytes() == Path(model).read_bytes()


def test_the_former_content_of_the_heap_does_not_change_the_model(model: str, tmp_path: Path) -> None:
    """The heap has a hole of 200 MB full of NaN, where fastText would place its matrix without initialising it."""
    arrays = [np.full(25_000, np.nan, np.float32) for _ in range(2_000)]  # 100 kB each: small enough for the heap
    last = arrays.pop()  # it lies behind the hole; without it the system would take the hole back
    del arrays
    test_the_same_texts_give_the_same_model(model, tmp_path)
    assert np.isnan(last).all()


def test_a_wrong_model_and_too_few_texts_are_errors(model: str, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("__label__hq one two\n__label__lq three four\n")
    # fastText reads memory that it did not write. Only a matrix of the full size is zeros from the system.
    assert _train(str(tmp_path / "other.txt"), str(tmp_path / "other.bin"), **SETTINGS)
    with pytest.raises(ValueError, match=r"no label `positive`; it has hq, lq"):
        list(Quality(str(tmp_path / "other.bin"))(documents(["text"])))
    with pytest.raises(ValueError, match=r"quality model `/nowhere/q.bin`"):
        list(Quality("/nowhere/q.bin")(documents(["text"])))
    with pytest.raises(ValueError, match="2 negative texts are too few"):
        train(GOOD, ["one", "two"], str(tmp_path / "none.bin"))


def test_texts_are_read_from_text_and_json_files(tmp_path: Path) -> None:
    lines, records = tmp_path / "a.txt", tmp_path / "b.jsonl.gz"
    lines.write_text("first\nsecond\n")
    records.write_bytes(
        gzip.compress("\n".join(json.dumps({"text": t, "url": "x"}) for t in ("third", "fourth")).encode())
    )
    assert [t.strip() for t in read_texts([str(lines), str(records)])] == ["first", "second", "third", "fourth"]
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        list(read_texts([str(tmp_path / "none.txt")]))
    broken = tmp_path / "c.jsonl"
    broken.write_text('{"text": "one"}\n{"txt": "two"}\n')
    with pytest.raises(ValueError, match=r"c.jsonl, line 2: expected a JSON table with a key `text`"):
        list(read_texts([str(broken)]))
