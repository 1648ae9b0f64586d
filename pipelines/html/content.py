"""The article out of its box: remove what does not belong to it, add what stands just above it."""

import re
from itertools import takewhile

from manifests.nodes import Node
from pipelines.html.blocks import Blocks, Box, Leaf
from pipelines.html.hints import AUTHOR, BODY, GOOD, ICONIC, JUNK, WEAK, hint, words
from pipelines.html.phrases import SHORT, closes, opens_teaser
from pipelines.html.scoring import MIN_PARAGRAPH, Sums, root_of

#: leaves before the root that are searched for its standfirst and first picture; fewer of them where only the h1 says
#: that they belong to it
LEAD, BELOW_H1 = 30, 20
PICTURE = 150  # pixels of the shortest side that a picture there states (obelics.yaml: 150)
#: leaves above a headline that may be its picture and the caption; pixels of the width from which a picture is
ABOVE, WIDE = 3, 500
LABEL = 60  # characters of the longest text beside each field of a form that is filled in
PORTRAIT = 600  # characters of the longest text about the author
STANDFIRST = 60  # characters of the shortest standfirst
REPEATED, NEAR = 30, 8  # characters of the shortest caption that does not stand twice within NEAR leaves
ALL_LINK = 0.8  # share of link text from which a paragraph is only a link
END = 4  # lines at the end of an article that may be its publisher's requests
TEASER_SHARE = 0.3  # largest share of the article that one line such as "Read also" may remove

# "cropped-" is what WordPress calls the pictures of a site's header
_SITES = re.compile(r"/cropped-|/headers?/|logo|banner", re.I)
_CLEANED = words("div section ul ol dl table form header details article li center tbody tr td address figure")
_WHOLES = words("article main")
_PROSE = words("paragraph heading quote")
_CELLS = words("li td tr tbody")
_LISTS = words("ul ol dl")


def article(blocks: Blocks) -> list[Leaf]:
    """The leaves of the article, in reading order."""
    if not blocks.leaves:
        return []
    root = root_of(blocks)
    _clean(blocks.boxes, blocks.leaves, root)
    return _lead(blocks.boxes, blocks.leaves, root) + _emit(blocks.boxes, blocks.leaves, root)


def _clean(boxes: list[Box], leaves: list[Leaf], root: Box) -> None:
    """Mark boxes in the root that do not read like the article, children first: a parent has only what is left."""
    inside = boxes[root.place + 1 : root.end]
    for leaf in leaves[root.first : root.last]:
        box = boxes[leaf.box]
        box.chars += leaf.chars
        box.links += leaf.links
        box.commas += leaf.commas
        if leaf.node is not None:
            box.images += 1
    for box in reversed(inside):
        box.kept = box.kept and not (box.tag in _CLEANED and _bad(box) and not _quotes(boxes, box))
        if not box.kept:
            continue
        parent = boxes[box.parent]
        parent.chars += box.chars
        parent.links += box.links
        parent.commas += box.commas
        parent.images += box.images
        parent.asked += box.asked


def _quotes(boxes: list[Box], box: Box) -> bool:
    """Whether a box is only the frame of a quotation, such as a post with its links and its date."""
    inside = boxes[box.place + 1] if box.end > box.place + 1 else box
    return inside.tag == "blockquote" and inside.end == box.end and box.links * 2 <= box.chars


def _bad(box: Box) -> bool:
    """Whether the text, links, fields and names of a box are not those of an article."""
    if box.flags & BODY or not box.chars:
        return False
    if box.flags & AUTHOR and box.chars < PORTRAIT and box.images <= 1:
        return True  # about the author
    if box.asked > 1 and box.chars < LABEL * box.asked:
        return True  # a form
    density = box.links / box.chars
    weight = (25 if box.flags & GOOD else 0) - (25 if box.flags & WEAK else 0)
    if weight < 0 and box.commas < 10 and (density > 0.2 or box.chars - box.links < 200):
        return True
    if box.tag == "figure" and box.images:
        return False  # its caption may be one link, to the photographer
    if weight >= 25:
        return density > 0.5
    dense = density > (0.2 if box.chars - box.links < 200 else 0.5) and (box.tag not in _CELLS or density > 0.8)
    return dense and (box.tag not in _LISTS or density >= 0.5)


def _emit(boxes: list[Box], leaves: list[Leaf], root: Box) -> list[Leaf]:
    """The leaves of the root that stand in kept boxes, without teasers and closing lines."""
    gone = [False] * len(boxes)
    for box in boxes[root.place + 1 : root.end]:
        gone[box.place] = not box.kept or gone[box.parent]
    inside = leaves[root.first : root.last]
    kept = [not gone[leaf.box] for leaf in inside]
    _drop_teasers(boxes, inside, kept, root)
    for i in [i for i, leaf in enumerate(inside) if kept[i] and leaf.chars][-END:]:
        kept[i] = len(inside) <= 2 * END or not closes(inside[i].text)
    return [leaf for leaf, keep in zip(inside, kept, strict=True) if keep]


def _drop_teasers(boxes: list[Box], inside: list[Leaf], kept: list[bool], root: Box) -> None:
    """Drop what a line such as "Read also" opens: the box that starts with it, or the line with the links behind it."""
    running = Sums((leaf.chars - leaf.links) * keep for leaf, keep in zip(inside, kept, strict=True)).ends
    enough = running[-1] * TEASER_SHARE
    recent: dict[str, int] = {}
    for i, leaf in enumerate(inside):
        if leaf.chars >= REPEATED and leaf.role == "caption":
            # sliders and zoom boxes repeat a caption; a refrain further on stays
            if i - recent.get(leaf.text, -1000) <= NEAR:
                kept[i] = False
            recent[leaf.text] = i
        if leaf.tag == "p" and leaf.chars >= MIN_PARAGRAPH and leaf.links >= ALL_LINK * leaf.chars:
            kept[i] = False  # it is only the link to another page
        if not kept[i] or not leaf.chars or leaf.chars > SHORT or not opens_teaser(leaf.text):
            continue
        if leaf.role != "heading" and leaf.links * 2 < leaf.chars and leaf.chars > 40:
            continue
        box, stop = boxes[leaf.box], i + 1
        while box is not root:
            first, last = box.first - root.first, box.last - root.first
            if any(kept[k] for k in range(first, i)) or running[last] - running[first] > enough:
                break
            stop = max(stop, last)
            box = boxes[box.parent]
        links = takewhile(lambda x: x.role != "heading" and 0 < x.chars * 8 <= x.links * 10, inside[stop:])
        stop += sum(1 for _ in links)
        kept[i:stop] = [False] * (stop - i)


def _lead(boxes: list[Box], leaves: list[Leaf], root: Box) -> list[Leaf]:
    """What stands between the headline and the root: a standfirst, and the picture above the article.

    They stand in the article or main element around the root, else below the h1. The headline is the page's title.
    """
    holder, size = root, root.last - root.first
    while holder.parent >= 0 and holder.tag not in _WHOLES and holder.last - holder.first - size < LEAD:
        holder = boxes[holder.parent]
    start = max(holder.first, root.first - LEAD)
    above = range(root.first - 1, max(-1, root.first - BELOW_H1 - 1), -1)
    headline = next((i for i in above if leaves[i].tag == "h1"), root.first)
    if holder.tag not in _WHOLES or headline < start:
        start = headline
        while holder.first > start:
            holder = boxes[holder.parent]
    out = _above(boxes, leaves, start) if leaves[start].tag == "h1" else []
    texts = {leaf.text for leaf in leaves[root.first : root.last] if leaf.chars >= STANDFIRST}
    for leaf in leaves[start : root.first]:
        if leaf.text in texts or not _in_good_company(boxes, boxes[leaf.box], holder):
            continue
        if leaf.node is not None:
            if _is_picture(leaf.node):
                out.append(leaf)
        elif leaf.role == "caption":
            if out and out[-1].node is not None:
                out.append(leaf)
        elif leaf.chars >= STANDFIRST and leaf.links * 3 < leaf.chars and leaf.role in _PROSE and leaf.tag != "h1":
            out.append(leaf)
    return out


def _above(boxes: list[Box], leaves: list[Leaf], headline: int) -> list[Leaf]:
    """The picture right above the headline, with its caption, where it states the width of a page's picture."""
    first = headline
    while first > 0 and headline - first < ABOVE and leaves[first - 1].role in ("image", "caption"):
        first -= 1
    above = [leaf for leaf in leaves[first:headline] if _in_good_company(boxes, boxes[leaf.box], boxes[0])]
    pictures = [i for i, leaf in enumerate(above) if leaf.node is not None]
    alone = above[pictures[0]].node if len(pictures) == 1 else None
    return above[pictures[0] :] if alone is not None and _is_wide(alone) else []


def _is_wide(node: Node) -> bool:
    """Whether an image states the size of a page's picture, and is not the site's: flat, or cropped for its header."""
    width, height = node.width or 0, node.height or 0
    return width >= WIDE and height * 3 >= width and _SITES.search(node.image or "") is None


def _is_picture(node: Node) -> bool:
    """Whether an image above the article may be its picture: not a small one of an author, a network or the site."""
    if any(side is not None and side < PICTURE for side in (node.width, node.height)):
        return False
    if node.width is not None and node.width >= 2 * PICTURE:
        return True
    name = (node.image or "").rsplit("/", 1)[-1].split(".", 1)[0]
    return not hint(name) & (ICONIC | JUNK)


def _in_good_company(boxes: list[Box], box: Box, holder: Box) -> bool:
    """Whether no box from `box` up to `holder` is boilerplate or has a name like it."""
    while box is not holder and box.parent >= 0:
        if not box.kept or (box.flags & WEAK and not box.flags & GOOD):
            return False
        box = boxes[box.parent]
    return True
