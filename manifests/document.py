"""One way to build a row of `manifests.schema.DOCUMENT`, for every reader."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from manifests.nodes import Node
from manifests.schema import document_id


def document(
    kind: str,
    url: str,
    payload: bytes,
    nodes: Iterable[Node],
    provenance: dict[str, Any],
    *,
    fetched_at: datetime | None = None,
    lang: str | None = None,
    license: str | None = None,
    title: str | None = None,
    optout: Iterable[str] = (),
) -> dict[str, Any]:
    """A document as a row. The id is a hash of `kind`, `url` and `payload` (the raw bytes, not what was extracted).

    kind: kind of the source (web, pairs, pdf, conversations, text). provenance: a row of
    `manifests.schema.PROVENANCE`. lang: BCP 47 primary tag that the page declares.
    """
    return {
        "id": document_id(kind, url, payload),
        "kind": kind,
        "url": url,
        "fetched_at": fetched_at,
        "lang": lang,
        "license": license,
        "title": title,
        "optout": list(optout),
        "provenance": provenance,
        "nodes": [node.row() for node in nodes],
    }


def provenance(
    file: str, offset: int | None = None, length: int | None = None, page: int | None = None
) -> dict[str, Any]:
    """A row of `manifests.schema.PROVENANCE`. offset, length: bytes (or the row number, where a file has rows)."""
    return {"file": file, "offset": offset, "length": length, "page": page}
