"""How many words a text has where its script has no blanks between words: the one rule of every count and n-gram.

Chinese, Japanese, Thai, Lao, Khmer and Burmese are written without blanks between words. There each letter, with the
marks on it, is a token, and counts as a part of a word: 1.6 letters of Chinese or Japanese are a word, and 3.2 letters
of Thai, Lao, Khmer or Burmese. In all other text, Korean too, a word is what stands between blanks, and counts as one.

The numbers are mean lengths of words in running text. Chinese: 1.62, Japanese: 1.70 (the frequency lists of wordfreq
3.1, which are segmented by jieba and MeCab). Thai: 3.0 and 3.2 letters without marks (the frequency lists of the Thai
Textbook Corpus and of the Thai National Corpus in PyThaiNLP 5.4). Lao, Khmer and Burmese have Thai's number, because
there are no such lists for them.

``n`` words in a row are as many tokens as are ``n`` words together: 13 words are 13 English words, 21 Chinese letters,
42 Thai ones. So a limit or an n-gram of words asks the same of every language, as it does in pipelines that segment
(FineWeb-2, arXiv 2506.20920). No segmenter is used: each is a package for one language, its words change with its
version, and the tokens of a copied sentence depend on what stands around it.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]

WORD: Final = 16  # weight of a word between blanks; the weight of a letter is a whole number of sixteenths
MARK: Final = 255  # in `kinds`: a mark, which belongs to the letter before it
_HAN_KANA, _SOUTH_EAST = 10, 5  # 16 / 1.6 and 16 / 3.2
#: blocks of Unicode, with the weight of their letters (categories L and Nl)
_BLOCKS: Final = (
    (0x0E00, 0x0EFF, _SOUTH_EAST),  # Thai, Lao
    (0x1000, 0x109F, _SOUTH_EAST),  # Myanmar
    (0x1780, 0x17FF, _SOUTH_EAST),  # Khmer
    (0x3005, 0x3007, _HAN_KANA),  # 々 〆 〇
    (0x3021, 0x303C, _HAN_KANA),
    (0x3041, 0x30FF, _HAN_KANA),  # Hiragana, Katakana
    (0x31F0, 0x31FF, _HAN_KANA),
    (0xA9E0, 0xA9FF, _SOUTH_EAST),
    (0xAA60, 0xAA7F, _SOUTH_EAST),
    (0xFF66, 0xFF9F, _HAN_KANA),  # half-width Katakana
    (0x1AFF0, 0x1B16F, _HAN_KANA),
)
#: blocks that hold ideographs alone
_IDEOGRAPHS: Final = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))
FIRST: Final = _BLOCKS[0][0]  # no letter of these scripts is below it


@lru_cache
def kinds() -> npt.NDArray[np.uint8]:
    """Of each code point: the weight of a letter of these scripts, `MARK` for a combining mark, 0 for all others."""
    table = np.zeros(sys.maxunicode + 1, np.uint8)
    for code in (*range(0x300, 0x3400), *range(0xA000, 0xAC00), *range(0xFE00, 0xFE30), *range(0x10000, 0x1EA00)):
        if unicodedata.category(chr(code))[0] == "M":
            table[code] = MARK
    table[0xE0100:0xE01F0] = MARK  # variation selectors
    for low, high in _IDEOGRAPHS:
        table[low : high + 1] = _HAN_KANA
    for low, high, weight in _BLOCKS:
        for code in range(low, high + 1):
            if unicodedata.category(chr(code)) in ("Lo", "Lm", "Nl"):
                table[code] = weight
    return table


@lru_cache
def letters() -> str:
    """The letters of these scripts as a class of characters, for RE2 and for `re`: ``[ก-ะ...]``."""
    place = np.flatnonzero((kinds() > 0) & (kinds() < MARK))
    runs = np.split(place, np.flatnonzero(np.diff(place) > 1) + 1)
    return "[" + "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in runs) + "]"


@lru_cache
def _letter() -> re.Pattern[str]:
    return re.compile(letters())


_RUN = re.compile(r"\S*\w\S*")  # a run between blanks that is not of marks alone


def count_words(text: str) -> float:
    """The number of words of a text: runs between blanks, and its letters of these scripts by their weights."""
    if text.isascii() or not (found := _letter().findall(text)):
        return len(text.split())
    table = kinds()
    rest = "".join(" " if 0 < table[ord(c)] < MARK else "" if table[ord(c)] == MARK else c for c in text)
    return sum(int(table[ord(c)]) for c in found) / WORD + len(_RUN.findall(rest))


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights of consecutive tokens. ``totals``: their running totals from 0, None where each token is a word."""

    totals: I64 | None = None

    @staticmethod
    def of(weights: npt.NDArray[np.uint8] | None) -> Weights:
        if weights is None:
            return Weights()
        totals = np.zeros(len(weights) + 1, np.int64)
        np.cumsum(weights, out=totals[1:])
        return Weights(totals)

    def count(self, start: I64, end: I64) -> npt.NDArray[np.float64] | I64:
        """The number of words of each slice of the tokens."""
        return end - start if self.totals is None else (self.totals[end] - self.totals[start]) / WORD

    def ends(self, start: I64, words: int) -> I64:
        """One past the last of the tokens that are ``words`` words from each ``start`` on.

        Where there are fewer tokens, it is beyond their number.
        """
        if self.totals is None:
            return start + words
        return np.asarray(np.searchsorted(self.totals, self.totals[start] + words * WORD), np.int64)
