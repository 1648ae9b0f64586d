"""Which box is the article: paragraphs lend points to the boxes around them, and the box with the most is taken.

The idea is Readability's (Arc90 2009; Mozilla's readability.js): length and commas give points, link text takes them
away, class names say what the author calls the box. What differs: names are read word by word (hints.py), sums are
differences over ranges of leaves, and an ancestor is taken where the article comes in several pieces.
"""

from __future__ import annotations

from itertools import accumulate

from pipelines.html.blocks import Blocks, Box, Leaf
from pipelines.html.elements import NEVER_JUNK
from pipelines.html.hints import BODY, GOOD, JUNK, WEAK, words

#: shortest text that counts as a paragraph when scoring, characters (readability.js)
MIN_PARAGRAPH = 25
#: a box named like boilerplate is content all the same when it holds this share of the page's running text
MOST = 0.5
#: what a paragraph lends its box and the four boxes above (readability.js: all, a half, then a third by the level)
SHARES = (1.0, 0.5, 1 / 6, 1 / 9, 1 / 12)
#: the parent is taken instead while it adds this share of running text
CLIMB = 0.3
#: characters of a paragraph that counts when climbing
LONG = 140
#: a root with less running text than this takes its parent while that is not mostly links, characters
SMALL = 500
#: running text of an article element that is taken for whole, characters
WHOLE = 600

_TAG_POINTS = {
    "article": 10, "main": 5, "div": 5, "section": 3, "pre": 3, "td": 3, "blockquote": 3,
    "address": -3, "ol": -3, "ul": -3, "dl": -3, "dd": -3, "dt": -3, "li": -3, "form": -3,
    "h1": -5, "h2": -5, "h3": -5, "h4": -5, "h5": -5, "h6": -5, "th": -5, "header": -3,
}  # fmt: skip
_PARAGRAPH_TAGS = words("p pre blockquote li td th dd dt h1 h2 h3 h4 h5 h6 figcaption address")


def root_of(blocks: Blocks) -> Box:
    """The box that holds the article. Boxes named like boilerplate are marked as not kept on the way."""
    boxes, leaves = blocks.boxes, blocks.leaves
    _strip_junk(boxes, leaves)
    counted = leaves if all(box.kept for box in boxes) else [leaf for leaf in leaves if boxes[leaf.box].kept]
    place = 0
    if len(counted) != len(leaves):  # sums are over all leaves, so those left out count nothing
        chars = [0, *accumulate(leaf.chars if boxes[leaf.box].kept else 0 for leaf in leaves)]
        links = [0, *accumulate(leaf.links if boxes[leaf.box].kept else 0 for leaf in leaves)]
    else:
        chars = [0, *accumulate([leaf.chars for leaf in leaves])]
        links = [0, *accumulate([leaf.links for leaf in leaves])]
    _lend(boxes, counted)
    best = 0.0
    for box in boxes:
        if box.score > 0 and box.kept:
            points = _points(box, chars[box.last] - chars[box.first], links[box.last] - links[box.first])
            if points > best:
                best, place = points, box.place
    return _climb(boxes, leaves, boxes[place], chars, links) if best > 0 else boxes[0]


def _strip_junk(boxes: list[Box], leaves: list[Leaf]) -> None:
    """Mark boxes named like boilerplate, unless they hold most of the page's running text."""
    if not any(box.flags & JUNK for box in boxes):
        return
    running = [0, *accumulate([n if (n := leaf.chars - leaf.links) >= MIN_PARAGRAPH else 0 for leaf in leaves])]
    most = running[-1] * MOST
    for box in boxes:
        if box.parent >= 0 and not boxes[box.parent].kept:
            box.kept = False
        elif (
            box.flags & JUNK
            and not box.flags & BODY
            and box.tag not in NEVER_JUNK
            and running[box.last] - running[box.first] <= most
        ):
            # a zoom box around the picture of a figure is named like a pop-up
            box.kept = boxes[box.parent].tag == "figure" and any(
                leaf.node is not None for leaf in leaves[box.first : box.last]
            )


def _lend(boxes: list[Box], leaves: list[Leaf]) -> None:
    """Each paragraph lends its points to the box that holds it, and less to those above."""
    for leaf in leaves:
        chars = leaf.chars
        if chars < MIN_PARAGRAPH or leaf.role == "heading" or leaf.role == "caption":
            continue
        points = (1 + leaf.commas + (chars / 100 if chars < 300 else 3)) * (1 - leaf.links / chars)
        if leaf.role == "item" or leaf.role == "table":
            points *= 0.5
        at = boxes[leaf.box]
        if at.parent >= 0 and (at.tag in _PARAGRAPH_TAGS or at.end == at.place + 1):
            at = boxes[at.parent]
        for share in SHARES:
            at.score += points * share
            if at.parent < 0:
                break
            at = boxes[at.parent]


def _points(box: Box, chars: int, links: int) -> float:
    """Points of a box: what was lent, what its tag and its names add, less the share of link text."""
    points = box.score + _TAG_POINTS.get(box.tag, 0)
    if box.flags & BODY:
        points += 50
    elif box.flags & GOOD:
        points += 25
    if box.flags & WEAK:
        points -= 25
    return points * (1 - links / chars) if chars else points


def _climb(boxes: list[Box], leaves: list[Leaf], root: Box, chars: list[int], links: list[int]) -> Box:
    """The root, or an ancestor that holds a good deal more running text: articles come in several pieces."""
    mass = [
        0,
        *accumulate(
            [
                n - leaf.links if (n := leaf.chars - leaf.links) >= LONG and boxes[leaf.box].kept else 0
                for leaf in leaves
            ]
        ),
    ]
    best = root
    while best.parent >= 0:
        parent = boxes[best.parent]
        if best.tag == "article" and mass[best.last] - mass[best.first] > WHOLE:
            break  # what stands beside a whole article is another one
        if parent.tag in ("body", "html") and root.flags & BODY:
            break  # the page names its article
        best = parent
        more = mass[parent.last] - mass[parent.first] > (mass[root.last] - mass[root.first]) * (1 + CLIMB)
        if more and (links[parent.last] - links[parent.first]) * 2 < chars[parent.last] - chars[parent.first]:
            root = parent
    # a page of short pieces has no long paragraphs to climb by
    while root.parent >= 0:
        text, linked = chars[root.last] - chars[root.first], links[root.last] - links[root.first]
        parent = boxes[root.parent]
        if text - linked >= (SMALL * 2 if parent.tag in ("main", "article") else SMALL):
            break
        if (links[parent.last] - links[parent.first]) * 3 > chars[parent.last] - chars[parent.first]:
            break
        root = parent
    return _named(boxes, root, mass)


def _named(boxes: list[Box], root: Box, mass: list[int]) -> Box:
    """The box around the root that its author calls the body of the article, where it holds two paragraphs more: the
    root is but a part.
    """
    box = root
    while box.parent >= 0 and not box.flags & BODY and box.tag not in ("article", "main"):
        box = boxes[box.parent]
    if not box.flags & BODY or box.tag in ("body", "html") or box.flags & (JUNK | WEAK):
        return root
    return box if mass[box.last] - mass[box.first] >= mass[root.last] - mass[root.first] + 2 * LONG else root
