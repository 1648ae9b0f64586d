"""The kind `pairs`: image-text pairs, from the pages of other sources, lists of addresses, and tars with images."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from dedup.paragraphs import Paragraphs
from dedup.sign import Sign
from pipelines.engine.stage import Step, aligned
from pipelines.formats import pieces
from pipelines.formats.tars import IMAGE, JSON, TARS, TEXT, Tars
from pipelines.formats.urllist import SUFFIXES, UrlList
from pipelines.html.pairs import Pairs as PairsOfPages
from pipelines.sources.base import REFUSED, Documents, Kind, Listing, Reading, Row, Source, choose_files
from pipelines.sources.files import list_files, lister
from pipelines.sources.rows import row_steps
from pipelines.sources.tables import RecipeError, SourceTable, Strings, Table


def _endings(names: list[str]) -> list[str]:
    return [name.lower().removeprefix(".") for name in names]


Endings = Annotated[Strings, AfterValidator(_endings)]


class Members(Table):
    """What the members of a sample are, by what follows the first dot of their names: `jpg`, or `left.jpg`."""

    image: Endings = Field(list(IMAGE), min_length=1, description="endings of the image; a sample has one")
    text: Endings = Field(list(TEXT), description="endings of the text, best first")
    json_: Endings = Field(
        list(JSON), alias="json", description="endings of an object with the image's url, and the text where no text is"
    )


class Pairs(SourceTable):
    """Image-text pairs, from the pages of other sources, lists of addresses, and tars with images."""

    kind: Literal["pairs"]
    from_: Strings = Field([], alias="from", description="names of web sources whose pages pairs are taken from")
    urls: Strings = Field([], description="CSV, TSV, JSONL or Parquet files with the address and the text of an image")
    url_column: str | None = Field(
        None, description="column of the address (of tars, a field of the json); the usual names if not given"
    )
    tars: Strings = Field(
        [], description="tars with images, as webdataset and img2dataset write them: paths, globs, folders, fsspec URLs"
    )
    members: Members = Field(Members(), description="what the members of a sample in a tar are")
    text_column: str | None = Field(
        None, description="column of the text; the usual names if not given; of tars, a field of the json, not the txt"
    )
    columns: Strings = Field(
        [], description="names of the columns of CSV and TSV files without a header: [text, url] for CC3M and CC12M"
    )
    text_uses: int = Field(10, ge=0, description="pairs that may share a text; of more, all go (COYO: 10); 0: any")
    preset: str = "pairs"


def _listings(name: str, pairs: Pairs) -> list[Listing]:
    if not pairs.urls and not pairs.from_ and not pairs.tars:
        raise RecipeError(
            f"{name}: no input; give {name}.urls (a file with url and text columns), {name}.tars (tars with images), "
            f"or {name}.from (the name of a web source to take pairs from)"
        )
    members = pairs.members
    endings = [*members.image, *members.text, *members.json_]
    if twice := next((ending for ending in endings if endings.count(ending) > 1), None):
        raise RecipeError(f"{name}.members: the ending {twice!r} stands twice; name it once")
    return [Listing("urls", lister(pairs.urls, SUFFIXES)), Listing("tars", partial(_tars, pairs.tars))]


def _tars(names: list[str]) -> list[Row]:
    """The tars among files. Raises ValueError, one line, for another file."""
    files = list_files(names, TARS)
    if other := next((file["file"] for file in files if not file["file"].lower().endswith(TARS)), None):
        raise ValueError(f"{other} is not named as a tar ({', '.join(TARS)}); lists of addresses go under `urls`")
    return files


def _steps(source: Source, reading: Reading, upstream: Mapping[str, Documents]) -> Documents:
    pairs: Pairs = source.table
    steps: list[Step] = []
    pages = [step for name in pairs.from_ for step in upstream[name].documents]
    if pages:
        steps.append(Step(source.step("pages"), PairsOfPages(), {"documents": aligned("documents", *pages)}))
    if files := choose_files(source.files["urls"], reading.limit):
        stage = UrlList(pairs.url_column, pairs.text_column, tuple(pairs.columns))
        listed = [piece for file in files for piece in pieces.pieces(file)]
        steps += row_steps(source, "listed", stage, listed, pieces.INPUTS, reading, header=pairs.columns)
    images: tuple[str, ...] = ()
    if files := choose_files(source.files["tars"], reading.limit):
        of, fetch = pairs.members, reading.fetch
        columns = pairs.url_column, pairs.text_column
        tars = Tars(tuple(of.image), tuple(of.text), tuple(of.json_), *columns, fetch.max_bytes, fetch.max_pixels)
        whole = [piece for file in files for piece in pieces.pieces(file, file["size"] or 1)]
        count = {**REFUSED, "outcomes": ("status",)}
        steps += row_steps(source, "tars", tars, whole, pieces.INPUTS, reading, count=count, deadline_s=60)
        images = (source.step("tars"),)
    documents = tuple(step.name for step in steps if "documents" in step.stage.tables)
    return Documents(tuple(steps), documents, images=images)


PAIRS = Kind(
    name="pairs",
    title="Image-text pairs",
    layout="pairs",
    table=Pairs,
    listings=_listings,
    steps=_steps,
    sign=lambda pairs: Sign(by_url=False, by_text=False, near=False, by_pair=True),
    repeated=Paragraphs(by_host=False),
    most_uses=lambda pairs: pairs.text_uses,
    read_from=lambda pairs: pairs.from_,
)
