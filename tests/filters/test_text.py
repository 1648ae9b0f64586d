"""The columnar scores compared with values by hand, and with plain Python on random prose and hostile text."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.parity import split_words
from filters import flat as flat_module
from filters.text import SCORES, TextScores
from filters.wordlists import words
from tests.filters import plain
from tests.filters.make import documents

PICTURE = {"image": "http://a.example/a.png"}


def score(*rows: list[Any]) -> list[dict[str, Any]]:
    ((table, batch),) = TextScores()(documents(*rows))
    assert table == "scores"
    assert isinstance(batch, pa.RecordBatch)
    batch.validate(full=True)
    assert batch.schema == SCORES
    assert batch.num_rows == len(rows)
    return batch.to_pylist()


def check(paragraphs: list[str]) -> None:
    """Asserts that each score equals its plain definition, for one document among others and for its paragraphs."""
    (_, row, _) = score(["Something before."], paragraphs, ["And after it."])
    english = {plain.fold(w) for w in words("stop_en")}
    flagged, spam = set(words("flagged_en")), set(words("spam_en"))
    text = "\n\n".join(paragraphs)
    assert split_words(text) == plain.terms(text)
    assert row["gopher_words"] == plain.count(plain.terms(text))
    for n in (2, 3, 4):
        assert row[f"top_{n}_gram"] == pytest.approx(plain.top_gram(paragraphs, n), abs=1e-6)
    for n in range(5, 11):
        assert row[f"duplicate_{n}_grams"] == pytest.approx(plain.duplicate_grams(paragraphs, n), abs=1e-6)
    for i, paragraph in enumerate(paragraphs):
        if plain.without_blanks(paragraph):
            assert row["node_sentences"][i] is row["node_longest_word"][i] is None
            assert row["node_spaced_words"][i] == row["node_words"][i]
        else:
            assert row["node_sentences"][i] == plain.sentences(paragraph)
            assert row["node_longest_word"][i] == max(map(len, plain.runs(paragraph)), default=0)
            assert row["node_spaced_words"][i] == len(plain.runs(paragraph))
    for prefix, texts in (("", ["\n\n".join(paragraphs)]), ("node_", paragraphs)):
        for i, text in enumerate(texts):

            def value(name: str, prefix: str = prefix, i: int = i) -> Any:
                return row[f"{prefix}{name}"][i] if prefix else row[name]

            ws = plain.words(text)
            assert value("words") == plain.count(ws)
            ts = plain.terms(text)
            assert value("alpha_words") == pytest.approx(
                plain.count([t for t in ts if any(map(str.isalpha, t))]) / plain.count(ts) if ts else 0, abs=1e-6
            )
            assert value("characters") == len(text) - (0 if prefix else 2 * max(len(paragraphs) - 1, 0))
            assert value("char_repetition") == pytest.approx(plain.char_repetition(text), abs=1e-6)
            assert value("word_repetition") == pytest.approx(plain.word_repetition(text), abs=1e-6)
            assert value("special_characters") == pytest.approx(plain.special_characters(text), abs=1e-6)
            assert value("flagged_words") == pytest.approx(plain.share_of_words(text, flagged), abs=1e-6)
            assert value("spam_words") == pytest.approx(plain.share_of_words(text, spam), abs=1e-6)
            if plain.without_blanks(text):
                assert value("stop_words") is None
            elif row["language"] in (None, "en"):
                assert value("stop_words") == pytest.approx(plain.share_of_words(text, english), abs=1e-6)
            if plain.without_blanks(text) or (prefix and len(plain.tokens(text)) < 12):
                assert value("punctuation") is None
            else:
                assert value("punctuation") == pytest.approx(plain.punctuation(text), abs=1e-6)
            length = plain.mean_word_length(text)
            assert value("mean_word_length") == (None if length is None else pytest.approx(length, rel=1e-6))


PROSE = st.lists(
    st.lists(
        st.sampled_from([*words("stop_en")[:40], "Paris", "river,", "don’t", "(stone)", "2019", "share", "—", "x."]),
        max_size=60,
    ).map(" ".join),
    max_size=6,
)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
ODD = st.text(
    st.sampled_from(
        "aA. \u200f\u202e\u0627\u05d0\U0001f600\u200d\ufe0f\x00\x07\ufffdİΣς’'_-…#{漢かก\U000e0041\U0010fffd\u3000"
    ),
    max_size=120,
)


@settings(max_examples=60, deadline=None)
@given(PROSE)
@example(["your ones yours one"])  # two bigrams of the same characters with the blank in another place
def test_random_prose_has_the_plain_scores(paragraphs: list[str]) -> None:
    check(paragraphs)


MIXED = st.lists(
    st.lists(
        st.sampled_from(
            [
                *"天气很好的，。",
                "人工",
                "これは",
                "ペン",
                "です。",
                "ประเทศ",
                "ไทย",
                "ມື້",
                "GPT",
                " the ",
                " of ",
                "2019",
                " ",
                "\u3099",
            ]
        ),
        max_size=60,
    ).map("".join),
    max_size=4,
)


@settings(max_examples=80, deadline=None)
@given(MIXED)
@example(["天天天天天天天天天天天天天天天天天天天天天天天天天天天天天天天天天天天天"])
@example(["人工人工人工人工", "a 人 b a 人 b a 人 b a 人 b a 人 b"])
def test_text_without_blanks_between_words_has_the_plain_scores(paragraphs: list[str]) -> None:
    check(paragraphs)


@settings(max_examples=80, deadline=None)
@given(st.lists((ANY_TEXT | ODD).filter(lambda text: text != "---" and text[:2] != "# "), max_size=5))  # see make.node
def test_hostile_text_has_the_plain_scores(paragraphs: list[str]) -> None:
    check(paragraphs)


@pytest.mark.parametrize(
    "paragraphs",
    [
        [],
        [""],
        ["", ""],
        ["word"],
        ["😀" * 500],
        ["👩‍👩‍👧‍👦 🇫🇷 1️⃣"],
        ["\x00\x01\x02"],
        ["‮שלום עולם‬"],
        ["aaaaaaaaaaaaaaaaaaaaaaaa"],
        ["no no no no no no no no"],
    ],
)
def test_texts_without_words_and_of_one_unit(paragraphs: list[str]) -> None:
    check(paragraphs)


def test_one_line_of_five_megabytes() -> None:
    line = " ".join(f"word{i % 977}" for i in range(650_000))
    assert len(line) > 5_000_000
    (row,) = score([line])
    assert row["words"] == 650_000
    assert row["duplicate_10_grams"] == pytest.approx(plain.duplicate_grams([line], 10), abs=1e-6)
    assert row["word_repetition"] == pytest.approx(1.0)
    assert row["char_repetition"] == pytest.approx(plain.char_repetition(line), abs=1e-6)


def test_scores_equal_values_by_hand() -> None:
    (row,) = score(["The cat sat on the mat, and the dog sat too.", "Share this: subscribe now!", PICTURE, "---"])
    assert row["images"] == 1
    assert row["paragraphs"] == 2
    assert row["words"] == 15
    assert row["node_words"] == [11, 4, None, None]
    # stop words: the, on, the, and, the, too; this, now
    assert row["stop_words"] == pytest.approx(8 / 15)
    assert row["node_spam_words"][:2] == [0, 0.5]
    # `share` and `subscribe` are not stop words; the text has 15 words and 4 marks: , . : !
    assert row["punctuation"] == pytest.approx(4 / 19)
    assert row["node_punctuation"] == [pytest.approx(2 / 13), None, None, None]
    assert row["words_per_image"] == 15
    assert row["terminal_ends"] == 1
    assert row["language"] == "en"
    assert row["node_language"] == ["en", "en", None, None]


def test_repetition_equals_values_by_hand() -> None:
    # The first text repeats its four words once. Its four 5-grams, abcda bcdab cdabc dabcd, are all different.
    # The second text repeats them twice. It has 8 5-grams: each of the four occurs twice.
    (a, b) = score(["a1 b1 c1 d1 a1 b1 c1 d1".replace("1", "x")], ["ax bx cx dx ax bx cx dx ax bx cx dx"])
    assert a["word_repetition"] == 0
    assert b["word_repetition"] == 1
    # 11 character 10-grams, 10 of them different. One occurs twice. The top min(3, 1) of them are 2 of 11.
    (c,) = score(["abcdefghijabcdefghij"])
    assert c["char_repetition"] == pytest.approx(2 / 11)


def test_repetition_is_counted_in_each_paragraph_and_over_the_document() -> None:
    line = "one two three four five six seven eight nine ten eleven twelve"
    (row,) = score([line, line])
    assert row["node_word_repetition"] == [0, 0]
    # 20 5-grams: the 8 of each line occur twice, the 4 across the two lines once
    assert row["word_repetition"] == pytest.approx(16 / 20)
    assert (row["duplicate_lines"], row["duplicate_line_characters"]) == (0.5, 0.5)


def test_shares_of_lines_with_marks_and_phrases() -> None:
    (row,) = score(
        [
            "• an item",
            "- another…",
            "We use COOKIES here. Lorem IPSUM dolor {x}",
            "Enable JavaScript...",
            "İ #tag javascript and lorem",
        ],
    )
    assert row["bullets"] == pytest.approx(0.4)
    assert row["ellipsis_ends"] == pytest.approx(0.4)
    assert row["policy"] == pytest.approx(0.2)
    assert row["lorem_ipsum"] == 1
    assert row["braces"] == 1
    assert row["javascript"] == pytest.approx(0.4)
    assert row["hashes"] == pytest.approx(1 / row["gopher_words"])
    assert row["ellipses"] == pytest.approx(2 / row["gopher_words"])
    assert row["terminal_ends"] == 0


def test_the_scores_of_lines_that_c4_and_fineweb_use() -> None:
    long = "A line of more than thirty characters that ends well."
    (row,) = score(
        [
            long,
            "Cited.[1][edit]",
            "Cited. [2]",
            'He said "yes"',
            "so on...",
            "def f():\n    return 1\n\n    return 1",
            long,
        ]
    )
    assert row["node_terminal_ends"] == [1, 1, 0, 1, 0, 0, 1]
    assert row["node_sentences"] == [1, 1, 2, 1, 1, 1, 1]
    assert row["sentence_ends"] == pytest.approx(3 / 9)  # the code has three lines; its blank line does not count
    assert row["short_lines"] == pytest.approx(7 / 9)
    assert row["duplicate_lines"] == pytest.approx(2 / 9)
    assert row["lines_per_word"] == pytest.approx(8 / row["gopher_words"])


def test_numbers_count_as_words_for_gopher_alone() -> None:
    (row,) = score(["The 1,234 ships of 2019 (12) — and 3rd & last."])
    assert split_words("The 1,234 ships of 2019 (12) — and 3rd & last.") == [
        "the",
        "1,234",
        "ships",
        "of",
        "2019",
        "12",
        "and",
        "rd",
        "last",
    ]
    assert (row["words"], row["gopher_words"], row["spaced_words"]) == (6, 9, 11)
    assert row["alpha_words"] == pytest.approx(6 / 9)


def test_damaged_characters_and_word_confidence() -> None:
    page = {
        "kind": "text",
        "text": "ab\ufffd\ue000",
        "words": [{"text": "ab", "score": 0.5, "line": 0}, {"text": "c", "score": 1.0, "line": 0}],
    }
    (row, other) = score([page], ["plain"])
    assert row["damaged"] == 0.5
    assert row["word_confidence"] == 0.75
    assert other["word_confidence"] is None


def test_documents_without_nodes_and_slices_of_batches() -> None:
    documents_ = documents(["first one"], [], ["the third of them", PICTURE])
    rows = documents_.to_pylist()
    rows[1]["nodes"] = None
    batch = pa.RecordBatch.from_pylist(rows, schema=documents_.schema)
    ((_, scores),) = TextScores()(batch)
    assert scores["words"].to_pylist() == [2, 0, 4]
    assert scores["node_words"].to_pylist() == [[2], [], [4, None]]
    ((_, slice_scores),) = TextScores()(batch.slice(1, 2))
    assert slice_scores.to_pylist() == scores.slice(1, 2).to_pylist()
    ((_, no_scores),) = TextScores()(batch.slice(0, 0))
    assert no_scores.num_rows == 0


def test_scores_do_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        [f"The number {i} of the many rows, and its {j} paragraph of text." for j in range(i % 5)] for i in range(60)
    ]
    expected = score(*rows)
    monkeypatch.setattr(flat_module, "CHUNK", 100)
    assert score(*rows) == expected


def test_a_missing_word_list_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"word list `/nowhere/words.txt` cannot be read"):
        list(TextScores(flagged_words="/nowhere/words.txt")(documents(["text"])))


def test_flagged_words_by_language(tmp_path: Any) -> None:
    (tmp_path / "de.txt").write_text("Mistkerl\n")
    stage = TextScores(flagged_by_language=(("de", str(tmp_path / "de.txt")),))
    ((_, scores),) = stage(
        documents(["Das ist aber ein Mistkerl und kein porn."], ["That is a Mistkerl and the porn of them."])
    )
    # each by the list of its language
    assert scores["flagged_words"].to_pylist() == [pytest.approx(1 / 8), pytest.approx(1 / 9)]
    before = stage.programs()
    (tmp_path / "de.txt").write_text("anders\n")
    assert stage.programs() != before


def test_common_words_are_those_of_the_documents_language(tmp_path: Any) -> None:
    """The score is null without a list for the document's language, and without any list in the recipe."""
    (tmp_path / "en.txt").write_text("the mill stands by a river's\n")
    rows = documents(
        ["The mill stands by the Xyzzy.", "A river’s"], ["Das ist die Mühle am Fluss und sie ist alt."], ["---"]
    )
    ((_, scores),) = TextScores(common_words=(("en", str(tmp_path / "en.txt")),))(rows)
    assert scores["common_words"].to_pylist() == [pytest.approx(7 / 8), None, pytest.approx(0)]
    assert scores["node_common_words"].to_pylist()[0] == [pytest.approx(5 / 6), 1]
    ((_, without_list),) = TextScores()(rows)
    assert without_list["common_words"].null_count == 3
    with pytest.raises(ValueError, match="wordfreq has no words of the language `xx`"):
        TextScores(common_words=(("xx", "wordfreq"),)).programs()


def test_common_words_by_wordfreq() -> None:
    pytest.importorskip("wordfreq", reason="needs the package wordfreq")
    prose = "The miller's wheel turned slowly in the cold water, and nobody in the valley had heard of it before."
    ((_, scores),) = TextScores(common_words=(("en", "wordfreq"),))(
        documents([prose], ["the of and qwxz pfnq zzqx bbxq"])
    )
    assert scores["common_words"].to_pylist() == [1, pytest.approx(3 / 7)]


def test_a_word_list_of_the_user(tmp_path: Any) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("# mine\nmushroom Badger\n")
    ((_, scores),) = TextScores(flagged_words=str(path))(documents(["badger badger MUSHROOM snake"]))
    assert scores["flagged_words"].to_pylist() == [0.75]
