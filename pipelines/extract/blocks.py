"""One walk of the DOM: from the tree to leaves (paragraphs and images, in reading order) inside boxes (the elements around them).

Leaves and boxes stand in flat lists, both in document order, so the content of a box is a range of leaves, and what the scoring needs is
sums over ranges. The walk is a loop with its own stack: depth costs memory, never the interpreter's stack.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipelines.extract import images
from pipelines.extract.hints import BODY, CAPTION, GOOD, ICONIC, JUNK, MORE, hint, words
from pipelines.extract.nodes import Node

#: elements and leaves of a page that are looked at
MAX_ELEMENTS = 200_000
#: largest side in a file name (``-100x100.jpg``) of what is a face or a teaser, pixels
THUMBNAIL = 120

# never content, with all that is in them
_DROP = words(
    """
    script style template svg iframe object embed canvas audio video select option datalist button input textarea nav dialog head link
    meta base map progress meter footer menu frameset noframes applet area param source track col colgroup amp-ad amp-iframe amp-
    analytics amp-sidebar amp-social-share optgroup keygen command math-field rt rp
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
# a paragraph inside these is still one of them
_STRONG_ROLES = frozenset(("item", "quote", "caption", "heading"))
_NOT_CONTENT_ROLES = words(
    """
    navigation menu menubar dialog alertdialog search banner contentinfo complementary toolbar tablist tooltip button alert
    """
)
_BOX, _LINK, _PLAIN = 1, 2, 0


class Box:
    """An element that is not inline. ``[first, last)`` are its leaves, ``[place, end)`` itself and the boxes inside it."""

    __slots__ = (
        "chars", "commas", "end", "first", "flags", "heads", "images", "inputs", "items", "kept", "last", "links", "long", "parent", "place",
        "score", "tag",
    )  # fmt: skip

    def __init__(self, place: int, parent: int, tag: str, flags: int, first: int) -> None:
        self.place = place
        self.parent = parent
        self.tag = tag
        self.flags = flags
        self.first = first
        self.last = first
        self.end = place + 1
        self.kept = True
        self.inputs = 0
        self.score = 0.0
        self.chars = self.links = self.commas = self.images = self.items = self.heads = self.long = 0


class Leaf:
    """A paragraph (``text``, of which ``links`` characters are link text) or an image (``node``), in box number ``box``."""

    __slots__ = ("box", "chars", "commas", "links", "node", "role", "tag", "text")

    def __init__(self, box: int, role: str, tag: str, text: str, links: int, node: Node | None = None) -> None:
        self.box = box
        self.role = role
        self.tag = tag
        self.text = text
        self.node = node
        self.chars = len(text)
        self.links = min(links, self.chars)
        commas = text.count(",")
        if not text.isascii():
            commas += text.count("，") + text.count("、") + text.count("،")
        self.commas = commas


@dataclass(slots=True)
class Blocks:
    """A walked page."""

    boxes: list[Box] = field(default_factory=list)
    leaves: list[Leaf] = field(default_factory=list)


def _hidden(attributes: dict[str, str | None]) -> bool:
    style = attributes.get("style")
    if style:
        style = style.lower().replace(" ", "")
        if "display:none" in style or "visibility:hidden" in style:
            return True
    return "hidden" in attributes and attributes["hidden"] != "until-found"


def walk(root: Any, base: str) -> Blocks:
    """Walk the element ``root`` (lexbor node). ``base``: the address that references are relative to."""
    top = Box(0, -1, root.tag, 0, 0)
    boxes: list[Box] = [top]
    leaves: list[Leaf] = []
    out = Blocks(boxes, leaves)
    box, place, role, tag_now = top, 0, "paragraph", root.tag
    pieces: list[str] = []
    links = 0  # characters of link text in the pieces
    inside_link = 0
    sources: str | None = None  # of the picture element around
    noscript = 0
    budget = MAX_ELEMENTS
    # (element to go on behind, what to undo, box, role, tag)
    stack: list[tuple[Any, int, Box, str, str]] = []
    node = root.first_child

    def flush() -> None:
        nonlocal links
        text = " ".join("".join(pieces).split())
        pieces.clear()
        if text:
            leaves.append(Leaf(place, role, tag_now, text, links))
        links = 0

    while True:
        if node is None:
            if not stack:
                break
            node, undo, box_before, role_before, tag_before = stack.pop()
            if undo == _BOX:
                if pieces:
                    flush()
                box.last = len(leaves)
                box.end = len(boxes)
                if box.tag == "noscript":
                    noscript -= 1
                box, role, tag_now = box_before, role_before, tag_before
                place = box.place
            elif undo == _LINK:
                inside_link -= 1
            else:
                sources = None
            node = node.next
            continue
        tag = node.tag
        if tag == "-text":
            if not noscript:
                text = node.text_content
                pieces.append(text)
                if inside_link:
                    links += len(text.strip())
            node = node.next
            continue
        budget -= 1
        if budget < 0:
            break
        if tag in _INLINE:
            child = node.first_child
            if child is not None:
                if tag == "a":
                    inside_link += 1
                    stack.append((node, _LINK, box, role, tag_now))
                    node = child
                    continue
                if tag == "span" or tag == "label":
                    attributes = node.attributes
                    if attributes and (
                        _hidden(attributes) or ("class" in attributes and hint(attributes["class"] or "") & (JUNK | GOOD | BODY) == JUNK)
                    ):
                        node = node.next
                        continue
                stack.append((node, _PLAIN, box, role, tag_now))
                node = child
                continue
            node = node.next
            continue
        if tag == "br":
            if pieces:
                if pieces[-1] == "\n" or (len(pieces) > 1 and pieces[-2] == "\n" and pieces[-1].isspace()):
                    flush()
                else:
                    pieces.append("\n")
            node = node.next
            continue
        if tag == "source":
            if sources is None:
                sources = images.usable_source(node.attributes)
            node = node.next
            continue
        if tag == "img" or tag == "amp-img" or tag == "amp-anim" or tag == "image":
            attributes = node.attributes
            found = _image(attributes, sources, base)
            if found is not None:
                if pieces:
                    flush()
                _add_image(leaves, place, tag_now, found, noscript)
            node = node.next
            continue
        if tag is None or tag in _DROP or tag[0] in "-!#":
            if tag == "input" or tag == "button" or tag == "textarea" or tag == "select":
                box.inputs += 1
            node = node.next
            continue
        attributes = node.attributes
        flags = 0
        if attributes:
            if _hidden(attributes) or attributes.get("role") in _NOT_CONTENT_ROLES or attributes.get("aria-modal") == "true":
                node = node.next
                continue
            names = attributes.get("class") or ""
            if attributes.get("id"):
                names = f"{names} {attributes['id']}"
            if names:
                flags = hint(names)
            if attributes.get("itemprop") == "articleBody":
                flags |= BODY
        if tag == "aside":
            flags |= JUNK
        if pieces:
            flush()
        if tag == "hr":
            node = node.next
            continue
        stack.append((node, _BOX, box, role, tag_now))
        place = len(boxes)
        box = Box(place, box.place, tag, flags, len(leaves))
        boxes.append(box)
        tag_now = tag
        if tag in _ROLES:
            if tag != "caption" or role != "caption":
                role = _ROLES[tag]
        elif role == "table" or (role == "quote" and tag == "table"):
            role = "paragraph"
        if flags & CAPTION and tag != "figure":
            role = "caption"
        if tag == "noscript":
            noscript += 1
        elif tag == "pre":
            text = _code(node.text())
            if text:
                leaves.append(Leaf(place, "code", tag, text, 0))
            node = None
            continue
        if flags & MORE:
            leaves.append(Leaf(place, "break", tag, "", 0))
        node = node.first_child
    # what the budget left open
    if pieces:
        flush()
    for _, undo, _box, _role, _tag in stack:
        if undo == _BOX:
            pass
    end, last = len(boxes), len(leaves)
    while box.parent >= 0:
        box.last, box.end = last, end
        box = boxes[box.parent]
    top.last, top.end = last, end
    return out


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
    if names and hint(names) & ICONIC:
        return None
    url = images.address(attributes, sources, base)
    if url is None:
        return None
    if width is None and (named := images.named_size(url)) and max(named) <= THUMBNAIL:
        return None
    alt = " ".join((attributes.get("alt") or "").split()) or None
    title = " ".join((attributes.get("title") or "").split()) or None
    return Node("image", image=url, alt=alt, title=title, width=width, height=height)


def _add_image(leaves: list[Leaf], place: int, tag: str, node: Node, noscript: int) -> None:
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
    leaves.append(Leaf(place, "image", tag, "", 0, node))
