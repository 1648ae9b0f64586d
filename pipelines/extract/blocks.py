"""One walk of the DOM: from the tree to leaves (paragraphs and images, in reading order) inside boxes (the elements around them).

Leaves and boxes stand in flat lists, both in document order, so the content of a box is a range of leaves, and what the scoring needs is
sums over ranges. The walk is a loop with its own stack: depth costs memory, never the interpreter's stack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines.extract import images
from pipelines.extract.hints import BODY, CAPTION, ICONIC, JUNK, MORE, VIEWER, hint, words
from pipelines.extract.nodes import Node

#: elements and leaves of a page that are looked at
MAX_ELEMENTS = 200_000

# never content, with all that is in them
_DROP = words(
    """
    script style template svg iframe object embed canvas audio video select option datalist button input textarea nav dialog head link
    meta base title map progress meter footer menu frameset noframes applet area param source track col colgroup amp-ad amp-iframe
    amp-analytics amp-sidebar amp-social-share optgroup keygen command math-field rt rp
    """
)
_INLINE = words(
    """
    a abbr acronym b bdi bdo big blink cite code data del dfn em font i ins kbd label mark marquee nobr output q ruby rb s samp small
    span strike strong sub sup time tt u var wbr math mi mn mo mrow msup msub mfrac semantics annotation picture hgroup
    """
)
_ROLES = {
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "heading"),
    **dict.fromkeys(("li", "dt", "dd"), "item"),
    **dict.fromkeys(("td", "th"), "table"),
    "blockquote": "quote",
    "figcaption": "caption",
    "caption": "caption",
}
_NOT_CONTENT_ROLES = words(
    """
    navigation menu menubar dialog alertdialog search banner contentinfo complementary toolbar tooltip button alert
    """
)
# soft hyphen, zero-width space, word joiner, byte order mark: they tell a browser where lines may break, and split words for all others
_UNSEEN = ("\u00ad", "\u200b", "\u2060", "\ufeff")
_HEADINGS = words("h1 h2 h3 h4 h5 h6")
_COMMAS = (",", "，", "、", "،")
NEVER_JUNK = words("html body main article")
_SMALL = words("p li ul ol dl dt dd h1 h2 h3 h4 h5 h6 aside figure table tr td th header")
#: most text around a picture that is its caption, characters
CAPTIONED = 200
#: text around an h1, in characters, from which it is a page and not a headline
FRAME = 1000

# what the walk does with an element: up to _PICTURE it is inline
_PLAIN, _SPAN, _LINK, _PICTURE, _BOX, _SKIP, _BREAK, _SOURCE, _IMAGE = range(9)
_KINDS: dict[str | None, int] = {
    **dict.fromkeys(_INLINE, _PLAIN),
    **dict.fromkeys(_DROP, _SKIP),
    **dict.fromkeys(("-comment", "!doctype", "-undef", "#document", None), _SKIP),
    **dict.fromkeys(("img", "amp-img", "amp-anim", "image"), _IMAGE),
    "span": _SPAN,
    "label": _SPAN,
    "a": _LINK,
    "picture": _PICTURE,
    "br": _BREAK,
    "source": _SOURCE,
}


class Box:
    """An element that is not inline. ``[first, last)`` are its leaves, ``[place, end)`` itself and the boxes inside it.

    The sums are of its leaves, and once the scoring has added them up, of the kept boxes inside it. No slots: most boxes never leave the
    class's zeros, and setting them on each would be a third of the walk.
    """

    kept = True
    chars = links = commas = images = 0
    score = 0.0

    def __init__(self, place: int, parent: int, tag: str, flags: int, first: int) -> None:
        self.place = place
        self.parent = parent
        self.tag = tag
        self.flags = flags
        self.first = first
        self.last = first
        self.end = place + 1


class Leaf:
    """A paragraph (``text``, of which ``links`` characters are link text) or an image (``node``), in box number ``box`` of tag ``tag``."""

    __slots__ = ("box", "chars", "commas", "links", "node", "role", "tag", "text")

    def __init__(self, box: Box, role: str, text: str, links: int, node: Node | None = None) -> None:
        self.box = box.place
        self.tag = box.tag
        self.role = role
        self.text = text
        self.node = node
        self.chars = chars = len(text)
        self.links = links if links < chars else chars
        self.commas = text.count(",") if text.isascii() else sum(map(text.count, _COMMAS))


@dataclass(slots=True)
class Blocks:
    """A walked page; ``skipped``: the elements named like boilerplate that were not entered."""

    boxes: list[Box]
    leaves: list[Leaf]
    skipped: list[Any]


def _hidden(attributes: dict[str, str | None]) -> bool:
    style = attributes.get("style")
    if style:
        style = style.lower().replace(" ", "")
        if "display:none" in style or "visibility:hidden" in style:
            return True
    return "hidden" in attributes and attributes["hidden"] != "until-found"


def _holds_article(element: Any) -> bool:
    """Whether an element named like boilerplate is the frame of the article: ``sidebar-right`` says what stands beside it."""
    if element.first_child is None:
        return False
    found = element.css_first("main,h1,[role=main],[itemprop=articleBody]")
    if found is None or found.tag != "h1":
        return found is not None
    return len(element.text()) >= FRAME


def _holds_picture(element: Any) -> bool:
    """Whether a lightbox or an overlay is the frame of a picture and not a window with a text in it."""
    return element.css_first("img") is not None and len(element.text(strip=True)) < CAPTIONED


def walk(root: Any, base: str, skip_junk: bool = True) -> Blocks:
    """Walk the element ``root`` (lexbor node). ``base``: the address that references are relative to.

    ``skip_junk``: do not enter boxes named like boilerplate.
    """
    box = Box(0, -1, root.tag, 0, 0)
    boxes: list[Box] = [box]
    leaves: list[Leaf] = []
    role = "paragraph"
    pieces: list[str] = []
    links = 0  # characters of link text in the pieces
    inside_link = inside_noscript = 0
    skipped: list[Any] = []
    sources: str | None = None  # of the picture element around
    budget = MAX_ELEMENTS
    path: list[Any] = []  # the open elements, and what closing each one undoes
    undo: list[int] = []
    roles: list[str] = []  # of the open boxes
    kind_of = _KINDS.get
    node = root.first_child

    while True:
        if node is None:
            if not path:
                break
            node = path.pop()
            closing = undo.pop()
            if closing == _BOX:
                if pieces:
                    _flush(leaves, pieces, box, role, links)
                    links = 0
                box.last = len(leaves)
                box.end = len(boxes)
                if box.tag == "noscript":
                    inside_noscript -= 1
                role = roles.pop()
                box = boxes[box.parent]
            elif closing == _LINK:
                inside_link -= 1
            elif closing == _PICTURE:
                sources = None
            node = node.next
            continue
        tag = node.tag
        if tag == "-text":
            if not inside_noscript:
                text = node.text_content
                if not text.isspace():
                    pieces.append(text)
                    if inside_link:
                        links += len(text.strip())
                elif pieces:
                    pieces.append(" ")
            node = node.next
            continue
        budget -= 1
        if budget < 0:
            break
        kind = kind_of(tag, _BOX)
        if kind <= _PICTURE:  # inline
            child = node.first_child
            if child is None or (kind == _SPAN and _hidden(node.attributes)):
                node = node.next
                continue
            if kind == _LINK:
                inside_link += 1
            path.append(node)
            undo.append(kind)
            node = child
            continue
        if kind == _SKIP or tag is None:
            node = node.next
            continue
        if kind == _BREAK:
            if pieces:
                if pieces[-1] == "\n" or (pieces[-1] == " " and len(pieces) > 1 and pieces[-2] == "\n"):
                    _flush(leaves, pieces, box, role, links)
                    links = 0
                else:
                    pieces.append("\n")
            node = node.next
            continue
        attributes = node.attributes
        if kind == _SOURCE:
            if sources is None:
                sources = images.usable_source(attributes)
            node = node.next
            continue
        if kind == _IMAGE:
            found = _image(attributes, sources, base)
            if found is not None:
                if pieces:
                    _flush(leaves, pieces, box, role, links)
                    links = 0
                _add_image(leaves, box, found, inside_noscript)
            node = node.next
            continue
        flags = JUNK if tag == "aside" else 0
        if attributes:
            if _hidden(attributes) or attributes.get("role") in _NOT_CONTENT_ROLES or attributes.get("aria-modal") == "true":
                node = node.next
                continue
            names = attributes.get("class") or ""
            name = attributes.get("id")
            if name and (tag not in _HEADINGS or name.isalpha()):  # a heading's id of several words is what the heading says
                names = f"{names} {name}"
            if names:
                flags |= hint(names)
            if attributes.get("itemprop") == "articleBody":
                flags |= BODY
        if pieces:
            _flush(leaves, pieces, box, role, links)
            links = 0
        if flags & JUNK and tag not in _SMALL and (_holds_article(node) or (flags & VIEWER and _holds_picture(node))):
            flags &= ~JUNK
        if skip_junk and flags & JUNK and not flags & BODY and tag not in NEVER_JUNK and box.tag != "figure":
            skipped.append(node)
            node = node.next
            continue
        if tag == "hr":
            node = node.next
            continue
        path.append(node)
        undo.append(_BOX)
        roles.append(role)
        box = Box(len(boxes), box.place, tag, flags, len(leaves))
        boxes.append(box)
        if tag in _ROLES:
            role = _ROLES[tag]
        elif role == "table" or (tag == "table" and role == "quote"):
            role = "paragraph"
        if flags & CAPTION and tag != "figure" and tag not in _HEADINGS:
            role = "caption"
        if tag == "noscript":
            inside_noscript += 1
        elif tag == "pre":
            text = _code(node.text())
            if text:
                leaves.append(Leaf(box, "code", text, 0))
            node = None
            continue
        if flags & MORE:
            leaves.append(Leaf(box, "break", "", 0))
        node = node.first_child
    if pieces:
        _flush(leaves, pieces, box, role, links)
    while True:  # what the budget left open
        box.last, box.end = len(leaves), len(boxes)
        if box.parent < 0:
            return Blocks(boxes, leaves, skipped)
        box = boxes[box.parent]


def _flush(leaves: list[Leaf], pieces: list[str], box: Box, role: str, links: int) -> None:
    """The pieces read since the last leaf become one."""
    text = " ".join("".join(pieces).split())
    pieces.clear()
    if not text.isascii():
        for unseen in _UNSEEN:
            if unseen in text:
                text = text.replace(unseen, "")
    if text:
        leaves.append(Leaf(box, role, text, links))


def _code(text: str) -> str:
    """Code keeps its lines and their indentation; blank lines at the ends and blanks at line ends go."""
    lines = [line.rstrip() for line in text.expandtabs(4).splitlines()]
    return "\n".join(line for line in lines if line).strip()


def _image(attributes: dict[str, str | None], sources: str | None, base: str) -> Node | None:
    if _hidden(attributes):
        return None
    width, height = images.size(attributes)
    if images.is_icon(width, height):
        return None
    names = attributes.get("class")
    if names and hint(names) & ICONIC and not images.is_large(width, height):
        return None
    url = images.address(attributes, sources, base)
    if url is None:
        return None
    alt = " ".join((attributes.get("alt") or "").split()) or None
    title = " ".join((attributes.get("title") or "").split()) or None
    return Node("image", image=url, alt=alt, title=title, width=width, height=height)


def _add_image(leaves: list[Leaf], box: Box, node: Node, noscript: int) -> None:
    """Append an image; one in ``<noscript>`` is the true form of the stand-in just before it, and takes its place."""
    before = leaves[-1].node if leaves else None
    if before is not None:
        if before.image == node.image:
            before.alt = before.alt or node.alt
            return
        if noscript:
            node.alt = node.alt or before.alt
            leaves[-1].node = node
            return
    leaves.append(Leaf(box, "image", "", 0, node))
