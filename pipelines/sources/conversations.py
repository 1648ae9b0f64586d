"""The kind `conversations`: turns of a user and an assistant about images, for fine-tuning."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from dedup.sign import Sign
from pipelines.formats import conversations as formats
from pipelines.formats.opened import SUFFIXES
from pipelines.sources.base import REFUSED, Documents, Kind, Listing, Reading, Source, choose_files
from pipelines.sources.files import lister
from pipelines.sources.rows import row_steps
from pipelines.sources.tables import RecipeError, SourceTable, Strings


class Conversations(SourceTable):
    """A dataset of questions and answers about images, such as a set of The Cauldron or LLaVA's."""

    kind: Literal["conversations"]
    files: Strings = Field([], description="Parquet, JSON lines or JSON arrays: paths, globs or fsspec URLs")
    images: str | None = Field(None, description="folder of relative image paths; the file's own folder if not given")
    repeat: float = Field(
        1, gt=0, le=1000, description="times that each document is packed for training: 4, or 0.01 (Idefics2, table 14)"
    )
    together: int = Field(7, ge=1, description="independent questions of a row in one document (The Cauldron)")
    preset: str = "conversations"


def _listings(name: str, table: Conversations) -> list[Listing]:
    if not table.files:
        raise RecipeError(f"{name}: no input; give {name}.files, such as {name}.files=vqa/*.parquet")
    return [Listing("files", lister(table.files, SUFFIXES))]


def _steps(source: Source, reading: Reading, upstream: Mapping[str, Documents]) -> Documents:
    table: Conversations = source.table
    labels = formats.common_labels([file["file"] for file in source.files["files"]])
    files = choose_files(source.files["files"], reading.limit)
    pieces = [piece for file in files for piece in formats.pieces_of(file, labels[file["file"]], table.images)]
    stage = formats.Conversations(table.together, reading.fetch.max_bytes, reading.fetch.max_pixels)
    count = {**REFUSED, "outcomes": ("status",)}
    steps = row_steps(source, "read", stage, pieces, formats.INPUTS, reading, count=count, deadline_s=60)
    read = (steps[-1].name,)
    return Documents(tuple(steps), read, images=read)


CONVERSATIONS = Kind(
    name="conversations",
    title="Conversations",
    layout="conversations",
    table=Conversations,
    listings=_listings,
    steps=_steps,
    # many conversations ask the same of different images, so a duplicate has the same images and the same text
    sign=lambda table: Sign(by_url=False, by_text=False, near=False, by_pair=True),
    image_uses=None,
    held_out_by_image=True,
)
