"""The main function of this folder: the bytes of a page in, its title, language, licence, signals and nodes out."""

import re
from collections import Counter
from collections.abc import Mapping

from selectolax.lexbor import LexborHTMLParser

from manifests.nodes import Node, Page, break_node, text_node
from manifests.schema import BREAK, IMAGE
from pipelines.html import meta
from pipelines.html.blocks import Box, Leaf, walk
from pipelines.html.charset import to_utf8
from pipelines.html.content import article
from pipelines.html.guard import bounded

_WORD = re.compile(r"\w")

LITTLE = 1000  # characters of running text below which a page is read again, with the elements named like boilerplate
SENTENCE = 40  # characters of the shortest text that counts as running text here


def extract(html: bytes, url: str, content_type: str | None = None, headers: Mapping[str, str] | None = None) -> Page:
    """Extract the article of a page and its images, in reading order.

    html: the bytes as fetched. url: their address. content_type: the HTTP header, for its charset. headers: HTTP
    headers with lower-case names, for opt-out signals. No bytes make it raise. Without an article there are no nodes.
    """
    source = bounded(to_utf8(html, content_type))
    tree = LexborHTMLParser(source)
    page, base = meta.read(tree, url, headers or {}, marked=b"license" in source)
    if tree.body is not None:
        blocks = walk(tree.body, base)
        if blocks.skipped:
            running = sum([n for leaf in blocks.leaves if (n := leaf.chars - leaf.links) >= SENTENCE])
            if running < LITTLE and any(len(element.text()) > running for element in blocks.skipped):
                blocks = walk(tree.body, base, skip_junk=False)
        # pages for printing state their own address
        leaves = [leaf for leaf in article(blocks) if leaf.node is not None or leaf.text != url]
        page.nodes = nodes(leaves, blocks.boxes)
    return page


def nodes(leaves: list[Leaf], boxes: list[Box]) -> list[Node]:
    """Leaves as nodes. Cells of a table row are joined by a bar, images get their captions, lines without a word go.

    A cell of several paragraphs belongs to a layout and not to a table of figures, so its paragraphs stay apart.
    """
    out: list[Node] = []
    cells = Counter(leaf.box for leaf in leaves if leaf.role == "table" and leaf.text)
    row = -1  # the box of the table row that the last node belongs to
    for leaf in leaves:
        if leaf.node is not None:
            out.append(leaf.node)
        elif leaf.role == "break":
            if out and out[-1].kind != BREAK:
                out.append(break_node())
        elif _WORD.search(leaf.text):
            laid_out = cells[leaf.box] > 1
            own_row = boxes[leaf.box].parent if leaf.role == "table" and not laid_out else -1
            last = out[-1] if out else None
            if own_row >= 0 and own_row == row and last is not None and last.text is not None:
                last.text = f"{last.text} | {leaf.text}"
                continue
            if leaf.role == "caption" and last is not None and last.kind == IMAGE and last.caption is None:
                last.caption = leaf.text
            row = own_row
            out.append(text_node(leaf.text, "paragraph" if laid_out else leaf.role))
            continue
        row = -1
    while out and out[-1].kind == BREAK:
        out.pop()
    return out
