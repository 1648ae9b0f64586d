"""Rules on texts in languages that are written without blanks between words."""

from typing import Any

import pytest

from filters.decide import Decide
from filters.image import page_columns
from filters.rules import load
from filters.scores import NEED_BLANKS
from filters.text import TextScores
from manifests.schema import NODE
from tests.articles import ARTICLES
from tests.filters.make import documents, zipped

PICTURE = {"image": "https://a.example/bridge.jpg"}
LANGUAGES = sorted(ARTICLES)
# languages whose articles the tests do not have
OTHERS = {
    "lo": "ປະເທດລາວຕັ້ງຢູ່ໃນອາຊີຕາເວັນອອກສຽງໃຕ້",
    "km": "ប្រទេសកម្ពុជាស្ថិតនៅអាស៊ីអាគ្នេយ៍",
    "my": "မြန်မာနိုင်ငံသည်အရှေ့တောင်အာရှတွင်ရှိသည်",
}


def decided(preset: str, language: str, *rows: list[Any]) -> list[dict[str, Any]]:
    """The decisions on documents by a preset, for a language."""
    rules = load({"preset": preset, "document": {"language": {"any_of": [language]}}})
    batch = documents(*rows)
    ((_, scores),) = TextScores()(batch)
    ((_, decisions),) = Decide(rules)(zipped(batch, scores))
    return decisions.to_pylist()


def scores(*rows: list[Any]) -> list[dict[str, Any]]:
    ((_, batch),) = TextScores()(documents(*rows))
    return batch.to_pylist()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("preset", ["obelics", "interleaved", "gopher", "fineweb", "pdf"])
def test_an_article_passes_the_rules_with_all_its_paragraphs(language: str, preset: str) -> None:
    paragraphs, _ = ARTICLES[language]
    (row,) = decided(preset, language, [PICTURE, *paragraphs])
    assert (row["keep"], row["reason"]) == (True, None)
    assert all(row["node_keep"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_caption_passes_the_rules_of_pairs_and_a_single_word_does_not(language: str) -> None:
    paragraphs, caption = ARTICLES[language]
    for preset in ("pairs", "coyo", "datacomp"):
        rows = decided(preset, language, [PICTURE, caption], [PICTURE, caption[:2]], [PICTURE, *paragraphs * 6])
        words = "words" if preset == "pairs" else "spaced_words"
        most = None if preset == "datacomp" else f"{words}_high"
        assert [r["reason"] for r in rows] == [None, f"{words}_low", most]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_rules_that_need_no_blanks_still_drop(language: str) -> None:
    paragraphs, _ = ARTICLES[language]
    copies = [PICTURE, *[paragraphs[0]] * 4]
    short, long_ = [PICTURE, paragraphs[0][:6]], [PICTURE, *(p[:-1] + str(n) for n in range(40) for p in paragraphs)]
    rows = decided("obelics", language, copies, short, long_)
    assert rows[0]["reason"] in ("char_repetition_high", "word_repetition_high")
    assert [r["reason"] for r in rows[1:]] == ["words_low", "words_high"]
    (row,) = decided("gopher", language, [PICTURE, *paragraphs, *paragraphs])
    assert row["reason"].startswith("duplicate_line")


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_blanks_define_is_null(language: str) -> None:
    paragraphs, _ = ARTICLES[language]
    (row,) = scores([*paragraphs])
    assert 140 < row["words"] < 240  # five paragraphs of two or three sentences
    assert row["language"] == language
    assert all(row[name] is None for name in NEED_BLANKS - {"common_words"})
    assert all(row[f"node_{name}"] == [None] * 5 for name in ("mean_word_length", "punctuation", "stop_words"))


def test_the_languages_of_scripts_that_one_language_uses() -> None:
    rows = scores(*([text] for text in OTHERS.values()))
    assert [row["language"] for row in rows] == list(OTHERS)
    assert [row["stop_words"] for row in rows] == [None] * 3
    assert all(row["words"] > 5 for row in rows)


def test_mixed_text_is_judged_by_what_most_of_it_is() -> None:
    english = "The boatman of the lake has said that it is the old bridge of stone and that it was built by hand. "
    (row,) = scores([english * 3, "清晨的湖面上还笼罩着一层薄雾，几只白鹭", "我们用 GPT-4 写代码和文章给大家看"])
    assert row["words"] == 3 * 22 + 18 / 1.6 + 13 / 1.6 + 1
    assert row["language"] == "en" and row["stop_words"] > 0.3
    assert [value is None for value in row["node_stop_words"]] == [False, True, True]


def test_a_document_with_such_letters_changes_no_score_of_the_documents_beside_it() -> None:
    english = ["The bridge of the town, and the bridge of the town, and the bridge of the town. 1,200 of them."] * 2
    alone, beside = scores(english), scores([ARTICLES["th"][1]], english, [*ARTICLES["zh"][0]])
    assert beside[1] == alone[0]


def test_words_of_an_alternative_text() -> None:
    import pyarrow as pa

    alts = ["an old bridge", "夕日を眺めながら橋の上で休む観光客", "", None, "橋 on a lake"]
    nodes = pa.array([{"kind": "image", "image": "https://a.example/1", "alt": alt} for alt in alts], pa.struct(NODE))
    assert page_columns(nodes)["alt_words"].to_pylist() == [3, 17 / 1.6, 0, 0, 3.625]
