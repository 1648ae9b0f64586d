"""What class names, ids and roles say about an element: a table of words, read word by word.

Names are split at dashes, underscores and camel case (``postBody__text`` is post, body, text), so that ``icon`` is not found in
``silicon`` nor ``ad`` in ``shadow``: substring matching is where OBELICS' and Readability's lists misfire.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

GOOD, BODY, JUNK, WEAK, CAPTION, MORE, ICONIC = 1, 2, 4, 8, 16, 32, 64

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


def words(text: str) -> frozenset[str]:
    """A table written as words with blanks between them."""
    return frozenset(text.split())


#: never the article, wherever it stands
_JUNK = words(
    """
    ad ads adv advert adverts advertisement advertisements advertising advertorial adsense adslot adunit adbox adsbygoogle dfp gpt
    anzeige anzeigen werbung publicite publicidad sponsor sponsored sponsors outbrain taboola ligatus breadcrumb breadcrumbs
    brotkrumen comment comments commentlist commentform disqus kommentar kommentare commentaires comentarios respond reply replies
    shoutbox trackback trackbacks pingback cookie cookies consent gdpr cmp footer footers colophon logon signup masthead nav
    navigation navbar navi navs subnav topnav mainnav menu menus submenu hamburger newsletter newsletters subscribe subscription
    mailchimp optin pager pagination paging paginator pagenav popup popups popover modal overlay tooltip lightbox related relateds
    recommended recommendation recommendations recommend recirc recirculation readnext upnext share shares sharing sharebar
    sharebuttons sharethis sharedaddy social socials socialmedia addthis addtoany shariff jssocials sidebar sidebars sidenav sidebox
    skip skiplink skiplinks skyscraper tagcloud taglist toolbar promo promos promobox invisible printonly donate donation
    """
)

#: often not the article
_WEAK = words(
    """
    aside author authors avatar banner bio byline carousel category categories cat contributor credits dateline extra follow info
    infobox meta navi popular profile quicklinks rating ratings search shop shopping supplemental tag tease timestamp toc tool tools
    trending twitter facebook webring latest paywall register registration promotion login signin teaser teasers teaserbox tags
    """
)

_GOOD = words(
    """
    article articles body content contents entry hentry main page post posts prose story text blog column section
    """
)

#: the words that, joined, name the body of an article: entry-content, articleBody, post_text
_BODY_FIRST = words(
    """
    article entry post story blog news main page body content single detail blogpost
    """
)
_BODY_SECOND = words(
    """
    body content contents text entry copy story main inner article
    """
)
_BODY_WHOLE = words(
    """
    articlebody entrycontent postcontent articlecontent storybody articletext postbody storytext bodytext
    """
)

_CAPTION = words(
    """
    caption captions legend figcaption imagecaption credit credits copyright bildunterschrift
    """
)
_ICONIC = words(
    """
    icon icons avatar avatars emoji emojis smiley smilies wp-smiley gravatar logo logos sprite badge badges flag spinner
    """
)


_STATE = words("has no not with without is show enable enabled single supports off label")
_JUNK_WHOLE = words("hidden is-hidden visually-hidden screen-reader-text sr-only print-only noprint visuallyhidden d-none hide")


@lru_cache(maxsize=1 << 15)
def hint(names: str) -> int:
    """Flags for the class and id of an element, given as one string."""
    flags = 0
    for name in names.split()[:40]:
        flags |= _flags(name)
    return flags


@lru_cache(maxsize=1 << 16)
def _flags(name: str) -> int:
    parts = [part.lower() for part in _WORD.findall(name[:100])]
    if not parts:
        return 0
    name = name.lower()
    flags = 0
    kinds = set(parts)
    # "has-sidebar", "section--has-ads", "no-comments" tell of what is inside, not of the element
    own = kinds
    if not kinds.isdisjoint(_STATE):
        own = set(parts[: next(i for i, part in enumerate(parts) if part in _STATE)])
    if own & _JUNK or name in _JUNK_WHOLE:
        flags |= JUNK
    if own & _WEAK:
        flags |= WEAK
    if kinds & _GOOD:
        flags |= GOOD
    if name in _BODY_WHOLE or any(a in _BODY_FIRST and b in _BODY_SECOND and a != b for a, b in pairwise(parts)):
        flags |= BODY
    if kinds & _CAPTION:
        flags |= CAPTION
    if kinds & _ICONIC:
        flags |= ICONIC
    if parts == ["more", "link"]:
        flags |= MORE
    return flags
