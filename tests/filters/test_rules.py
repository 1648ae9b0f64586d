"""Tables of rules: their reading, their changes, their errors, and decisions over columns."""

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.rules import Rule, RuleError, decide, load, presets, reasons
from filters.scores import IMAGE_FETCHED, IMAGE_ON_PAGE, IMAGE_PIXELS, IMAGE_SIMILARITY, LEVELS, NODE

PRESETS = "c4, conversations, coyo, datacomp, fineweb, gopher, interleaved, obelics, pairs, pdf"


def test_the_first_failed_rule_gives_reason_score_and_limit() -> None:
    rules = (Rule("words", min=4, max=100), Rule("language", any_of=("en", "fr")), Rule("punctuation", min=0.03))
    columns = {
        "words": pa.array([3, 4, 100, 101, None, 50], pa.float32()),
        "language": pa.array(["de", "en", "de", "en", None, "fr"]),
        "punctuation": pa.array([0, 0.03, 0, 0, None, 0.01], pa.float32()),
    }
    keep, reason, score, threshold = decide(rules, columns, 6)
    assert keep.to_pylist() == [False, True, False, False, True, False]
    assert reason.to_pylist() == ["words_low", None, "language", "words_high", None, "punctuation_low"]
    assert score.to_pylist() == [3, None, None, 101, None, pytest.approx(0.01)]
    assert threshold.to_pylist() == [4, None, None, 100, None, pytest.approx(0.03)]
    assert reason.type == pa.dictionary(pa.int8(), pa.string())
    assert (
        reason.dictionary.to_pylist()
        == list(reasons(rules))
        == ["words_low", "words_high", "language", "punctuation_low"]
    )


def test_a_value_equal_to_a_limit_in_float32_passes() -> None:
    at_limit = pa.array([0.1, 0.100001], pa.float32())
    assert decide((Rule("a", max=0.1),), {"a": at_limit}, 2).keep.to_pylist() == [True, False]


def test_dictionary_strings_integers_and_nan() -> None:
    columns = {
        "format": pa.array(["gif", "png", None]).dictionary_encode(),
        "n": pa.array([1, None, 3]),
        "x": pa.array([float("nan")] * 3),
    }
    rules = (Rule("format", any_of=("png",)), Rule("n", max=2), Rule("x", min=1, max=0))
    assert decide(rules, columns, 3).reason.to_pylist() == ["format", None, "n_high"]


def test_no_rules_and_no_rows() -> None:
    assert decide((), {}, 3).keep.to_pylist() == [True] * 3
    assert decide((Rule("a", min=1),), {"a": pa.array([], pa.float32())}, 0).keep.to_pylist() == []


def test_a_missing_column_is_one_line_with_the_nearest_name() -> None:
    with pytest.raises(RuleError, match=r"rule on `word`: no such score column; did you mean `words`\?"):
        decide((Rule("word", min=1),), {"words": pa.array([1.0])}, 1)


@given(
    st.lists(st.none() | st.floats(-1, 2, width=32), max_size=30),
    st.floats(0, 0.5, width=32),
    st.floats(0.5, 1, width=32),
)
def test_decisions_equal_those_of_a_loop(values: list[float | None], low: float, high: float) -> None:
    decisions = decide(
        (Rule("a", min=low), Rule("b", max=high)),
        {"a": pa.array(values, pa.float32()), "b": pa.array(values, pa.float32())},
        len(values),
    )
    expected = [None if v is None else "a_low" if v < low else "b_high" if v > high else None for v in values]
    assert decisions.reason.to_pylist() == expected


@pytest.mark.parametrize("name", presets())
def test_every_preset_loads_and_names_its_sources(name: str) -> None:
    rules = load(name)
    rules_of_levels = [*rules.document, *rules.node, *rules.image]
    assert rules_of_levels
    assert all(rule.source for rule in rules_of_levels)


def test_the_limits_of_obelics() -> None:
    rules = load("obelics")
    document = {r.score: (r.min, r.max) for r in rules.document}
    node = {r.score: (r.min, r.max) for r in rules.node}
    words = [
        "words",
        "char_repetition",
        "word_repetition",
        "special_characters",
        "stop_words",
        "flagged_words",
        "punctuation",
        "common_words",
    ]
    assert list(document) == ["images", *words, "language", "language_score"]
    assert (document["images"], document["words"], node["words"]) == ((1, 30), (10, 2000), (4, 1000))
    assert (document["stop_words"], node["stop_words"]) == ((0.35, None), (0.3, None))
    assert (document["word_repetition"], node["word_repetition"]) == ((None, 0.2), (None, 0.1))
    assert {r.score: (r.min, r.max) for r in rules.image}["aspect"] == (None, 2)


def test_keys_of_a_table_replace_those_of_its_preset() -> None:
    rules = load(
        {
            "preset": "obelics",
            "document": {"words": {"max": 3000}, "images": None, "stop_words": {"min": None}},
            "node": None,
        }
    )
    assert {r.score: (r.min, r.max) for r in rules.document}["words"] == (10, 3000)
    assert not {"images", "stop_words"} & {r.score for r in rules.document}
    assert rules.node == load("obelics").node
    assert load("obelics").document[1].max == 2000  # the preset itself is unchanged


def test_a_preset_may_extend_another() -> None:
    interleaved, obelics = load("interleaved"), load("obelics")
    assert (interleaved.document, interleaved.image) == (obelics.document, obelics.image)
    *same, last = interleaved.node
    assert [replace(r, spares=()) for r in same] == list(obelics.node)
    assert last.score == "followed"
    assert {r.score: r.spares for r in same}["words"] == ("heading", "item")


def test_a_rule_does_not_apply_to_the_roles_that_it_spares() -> None:
    columns = {"words": pa.array([1, 1, 1, 9], pa.float32())}
    roles = pa.array(["heading", "paragraph", None, "heading"])
    rules = (Rule("words", min=4, max=8, spares=("heading",)),)
    assert decide(rules, columns, 4, roles).reason.to_pylist() == [None, "words_low", "words_low", None]
    assert decide(rules, columns, 4).keep.to_pylist() == [False] * 4


def test_rules_on_own_scores() -> None:
    rules = load({"own": ["c4_passes"], "document": {"c4_passes": {"min": 1}}})
    assert rules.document == (Rule("c4_passes", min=1),)
    assert load({"document": {"mine": {"max": 1}}}, own=["mine"]).document[0].score == "mine"


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("obelic", "rules: no preset `obelic`; did you mean `obelics`?"),
        (
            "zzz",
            f"rules: no preset `zzz`; there are: {PRESETS}",
        ),
        (7, "rules: expected a preset's name or a table, got int"),
        (
            {"preset": 7},
            f"rules: `preset` is a name, one of {PRESETS}",
        ),
        ({"nodes": {}}, "rules: no level `nodes`; did you mean `node`?"),
        ({"own": "x"}, "rules: `own` is a list of score names"),
        ({"document": [1]}, "rules.document: expected a table of scores, got list"),
        ({"document": {"wrods": {"min": 1}}}, "rules.document.wrods: no such score; did you mean `words`?"),
        ({"node": {"images": {"min": 1}}}, "rules.node.images: no such score"),
        ({"document": {"words": 5}}, "rules.document.words: expected a table like {min: 1}, got `5`"),
        ({"document": {"words": {"minn": 5}}}, "rules.document.words.minn: no such key; did you mean `min`?"),
        ({"document": {"words": {"min": "ten"}}}, "rules.document.words.min: expected a number, got the text 'ten'"),
        ({"document": {"words": {"min": True}}}, "rules.document.words.min: expected a number, got `True`"),
        ({"document": {"words": {"min": 5, "max": 4}}}, "rules.document.words: min 5 is above max 4"),
        (
            {"document": {"words": {"any_of": ["a"]}}},
            "rules.document.words.any_of: `words` is a number; give min or max",
        ),
        ({"document": {"language": {"min": 1}}}, "rules.document.language: `language` is a string; give any_of"),
        (
            {"document": {"language": {"any_of": "en"}}},
            "rules.document.language.any_of: expected a list of strings, got `en`",
        ),
        (
            {"node": {"words": {"min": 4, "spares": ["headings"]}}},
            "rules.node.words.spares: no such role `headings`; did you mean `heading`?",
        ),
        (
            {"node": {"words": {"min": 4, "spares": "heading"}}},
            "rules.node.words.spares: expected a list of strings, got `heading`",
        ),
        ({"image": {"aspect": {"max": 2, "drops": "page"}}}, "rules.image.aspect.drops: image or document, not `page`"),
        ({"node": {"words": {"min": 4, "drops": "document"}}}, "rules.node.words.drops: no such key"),
        ({"document": {"words": {"min": 4, "spares": ["heading"]}}}, "rules.document.words.spares: no such key"),
        (
            {"document": {"language": {"any_of": ["en"], "min": 1}}},
            "rules.document.language: any_of goes without min and max",
        ),
    ],
)
def test_a_wrong_table_is_one_line(table: Any, line: str) -> None:
    with pytest.raises(RuleError) as error:
        load(table)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


def test_the_levels_have_all_scores_with_one_line_on_each() -> None:
    assert set(LEVELS["image"]) == {*IMAGE_FETCHED, *IMAGE_ON_PAGE, *IMAGE_PIXELS, *IMAGE_SIMILARITY}
    assert set(NODE) < set(LEVELS["document"])
    assert all(meaning and "\n" not in meaning for level in LEVELS.values() for meaning in level.values())
