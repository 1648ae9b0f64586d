"""Documents for the tests, from plain lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from manifests.schema import DOCUMENT


def node(what: str | dict[str, Any]) -> dict[str, Any]:
    """A string is a paragraph, ``# ...`` a heading, ``---`` a break, a dict an image (or whatever it says)."""
    if what == "---":
        return {"kind": "break"}
    if isinstance(what, str):
        return {
            "kind": "text",
            "role": "heading" if what.startswith("# ") else "paragraph",
            "text": what.removeprefix("# "),
        }
    return {"kind": "image", **what}


def documents(*rows: Sequence[str | dict[str, Any]]) -> pa.RecordBatch:
    made = [
        {"id": f"{i:032x}", "kind": "web", "url": f"http://a.example/{i}", "nodes": [node(n) for n in row]}
        for i, row in enumerate(rows)
    ]
    return pa.RecordBatch.from_pylist(made, schema=DOCUMENT)


def zipped(*batches: pa.RecordBatch) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [c for b in batches for c in b.columns], names=[n for b in batches for n in b.schema.names]
    )
