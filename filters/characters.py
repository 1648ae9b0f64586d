"""Classes of Unicode code points: lookup tables indexed by code point, built once in a process (about 0.3 s).

The classes follow Python's `str` methods (isspace, isalnum, ...), so a plain Python version of a definition gives the
same result.
"""

import sys
import unicodedata
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from manifests.hashing import splitmix64

SPACE, SPECIAL, TOKEN, POINT, ALPHA, UPPER, DIGIT, DAMAGED = (1 << i for i in range(8))

CODES = sys.maxunicode + 1
LAST_DENSE = 0x32400  # above it: unassigned planes, tags, variation selectors and private use

#: spaces that `str.isspace` does not count: object replacement (OBELICS' cond_standardize_whitespace) and zero width
MORE_SPACES = "\u200b\u2060\ufeff\ufffc"
#: code points that join or colour emoji: zero-width joiner, variation selectors, keycap
EMOJI_GLUE = "\u200d\ufe0e\ufe0f\u20e3"
FOLDED = {0x2019: 0x27, 0x02BC: 0x27}  # typographic apostrophes: don’t is the same word as don't

SCRIPTS = (
    "", "latin", "han", "kana", "hangul", "thai", "greek", "hebrew", "devanagari", "bengali", "tamil", "telugu",
    "armenian", "georgian", "lao", "khmer", "myanmar", "other",
)  # fmt: skip
_RANGES = (
    ("latin", 0x41, 0x24F), ("latin", 0x1E00, 0x1EFF), ("greek", 0x370, 0x3FF), ("greek", 0x1F00, 0x1FFF),
    ("armenian", 0x530, 0x58F), ("hebrew", 0x590, 0x5FF), ("devanagari", 0x900, 0x97F), ("bengali", 0x980, 0x9FF),
    ("tamil", 0xB80, 0xBFF), ("telugu", 0xC00, 0xC7F), ("thai", 0xE00, 0xE7F), ("georgian", 0x10A0, 0x10FF),
    ("lao", 0xE80, 0xEFF), ("myanmar", 0x1000, 0x109F), ("khmer", 0x1780, 0x17FF),
    ("hangul", 0x1100, 0x11FF), ("hangul", 0x3130, 0x318F), ("hangul", 0xAC00, 0xD7AF), ("kana", 0x3040, 0x30FF),
    ("kana", 0xFF66, 0xFF9F), ("han", 0x3400, 0x4DBF), ("han", 0x4E00, 0x9FFF), ("han", 0xF900, 0xFAFF),
    ("han", 0x20000, 0x323AF),
)  # fmt: skip


def _classes_of(char: str) -> int:
    category = unicodedata.category(char)
    space = char.isspace() or char in MORE_SPACES
    members = {
        SPACE: space,
        SPECIAL: space or category[0] in "PS" or char in "0123456789" or char in EMOJI_GLUE,
        TOKEN: char.isalnum() or char in "_'",  # the regular expression [\w']
        POINT: char in ",;:?!.",
        ALPHA: char.isalpha(),
        UPPER: char.isupper(),
        DIGIT: char.isdecimal(),
        DAMAGED: char == "\ufffd" or category == "Co" or (category == "Cc" and not space),
    }
    return sum(kind for kind, member in members.items() if member)


@lru_cache
def classes() -> NDArray[np.uint8]:
    """Class bits of every code point.

    SPECIAL is our version of OBELICS' set of special characters: white space, ASCII digits, Unicode's punctuation and
    symbols (categories P and S, which hold the emoji and OBELICS' ~150 symbols), and the code points that join emoji.
    """
    table = np.zeros(CODES, np.uint8)
    table[:LAST_DENSE] = [_classes_of(chr(code)) for code in range(LAST_DENSE)]
    table[0xF0000:] = DAMAGED  # private use planes
    return table


@lru_cache
def scripts() -> NDArray[np.uint8]:
    """Index into SCRIPTS of every code point that is a letter, 0 for the others."""
    table = np.full(CODES, SCRIPTS.index("other"), np.uint8)
    for name, low, high in _RANGES:
        table[low : high + 1] = SCRIPTS.index(name)
    table[(classes() & ALPHA) == 0] = 0
    return table


@lru_cache
def symbols() -> NDArray[np.uint64]:
    """A 64-bit number for each code point."""
    return splitmix64(np.arange(CODES, dtype=np.uint64))


@lru_cache
def folded() -> NDArray[np.int64]:
    """The folded form of each code point alone (a final sigma stays one): lower case, one apostrophe for all three."""
    lower = np.arange(CODES)
    for code in range(LAST_DENSE):
        small = chr(code).lower()
        if len(small) == 1:
            lower[code] = ord(small)
    lower[list(FOLDED)] = list(FOLDED.values())
    return lower


@lru_cache
def folded_symbols() -> NDArray[np.uint64]:
    """A 64-bit number for each code point, equal for those with the same folded form."""
    return np.take(symbols(), folded())


@lru_cache
def sentence_ends() -> NDArray[np.bool_]:
    """Which code points end a sentence: Unicode's property Sentence_Terminal (172 in Unicode 17)."""
    import regex  # type: ignore[import-untyped]  # slow to import, and needed for this property alone

    table = np.zeros(CODES, np.bool_)
    every = "".join(chr(c) for c in range(LAST_DENSE) if not 0xD800 <= c < 0xE000)
    table[[ord(c) for c in regex.findall(r"\p{Sentence_Terminal}", every)]] = True
    return table
