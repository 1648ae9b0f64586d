"""Which leaves are the article: score the boxes, take the best, clean what stands inside it.

The idea is Readability's (Arc90 2009; Mozilla's readability.js): paragraphs lend their box and its ancestors points for length and commas,
link text takes points away, class names say what the author calls the box. What differs: names are read word by word (hints.py), everything
is sums over ranges of leaves, and images stay in their place.
"""

from __future__ import annotations

from itertools import accumulate

from pipelines.extract.blocks import Blocks, Box, Leaf
from pipelines.extract.hints import BODY, CAPTION, GOOD, JUNK, WEAK, words
from pipelines.extract.phrases import SHORT, opens_teaser

#: shortest text that counts as a paragraph when scoring, characters (readability.js)
MIN_PARAGRAPH = 25
#: a box named like boilerplate is content all the same when it holds this share of the page's running text
MOST = 0.5
#: ancestors that a paragraph lends points to
LEVELS = 5
#: the parent is taken instead while it adds this share of the points
CLIMB = 0.2
#: characters of a paragraph that counts when climbing
LONG = 140
#: a root with less running text than this takes its parent while that is not mostly links, characters
SMALL = 500
#: running text of an article element that is taken for whole, characters
WHOLE = 600
#: leaves before the root among which its headline, standfirst and first picture are looked for
LEAD = 30
#: shortest text, in characters, that does not stand twice within so many leaves
REPEATED, NEAR = 30, 8
#: largest share of the article that one line such as "Read also" may take with it
TEASER_SHARE = 0.3

_TAG_POINTS = {
    "article": 10, "main": 5, "div": 5, "section": 3, "pre": 3, "td": 3, "blockquote": 3,
    "address": -3, "ol": -3, "ul": -3, "dl": -3, "dd": -3, "dt": -3, "li": -3, "form": -3,
    "h1": -5, "h2": -5, "h3": -5, "h4": -5, "h5": -5, "h6": -5, "th": -5, "header": -3,
}  # fmt: skip
_NEVER_JUNK = words("html body main article")
_CLEANED = words(
    """
    div section ul ol dl table form header details article li center tbody tr td address figure
    """
)
_PARAGRAPH_TAGS = words(
    """
    p pre blockquote li td th dd dt h1 h2 h3 h4 h5 h6 figcaption address
    """
)


def article(blocks: Blocks) -> list[Leaf]:
    """The leaves of the article, in reading order."""
    boxes, leaves = blocks.boxes, blocks.leaves
    if not leaves:
        return []
    _strip_junk(boxes, leaves)
    points = _score(boxes, leaves)
    root = _best(boxes, leaves, points)
    _clean(boxes, leaves, root)
    return _lead(boxes, leaves, root) + _emit(boxes, leaves, root)


def _sums(leaves: list[Leaf], what: str) -> list[int]:
    return [0, *accumulate(getattr(leaf, what) for leaf in leaves)]


def _strip_junk(boxes: list[Box], leaves: list[Leaf]) -> None:
    """Mark boxes named like boilerplate, unless they hold most of the page's running text."""
    running = [0, *accumulate(leaf.chars - leaf.links if leaf.chars - leaf.links >= MIN_PARAGRAPH else 0 for leaf in leaves)]
    most = running[-1] * MOST
    for box in boxes:
        if box.parent >= 0 and not boxes[box.parent].kept:
            box.kept = False
        elif box.flags & JUNK and not box.flags & BODY and box.tag not in _NEVER_JUNK and running[box.last] - running[box.first] <= most:
            # a zoom box around the picture of a figure is named like a pop-up
            box.kept = boxes[box.parent].tag == "figure" and any(leaf.node is not None for leaf in leaves[box.first : box.last])


def _score(boxes: list[Box], leaves: list[Leaf]) -> list[float]:
    """Points of each box; also fills the sums of each kept box: characters, link characters, commas, images, items."""
    for leaf in leaves:
        box = boxes[leaf.box]
        box.chars += leaf.chars
        box.links += leaf.links
        box.commas += leaf.commas
        if leaf.node is not None:
            box.images += 1
        if leaf.role == "item":
            box.items += 1
        elif leaf.role == "heading":
            box.heads += leaf.chars
        if leaf.chars - leaf.links >= MIN_PARAGRAPH and leaf.role != "heading":
            box.long += 1
        if not box.kept or leaf.chars < MIN_PARAGRAPH or leaf.role == "heading" or leaf.role == "caption":
            continue
        points = (1 + leaf.commas + min(leaf.chars / 100, 3)) * (1 - leaf.links / leaf.chars)
        if leaf.role == "item" or leaf.role == "table":
            points *= 0.5
        at = box
        if box.tag in _PARAGRAPH_TAGS or box.end == box.place + 1:
            at = boxes[box.parent] if box.parent >= 0 else box
        share = 1.0
        for level in range(LEVELS):
            at.score += points * share
            if at.parent < 0:
                break
            at = boxes[at.parent]
            share = 0.5 if level == 0 else 1 / (3 * (level + 1))
    for box in reversed(boxes):
        if box.parent >= 0 and box.kept:
            _add(boxes[box.parent], box)
    points_of = []
    for box in boxes:
        score = box.score
        if score > 0:
            score += _TAG_POINTS.get(box.tag, 0)
            if box.flags & BODY:
                score += 50
            elif box.flags & GOOD:
                score += 25
            if box.flags & WEAK:
                score -= 25
            score *= 1 - (box.links / box.chars if box.chars else 0)
        points_of.append(score if box.kept else 0.0)
    return points_of


def _add(to: Box, box: Box) -> None:
    to.chars += box.chars
    to.links += box.links
    to.commas += box.commas
    to.images += box.images
    to.items += box.items
    to.heads += box.heads
    to.inputs += box.inputs
    to.long += box.long


def _best(boxes: list[Box], leaves: list[Leaf], points: list[float]) -> Box:
    """The box with the most points, or an ancestor that holds a good deal more running text: articles come in several pieces."""
    root = boxes[max(range(len(boxes)), key=points.__getitem__)]
    if points[root.place] <= 0:
        return boxes[0]
    mass = [0.0, *accumulate(leaf.chars - 2 * leaf.links if boxes[leaf.box].kept and leaf.chars - leaf.links >= LONG else 0 for leaf in leaves)]

    def of(box: Box) -> float:
        return mass[box.last] - mass[box.first]

    best = root
    while best.parent >= 0:
        parent = boxes[best.parent]
        if parent.tag in ("body", "html") and root.flags & BODY:
            break
        if best.tag == "article" and of(best) > WHOLE:
            break  # what stands beside a whole article is another one
        best = parent
        if of(parent) > of(root) * (1 + CLIMB) and parent.links * 2 < parent.chars:
            root = parent
    # a page of short pieces has no long paragraphs to climb by
    while root.parent >= 0 and root.chars - root.links < SMALL:
        parent = boxes[root.parent]
        if parent.links * 3 > parent.chars or (root.tag == "article" and root.chars > SMALL // 2):
            break
        root = parent
    return root


def _clean(boxes: list[Box], leaves: list[Leaf], root: Box) -> None:
    """Mark boxes inside the root that do not read like the article: children before parents, so that a parent is judged by what is left."""
    inside = boxes[root.place + 1 : root.end]
    for box in inside:
        box.chars = box.links = box.commas = box.images = box.items = box.heads = box.long = 0
        box.inputs = 0
    for leaf in leaves[root.first : root.last]:
        box = boxes[leaf.box]
        if box is root:
            continue
        box.chars += leaf.chars
        box.links += leaf.links
        box.commas += leaf.commas
        if leaf.node is not None:
            box.images += 1
        if leaf.role == "item":
            box.items += 1
        elif leaf.role == "heading":
            box.heads += leaf.chars
        if leaf.chars - leaf.links >= MIN_PARAGRAPH and leaf.role != "heading":
            box.long += 1
    for box in reversed(inside):
        if not box.kept:
            continue
        if box.tag in _CLEANED and _bad(box):
            box.kept = False
            continue
        parent = boxes[box.parent]
        if parent is not root:
            _add(parent, box)


def _bad(box: Box) -> bool:
    if box.flags & BODY:
        return False
    if not box.chars:
        return False
    density = box.links / box.chars
    weight = (25 if box.flags & GOOD else 0) - (25 if box.flags & WEAK else 0)
    if weight < 0 and box.commas < 10 and (density > 0.2 or box.chars - box.links < 200):
        return True
    if box.commas >= 10:
        return False
    if box.tag == "figure":
        return False
    if box.inputs * 3 > max(box.long, 1) and box.inputs:
        return True
    if box.chars < 25 and box.images == 0 and box.heads * 10 < box.chars * 9 and box.tag not in ("li", "td", "tr", "tbody"):
        return density > 0
    if weight < 25 and density > (0.2 if box.chars - box.links < 200 else 0.5) and (box.tag not in ("li", "td", "tr", "tbody") or density > 0.8):
        if box.tag in ("ul", "ol", "dl") and density < 0.5:
            return False
        return not (box.images == 1 and box.flags & CAPTION)
    return bool(weight >= 25 and density > 0.5)


def _emit(boxes: list[Box], leaves: list[Leaf], root: Box) -> list[Leaf]:
    gone = [False] * len(boxes)
    for box in boxes[root.place + 1 : root.end]:
        gone[box.place] = not box.kept or gone[box.parent]
    inside = leaves[root.first : root.last]
    kept = [not gone[leaf.box] for leaf in inside]
    _drop_teasers(boxes, inside, kept, root)
    return [leaf for leaf, keep in zip(inside, kept, strict=True) if keep]


def _drop_teasers(boxes: list[Box], inside: list[Leaf], kept: list[bool], root: Box) -> None:
    """Drop what a line such as "Read also" opens: the box that starts with it, or the line with the links behind it."""
    running = [0, *accumulate((leaf.chars - leaf.links) * keep for leaf, keep in zip(inside, kept, strict=True))]
    enough = running[-1] * TEASER_SHARE
    recent: dict[str, int] = {}
    for i, leaf in enumerate(inside):
        if leaf.chars >= REPEATED and (leaf.tag != "p" or leaf.role != "paragraph"):
            # sliders and zoom boxes write one caption several times; a refrain further on stays
            if i - recent.get(leaf.text, -1000) <= NEAR:
                kept[i] = False
            recent[leaf.text] = i
        if not kept[i] or not leaf.chars or leaf.chars > SHORT or not opens_teaser(leaf.text):
            continue
        short = leaf.role == "heading" or leaf.links * 2 >= leaf.chars or leaf.chars <= 40
        if not short:
            continue
        box, stop = boxes[leaf.box], i + 1
        while box is not root:
            first, last = box.first - root.first, box.last - root.first
            if any(kept[k] for k in range(first, i)) or running[last] - running[first] > enough:
                break
            stop = max(stop, last)
            box = boxes[box.parent]
        while stop < len(inside) and inside[stop].role != "heading" and inside[stop].links * 10 >= inside[stop].chars * 8 and inside[stop].chars:
            stop += 1
        for k in range(i, stop):
            kept[k] = False


def _lead(boxes: list[Box], leaves: list[Leaf], root: Box) -> list[Leaf]:
    """What stands between the headline and the root: a standfirst, the picture above the article."""
    holder = root
    while holder.parent >= 0 and holder.tag not in ("article", "main") and holder.last - holder.first - (root.last - root.first) < LEAD:
        holder = boxes[holder.parent]
    start = max(holder.first, root.first - LEAD)
    for i in range(root.first - 1, start - 1, -1):
        if leaves[i].tag == "h1":
            start = i if holder.tag not in ("article", "main") else start
            break
    else:
        if holder.tag not in ("article", "main"):
            return []
    out = []
    for leaf in leaves[start : root.first]:
        box = boxes[leaf.box]
        flags, figure = 0, False
        while box.place != holder.place and box.parent >= 0:
            if not box.kept:
                flags |= JUNK
            flags |= box.flags & WEAK if not box.flags & GOOD else 0
            figure |= box.tag == "figure"
            box = boxes[box.parent]
        if flags & JUNK or (flags & WEAK):
            continue
        if leaf.node is not None or (leaf.role == "caption" and out and out[-1].node is not None):
            out.append(leaf)
        elif leaf.chars >= 60 and leaf.links * 3 < leaf.chars and leaf.role in ("paragraph", "heading", "quote") and leaf.tag != "h1":
            out.append(leaf)
    return out
