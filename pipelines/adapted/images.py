"""Scores of images and of texts in a run: each image, and each text, once, however many documents show it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from filters.onnx import ImageModel
from filters.pixels import PixelScores
from filters.vectors import ImageVectors, TextVectors
from manifests.stage import NO_ENGINE, StageContext
from pipelines.engine.stage import Output, describe, files_of, fingerprint, versions_of
from shards.write import Blobs

AT_ONCE = 64  # images held in memory


@dataclass(frozen=True)
class ScoreImages:
    """Exchange by image: "images" (pipelines.select.join.IMAGE) and the raw files "blobs", maybe "known" -> "scores":
    `key`, `sha256` and

    the columns of `stage`, a row for each image that is not in known, sorted by sha256. A row's number is its place
    among them.
    """

    stage: PixelScores | ImageModel | ImageVectors

    def programs(self) -> dict[str, str]:
        return {**versions_of(self.stage), **files_of(self.stage)}

    def __call__(self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        columns = self.stage.columns()
        schema = pa.schema([("key", pa.uint64()), ("sha256", pa.string()), *columns])
        images = _new(tables, "images", "sha256")
        yield "scores", pa.RecordBatch.from_pylist([], schema=schema)
        with Blobs(tables["blobs"]) as blobs:
            for first in range(0, images.num_rows, AT_ONCE):
                some = images.slice(first, AT_ONCE)
                places = some.select(["part", "offset", "length"]).to_pylist()
                data = [blobs.read(p["part"], p["offset"], p["length"]) for p in places]
                batch = pa.RecordBatch.from_arrays([pa.array(data, pa.binary())], names=["image"])
                ((_, scores),) = self.stage(batch, _From(ctx, first))
                assert isinstance(scores, pa.RecordBatch)
                made = {n: some[n].combine_chunks() for n in ("key", "sha256")} | {n: scores[n] for n in columns.names}
                yield "scores", pa.RecordBatch.from_arrays([made[n] for n in schema.names], schema=schema)


@dataclass(frozen=True)
class ScoreTexts:
    """Exchange by text: "texts" (`key`, `text`), maybe "known" -> "scores": `key` and the columns of `stage`, a row for
    each text that is
    not in known, sorted by key."""

    stage: TextVectors

    def programs(self) -> dict[str, str]:
        return {**versions_of(self.stage), **files_of(self.stage)}

    def __call__(self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        columns = self.stage.columns()
        schema = pa.schema([("key", pa.uint64()), *columns])
        texts = _new(tables, "texts", "key")
        yield "scores", pa.RecordBatch.from_pylist([], schema=schema)
        for first in range(0, texts.num_rows, AT_ONCE):
            some = texts.slice(first, AT_ONCE).combine_chunks()
            ((_, scores),) = self.stage(some.select(["text"]).to_batches()[0], _From(ctx, first))
            assert isinstance(scores, pa.RecordBatch)
            yield (
                "scores",
                pa.RecordBatch.from_arrays(
                    [some["key"].combine_chunks(), *(scores[n] for n in columns.names)], schema=schema
                ),
            )


@dataclass
class _From:
    """The stage context, for the rows of a piece that begins at row ``shift``."""

    ctx: StageContext
    shift: int

    def __post_init__(self) -> None:
        self.part, self.first, self.ends = self.ctx.part, self.ctx.first, self.ctx.ends

    def __call__(self, row: int, sub: int = 0) -> bool:
        return self.ctx(self.shift + row, sub)


def _new(tables: Mapping[str, Any], table: str, by: str) -> pa.Table:
    """The rows of a table that are not known, one a value of ``by``, sorted by it."""
    rows = tables[table]
    if not rows.num_rows:
        return rows
    rows = rows.sort_by([(by, "ascending"), *((n, "ascending") for n in ("part", "offset") if n in rows.schema.names)])
    values = rows[by].combine_chunks()
    new = pc.invert(pc.equal(values[1:], values[:-1])) if len(values) > 1 else pa.array([], pa.bool_())
    keep = pa.concat_arrays([pa.array([True]), new])
    known = tables.get("known")
    if known is not None and known.num_rows:
        keep = pc.and_(keep, pc.invert(pc.is_in(values, value_set=known[by].combine_chunks().cast(values.type))))
    return rows.filter(keep)


def label(stage: ImageModel | ImageVectors | TextVectors) -> str:
    """What a recorded stage is called in a plan: another model, or another way to ask it, is another record."""
    kind = f"model.{stage.name}" if isinstance(stage, ImageModel) else stage.name
    # not where the files lie, but what is in them
    fields = {name: value for name, value in describe(stage).items() if name not in stage.files}
    return f"{kind}.{fingerprint(fields, files_of(stage))[:8]}"
