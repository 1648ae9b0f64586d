"""The text scores as plain Python, one word at a time. The tests compare the columnar code with them.

They follow the definitions in OBELICS' paper (arXiv 2306.16527, A.2), not its code.
"""

import math
import re
import unicodedata
from collections import Counter
from itertools import pairwise

from manifests.words import MARK, WORD, kinds

EXTRA_SPACES = "\u200b\u2060\ufeff\ufffc"
EMOJI_GLUE = "\u200d\ufe0e\ufe0f\u20e3"


def is_space(c: str) -> bool:
    return c.isspace() or c in EXTRA_SPACES


def is_special(c: str) -> bool:
    return is_space(c) or unicodedata.category(c)[0] in "PS" or c in "0123456789" or c in EMOJI_GLUE


def fold(word: str) -> str:
    lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in word)
    return lower.replace("\u2019", "'").replace("\u02bc", "'")


def letter(c: str) -> int:
    """The weight of a letter of a script without blanks between words, else 0."""
    kind = int(kinds()[ord(c)])
    return 0 if kind == MARK else kind


def pieces(text: str) -> list[str]:
    """Runs without white space; a letter of a script without blanks, with its marks, is a piece of its own."""
    out, inside, alone = [], False, False  # whether the last character was in a piece, and in that of a letter
    for c in text:
        if is_space(c):
            inside = alone = False
        elif letter(c):
            out.append(c)
            inside = alone = True
        elif inside and (not alone or kinds()[ord(c)] == MARK):
            out[-1] += c
        else:
            out.append(c)
            inside, alone = True, False
    return out


def runs(text: str) -> list[str]:
    return [p for p in "".join(" " if is_space(c) else c for c in text).split(" ") if p]


def words(text: str) -> list[str]:
    out = []
    for word in pieces(text):
        while word and is_special(word[0]):
            word = word[1:]
        while word and is_special(word[-1]):
            word = word[:-1]
        if word:
            out.append(fold(word))
    return out


def weight(token: str) -> int:
    return letter(token[0]) or WORD


def count(tokens_: list[str]) -> float:
    return sum(map(weight, tokens_)) / WORD


def end(tokens_: list[str], start: int, n: int) -> int | None:
    """One past the last of the tokens that are n words from ``start`` on; None where there are fewer."""
    total = 0
    for i in range(start, len(tokens_)):
        total += weight(tokens_[i])
        if total >= n * WORD:
            return i + 1
    return None


def grams(tokens_: list[str], n: int) -> list[tuple[str, ...]]:
    ends = [end(tokens_, i, n) for i in range(len(tokens_))]
    return [tuple(tokens_[i:e]) for i, e in enumerate(ends) if e is not None]


def joined(gram: tuple[str, ...]) -> str:
    text = gram[0]
    for before, token in pairwise(gram):
        text += ("" if letter(before[0]) or letter(token[0]) else " ") + token
    return text


def without_blanks(text: str) -> bool:
    """Whether more than half of the words are in scripts without blanks."""
    ws = words(text)
    return 2 * count([w for w in ws if letter(w[0])]) > count(ws)


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
    counts = Counter(grams(ts, n))
    if not counts:
        return 0.0
    most = max(counts.values())
    first = next(gram for gram, count in counts.items() if count == most)
    return len(joined(first)) * most / len(text)


def duplicate_grams(paragraphs: list[str], n: int) -> float:
    """Share of the text's characters in n-grams of words that occur earlier in the text.

    The text is read from its start. After such an n-gram, reading goes on behind it.
    """
    ts, text = terms("\n".join(paragraphs)), "\n".join(paragraphs)
    earlier, duplicate_characters, i = set(), 0, 0
    while i < len(ts) and (e := end(ts, i, n)):
        gram = tuple(ts[i:e])
        if gram in earlier:
            duplicate_characters += sum(map(len, gram))
            i = e
        else:
            earlier.add(gram)
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
    counts = Counter(grams(ws, 5))
    return sum(c for c in counts.values() if c > 1) / sum(counts.values()) if counts else 0.0


def special_characters(text: str) -> float:
    return sum(map(is_special, text)) / len(text) if text else 0.0


def share_of_words(text: str, word_list: set[str]) -> float:
    ws = words(text)
    return sum(w in word_list for w in ws) / count(ws) if ws else 0.0


def tokens(text: str) -> list[str]:
    return re.findall(r"[\w']+|[,;:?!.]", text)


def punctuation(text: str) -> float:
    pieces_ = tokens(text)
    return sum(t in ",;:?!." for t in pieces_) / len(pieces_) if pieces_ else 0.0


def mean_word_length(text: str) -> float | None:
    ws = words(text)
    return sum(map(len, ws)) / count(ws) if ws and not without_blanks(text) else None
