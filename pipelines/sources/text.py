"""The kind `text`: documents of text alone, for training beside images."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal

from pydantic import Field

from pipelines.engine.stage import Step
from pipelines.formats import from_datatrove, rows, texts
from pipelines.sources.base import (
    REFUSED,
    Documents,
    Kind,
    Listing,
    Reading,
    Source,
    choose_files,
    per_part,
    row_tables,
)
from pipelines.sources.files import lister
from pipelines.sources.tables import Datatrove, Near, RecipeError, SourceTable, Strings
from pipelines.sources.web import datatrove_step, sign_near


class Text(SourceTable):
    """Documents of text alone."""

    kind: Literal["text"]
    files: Strings = Field([], description="JSON lines or Parquet with a text column: paths, globs or fsspec URLs")
    text_column: str = "text"
    url_column: str | None = Field(None, description="column of the address; `url`, where there is one, if not given")
    datatrove: Datatrove | None = Field(None, description="documents of a datatrove reader")
    preset: str = "fineweb"
    near: Near = Near()


def _listings(name: str, table: Text) -> list[Listing]:
    if not (table.files or table.datatrove):
        raise RecipeError(f"{name}: no input; give {name}.files (JSON lines or Parquet) or {name}.datatrove (a reader)")
    reader = table.datatrove
    out = [Listing("files", lister(table.files, rows.SUFFIXES))]
    if reader is not None:
        out.append(Listing("datatrove", partial(from_datatrove.inputs, reader.reader, reader.arguments, reader.shards)))
    return out


def _steps(source: Source, reading: Reading, upstream: Mapping[str, Documents]) -> Documents:
    table: Text = source.table
    steps = []
    if files := choose_files(source.files["files"], reading.limit):
        pieces = [piece for file in files for piece in rows.pieces(file)]
        stage = texts.Texts(table.text_column, table.url_column, limit=per_part(reading.limit, len(pieces)))
        steps.append(Step(f"{source.name}.read", stage, rows=row_tables(pieces, rows.INPUTS), count=REFUSED))
    if table.datatrove is not None:
        steps.append(datatrove_step(source, reading, table.datatrove, "text"))
    return Documents(tuple(steps), tuple(step.name for step in steps))


TEXT = Kind(
    name="text",
    title="Texts",
    layout="text",
    table=Text,
    listings=_listings,
    steps=_steps,
    sign=lambda table: sign_near(table.near),
    threshold=lambda table: table.near.threshold,
    has_images=False,
    fetches=False,
    one_image=False,
)
