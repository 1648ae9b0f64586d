"""Documents for the tests, from plain lists."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from manifests.schema import DOCUMENT


def node(content: str | dict[str, Any]) -> dict[str, Any]:
    """A node: a string gives a paragraph, ``# ...`` a heading, ``---`` a break, a dict an image or its own ``kind``."""
    if content == "---":
        return {"kind": "break"}
    if isinstance(content, str):
        return {
            "kind": "text",
            "role": "heading" if content.startswith("# ") else "paragraph",
            "text": content.removeprefix("# "),
        }
    return {"kind": "image", **content}


def documents(*rows: Sequence[str | dict[str, Any]]) -> pa.RecordBatch:
    records = [
        {"id": f"{i:032x}", "kind": "web", "url": f"http://a.example/{i}", "nodes": [node(n) for n in row]}
        for i, row in enumerate(rows)
    ]
    return pa.RecordBatch.from_pylist(records, schema=DOCUMENT)


def zipped(*batches: pa.RecordBatch) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [c for b in batches for c in b.columns], names=[n for b in batches for n in b.schema.names]
    )
