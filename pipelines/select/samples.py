"""Documents to look at: a few kept ones and a few for each reason, chosen by hash, so every run chooses the same."""

import heapq
from typing import Any

import pyarrow as pa

from manifests.schema import DOCUMENT, IMAGE, key64
from shards.forget import REASON as FORGOTTEN

Row = dict[str, Any]

_PLACE = {"part": pa.int32(), "offset": pa.int64(), "length": pa.int64()}  # of the bytes of an image

#: a document; the smallest `priority` are shown, `reason` is null where kept, `nodes` are without words
SAMPLE = pa.schema(
    [
        ("priority", pa.uint64()), ("reason", pa.string()), ("id", pa.string()), ("url", pa.string()),
        ("title", pa.string()), ("score", pa.float32()), ("threshold", pa.float32()),
        ("nodes", DOCUMENT.field("nodes").type), ("node_reason", pa.list_(pa.string())),
        ("pictures", pa.list_(pa.struct({"node": pa.int32(), "reason": pa.string(), **_PLACE}))),
    ]
)  # fmt: skip

#: documents of one partition and of the report: kept ones, and those of one reason
KEPT, OF_A_REASON = 30, 4
MAX_NODES, MAX_CHARACTERS = 60, 1000


class Samples:
    """A bounded reservoir of one partition: for each reason, the documents of the smallest priority."""

    def __init__(self) -> None:
        self._heaps: dict[str, list[tuple[int, int, tuple[Row, Row, Row, dict[int, Row]]]]] = {}
        self._count = 0

    def add(self, entry: Row, document: Row, decision: Row, images: dict[int, Row]) -> None:
        """entry: the document's row of the ledger. images: its image rows by node, each with its `drop`."""
        reason = entry.get("reason") or ""
        heap = self._heaps.setdefault(reason, [])
        priority = key64(f"sample {document['id']}")
        self._count += 1  # breaks ties, so that rows are never compared
        item = (-priority, -self._count, (entry, document, decision, images))
        if len(heap) < (OF_A_REASON if reason else KEPT):
            heapq.heappush(heap, item)
        elif item[:2] > heap[0][:2]:
            heapq.heapreplace(heap, item)

    def batch(self) -> pa.RecordBatch:
        """SAMPLE rows, by priority."""
        rows = [_row(-priority, *item) for heap in self._heaps.values() for priority, _, item in heap]
        rows.sort(key=lambda r: (r["priority"], r["id"]))
        return pa.RecordBatch.from_pylist(rows, schema=SAMPLE)


def _row(priority: int, entry: Row, document: Row, decision: Row, images: dict[int, Row]) -> Row:
    nodes = [
        {**node, "words": None, "text": node["text"] and node["text"][:MAX_CHARACTERS]}
        for node in document["nodes"][:MAX_NODES]
    ]
    pictures = []
    for n, node in enumerate(nodes):
        image = images.get(n) if node["kind"] == IMAGE else None
        reason = image["drop"][0] if image is not None and image["drop"] else None
        if image is not None and reason != FORGOTTEN:  # an image that was taken down is not shown
            place = {"part": image["blob_part"], "offset": image["offset"], "length": image["length"]}
            pictures.append({"node": n, "reason": reason, **place})
    return {
        "priority": priority,
        **{name: entry.get(name) for name in ("reason", "score", "threshold")},
        **{name: document[name] for name in ("id", "url", "title")},
        "nodes": nodes,
        "node_reason": list((decision.get("node_reason") or [])[:MAX_NODES]),
        "pictures": pictures,
    }
