"""One walk of the DOM, from the tree to leaves (paragraphs and images, in reading order) in boxes (their elements).

Leaves and boxes stand in flat lists, both in document order. So the content of a box is a range of leaves, and the
scoring needs only sums over ranges. The walk is a loop with its own stack, so deep pages do not use the interpreter's.
"""

from dataclasses import dataclass
from typing import Any

from manifests.nodes import Node
from pipelines.html import elements, images
from pipelines.html.hints import BODY, CAPTION, JUNK, MORE, VIEWER, hint

MAX_ELEMENTS = 200_000  # elements of a page that are read; the rest is left out

# soft hyphen, zero-width space, word joiner, byte order mark: invisible, but they would split words
_UNSEEN = ("\u00ad", "\u200b", "\u2060", "\ufeff")
_ENDS = ".!?:;)”»"
_COMMAS = (",", "，", "、", "،")


class Box:
    """An element that is not inline. [first, last) are its leaves, [place, end) itself and the boxes inside it.

    The sums are of its leaves; content.py adds those of the kept boxes inside it. The class has no slots because most
    boxes keep its zeros: setting them on each box would take a third of the walk.
    """

    kept = True
    chars = links = commas = images = asked = 0
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
    """A paragraph (`text`, with `links` characters of link text) or an image (`node`), in box number `box`."""

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
    """A page after the walk. skipped: elements named like boilerplate that were not entered."""

    boxes: list[Box]
    leaves: list[Leaf]
    skipped: list[Any]


def walk(root: Any, base: str, skip_junk: bool = True) -> Blocks:
    """The blocks of the element `root` (a lexbor node). base: the address that references are relative to.

    skip_junk: do not enter boxes named like boilerplate.
    """
    box = Box(0, -1, root.tag, 0, 0)
    boxes: list[Box] = [box]
    leaves: list[Leaf] = []
    skipped: list[Any] = []
    role = "paragraph"  # of the current box
    roles: list[str] = []  # of the boxes around it
    pieces: list[str] = []
    links = 0  # characters of link text in the pieces
    inside_link = inside_noscript = 0
    spanned = False  # whether a span has begun or ended since the last piece
    sources: str | None = None  # srcset of the picture element around
    budget, looks = MAX_ELEMENTS, elements.LOOKS
    path: list[Any] = []  # the open elements, and the kind of each, which says what its end undoes
    undo: list[int] = []
    kind_of = elements.KINDS.get
    node = root.first_child

    while True:
        if node is None:
            if not path:
                break
            node = path.pop()
            closing = undo.pop()
            if closing == elements.BOX:
                if pieces:
                    links = _flush(leaves, pieces, box, role, links)
                box.last = len(leaves)
                box.end = len(boxes)
                if box.tag == "noscript":
                    inside_noscript -= 1
                role = roles.pop()
                box = boxes[box.parent]
            elif closing == elements.LINK:
                inside_link -= 1
            elif closing == elements.SPAN:
                spanned = True
            elif closing == elements.PICTURE:
                sources = None
            node = node.next
            continue
        tag = node.tag
        if tag == "-text":
            if not inside_noscript:
                text = node.text_content
                if not text.isspace():
                    if spanned and pieces and pieces[-1][-1] in _ENDS and text[0].isupper():
                        pieces.append(" ")  # a style sheet separates them: "in May.<span class=credit>Photo ..."
                    spanned = False
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
        kind = kind_of(tag, elements.BOX)
        if kind <= elements.PICTURE:  # inline
            child = node.first_child
            if child is None or (kind == elements.SPAN and elements.is_hidden(node.attributes)):
                node = node.next
                continue
            if kind == elements.LINK:
                attributes = node.attributes
                if "name" in attributes and "href" not in attributes:
                    kind = elements.PLAIN  # the name of a place; old pages do not close it, so it would hold the rest
                else:
                    inside_link += 1
            elif kind == elements.SPAN:
                spanned = True
            path.append(node)
            undo.append(kind)
            node = child
            continue
        if kind > elements.BOX:  # nothing in it is entered
            if kind == elements.SKIP:
                if tag in elements.ASKING and node.attributes.get("type") in elements.ASKED:
                    box.asked += 1
            elif kind == elements.SOURCE:
                sources = sources or images.usable_source(node.attributes)
            elif kind == elements.IMAGE:
                if (image := images.read(node.attributes, sources, base)) is not None:
                    if pieces:
                        links = _flush(leaves, pieces, box, role, links)
                    _add_image(leaves, box, image, inside_noscript)
            elif pieces:  # a second line break ends a paragraph
                if pieces[-1] == "\n" or (pieces[-1] == " " and len(pieces) > 1 and pieces[-2] == "\n"):
                    links = _flush(leaves, pieces, box, role, links)
                else:
                    pieces.append("\n")
            node = node.next
            continue
        attributes = node.attributes
        flags = JUNK if tag == "aside" else 0
        if attributes:
            if elements.is_apart(attributes):
                node = node.next
                continue
            names = attributes.get("class") or ""
            name = attributes.get("id")
            # an id of several words repeats the text of its heading
            if name and (tag not in elements.HEADINGS or name.isalpha()):
                names = f"{names} {name}"
            if names:
                flags |= hint(names)
            if attributes.get("itemprop") == "articleBody":
                flags |= BODY
        if pieces:
            links = _flush(leaves, pieces, box, role, links)
        if flags & JUNK and looks and tag not in elements.SMALL:
            looks -= 1
            if elements.holds_article(node) or (flags & VIEWER and elements.holds_picture(node)):
                flags &= ~JUNK
        if skip_junk and flags & JUNK and not flags & BODY and tag not in elements.NEVER_JUNK and box.tag != "figure":
            skipped.append(node)
            node = node.next
            continue
        if tag == "hr":
            node = node.next
            continue
        if attributes and "url(" in (attributes.get("style") or "") and elements.is_empty(node):
            if (image := images.read_background(attributes, base)) is not None:
                leaves.append(Leaf(box, "image", "", 0, image))
            node = node.next
            continue
        path.append(node)
        undo.append(elements.BOX)
        roles.append(role)
        box = Box(len(boxes), box.place, tag, flags, len(leaves))
        boxes.append(box)
        if tag in elements.ROLES:
            role = elements.ROLES[tag]
        elif role == "table" or (tag == "table" and role == "quote"):
            role = "paragraph"
        if flags & CAPTION and tag != "figure" and tag not in elements.HEADINGS:
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
    while True:  # close the boxes that are open where the budget ended
        box.last, box.end = len(leaves), len(boxes)
        if box.parent < 0:
            return Blocks(boxes, leaves, skipped)
        box = boxes[box.parent]


def _flush(leaves: list[Leaf], pieces: list[str], box: Box, role: str, links: int) -> int:
    """Make one leaf of the pieces since the last leaf. Returns 0, the link text of no pieces."""
    text = " ".join("".join(pieces).split())
    pieces.clear()
    if not text.isascii():
        for unseen in _UNSEEN:
            if unseen in text:
                text = text.replace(unseen, "")
    if text:
        leaves.append(Leaf(box, role, text, links))
    return 0


def _code(text: str) -> str:
    """Code with its lines and their indentation, without empty lines and without blanks at the ends of lines."""
    lines = [line.rstrip() for line in text.expandtabs(4).splitlines()]
    return "\n".join(line for line in lines if line).strip()


def _add_image(leaves: list[Leaf], box: Box, node: Node, noscript: int) -> None:
    """Append an image. An image in `<noscript>` is what the placeholder just before it stands for, and replaces it."""
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
