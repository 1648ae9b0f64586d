"""What class names, ids and roles say about an element: a table of words, compared word by word.

Names are split at dashes, underscores and camel case (`postBody__text` is post, body, text), so that `silicon` has no
`icon` and `shadow` no `ad`: the lists of OBELICS and Readability match substrings, and misfire there.
"""

import re
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import yaml

#: the lists of words.yaml by name
TABLES: dict[str, tuple[str, ...]] = {
    name: tuple(text.split())
    for name, text in yaml.safe_load(Path(__file__).with_name("words.yaml").read_text("utf-8")).items()
}

GOOD, BODY, JUNK, WEAK, CAPTION, MORE, ICONIC, VIEWER, AUTHOR = 1, 2, 4, 8, 16, 32, 64, 128, 256

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
# what build tools append to make a name unique (CSS modules: Layout_main__2pNav); a "nav" in it is chance
_HASH = re.compile(r"__(?=[\w-]{0,4}[A-Z0-9])[\w-]{5}\Z")
# WordPress writes the topics of a post into its class: an article about comments has tag-comments
_FILED = ("tag-", "category-")
MADE_UP = 2  # three or more pieces of so few letters on average are no words: a generator wrote them (kAdBoX)


def words(text: str) -> frozenset[str]:
    """A set, written as words with blanks between them."""
    return frozenset(text.split())


_JUNK = frozenset(TABLES["junk"])
_WEAK = frozenset(TABLES["weak"])
_GOOD = frozenset(TABLES["good"])
_BODY_FIRST = frozenset(TABLES["body_first"])
_BODY_SECOND = frozenset(TABLES["body_second"])
_BODY_WHOLE = frozenset(a + b for a in _BODY_FIRST for b in _BODY_SECOND)
_CAPTION = frozenset(TABLES["caption"])
_ICONIC = frozenset(TABLES["iconic"])
_AUTHOR = frozenset(TABLES["author"])
_PICTURES = frozenset(TABLES["pictures"])
_VIEWER = frozenset(TABLES["viewer"])
_QUOTED = frozenset(TABLES["quoted"])
_STATE = frozenset(TABLES["state"])
_JUNK_WHOLE = frozenset(TABLES["junk_whole"])

# every name with a meaning has one of these words, or is one of these names: one look tells that most have none
_TELLING = _JUNK | _WEAK | _GOOD | _BODY_FIRST | _CAPTION | _ICONIC | _AUTHOR | _VIEWER | frozenset(("more",))
_TELLING_WHOLE = _JUNK_WHOLE | _BODY_WHOLE


@lru_cache(maxsize=1 << 15)
def hint(names: str) -> int:
    """Flags for the class and id of an element, given as one string."""
    flags = 0
    post = "hentry" in names or "type-post" in names
    for name in names.split()[:40]:
        if not (post and name.startswith(_FILED)):
            flags |= _flags(name)
    return flags


@lru_cache(maxsize=1 << 16)
def _flags(name: str) -> int:
    name = _HASH.sub("", name[:100]) if "__" in name else name[:100]
    parts = [part.lower() for part in _WORD.findall(name)]
    if not parts or (len(parts) >= 3 and len("".join(parts)) <= MADE_UP * len(parts)):
        return 0
    name = name.lower()
    kinds = {_singular(part) for part in parts}
    if kinds.isdisjoint(_TELLING) and name not in _TELLING_WHOLE:
        return 0
    # "has-sidebar", "section--has-ads" and "no-comments" describe what is inside, not the element
    own = kinds
    if not _STATE.isdisjoint(parts):
        own = {_singular(part) for part in parts[: next(i for i, part in enumerate(parts) if part in _STATE)]}
    junk = own & _JUNK
    if "embed" in kinds or "embedded" in kinds:
        junk -= _QUOTED
    is_body = name in _BODY_WHOLE or any(a in _BODY_FIRST and _singular(b) in _BODY_SECOND for a, b in pairwise(parts))
    meanings = (
        (JUNK, junk or name in _JUNK_WHOLE), (WEAK, own & _WEAK), (GOOD, kinds & _GOOD), (BODY, is_body),
        (CAPTION, kinds & _CAPTION), (ICONIC, kinds & _ICONIC), (AUTHOR, own & _AUTHOR and not kinds & _PICTURES),
        (VIEWER, kinds & _VIEWER), (MORE, parts == ["more", "link"]),
    )  # fmt: skip
    return sum(flag for flag, holds in meanings if holds)


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word
