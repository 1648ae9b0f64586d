"""Decisions from the columns of documents and their scores."""

import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from filters.decide import Decide
from filters.rules import RuleError, Rules, load
from filters.text import TextScores
from manifests.schema import DECISION
from tests.filters.make import documents, zipped

PROSE = "The ships left in the morning, and the people of the town went down to the harbour to see them go."
MORE = "It was the first time that any of them had been out of the bay, so they were all a little afraid."
MENU = "Home News Sport Contact"
PICTURE = {"image": "http://a.example/photos/harbour.png"}


def decide_rows(rules: Any, *rows: list[Any]) -> list[dict[str, Any]]:
    batch = documents(*rows)
    ((_, scores),) = TextScores()(batch)
    stage = pickle.loads(pickle.dumps(Decide(rules if isinstance(rules, Rules) else load(rules))))
    ((table, decisions),) = stage(zipped(batch, scores))
    assert table == "decisions"
    decisions.validate(full=True)
    assert decisions.schema == DECISION
    assert [len(k) for k in decisions["node_keep"].to_pylist()] == [len(r) for r in rows]
    return decisions.to_pylist()


def test_obelics_on_small_pages() -> None:
    good, no_image, menu_only, german = decide_rows(
        "obelics",
        [PROSE, PICTURE, MENU, MORE],
        [PROSE, MORE],
        [MENU, PICTURE],
        [
            PICTURE,
            "Die Schiffe fuhren am Morgen aus, und die Leute der Stadt gingen zum Hafen, um sie zu sehen, "
            "denn es war das erste Mal.",
        ],
    )
    assert good["keep"]
    assert (good["reason"], good["score"], good["threshold"]) == (None, None, None)
    assert good["node_keep"] == [True, True, False, True]
    assert good["node_reason"] == [None, None, "stop_words_low", None]
    assert good["node_score"] == [None, None, 0, None]
    assert (no_image["reason"], no_image["score"], no_image["threshold"]) == ("images_low", 0, 1)
    assert (menu_only["reason"], menu_only["score"]) == ("words_low", 0)
    assert german["reason"] == "language"
    assert german["node_keep"] == [True, True]


@pytest.mark.parametrize(
    ("page", "node_keep"),
    [
        (["# Harbours", PROSE], [1, 1]),
        (["# Harbours", PICTURE, "# Bays", MENU, "# Ships", PROSE], [1, 1, 0, 0, 1, 1]),
        (["# Harbours", "# Of the south", PROSE], [1, 1, 1]),  # title and subtitle
        (["# Harbours", MENU, "# Of the south", PROSE], [0, 0, 1, 1]),
        ([PROSE, "# More of it", "# See also"], [1, 0, 0]),  # no content follows
        ([PROSE, "# Elsewhere", "---", MORE], [1, 0, 1, 1]),  # another topic
        ([PROSE, "# Also", {"image": "http://a.example/logo.png"}], [1, 0, 0]),
        (["Harbours", PROSE], [0, 1]),  # a short paragraph, not a heading
    ],
)
def test_a_heading_is_kept_if_content_follows_it(page: list[Any], node_keep: list[int]) -> None:
    row, next_row = decide_rows("interleaved", page, [PROSE])
    assert row["node_keep"] == [bool(k) for k in node_keep]
    heading_reasons = [r for n, r in zip(page, row["node_reason"], strict=True) if r and str(n).startswith("#")]
    assert set(heading_reasons) <= {"followed_low"}
    assert next_row["node_keep"] == [True]


def test_words_of_a_document_are_counted_over_its_kept_nodes() -> None:
    rules = {
        "node": {"words": {"min": 5}},
        "document": {"words": {"min": 21}, "paragraphs": {"min": 1}, "characters": {"min": 1}},
    }
    (row,) = decide_rows(rules, [PROSE, "one two three four", "one two three"])
    assert row["keep"]
    (row,) = decide_rows({**rules, "document": {"words": {"min": 22}}}, [PROSE, "one two three four", "one two three"])
    assert (row["reason"], row["score"]) == ("words_low", 21)


def test_images_of_a_document_are_counted_over_its_kept_nodes() -> None:
    rules = {
        "document": {"images": {"min": 1}},
        "image": {"banned_url": {"max": 0}, "rendered_min": {"min": 150}, "side_min": {"min": 500}},
    }
    logo, small = (
        {"image": "http://a.example/img/logo.png"},
        {"image": "http://a.example/b.png", "width": 400, "height": 20},
    )
    with_picture, without_picture = decide_rows(rules, [logo, small, PICTURE], [logo, small])
    assert with_picture["keep"]
    assert with_picture["node_reason"] == ["banned_url_high", "rendered_min_low", None]
    assert with_picture["node_score"] == [1, 20, None]
    assert (without_picture["reason"], without_picture["score"]) == ("images_low", 0)


def test_a_break_is_kept_only_between_kept_nodes() -> None:
    (row,) = decide_rows(
        {"node": {"words": {"min": 5}}}, ["---", PROSE, "---", "short", "---", MORE, "---", PICTURE, "---", "---"]
    )
    assert row["node_keep"] == [False, True, True, False, False, True, True, True, False, False]
    assert row["node_reason"] == ["break", None, None, "words_low", "break", None, None, None, "break", "break"]
    (alone, both) = decide_rows({}, ["---"], [PROSE, "---", "---", MORE])
    assert alone["node_keep"] == [False]
    assert both["node_keep"] == [True, True, False, True]


def test_a_quarantined_row_is_dropped() -> None:
    batch = documents([PROSE, PICTURE], [PROSE, PICTURE], [MORE, PICTURE])
    ((_, scores),) = TextScores()(batch)
    nulls = pa.RecordBatch.from_pylist([{}], schema=scores.schema)
    with_nulls = pa.Table.from_batches([scores.slice(0, 1), nulls, scores.slice(2, 1)]).combine_chunks().to_batches()[0]
    ((_, decisions),) = Decide(load("obelics"))(zipped(batch, with_nulls))
    assert decisions["reason"].to_pylist() == [None, "quarantined", None]
    assert decisions["keep"].to_pylist() == [True, False, True]
    assert decisions["score"].to_pylist() == [None, None, None]
    ((_, slice_decisions),) = Decide(load("obelics"))(zipped(batch, with_nulls).slice(1, 2))
    assert slice_decisions.to_pylist() == decisions.slice(1, 2).to_pylist()


def test_the_dictionaries_are_the_same_for_every_batch() -> None:
    batches = []
    for row in ([PROSE, PICTURE], [MENU]):
        batch = documents(row)
        ((_, scores),) = TextScores()(batch)
        ((_, decisions),) = Decide(load("obelics"))(zipped(batch, scores))
        batches.append(decisions)
    assert batches[0]["reason"].dictionary.equals(batches[1]["reason"].dictionary)
    assert batches[0]["node_reason"].values.dictionary.equals(batches[1]["node_reason"].values.dictionary)


def test_a_missing_score_and_scores_of_other_documents_are_errors() -> None:
    batch = documents([PROSE])
    with pytest.raises(RuleError, match="rule on `words`: no such score column"):
        list(Decide(load({"document": {"words": {"min": 1}}}))(batch))
    ((_, other),) = TextScores()(documents([PROSE, MORE]))
    with pytest.raises(ValueError, match="not of these documents"):
        list(Decide(load("obelics"))(zipped(batch, other)))


def test_no_nodes_and_no_rows() -> None:
    assert [d["keep"] for d in decide_rows({}, [], [PROSE])] == [True, True]
    batch = documents([PROSE]).slice(0, 0)
    ((_, scores),) = TextScores()(batch)
    ((_, decisions),) = Decide(load("obelics"))(zipped(batch, scores))
    assert decisions.num_rows == 0


@pytest.mark.real
def test_most_real_prose_is_kept() -> None:
    import json

    truth = Path(__file__).resolve().parents[2].parent / "shared" / "realweb" / "truth.jsonl"
    if not truth.exists():
        pytest.skip("needs ../shared/realweb")
    texts = [row["text"] for row in map(json.loads, truth.open(encoding="utf-8")) if row.get("text")]
    rules = load({"preset": "obelics", "document": {"images": None}})
    rows = decide_rows(rules, *([" ".join(p.split()) for p in t.split("\n") if p.strip()] for t in texts))
    assert 0.6 * len(rows) < sum(r["keep"] for r in rows) < len(rows)
    assert {r["reason"] for r in rows if not r["keep"]} <= {x for r in rules.document for x in r.reasons()}
