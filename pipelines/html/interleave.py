"""Documents as OBELICS' parallel lists, for `panoramix extract`."""

from collections.abc import Iterable, Iterator
from typing import Any

import fsspec

from manifests.nodes import Node
from manifests.schema import IMAGE, TEXT
from pipelines.html.page import extract
from pipelines.html.stages import HTML_TYPES
from pipelines.warc.read import Record, records

_HTML = (".html", ".htm", ".xhtml")


def interleave(nodes: Iterable[Node]) -> dict[str, list[str | None]]:
    """{"texts", "images"}: parallel lists in reading order; in each place a text or an image's URL, the other null.

    Breaks are left out.
    """
    places = [node for node in nodes if node.kind in (TEXT, IMAGE)]
    return {"texts": [node.text for node in places], "images": [node.image for node in places]}


def extract_files(paths: Iterable[str]) -> Iterator[dict[str, Any]]:
    """{"url", "texts", "images"} of each page of WARC files (.warc, .warc.gz) and HTML files (.html, .htm, .xhtml).

    The `url` of an HTML file is its path as a file address, so a relative reference in it names no image.
    """
    for path in paths:
        if path.lower().endswith(_HTML):
            with fsspec.open(path, "rb") as f:
                html = f.read()
            url = path if "://" in path else f"file://{path}"
            yield {"url": url, **interleave(extract(html, url).nodes)}
            continue
        for record in records(path):
            if isinstance(record, Record) and record.mime in HTML_TYPES and record.ok:
                page = extract(record.payload, record.url, record.content_type, record.headers)
                yield {"url": record.url, **interleave(page.nodes)}
