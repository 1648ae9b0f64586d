"""The text scores, written down plainly in Python, a word at a time: what the columnar code is held to.

From the definitions in OBELICS' paper (arXiv 2306.16527, A.2), not from its code.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter

EXTRA_SPACES = "\u200b\u2060\ufeff\ufffc"
EMOJI_GLUE = "\u200d\ufe0e\ufe0f\u20e3"


def is_space(c: str) -> bool:
    return c.isspace() or c in EXTRA_SPACES


def is_special(c: str) -> bool:
    return is_space(c) or unicodedata.category(c)[0] in "PS" or c in "0123456789" or c in EMOJI_GLUE


def fold(word: str) -> str:
    lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in word)
    return lower.replace("\u2019", "'").replace("\u02bc", "'")


def words(text: str) -> list[str]:
    out, word = [], ""
    for c in [*text, " "]:
        if not is_space(c):
            word += c
            continue
        while word and is_special(word[0]):
            word = word[1:]
        while word and is_special(word[-1]):
            word = word[:-1]
        if word:
            out.append(fold(word))
        word = ""
    return out


def char_repetition(text: str) -> float:
    counts = Counter(text[i : i + 10] for i in range(len(text) - 9))
    if not counts:
        return 0.0
    ordered = sorted(counts.values(), reverse=True)
    top = min(int(math.sqrt(len(ordered))), sum(c > 1 for c in ordered))
    return sum(ordered[:top]) / sum(ordered)


def word_repetition(text: str) -> float:
    ws = words(text)
    counts = Counter(tuple(ws[i : i + 5]) for i in range(len(ws) - 4))
    return sum(c for c in counts.values() if c > 1) / sum(counts.values()) if counts else 0.0


def special_characters(text: str) -> float:
    return sum(map(is_special, text)) / len(text) if text else 0.0


def share_of_words(text: str, listed: set[str]) -> float:
    ws = words(text)
    return sum(w in listed for w in ws) / len(ws) if ws else 0.0


def tokens(text: str) -> list[str]:
    return re.findall(r"[\w']+|[,;:?!.]", text)


def punctuation(text: str) -> float:
    found = tokens(text)
    return sum(t in ",;:?!." for t in found) / len(found) if found else 0.0


def mean_word_length(text: str) -> float | None:
    ws = words(text)
    return sum(map(len, ws)) / len(ws) if ws else None
