"""What class names, ids and roles say about an element: a table of words, read word by word.

Names are split at dashes, underscores and camel case (``postBody__text`` is post, body, text), so that ``icon`` is not found in
``silicon`` nor ``ad`` in ``shadow``: substring matching is where OBELICS' and Readability's lists misfire.
"""

from __future__ import annotations

import re
from functools import lru_cache

GOOD, BODY, JUNK, WEAK, CAPTION, MORE, HEADER, ICONIC = 1, 2, 4, 8, 16, 32, 64, 128

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")

#: never the article, wherever it stands
_JUNK = frozenset(
    ["ad", "ads", "adv", "advert", "adverts", "advertisement", "advertisements", "advertising", "advertorial", "adsense", "adslot", "adunit", "adbox", "adsbygoogle", "dfp", "gpt", "anzeige", "anzeigen", "werbung", "publicite", "publicidad", "sponsor", "sponsored", "sponsors", "outbrain", "taboola", "ligatus", "breadcrumb", "breadcrumbs", "brotkrumen", "comment", "comments", "commentlist", "commentform", "disqus", "kommentar", "kommentare", "commentaires", "comentarios", "respond", "reply", "replies", "shoutbox", "trackback", "trackbacks", "pingback", "cookie", "cookies", "consent", "gdpr", "cmp", "footer", "foot", "footers", "colophon", "login", "logon", "signin", "signup", "register", "registration", "paywall", "masthead", "nav", "navigation", "navbar", "navi", "navs", "subnav", "topnav", "mainnav", "menu", "menus", "submenu", "hamburger", "newsletter", "newsletters", "subscribe", "subscription", "mailchimp", "optin", "pager", "pagination", "paging", "paginator", "pagenav", "popup", "popups", "popover", "modal", "overlay", "tooltip", "dialog", "lightbox", "related", "relateds", "recommended", "recommendation", "recommendations", "recommend", "recirc", "recirculation", "readnext", "upnext", "share", "shares", "sharing", "sharebar", "sharebuttons", "sharethis", "sharedaddy", "social", "socials", "socialmedia", "addthis", "addtoany", "shariff", "jssocials", "sidebar", "sidebars", "sidenav", "sidebox", "skip", "skiplink", "skiplinks", "skyscraper", "tagcloud", "taglist", "tags", "toolbar", "promo", "promos", "promobox", "promotion", "promotions", "teaser", "teasers", "teaserbox", "hidden", "invisible", "print", "printonly", "feedback", "donate", "donation"]
)

#: often not the article
_WEAK = frozenset(
    ["aside", "author", "authors", "avatar", "banner", "bio", "bottom", "box", "byline", "carousel", "category", "categories", "cat", "contact", "contributor", "credits", "date", "dateline", "extra", "follow", "info", "infobox", "legal", "links", "list", "meta", "more", "navi", "next", "option", "options", "prev", "previous", "popular", "profile", "quicklinks", "rating", "ratings", "search", "shop", "shopping", "slider", "slideshow", "status", "supplemental", "tag", "tease", "time", "timestamp", "toc", "tool", "tools", "top", "topics", "trending", "twitter", "facebook", "widget", "widgets", "webring", "latest"]
)

_GOOD = frozenset(["article", "articles", "body", "content", "contents", "entry", "hentry", "main", "page", "post", "posts", "prose", "story", "text", "blog", "column", "section"])

#: the words that, joined, name the body of an article: entry-content, articleBody, post_text
_BODY_FIRST = frozenset(["article", "entry", "post", "story", "blog", "news", "main", "page", "body", "content", "single", "detail", "blogpost"])
_BODY_SECOND = frozenset(["body", "content", "contents", "text", "entry", "copy", "story", "main", "inner", "article"])
_BODY_WHOLE = frozenset(["articlebody", "entrycontent", "postcontent", "articlecontent", "storybody", "articletext", "postbody", "storytext", "bodytext"])

_CAPTION = frozenset(["caption", "captions", "legend", "figcaption", "imagecaption", "credit", "credits", "copyright", "bildunterschrift"])
_HEADER = frozenset(["header", "head", "hero", "intro", "lead", "lede", "standfirst", "subtitle", "kicker", "headline", "title"])
_ICONIC = frozenset(["icon", "icons", "avatar", "avatars", "emoji", "emojis", "smiley", "smilies", "wp-smiley", "gravatar", "logo", "logos", "sprite", "badge", "badges", "flag", "spinner"])


@lru_cache(maxsize=1 << 16)
def hint(names: str) -> int:
    """Flags for the class and id of an element, given as one string."""
    flags = 0
    for name in names.split()[:40]:
        words = [w.lower() for w in _WORD.findall(name)]
        if not words:
            continue
        flags |= _flags(words, name.lower())
    return flags


def _flags(words: list[str], name: str) -> int:
    flags = 0
    kinds = set(words)
    # "has-sidebar", "no-comments", "with-nav" tell of the page, not of the element
    state = words[0] in ("has", "no", "with", "is", "not", "show", "enable", "enabled", "page", "single", "without") and len(words) > 1
    if kinds & _JUNK and not state:
        flags |= JUNK
    if kinds & _WEAK and not state:
        flags |= WEAK
    if kinds & _GOOD:
        flags |= GOOD
    if name in _BODY_WHOLE or (len(words) >= 2 and any(a in _BODY_FIRST and b in _BODY_SECOND and a != b for a, b in zip(words, words[1:], strict=False))):
        flags |= BODY
    if kinds & _CAPTION:
        flags |= CAPTION
    if kinds & _HEADER:
        flags |= HEADER
    if kinds & _ICONIC:
        flags |= ICONIC
    if words == ["more", "link"]:
        flags |= MORE
    return flags
