"""Short functions that make documents, decisions and image outcomes for tests."""

from typing import Any

import pyarrow as pa

from manifests.schema import DECISION, DOCUMENT, OUTCOME, document_id
from manifests.stage import DirectContext
from pipelines.select.join import PLACED, ByAddress, Join
from pipelines.select.links import PLACE, Links

Row = dict[str, Any]
BLOB_PART = 3  # number of the partition whose blobs hold the images
DUPLICATES = pa.schema(
    [("key", pa.uint64()), ("row", pa.int32()), ("reason", pa.string()), ("survivor", pa.uint64()),
     ("survivor_id", pa.string()), ("similarity", pa.float32())]
)  # fmt: skip


def text(words: str = "The tide mill stands on the marsh.") -> Row:
    return {"kind": "text", "role": "paragraph", "text": words}


def image(url: str | None, **more: Any) -> Row:
    return {"kind": "image", "image": url, **more}


def document(url: str, *nodes: Row, source: str = "web") -> Row:
    return {"id": document_id(source, url, b""), "kind": source, "url": url, "title": "Mill", "nodes": list(nodes)}


def decision(
    document: Row, keep: bool | None = True, node_reasons: dict[int, str] | None = None, reason: str | None = None
) -> Row:
    """`node_reasons`: node -> reason why it is dropped. `keep` is None for a quarantined row."""
    if keep is None:
        return dict.fromkeys(DECISION.names)
    node_reasons = node_reasons or {}
    n = range(len(document["nodes"]))
    return {
        "keep": keep,
        "reason": reason,
        "score": None if keep else 1.0,
        "threshold": None if keep else 4.0,
        "node_keep": [i not in node_reasons for i in n],
        "node_reason": [node_reasons.get(i) for i in n],
        "node_score": [0.5 if i in node_reasons else None for i in n],
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
    """The outcome of a fetch. By default a good image of 640 x 480 pixels, with a sha256 made of the address."""
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


def out(batches: Any) -> dict[str, list[Row]]:
    """The output of a stage: table -> rows."""
    rows: dict[str, list[Row]] = {}
    for name, batch in batches:
        rows.setdefault(name, []).extend(batch.to_pylist())
    return rows


def join_outcomes(documents: dict[str, pa.Table], rules: Any, outcomes: list[Row], part: int = 0) -> pa.Table:
    """Every image of the kept documents with its outcome, as the stage Join yields them."""
    places = out(Links(rules)(documents, DirectContext(part)))["places"]
    batch = pa.RecordBatch.from_pylist(outcomes, schema=OUTCOME)
    keyed = pa.Table.from_batches([b for _, b in ByAddress()(batch, DirectContext(BLOB_PART))])
    inputs = {"places": pa.Table.from_pylist(places, schema=PLACE), "outcomes": keyed}
    return pa.Table.from_batches([batch for _, batch in Join()(inputs)], schema=PLACED)
