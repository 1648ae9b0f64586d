"""The text scores as plain Python, one word at a time. The tests compare the columnar code with them.

They follow the definitions in OBELICS' paper (arXiv 2306.16527, A.2), not its code.
"""

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


def pieces(text: str) -> list[str]:
    return [p for p in "".join(" " if is_space(c) else c for c in text).split(" ") if p]


def terms(text: str) -> list[str]:
    """Words and numbers. A number is a piece with a digit and without a word, from its first digit to its last."""
    out = []
    for piece in pieces(text):
        if word := words(piece):
            out += word
        elif digits := [i for i, c in enumerate(piece) if c.isdecimal()]:
            out.append(piece[digits[0] : digits[-1] + 1])
    return out


def top_gram(paragraphs: list[str], n: int) -> float:
    """Share of the text's characters in the most frequent n-gram of words: its length times its count.

    Of several n-grams with one count, the first one is used.
    """
    ts, text = terms("\n".join(paragraphs)), "\n".join(paragraphs)
    counts = Counter(" ".join(ts[i : i + n]) for i in range(len(ts) - n + 1))
    if not counts:
        return 0.0
    most = max(counts.values())
    first = next(gram for gram, count in counts.items() if count == most)
    return len(first) * most / len(text)


def duplicate_grams(paragraphs: list[str], n: int) -> float:
    """Share of the text's characters in n-grams of words that occur earlier in the text.

    The text is read from its start. After such an n-gram, reading goes on behind it.
    """
    ts, text = terms("\n".join(paragraphs)), "\n".join(paragraphs)
    grams, duplicate_characters, i = set(), 0, 0
    while i + n <= len(ts):
        gram = tuple(ts[i : i + n])
        if gram in grams:
            duplicate_characters += sum(map(len, gram))
            i += n
        else:
            grams.add(gram)
            i += 1
    return duplicate_characters / len(text) if text else 0.0


def sentences(text: str) -> int:
    """Number of sentence ends (. ! ? and at most one closing mark, before a blank or the end), plus one for a rest."""
    ends = [i for i, c in enumerate(text) if c in ".!?" and _blank_after(text, i)]
    rest = text[ends[-1] + 1 :].lstrip("\"')]”’»") if ends else text
    return len(ends) + bool(rest)


def _blank_after(text: str, at: int) -> bool:
    after = text[at + 1 : at + 3]
    if after[:1] and after[0] in "\"')]”’»":
        after = after[1:]
    return not after or is_space(after[0])


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


def share_of_words(text: str, word_list: set[str]) -> float:
    ws = words(text)
    return sum(w in word_list for w in ws) / len(ws) if ws else 0.0


def tokens(text: str) -> list[str]:
    return re.findall(r"[\w']+|[,;:?!.]", text)


def punctuation(text: str) -> float:
    pieces_ = tokens(text)
    return sum(t in ",;:?!." for t in pieces_) / len(pieces_) if pieces_ else 0.0


def mean_word_length(text: str) -> float | None:
    ws = words(text)
    return sum(map(len, ws)) / len(ws) if ws else None
