"""What class names, ids and roles say about an element: a table of words, compared word by word.

Names are split at dashes, underscores and camel case (`postBody__text` is post, body, text), so that `silicon` has no
`icon` and `shadow` no `ad`: the lists of OBELICS and Readability match substrings, and misfire there.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

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


#: never the article
_JUNK = words(
    "ad adv advert advertisement advertising advertorial adslot adunit adbox anzeige werbung publicite publicidad "
    "reklama sponsor sponsored skyscraper promo promobox donate donation breadcrumb comment commentform commentlist "
    "kommentar commentaire comentario respond reply trackback pingback cookie consent gdpr footer colophon masthead "
    "signup logon nav navigation navbar subnav topnav mainnav sidenav menu submenu hamburger toolbar newsletter "
    "subscribe subscription optin pager pagination paging popup popover modal overlay tooltip lightbox related "
    "recommended recommendation recirculation readnext share sharing sharebutton social sidebar skiplink tagcloud "
    "invisible"
)
#: often not the article
_WEAK = words(
    "aside author avatar banner bio byline carousel category contributor credit dateline extra follow info infobox "
    "latest login meta paywall popular profile promotion rating register registration search shop shopping signin tag "
    "teaser timestamp toc tool trending"
)
_GOOD = words("body content main page post story text")
#: two words that together name the body of an article: entry-content, articleBody, post_text
_BODY_FIRST = words("article entry main post story")
_BODY_SECOND = words("body content text")
_BODY_WHOLE = frozenset(a + b for a in _BODY_FIRST for b in _BODY_SECOND)
_CAPTION = words("caption legend figcaption imagecaption credit copyright bildunterschrift")
_ICONIC = words("icon avatar emoji smiley smilie gravatar logo sprite badge flag spinner")
_AUTHOR = words("author autor auteur autore bio biography byline contributor")  # who wrote the article
#: beside such a word, the author is that of a picture
_PICTURES = words("image photo picture media figure gallery license licence caption quote")
#: laid over the page: a notice when it holds text, a viewer when it holds a picture
_VIEWER = words("overlay lightbox popup modal")
_QUOTED = words("social share")  # in the name of an embed these mean a post that the article quotes
_STATE = words("has no not with without is show enable enabled single supports off label")
_JUNK_WHOLE = words(
    "hidden is-hidden visually-hidden visuallyhidden screen-reader-text sr-only print-only noprint d-none hide"
)

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
