"""The kind `text`: documents of text alone, for training beside images."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from pipelines.formats import pieces, texts
from pipelines.formats.opened import SUFFIXES
from pipelines.sources.base import Documents, Kind, Listing, Reading, Source, choose_files
from pipelines.sources.files import lister
from pipelines.sources.rows import row_steps
from pipelines.sources.tables import Datatrove, Near, RecipeError, SourceTable, Strings
from pipelines.sources.web import datatrove_listing, datatrove_step, sign_near


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
    return [Listing("files", lister(table.files, SUFFIXES)), *datatrove_listing(table.datatrove)]


def _steps(source: Source, reading: Reading, upstream: Mapping[str, Documents]) -> Documents:
    table: Text = source.table
    steps = []
    if files := choose_files(source.files["files"], reading.limit):
        stage = texts.Texts(table.text_column, table.url_column)
        listed = [piece for file in files for piece in pieces.pieces(file)]
        steps += row_steps(source, "read", stage, listed, pieces.INPUTS, reading)
    steps += datatrove_step(source, reading, "text")
    return Documents(tuple(steps), tuple(step.name for step in steps if "documents" in step.stage.tables))


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
