"""Small pages for tests: an article of sufficient length, with the content of a test in it."""

from manifests.nodes import Node, Page
from pipelines.html.page import extract

URL = "https://site.org/blog/post/1.html"
PROSE = (
    "The lake lies between two ridges, and in the morning, before the wind comes up, it mirrors both of them so "
    "well that boats seem to "
    "hang in the air, which is why painters have come here, year after year, since the railway was built."
)


def page(inside: str = "", head: str = "", after: str = "", before: str = "") -> bytes:
    """A page with an article: a paragraph, then ``inside``, then two more paragraphs."""
    return (
        f"<!doctype html><html lang=en-GB><head><title>The lake</title>{head}</head><body>"
        f"<nav><ul><li><a href=/>Home</a><li><a href=/a>About us</a></ul></nav>{before}"
        f"<article><h1>A morning at the lake</h1><p>First. {PROSE}</p>{inside}<p>Then. {PROSE}</p>"
        f"<p>Last. {PROSE}</p></article>{after}"
        "<footer><p>Copyright, imprint, privacy, and all rights reserved by the owner of this very site.</p>"
        "</footer></body></html>"
    ).encode()


def read(inside: str = "", url: str = URL, **parts: str) -> Page:
    return extract(page(inside, **parts), url, "text/html; charset=utf-8")


def images(inside: str, **parts: str) -> list[Node]:
    return [node for node in read(inside, **parts).nodes if node.kind == "image"]


def texts(inside: str = "", role: str | None = None, **parts: str) -> list[str]:
    return [
        node.text or ""
        for node in read(inside, **parts).nodes
        if node.kind == "text" and (role is None or node.role == role)
    ]
