"""Documents to look at: a few kept and a few of each reason, chosen by hash so that every run chooses the same."""

from __future__ import annotations

import heapq
from typing import Any

import pyarrow as pa

from manifests.schema import DOCUMENT, IMAGE, key64
from shards.forget import REASON

Row = dict[str, Any]

PICTURE = pa.struct(
    [
        ("node", pa.int32()),
        ("reason", pa.string()),
        ("part", pa.int32()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
    ]
)

SAMPLE = pa.schema(
    [
        ("priority", pa.uint64()),  # the smallest are shown
        ("reason", pa.string()),  # null where kept
        ("id", pa.string()),
        ("url", pa.string()),
        ("title", pa.string()),
        ("score", pa.float32()),
        ("threshold", pa.float32()),
        ("nodes", DOCUMENT.field("nodes").type),  # without words
        ("node_reason", pa.list_(pa.string())),
        ("pictures", pa.list_(PICTURE)),
    ]
)

KEPT, OF_A_REASON = 30, 4
MOST_NODES, MOST_CHARACTERS = 60, 1000


class Samples:
    """A bounded reservoir of one part: the documents of smallest priority, for each reason."""

    def __init__(self) -> None:
        self.held: dict[str, list[tuple[int, int, tuple[Row, Row, Row, dict[int, Row]]]]] = {}
        self.seen = 0

    def add(self, entry: Row, document: Row, decision: Row, images: dict[int, Row]) -> None:
        reason = entry.get("reason") or ""
        heap = self.held.setdefault(reason, [])
        priority = key64(f"sample {document['id']}")
        self.seen += 1  # breaks ties, so that rows are never compared
        item = (-priority, -self.seen, (entry, document, decision, images))
        if len(heap) < (OF_A_REASON if reason else KEPT):
            heapq.heappush(heap, item)
        elif item[:2] > heap[0][:2]:
            heapq.heapreplace(heap, item)

    def batch(self) -> pa.RecordBatch:
        rows = [_row(-p, *held) for heap in self.held.values() for p, _, held in heap]
        rows.sort(key=lambda r: (r["priority"], r["id"]))
        return pa.RecordBatch.from_pylist(rows, schema=SAMPLE)


def _row(priority: int, entry: Row, document: Row, decision: Row, images: dict[int, Row]) -> Row:
    nodes = [
        {**n, "words": None, "text": n["text"] and n["text"][:MOST_CHARACTERS]} for n in document["nodes"][:MOST_NODES]
    ]
    reasons = list((decision.get("node_reason") or [])[:MOST_NODES])
    pictures = []
    for n, node in enumerate(nodes):
        image = images.get(n) if node["kind"] == IMAGE else None
        reason = image["drop"][0] if image is not None and image["drop"] else None
        if image is not None and reason != REASON:  # a takedown is not shown
            pictures.append(
                {
                    "node": n,
                    "reason": reason,
                    "part": image["blob_part"],
                    "offset": image["offset"],
                    "length": image["length"],
                }
            )
    return {
        "priority": priority,
        **{name: entry.get(name) for name in ("reason", "score", "threshold")},
        **{name: document[name] for name in ("id", "url", "title")},
        "nodes": nodes,
        "node_reason": reasons,
        "pictures": pictures,
    }
