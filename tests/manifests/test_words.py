"""The letters that are parts of words, and how many words a text has."""

import re
import unicodedata

import numpy as np
import pytest

from manifests.words import MARK, WORD, Weights, count_words, kinds, letters


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("three plain words", 3),
        ("don’t — ever", 3),
        ("한국어 문장 입니다", 3),
        ("天气很好，我们去公园。", 9 / 1.6),
        ("コーヒーを飲む", 7 / 1.6),
        ("ประเทศไทย", 9 / 3.2),
        ("น้ำ", 2 / 3.2),  # the mark of tone belongs to its letter
        ("ភាសា", 2 / 3.2),
        ("用 GPT 写代码", 4 / 1.6 + 1),
        ("用GPT写 2024", 2 / 1.6 + 2),
        ("。，！", 1),
    ],
)
def test_words_of_a_text(text: str, words: float) -> None:
    assert count_words(text) == pytest.approx(words)


def test_letters_of_other_scripts_and_marks_have_no_weight() -> None:
    for char in "aéЖعहक한𝒳1๑。・฿":
        assert kinds()[ord(char)] == 0
    for char in "\u0e49\u3099\u102c\ufe0f":
        assert kinds()[ord(char)] == MARK
    for code in np.flatnonzero((kinds() > 0) & (kinds() < MARK)).tolist():
        assert unicodedata.category(chr(code)) in ("Lo", "Lm", "Nl", "Cn")


def test_the_class_of_letters_has_each_letter_and_no_other_character() -> None:
    every = [c for c in range(0x33000) if not 0xD800 <= c < 0xE000]
    found = {ord(c) for c in re.findall(letters(), "".join(map(chr, every)))}
    assert found == {c for c in every if 0 < kinds()[c] < MARK}


def test_ends_of_runs_of_words() -> None:
    start = np.arange(4)
    assert Weights().ends(start, 3).tolist() == [3, 4, 5, 6]
    mixed = Weights.of(np.array([WORD, 10, 10, 10], np.uint8))
    assert mixed.ends(start, 1).tolist() == [1, 3, 4, 5]  # 5: beyond the last token
    assert mixed.ends(start, 2).tolist() == [3, 5, 5, 5]
    assert mixed.count(start[:1], start[3:] + 1).tolist() == [1 + 30 / 16]
