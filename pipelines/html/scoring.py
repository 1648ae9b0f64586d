"""Which box is the article: paragraphs give points to the boxes around them, and the box with the most points is taken.

The idea is Readability's (Arc90 2009; Mozilla's readability.js): length and commas give points, link text takes them
away, class names say what the author calls the box. The differences: names are read word by word (hints.py), sums are
differences over ranges of leaves, and an ancestor is taken where the article comes in several pieces.
"""

from collections.abc import Iterable
from itertools import accumulate, compress

from pipelines.html.blocks import Blocks, Box, Leaf
from pipelines.html.elements import NEVER_JUNK
from pipelines.html.hints import BODY, GOOD, JUNK, WEAK, words

MIN_PARAGRAPH = 25  # characters of the shortest text that counts as a paragraph when scoring (readability.js)
MOST = 0.5  # a box named like boilerplate is content all the same when it holds this share of the page's running text
#: what a paragraph gives its box and the four boxes above (readability.js: all, a half, then a third by the level)
SHARES = (1.0, 0.5, 1 / 6, 1 / 9, 1 / 12)
CLIMB = 0.3  # the parent is taken instead while it adds this share of running text
LONG = 140  # characters of the shortest paragraph that counts when climbing
SMALL = 500  # characters of running text below which a root takes its parent, while that is not mostly links
WHOLE = 600  # characters of running text from which an article element is taken to be the whole article

_TAG_POINTS = {
    "article": 10, "main": 5, "div": 5, "section": 3, "pre": 3, "td": 3, "blockquote": 3,
    "address": -3, "ol": -3, "ul": -3, "dl": -3, "dd": -3, "dt": -3, "li": -3, "form": -3,
    "h1": -5, "h2": -5, "h3": -5, "h4": -5, "h5": -5, "h6": -5, "th": -5, "header": -3,
}  # fmt: skip
_PARAGRAPH_TAGS = words("p pre blockquote li td th dd dt h1 h2 h3 h4 h5 h6 figcaption address")


class Sums:
    """Sums over ranges of leaves, in constant time."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self.ends = [0, *accumulate(numbers)]

    def of(self, box: Box) -> int:
        """The sum over the leaves of a box."""
        return self.ends[box.last] - self.ends[box.first]


def root_of(blocks: Blocks) -> Box:
    """The box that holds the article. Boxes named like boilerplate are marked as not kept on the way."""
    boxes, leaves = blocks.boxes, blocks.leaves
    _strip_junk(boxes, leaves)
    kept = [boxes[leaf.box].kept for leaf in leaves]
    # sums are over all leaves, so those that are left out count nothing
    chars = Sums([leaf.chars if keep else 0 for leaf, keep in zip(leaves, kept, strict=True)])
    links = Sums([leaf.links if keep else 0 for leaf, keep in zip(leaves, kept, strict=True)])
    _lend(boxes, list(compress(leaves, kept)))
    best, root = 0.0, boxes[0]
    for box in boxes:
        if box.score > 0 and box.kept and (points := _points(box, chars.of(box), links.of(box))) > best:
            best, root = points, box
    return _climb(boxes, leaves, root, chars, links) if best > 0 else root


def _strip_junk(boxes: list[Box], leaves: list[Leaf]) -> None:
    """Mark boxes named like boilerplate as not kept, unless they hold most of the page's running text."""
    if not any(box.flags & JUNK for box in boxes):
        return
    running = Sums([n if (n := leaf.chars - leaf.links) >= MIN_PARAGRAPH else 0 for leaf in leaves])
    most = running.ends[-1] * MOST
    for box in boxes:
        if box.parent >= 0 and not boxes[box.parent].kept:
            box.kept = False
        elif box.flags & JUNK and not box.flags & BODY and box.tag not in NEVER_JUNK and running.of(box) <= most:
            # a zoom box around the picture of a figure has a name like a pop-up
            inside = leaves[box.first : box.last]
            box.kept = boxes[box.parent].tag == "figure" and any(leaf.node is not None for leaf in inside)


def _lend(boxes: list[Box], leaves: list[Leaf]) -> None:
    """Give the points of each paragraph to the box that holds it, and less to the boxes above."""
    for leaf in leaves:
        chars = leaf.chars
        if chars < MIN_PARAGRAPH or leaf.role == "heading" or leaf.role == "caption":
            continue
        points = (1 + leaf.commas + (chars / 100 if chars < 300 else 3)) * (1 - leaf.links / chars)
        if leaf.role == "item" or leaf.role == "table":
            points *= 0.5
        box = boxes[leaf.box]
        if box.parent >= 0 and (box.tag in _PARAGRAPH_TAGS or box.end == box.place + 1):
            box = boxes[box.parent]
        for share in SHARES:
            box.score += points * share
            if box.parent < 0:
                break
            box = boxes[box.parent]


def _points(box: Box, chars: int, links: int) -> float:
    """Points of a box: those of its paragraphs, those of its tag and its names, less the share of link text."""
    points = box.score + _TAG_POINTS.get(box.tag, 0)
    if box.flags & BODY:
        points += 50
    elif box.flags & GOOD:
        points += 25
    if box.flags & WEAK:
        points -= 25
    return points * (1 - links / chars) if chars else points


def _climb(boxes: list[Box], leaves: list[Leaf], root: Box, chars: Sums, links: Sums) -> Box:
    """The root, or an ancestor that holds a good deal more running text: articles come in several pieces."""
    mass = Sums([n - x.links if (n := x.chars - x.links) >= LONG and boxes[x.box].kept else 0 for x in leaves])
    best = root
    while best.parent >= 0:
        parent = boxes[best.parent]
        if best.tag == "article" and mass.of(best) > WHOLE:
            break  # what stands beside a whole article is another article
        if parent.tag in ("body", "html") and root.flags & BODY:
            break  # the page names its article
        best = parent
        if mass.of(parent) > mass.of(root) * (1 + CLIMB) and links.of(parent) * 2 < chars.of(parent):
            root = parent
    while root.parent >= 0:  # a page of short pieces has no long paragraphs to climb by
        parent = boxes[root.parent]
        if chars.of(root) - links.of(root) >= (SMALL * 2 if parent.tag in ("main", "article") else SMALL):
            break
        if links.of(parent) * 3 > chars.of(parent):
            break
        root = parent
    return _named(boxes, root, mass)


def _named(boxes: list[Box], root: Box, mass: Sums) -> Box:
    """The box around the root that is named like an article's body, if it holds two paragraphs more; else the root."""
    box = root
    while box.parent >= 0 and not box.flags & BODY and box.tag not in ("article", "main"):
        box = boxes[box.parent]
    if not box.flags & BODY or box.tag in ("body", "html") or box.flags & (JUNK | WEAK):
        return root
    return box if mass.of(box) >= mass.of(root) + 2 * LONG else root
