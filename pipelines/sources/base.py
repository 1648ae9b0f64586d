"""What a source is: a kind, the table that the recipe gives it, and the steps that bring its documents.

A kind (`Kind`) is everything that is particular to web pages, pairs, PDFs, conversations or texts. `pipelines.plan`
takes every source through the same steps, whatever its kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any, TypeVar

import pyarrow as pa

from dedup.paragraphs import Paragraphs
from dedup.sign import Sign
from filters.rules import Rules
from manifests.schema import key64
from pipelines.engine.stage import Input, Step, aligned, by_part
from pipelines.sources.tables import Fetch, SourceTable
from shards.forget import Forgotten

Row = dict[str, Any]
Item = TypeVar("Item")

#: counted of every step that refuses rows
REFUSED: Mapping[str, tuple[str, ...]] = {"refused": ("reason",)}


@dataclass(frozen=True)
class Listing:
    """The input files of one key of a source's table."""

    key: str
    #: lists the files: rows with path, file, size and changed. Raises ValueError, one line, where nothing is to be read
    rows: Callable[[], list[Row]]


@dataclass(frozen=True)
class Source:
    """A source of a recipe after `pipelines.recipe.resolve`: its files are listed and its rules are loaded."""

    name: str
    kind: Kind
    table: Any  # the kind's table
    rules: Rules
    scores: tuple[Any, ...] = ()  # stages that score texts and documents
    image_scores: tuple[Any, ...] = ()  # stages that score images
    files: Mapping[str, list[Row]] = field(default_factory=dict)  # by the key of a Listing

    @property
    def layout(self) -> str:
        return self.table.layout or self.kind.layout

    def step(self, name: str) -> str:
        """The name of a step of this source."""
        return f"{self.name}.{name}"


@dataclass(frozen=True)
class Reading:
    """What a reader needs beside its own source."""

    root: str  # of the run
    limit: int | None  # about so many inputs of each kind
    fetch: Fetch
    blocked: Forgotten  # the recipe's block-list
    user_agent: str


@dataclass(frozen=True)
class Documents:
    """The steps that bring the documents of one source, and which tables they have."""

    steps: tuple[Step, ...] = ()
    documents: tuple[str, ...] = ()  # steps with the table `documents`, in the order of their partitions
    images: tuple[str, ...] = ()  # steps with `outcomes` and `blobs`: images that came with the documents
    pdfs: tuple[str, ...] = ()  # steps with `pdfs` and `pdf_bytes`: PDFs that were met among the pages
    pages: tuple[str, ...] = ()  # steps with `pages`, row by row beside the documents
    crawls: tuple[str, ...] = ()  # steps with `pages` of a crawl: one row a request


@dataclass(frozen=True)
class Kind:
    """Everything that is particular to one kind of source.

    listings: the input files of a table; raises RecipeError where the table has no input at all.
    steps: from a source and the steps of the sources it reads from (by name) to its own steps.
    sign: what of a document is signed, so that duplicates meet; threshold: of near-duplicates.
    """

    name: str  # the recipe's key `kind`; also the `kind` of documents, and part of their ids
    title: str  # what the report calls a source of this kind
    layout: str
    table: type[SourceTable]
    listings: Callable[[str, Any], list[Listing]]
    steps: Callable[[Source, Reading, Mapping[str, Documents]], Documents]
    sign: Callable[[Any], Sign]
    threshold: Callable[[Any], float] = lambda table: 1.0
    #: texts that too many documents share: how they are counted, and how many documents may share one (0: any number)
    repeated: Paragraphs | None = None
    most_uses: Callable[[Any], int] = lambda table: 0
    has_images: bool = True  # documents may show images
    fetches: bool = True  # their images may have to be fetched
    one_image: bool = True  # a document is nothing without its image
    image_uses: int | None = 10  # documents that may show one image; None for any number
    held_out_by_image: bool = False  # the validation split holds out images, not domains
    read_from: Callable[[Any], Sequence[str]] = lambda table: ()  # names of the sources that it reads from


@dataclass(frozen=True)
class Scope:
    """Sources of one kind whose documents meet in the steps NAME.step: duplicates, repeated texts, uses of images."""

    name: str
    members: tuple[Source, ...]
    documents: Mapping[str, Documents]  # by source

    @property
    def kind(self) -> Kind:
        return self.members[0].kind

    @property
    def text_uses(self) -> int:
        """How many documents may share one text; 0: any number."""
        return 0 if self.kind.repeated is None else self.kind.most_uses(self.members[0].table)

    def step(self, name: str) -> str:
        return f"{self.name}.{name}"

    def steps(self, name: str, before: Source | None = None) -> tuple[str, ...]:
        """The step `name` of each member, or of the members before one of them."""
        return tuple(source.step(name) for source in takewhile(lambda source: source is not before, self.members))

    def documents_of(self, source: Source) -> Input:
        return aligned("documents", *self.documents[source.name].documents)

    def survivors(self, source: Source) -> dict[str, Input]:
        """Inputs that say which documents the rules and the search for duplicates left."""
        return {
            "documents": self.documents_of(source),
            "decisions": aligned("decisions", source.step("decide")),
            "duplicates": by_part("duplicates", self.step("verify")),
        }


def choose(items: list[Item], limit: int | None, name: Callable[[Item], object] = lambda item: item) -> list[Item]:
    """`limit` of the items, chosen by the hash of their `name`, in their order; all of them without a limit."""
    if limit is None or limit >= len(items):
        return items
    chosen = sorted(range(len(items)), key=lambda i: key64(str(name(items[i]))))[:limit]
    return [items[i] for i in sorted(chosen)]


def choose_files(files: Sequence[Row], limit: int | None) -> list[Row]:
    """`limit` of the files, chosen by the hash of their paths."""
    return choose(list(files), limit, lambda row: row["file"])


def per_part(limit: int | None, parts: int) -> int | None:
    """Documents that each of `parts` partitions reads, so that together they read about `limit`."""
    return None if limit is None else max(1, -(-limit // max(1, parts)))


def row_tables(rows: Sequence[Row], schema: pa.Schema | None = None) -> Callable[[Any], list[pa.Table]]:
    """Input rows for a step: one partition a row."""
    tables = [pa.Table.from_pylist([row], schema=schema) for row in rows]
    return lambda outputs: tables


def reader_step(
    name: str, stage: Any, rows: Sequence[Row], schema: pa.Schema, reading: Reading, **options: Any
) -> Step:
    """The step of a stage with a field `limit` that reads documents from input rows. options: of the step."""
    stage = replace(stage, limit=per_part(reading.limit, len(rows)))
    return Step(name, stage, rows=row_tables(rows, schema), **{"count": REFUSED, **options})
