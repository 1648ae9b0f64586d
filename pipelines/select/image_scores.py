"""Scores of images and of texts: each distinct image, and each distinct text, is scored once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from filters.onnx import ImageModel
from filters.own import OwnScore
from filters.pixels import PixelScores
from filters.vectors import ImageVectors, TextVectors
from manifests.stage import NO_ENGINE, Output, StageContext
from pipelines.engine.stage import describe, files_of, fingerprint, versions_of
from shards.write import Blobs

STEP_ROWS = 64  # images held in memory


@dataclass(frozen=True)
class ScoreImages:
    """Exchange by image: "images" (pipelines.select.join.IMAGE) and the raw files "blobs", and for a recorded stage
    "previous" (its earlier scores) -> "scores": `key`, `sha256` and the columns of `stage`.

    One row for each image that is not in "previous", sorted by sha256. The place in that order is the number of the row
    that the stage context gets.
    """

    stage: PixelScores | ImageModel | ImageVectors | OwnScore

    stage_name: ClassVar[str] = "pipelines.adapted.images:ScoreImages"

    @property
    def tables(self) -> Mapping[str, pa.Schema]:
        scores = pa.schema([("key", pa.uint64()), ("sha256", pa.string()), *self.stage.tables["scores"]])
        return {**self.stage.tables, "scores": scores}

    def programs(self) -> dict[str, str]:
        return {**versions_of(self.stage), **files_of(self.stage)}

    def __call__(self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        schema = self.tables["scores"]
        images = _new_rows(tables, "images", "sha256")
        with Blobs(tables["blobs"]) as blobs:
            for first in range(0, images.num_rows, STEP_ROWS):
                some = images.slice(first, STEP_ROWS).combine_chunks()
                places = some.select(["part", "offset", "length"]).to_pylist()
                data = [blobs.read(p["part"], p["offset"], p["length"]) for p in places]
                batch = pa.RecordBatch.from_arrays([pa.array(data, pa.binary())], names=["image"])
                yield from _joined(some.select(["key", "sha256"]), self.stage(batch, _Shifted(ctx, first)), schema)


@dataclass(frozen=True)
class ScoreTexts:
    """Exchange by text: "texts" (`key`, `text`), and "previous" (earlier scores) -> "scores": `key` and the columns of
    `stage`, one row for each text that is not in "previous", sorted by key.
    """

    stage: TextVectors

    stage_name: ClassVar[str] = "pipelines.adapted.images:ScoreTexts"

    @property
    def tables(self) -> Mapping[str, pa.Schema]:
        return {"scores": pa.schema([("key", pa.uint64()), *self.stage.tables["scores"]])}

    def programs(self) -> dict[str, str]:
        return {**versions_of(self.stage), **files_of(self.stage)}

    def __call__(self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        texts = _new_rows(tables, "texts", "key")
        for first in range(0, texts.num_rows, STEP_ROWS):
            some = texts.slice(first, STEP_ROWS).combine_chunks()
            outputs = self.stage(some.select(["text"]).to_batches()[0], _Shifted(ctx, first))
            yield from _joined(some.select(["key"]), outputs, self.tables["scores"])


def _joined(keys: pa.Table, outputs: Iterator[Output], schema: pa.Schema) -> Iterator[Output]:
    """What a stage yields for some rows; its scores with the keys of the rows beside them."""
    for name, rows in outputs:
        if name == "scores":
            assert isinstance(rows, pa.RecordBatch)
            columns = [*(column.combine_chunks() for column in keys.columns), *rows.columns]
            rows = pa.RecordBatch.from_arrays(columns, schema=schema)
        yield name, rows


@dataclass
class _Shifted:
    """The stage context for the rows of a table from row ``first_row`` on."""

    ctx: StageContext
    first_row: int

    def __post_init__(self) -> None:
        self.part, self.first, self.ends = self.ctx.part, self.ctx.first, self.ctx.ends

    def __call__(self, row: int, sub: int = 0) -> bool:
        return self.ctx(self.first_row + row, sub)

    def lost(self, row: int, sub: int = 0, **names: Any) -> None:
        self.ctx.lost(self.first_row + row, sub, **names)


def _new_rows(tables: Mapping[str, Any], table: str, by: str) -> pa.Table:
    """The rows of a table that are not in "previous", one for each value of ``by``, sorted by it."""
    rows = tables[table]
    rows = rows.sort_by([(by, "ascending"), *((n, "ascending") for n in ("part", "offset") if n in rows.schema.names)])
    values = rows[by].combine_chunks()
    if not len(values):
        return rows
    keep = pa.concat_arrays([pa.array([True]), pc.invert(pc.equal(values[1:], values[:-1]))])
    previous = tables.get("previous")
    if previous is not None and previous.num_rows:
        keep = pc.and_(keep, pc.invert(pc.is_in(values, value_set=previous[by].combine_chunks().cast(values.type))))
    return rows.filter(keep)


def label(stage: ImageModel | ImageVectors | TextVectors) -> str:
    """The name of a recorded stage's step: another model, or another preprocessing, has its own recorded scores."""
    kind = f"model.{stage.name}" if isinstance(stage, ImageModel) else stage.name
    # the content of the model's files counts, not their paths
    fields = {name: value for name, value in describe(stage).items() if name not in stage.files}
    return f"{kind}.{fingerprint(fields, files_of(stage))[:8]}"
