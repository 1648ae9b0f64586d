"""What each element means to the walk, by tag, role and style; which boxes named like boilerplate hold the article."""

from collections.abc import Mapping
from typing import Any

from pipelines.html.hints import TABLES, words

_DROP = frozenset(TABLES["dropped"])
_INLINE = frozenset(TABLES["inline"])
ROLES = {
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "heading"),
    **dict.fromkeys(("li", "dt", "dd"), "item"),
    **dict.fromkeys(("td", "th"), "table"),
    **{"blockquote": "quote", "figcaption": "caption", "caption": "caption"},
}
_APART = frozenset(TABLES["apart"])
HEADINGS = words("h1 h2 h3 h4 h5 h6")
ASKING = words("input textarea select")
# types of fields that a reader fills in; not the checkbox, which recipes have in each line
ASKED = frozenset((None, "text", "email", "password", "tel"))
NEVER_JUNK = words("html body main article")
SMALL = words("p li ul ol dl dt dd h1 h2 h3 h4 h5 h6 aside figure table tr td th header")
_VISIBLE = words("img amp-img picture video iframe svg canvas object")
CAPTIONED = 200  # characters of the longest text around a picture that is its caption
FEW = 16  # nodes within an element that is only the frame of a background
FRAME = 1000  # characters of text around an h1 from which the element holds a page and not a headline
LOOKS = 100  # elements of a page that are searched for the article they may hold

# what the walk does with an element; up to PICTURE it is inline
PLAIN, SPAN, LINK, PICTURE, BOX, SKIP, BREAK, SOURCE, IMAGE = range(9)
KINDS: dict[str | None, int] = {
    **dict.fromkeys(_INLINE, PLAIN),
    **dict.fromkeys(_DROP, SKIP),
    **dict.fromkeys(("-comment", "!doctype", "-undef", "#document", None), SKIP),
    **dict.fromkeys(("img", "amp-img", "amp-anim", "image"), IMAGE),
    **{"span": SPAN, "label": SPAN, "a": LINK, "picture": PICTURE, "br": BREAK, "source": SOURCE},
}


def is_hidden(attributes: Mapping[str, str | None]) -> bool:
    """Whether its style or its attribute `hidden` hides an element."""
    style = attributes.get("style")
    style = style.lower().replace(" ", "") if style else ""
    if "display:none" in style or "visibility:hidden" in style:
        return True
    return "hidden" in attributes and attributes["hidden"] != "until-found"


def is_apart(attributes: Mapping[str, str | None]) -> bool:
    """Whether an element is hidden, or its role says that it is no content."""
    return is_hidden(attributes) or attributes.get("role") in _APART or attributes.get("aria-modal") == "true"


def is_empty(element: Any) -> bool:
    """Whether an element has at most FEW nodes, and neither text nor picture: a reader sees only its background."""
    waiting, count = [element.first_child], 0
    while waiting:
        node = waiting.pop()
        while node is not None:
            count += 1
            tag = node.tag
            if count > FEW or tag in _VISIBLE or (tag == "-text" and not node.text_content.isspace()):
                return False
            waiting.append(node.first_child)
            node = node.next
    return True


def holds_article(element: Any) -> bool:
    """Whether an element named like boilerplate holds the article: `sidebar-right` may name what stands beside it."""
    selector = "main,h1,[role=main],[itemprop=articleBody]"
    match = element.css_first(selector) if element.first_child is not None else None
    return match is not None and (match.tag != "h1" or len(element.text()) >= FRAME)


def holds_picture(element: Any) -> bool:
    """Whether a lightbox or an overlay is the frame of a picture, and not a window with text."""
    return element.css_first("img") is not None and len(element.text(strip=True)) < CAPTIONED
