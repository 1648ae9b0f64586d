"""The kind `pairs`: image-text pairs, from the pages of other sources and from lists of addresses."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from dedup.paragraphs import Paragraphs
from dedup.sign import Sign
from pipelines.engine.stage import Step, aligned
from pipelines.formats import pieces
from pipelines.formats.urllist import SUFFIXES, UrlList
from pipelines.html.pairs import Pairs as PairsOfPages
from pipelines.sources.base import Documents, Kind, Listing, Reading, Source, choose_files
from pipelines.sources.files import lister
from pipelines.sources.rows import row_steps
from pipelines.sources.tables import RecipeError, SourceTable, Strings


class Pairs(SourceTable):
    """Image-text pairs, from the pages of other sources and from lists of addresses."""

    kind: Literal["pairs"]
    from_: Strings = Field([], alias="from", description="names of web sources whose pages pairs are taken from")
    urls: Strings = Field([], description="CSV, TSV, JSONL or Parquet files with the address and the text of an image")
    url_column: str | None = Field(None, description="column of the address; the usual names if not given")
    text_column: str | None = Field(None, description="column of the text; the usual names if not given")
    columns: Strings = Field(
        [], description="names of the columns of CSV and TSV files without a header: [text, url] for CC3M and CC12M"
    )
    text_uses: int = Field(10, ge=0, description="pairs that may share a text; of more, all go (COYO: 10); 0: any")
    preset: str = "pairs"


def _listings(name: str, pairs: Pairs) -> list[Listing]:
    if not pairs.urls and not pairs.from_:
        raise RecipeError(
            f"{name}: no input; give {name}.urls (a file with url and text columns), or {name}.from "
            "(the name of a web source to take pairs from)"
        )
    return [Listing("urls", lister(pairs.urls, SUFFIXES))]


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
    return Documents(tuple(steps), tuple(step.name for step in steps if "documents" in step.stage.tables))


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
