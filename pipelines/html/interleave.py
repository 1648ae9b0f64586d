"""Documents as OBELICS' parallel lists, for ``panoramix extract`` and whoever reads that layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import fsspec

from manifests.nodes import Node
from pipelines.html.page import extract
from pipelines.warc.read import Record, records

_HTML = (".html", ".htm", ".xhtml")


def interleave(nodes: Iterable[Node]) -> dict[str, list[str | None]]:
    """``{"texts", "images"}``: parallel lists in reading order, exactly one non-null a slot; an image is its absolute
    URL. Breaks go.
    """
    texts: list[str | None] = []
    images: list[str | None] = []
    for node in nodes:
        if node.kind == "text":
            texts.append(node.text)
            images.append(None)
        elif node.kind == "image":
            texts.append(None)
            images.append(node.image)
    return {"texts": texts, "images": images}


def extract_files(paths: Iterable[str]) -> Iterator[dict[str, Any]]:
    """One ``{"url", "texts", "images"}`` a page, from WARC files (``.warc``, ``.warc.gz``) and HTML files (``.html``,
    ``.htm``).

    An HTML file's ``url`` is its own path as a file address: references in it that are not absolute name no image.
    """
    for path in paths:
        if path.lower().endswith(_HTML):
            with fsspec.open(path, "rb") as f:
                html = f.read()
            url = path if "://" in path else f"file://{path}"
            yield {"url": url, **interleave(extract(html, url).nodes)}
            continue
        for record in records(path):
            if isinstance(record, Record) and record.mime in ("text/html", "application/xhtml+xml") and record.ok:
                yield {
                    "url": record.url,
                    **interleave(extract(record.payload, record.url, record.content_type, record.headers).nodes),
                }
