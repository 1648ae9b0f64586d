"""Scores, all presets and redaction accept any text: no text raises an error, and each document has a row."""

import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.decide import Decide
from filters.pii import redact
from filters.rules import load, presets
from filters.text import TextScores
from tests.filters.make import documents, zipped

RTL = st.text(st.sampled_from("שלוםעולם مرحبا\u200f\u202e\u202c\u2067 .,؟!،"), max_size=80)
EMOJI = st.text(st.sampled_from("😀👩\u200d👧🇫🇷1️⃣\ufe0f❤️🏽"), max_size=60)
LINES = st.text(st.sampled_from("ab .\n-•…@#{}[]:1234567890"), max_size=120)
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
PAGE = st.lists(st.just("") | st.just("word") | RTL | EMOJI | LINES | ANY, max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.lists(PAGE, min_size=1, max_size=4))
def test_any_text_has_finite_scores_and_a_decision(pages: list[list[str]]) -> None:
    batch = documents(*pages)
    ((_, scores),) = TextScores()(batch)
    for column in scores.columns:
        values = (column.flatten() if pa.types.is_list(column.type) else column).to_pylist()
        assert all(v is None or isinstance(v, str) or math.isfinite(v) for v in values)
    shares = (
        "duplicate_5_grams",
        "duplicate_lines",
        "duplicate_line_characters",
        "short_lines",
        "bullets",
        "char_repetition",
    )
    assert all(0 <= v <= 1 for name in shares for v in scores[name].drop_null().to_pylist())
    for preset in presets():
        ((_, decisions),) = Decide(load({"preset": preset, "image": None}))(zipped(batch, scores))
        assert decisions.num_rows == len(pages)
    for page in pages:
        for text in page:
            redact(text)


@pytest.mark.parametrize("unit", ["a", "😀", "שלום ", "\n"])
def test_a_single_line_of_five_megabytes(unit: str) -> None:
    batch = documents(["before"], [unit * (5_000_000 // len(unit.encode()))], ["after"])
    ((_, scores),) = TextScores()(batch)
    scores_of_last = TextScores()(documents(["after"]))
    assert scores.slice(2, 1).to_pylist() == next(iter(scores_of_last))[1].to_pylist()
    for preset in ("obelics", "gopher", "c4", "fineweb"):
        ((_, decisions),) = Decide(load({"preset": preset, "image": None}))(zipped(batch, scores))
        assert decisions["keep"].to_pylist()[1] is False


def test_a_lone_surrogate_cannot_be_a_document() -> None:
    with pytest.raises(UnicodeEncodeError):  # a string of Arrow is UTF-8
        documents(["half a pair: \ud83d"])
