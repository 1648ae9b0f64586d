"""What became of an image's address, and the scores of the image, joined to every place that shows it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from dedup.images import ADDED, ImageCounts
from filters.vectors import VECTOR
from manifests.schema import OUTCOME, key64
from manifests.stage import NO_ENGINE, Output, StageContext
from pipelines.select.links import PLACE

KEYED = pa.schema([("key", pa.uint64()), *OUTCOME])

#: a place with its outcome, null where the address was not fetched. `blob_part` is the outcome's part, `part` the
#: document's
PLACED = pa.schema([*PLACE, *(f.with_name("blob_part") if f.name == "part" else f for f in OUTCOME if f.name != "url")])

#: an image and where its bytes are, for what scores it
IMAGE = pa.schema([("key", pa.uint64()), *(OUTCOME.field(name) for name in ("sha256", "part", "offset", "length"))])

_TYPES = {"number": pa.float32(), "vector": VECTOR.field("vector").type}


def counted_schema(columns: tuple[tuple[str, str], ...]) -> pa.Schema:
    """PLACED with scores and with the counts of `dedup.images`. columns: names of the scores, and number or vector."""
    return pa.schema([*PLACED, *((name, _TYPES[kind]) for name, kind in columns), *ADDED])


@dataclass(frozen=True)
class ByAddress:
    """Map: `outcomes` -> the same keyed by address; with `images`, also the images among them (IMAGE, keyed by sha256).

    The column `part` becomes the number of the partition (`ctx.part`): a step that `follows` others numbers its blobs
    after theirs.
    """

    images: bool = False

    @property
    def tables(self) -> Mapping[str, pa.Schema]:
        return {"outcomes": KEYED, **({"images": IMAGE} if self.images else {})}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        keys = pa.array([key64(u) for u in batch["url"].to_pylist()], pa.uint64())
        columns = {f.name: batch[f.name] for f in OUTCOME}
        has_blob = columns["part"].is_valid()
        columns["part"] = pc.if_else(has_blob, pa.scalar(ctx.part, pa.int32()), pa.scalar(None, pa.int32()))
        yield "outcomes", pa.RecordBatch.from_arrays([keys, *columns.values()], schema=KEYED)
        if self.images:
            rows = pa.RecordBatch.from_pydict(columns, schema=OUTCOME)
            rows = rows.filter(pc.is_valid(rows["sha256"]))
            keys = pa.array([key64(s) for s in rows["sha256"].to_pylist()], pa.uint64())
            yield "images", pa.RecordBatch.from_arrays([keys, *(rows[n] for n in IMAGE.names[1:])], schema=IMAGE)


@dataclass(frozen=True)
class Join:
    """Exchange by address: `places` and `outcomes` -> `images` (PLACED), keyed by the image's sha256 (or, without one,
    by its address).
    """

    tables: ClassVar[Mapping[str, pa.Schema]] = {"images": PLACED}

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        places, outcomes = tables["places"], tables["outcomes"]
        if not places.num_rows:
            return
        row = pc.index_in(places["url"], value_set=outcomes["url"].combine_chunks()).combine_chunks()
        matched = outcomes.take(row)
        columns = {f.name: places[f.name] for f in PLACE}
        columns |= {"blob_part" if n == "part" else n: matched[n] for n in OUTCOME.names if n != "url"}
        hashes = zip(matched["sha256"].to_pylist(), places["url"].to_pylist(), strict=True)
        columns["key"] = pa.array([key64(sha256 or f"address {url}") for sha256, url in hashes], pa.uint64())
        yield "images", pa.table(columns, schema=PLACED).combine_chunks().to_batches()[0]


@dataclass(frozen=True)
class Count:
    """Exchange by image: `images` (PLACED), and any number of tables of scores (keyed by sha256, as their column
    `sha256` says) -> `counted`: the images with their scores (null where an image has none) and with the counts of
    `dedup.images.ImageCounts`.

    columns: names of the scores, and number or vector.
    """

    columns: tuple[tuple[str, str], ...] = ()

    @property
    def tables(self) -> Mapping[str, pa.Schema]:
        return {"counted": counted_schema(self.columns)}

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        images = tables["images"]
        if not images.num_rows:
            return
        scores = [t for name, t in tables.items() if name != "images" and t.num_rows]
        for name, kind in self.columns:
            column = pa.nulls(images.num_rows, _TYPES[kind])
            for table in scores:
                if name in table.column_names:
                    row = pc.index_in(images["sha256"], value_set=table["sha256"].combine_chunks())
                    values = table[name].combine_chunks().take(row.combine_chunks())
                    # one table has the scores of fetched images, another those of images that came with documents
                    column = values if column.null_count == len(column) else pc.coalesce(column, values)
            images = images.append_column(pa.field(name, _TYPES[kind]), column)
        yield from ImageCounts()({"images": images})
