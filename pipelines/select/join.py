"""What became of an image's address, and what its scores are, brought to every place that shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from dedup.images import ImageCounts
from filters.vectors import VECTOR
from manifests.schema import OUTCOME, key64
from manifests.stage import NO_ENGINE, StageContext
from pipelines.engine.stage import Output
from pipelines.select.links import PLACE

KEYED = pa.schema([("key", pa.uint64()), *OUTCOME])

#: a place with its outcome; null where the address was not fetched. `blob_part` is the outcome's part, `part` the
#: document's
PLACED = pa.schema([*PLACE, *(f.with_name("blob_part") if f.name == "part" else f for f in OUTCOME if f.name != "url")])


#: an image and where its bytes are, on its way to what scores it
IMAGE = pa.schema([("key", pa.uint64()), *(OUTCOME.field(name) for name in ("sha256", "part", "offset", "length"))])


@dataclass(frozen=True)
class ByAddress:
    """Map: outcomes on their way to the places that want them, keyed by address; with `images`, also the images among
    them (IMAGE, keyed

    by sha256) to what scores them. `behind`: parts whose blobs are numbered before theirs.
    """

    behind: int = 0
    images: bool = False

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        keys = pa.array([key64(u) for u in batch["url"].to_pylist()], pa.uint64())
        columns = {f.name: batch[f.name] for f in OUTCOME}
        columns["part"] = pc.add(columns["part"], pa.scalar(self.behind, pa.int32()))
        yield "outcomes", pa.RecordBatch.from_arrays([keys, *columns.values()], schema=KEYED)
        if self.images:
            have = batch.filter(pc.is_valid(batch["sha256"]))
            keys = pa.array([key64(s) for s in have["sha256"].to_pylist()], pa.uint64())
            yield "images", pa.RecordBatch.from_arrays([keys, *(have[n] for n in IMAGE.names[1:])], schema=IMAGE)


@dataclass(frozen=True)
class Join:
    """Exchange by address: `places` and `outcomes` -> `images` (PLACED), keyed by the image's sha256 (or, without one,
    its address).
    """

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
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
        hashes = [
            s or f"address {u}" for s, u in zip(found["sha256"].to_pylist(), places["url"].to_pylist(), strict=True)
        ]
        columns["key"] = pa.array([key64(h) for h in hashes], pa.uint64())
        yield "images", pa.table(columns, schema=PLACED).combine_chunks().to_batches()[0]


@dataclass(frozen=True)
class Count:
    """Exchange by image: `images` (PLACED), and any number of tables of scores (keyed by sha256, as their column
    `sha256` says) -> `counted`:

    ImageCounts', with the scores' columns, which are null where an image has none. `columns`: names of those, and what
    is in them.
    """

    columns: tuple[tuple[str, str], ...]

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        images = tables["images"]
        if not images.num_columns:
            return
        scores = [t for name, t in tables.items() if name != "images" and t.num_columns]
        for name, kind in self.columns:
            column = pa.nulls(images.num_rows, _TYPES[kind])
            for table in scores:
                if name in table.column_names and table.num_rows:
                    found = pc.index_in(images["sha256"], value_set=table["sha256"].combine_chunks())
                    values = table[name].combine_chunks().take(found.combine_chunks())
                    # of fetched images, and of others
                    column = values if column.null_count == len(column) else pc.coalesce(column, values)
            images = images.append_column(pa.field(name, _TYPES[kind]), column)
        yield from ImageCounts()({"images": images})


_TYPES = {"number": pa.float32(), "vector": VECTOR.field("vector").type}
