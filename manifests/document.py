"""One way to build a row of `manifests.schema.DOCUMENT`, and one way to yield rows, for every reader."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa

from manifests.nodes import Node
from manifests.schema import document_id
from manifests.stage import Output

Row = dict[str, Any]

#: rows of one table that a reader collects before it yields them
BATCH = 256


def document(
    kind: str,
    url: str,
    payload: bytes,
    nodes: Iterable[Node],
    provenance: Row,
    *,
    identity: str | None = None,
    fetched_at: datetime | None = None,
    lang: str | None = None,
    license: str | None = None,
    title: str | None = None,
    optout: Iterable[str] = (),
) -> Row:
    """A document as a row. The id is a hash of `kind`, `url` and `payload` (the raw bytes, not what was extracted).

    kind: kind of the source (web, pairs, pdf, conversations, text). provenance: a row of
    `manifests.schema.PROVENANCE`. identity: the address that the id is a hash of, where this is not `url`. lang:
    BCP 47 primary tag that the page declares.
    """
    return {
        "id": document_id(kind, identity or url, payload),
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


def provenance(file: str, offset: int | None = None, length: int | None = None, page: int | None = None) -> Row:
    """A row of `manifests.schema.PROVENANCE`. offset, length: bytes (or the row number, where a file has rows)."""
    return {"file": file, "offset": offset, "length": length, "page": page}


def batches(items: Iterable[tuple[str, Row | bytes]], tables: Mapping[str, pa.Schema]) -> Iterator[Output]:
    """What a stage yields, from (table name, row) and (file name, bytes). tables: the schemas that it declares."""
    waiting: dict[str, list[Row]] = {name: [] for name in tables}
    for name, item in items:
        if isinstance(item, bytes):
            yield name, item
            continue
        waiting[name].append(item)
        if len(waiting[name]) >= BATCH:
            yield name, pa.RecordBatch.from_pylist(waiting[name], tables[name])
            waiting[name] = []
    for name, rows in waiting.items():
        if rows:
            yield name, pa.RecordBatch.from_pylist(rows, tables[name])
