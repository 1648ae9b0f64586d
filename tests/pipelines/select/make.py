"""Documents, decisions and image outcomes by a few words each."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from manifests.schema import DECISION, DOCUMENT, OUTCOME, document_id
from manifests.stage import DirectContext
from pipelines.select.join import PLACED, ByAddress, Join
from pipelines.select.links import PLACE, Links

Row = dict[str, Any]
BLOB_PART = 3  # number of the partition whose blobs hold the images
DUPLICATES = pa.schema(
    [("key", pa.uint64()), ("row", pa.int32()), ("reason", pa.string()), ("survivor", pa.uint64()), ("survivor_id", pa.string()),
     ("similarity", pa.float32())]
)  # fmt: skip


def text(words: str = "The tide mill stands on the marsh.") -> Row:
    return {"kind": "text", "role": "paragraph", "text": words}


def image(url: str | None, **more: Any) -> Row:
    return {"kind": "image", "image": url, **more}


def document(url: str, *nodes: Row, source: str = "web") -> Row:
    return {"id": document_id(source, url, b""), "kind": source, "url": url, "title": "Mill", "nodes": list(nodes)}


def decision(
    document: Row, keep: bool | None = True, gone: dict[int, str] | None = None, reason: str | None = None
) -> Row:
    """`gone`: node -> why it leaves; `keep` None stands for a quarantined row."""
    if keep is None:
        return dict.fromkeys(DECISION.names)
    gone = gone or {}
    n = range(len(document["nodes"]))
    return {
        "keep": keep,
        "reason": reason,
        "score": None if keep else 1.0,
        "threshold": None if keep else 4.0,
        "node_keep": [i not in gone for i in n],
        "node_reason": [gone.get(i) for i in n],
        "node_score": [0.5 if i in gone else None for i in n],
    }


def tables(
    documents: list[Row], decisions: list[Row] | None = None, duplicates: tuple[Row, ...] = ()
) -> dict[str, pa.Table]:
    return {
        "documents": pa.Table.from_pylist(documents, schema=DOCUMENT),
        "decisions": pa.Table.from_pylist(decisions or [decision(d) for d in documents], schema=DECISION),
        "duplicates": pa.Table.from_pylist(list(duplicates), schema=DUPLICATES),
    }


def outcome(url: str, status: str = "ok", **more: Any) -> Row:
    """A fetched image, by default a good one of 640 x 480 pixels whose hash is that of its address."""
    if status != "ok":
        return {"url": url, "status": status, **more}
    sha256 = document_id("image", url, b"") * 2
    ok = {
        "format": "jpeg",
        "width": 640,
        "height": 480,
        "frames": 1,
        "bytes": 9000,
        "sha256": sha256,
        "part": 3,
        "offset": 0,
        "length": 9000,
    }
    return {"url": url, "status": "ok", "final_url": url, **ok, **more}


def out(made: Any) -> dict[str, list[Row]]:
    """What a stage yields, as rows by table."""
    found: dict[str, list[Row]] = {}
    for name, batch in made:
        found.setdefault(name, []).extend(batch.to_pylist())
    return found


def placed(given: dict[str, pa.Table], rules: Any, outcomes: list[Row], part: int = 0) -> pa.Table:
    """Every image of the kept documents with its outcome, as `pipelines.select.join.Join` gives them."""
    places = out(Links(rules)(given, DirectContext(part)))["places"]
    batch = pa.RecordBatch.from_pylist(outcomes, schema=OUTCOME)
    keyed = pa.Table.from_batches([b for _, b in ByAddress()(batch, DirectContext(BLOB_PART))])
    inputs = {"places": pa.Table.from_pylist(places, schema=PLACE), "outcomes": keyed}
    return pa.Table.from_batches([batch for _, batch in Join()(inputs)], schema=PLACED)
