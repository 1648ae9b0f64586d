"""What became of an image's address, brought to every place that shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from manifests.at import At, anywhere
from manifests.schema import OUTCOME, key64
from pipelines.engine.stage import Output
from pipelines.select.links import PLACE

KEYED = pa.schema([("key", pa.uint64()), *OUTCOME])

#: a place with its outcome; null where the address was not fetched. `blob_part` is the outcome's part, `part` the document's
PLACED = pa.schema([*PLACE, *(f.with_name("blob_part") if f.name == "part" else f for f in OUTCOME if f.name != "url")])


@dataclass(frozen=True)
class ByAddress:
    """Map: outcomes on their way to the places that want them, keyed by address. `behind`: parts whose blobs are numbered before theirs."""

    behind: int = 0

    def __call__(self, batch: pa.RecordBatch, at: At = anywhere) -> Iterator[Output]:
        keys = pa.array([key64(u) for u in batch["url"].to_pylist()], pa.uint64())
        columns = {f.name: batch[f.name] for f in OUTCOME}
        columns["part"] = pc.add(columns["part"], pa.scalar(self.behind, pa.int32()))
        yield "outcomes", pa.RecordBatch.from_arrays([keys, *columns.values()], schema=KEYED)


@dataclass(frozen=True)
class Join:
    """Exchange by address: `places` and `outcomes` -> `images` (PLACED), keyed by the image's sha256 (or, without one, its address)."""

    def __call__(self, tables: Mapping[str, pa.Table], at: At = anywhere) -> Iterator[Output]:
        places, outcomes = tables["places"], tables["outcomes"]
        if not places.num_rows:
            yield "images", pa.RecordBatch.from_pylist([], schema=PLACED)
            return
        if not outcomes.num_rows:
            outcomes = KEYED.empty_table()
        found = outcomes.take(pc.index_in(places["url"], value_set=outcomes["url"].combine_chunks()).combine_chunks())
        columns = {f.name: places[f.name] for f in PLACE}
        for f in OUTCOME:
            if f.name != "url":
                columns["blob_part" if f.name == "part" else f.name] = found[f.name]
        hashes = [s or f"address {u}" for s, u in zip(found["sha256"].to_pylist(), places["url"].to_pylist(), strict=True)]
        columns["key"] = pa.array([key64(h) for h in hashes], pa.uint64())
        yield "images", pa.table(columns, schema=PLACED).combine_chunks().to_batches()[0]
