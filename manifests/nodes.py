"""The nodes of a document in reading order, and the page that holds them."""

from dataclasses import dataclass, field
from typing import Any

from manifests.schema import BREAK, IMAGE, TEXT


@dataclass(slots=True)
class Node:
    """A piece of a document: the fields of `manifests.schema.NODE` but those of PDF pages.

    A text node has `role` and `text`. An image node has `image` (canonical URL), `alt`, `caption`, `title`, and `width`
    and `height` (pixels, as the page states them). A break has none of these.
    """

    kind: str
    role: str | None = None
    text: str | None = None
    image: str | None = None
    alt: str | None = None
    caption: str | None = None
    title: str | None = None
    width: int | None = None
    height: int | None = None

    def row(self) -> dict[str, Any]:
        """The node as a row of `manifests.schema.NODE`."""
        return {
            "kind": self.kind, "role": self.role, "text": self.text, "image": self.image, "alt": self.alt,
            "caption": self.caption, "title": self.title, "width": self.width, "height": self.height, "box": None,
            "words": None,
        }  # fmt: skip


def text_node(text: str, role: str = "paragraph") -> Node:
    """A text node."""
    return Node(TEXT, role=role, text=text)


def break_node() -> Node:
    """The end of a topic, where a listing says "read more" (OBELICS' END_OF_DOCUMENT token)."""
    return Node(BREAK)


def image_node(url: str, **fields: Any) -> Node:
    """An image node. url: canonical."""
    return Node(IMAGE, image=url, **fields)


@dataclass(slots=True)
class Page:
    """An extracted page. lang: BCP 47 primary tag (`en`). date: ISO 8601 (`2021-03-04`), as the page states it."""

    title: str | None = None
    lang: str | None = None
    date: str | None = None
    license: str | None = None
    optout: list[str] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
