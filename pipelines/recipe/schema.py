"""Recipes: what a run does, as tables. `pipelines.recipe.load` reads one from its file.

Every key has a default that fits most runs; a recipe says only what differs.
``--set web.rules.document.words.min=20`` changes one key of the source that is named `web`.
"""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from filters.onnx import DEVIATION, MEAN
from pipelines.sources import KINDS
from pipelines.sources.tables import Fetch, FileName, PlainName, RecipeError, ScoreName, SourceTable, Strings, Table

__all__ = ["Recipe", "RecipeError", "SourceTable"]

if TYPE_CHECKING:
    AnySource = Any
else:  # the tables of all kinds; `kind` says which
    AnySource = Annotated[
        functools.reduce(operator.or_, [kind.table for kind in KINDS.values()]), Field(discriminator="kind")
    ]


class Decontaminate(Table):
    """Evaluations that must not be in the data: questions, answers and pictures, in the files that `trainer.answers`
    evaluates by (dedup/decontaminate.py).
    """

    files: Strings = Field(
        min_length=1,
        description="JSON lines with image (relative to them), question, answers, choices: paths, globs, fsspec URLs",
    )
    words: int = Field(13, ge=1, description="words in a row that document and evaluation may not share (GPT-3: 13)")
    whole: int = Field(8, ge=1, description="shorter texts are matched whole, from this many words on (GPT-3: 8)")
    common: int = Field(
        10, ge=1, description="documents that may share such words; words of more are a template (NeMo Curator: 10)"
    )
    bits: int | None = Field(
        3, ge=0, le=16, description="bits of 64 of a perceptual hash that may differ; null: images are not compared"
    )


Three = tuple[float, float, float]


class _Model(Table):
    side: int = Field(224, ge=1, description="pixels of the square that the model takes")
    mean: Three = Field(MEAN, description="of red, green and blue, from 0 to 1; CLIP's by default")
    deviation: Three = Field(DEVIATION, description="standard deviation of red, green and blue; CLIP's by default")
    whole: bool = Field(False, description="squeeze the whole image into the square, instead of its centre square")


class ImageModel(_Model):
    """A score of images by a model in an ONNX file: a rule `<name>: {max: 0.9}` uses it."""

    name: ScoreName
    model: str = Field(description="path of an ONNX file: images in, a row for each out")
    column: int = Field(0, ge=0, description="of the row, which number is the score")
    softmax: bool = Field(False, description="over the row, before the column is taken")
    share_above: float | None = Field(
        None, description="the score is the share of the row above this value: of a text detector, the area of text"
    )


class Similarity(_Model):
    """CLIP or SigLIP in two ONNX files: the image scores `similarity` and `relevance_rank`."""

    image_model: str = Field(description="path of the ONNX file of the image half")
    text_model: str = Field(description="path of the ONNX file of the text half")
    tokenizer: str = Field(description="path of its tokenizer.json")
    tokens: int = Field(77, ge=1, description="of a text, how many tokens the model reads; shorter texts are padded")
    of: Strings | None = Field(
        None, description="sources whose images are compared with text; all of kind web and pairs if not given"
    )


class Images(Table):
    """Scores of fetched images, for rules of the level `image`. Images that come with documents are scored where their
    source's rules ask for it.
    """

    pixels: bool = Field(False, description="entropy, blur, solid and qr of every image, even where no rule names one")
    models: list[ImageModel] = Field([], description="each gives the score of its name")
    similarity: Similarity | None = None
    gpus: float = Field(0, ge=0, description="share of a GPU that one partition of a model takes, on Ray")


class Shards(Table):
    bytes: int = Field(1_000_000_000, ge=1, description="of one shard, about")
    longest_side: int = Field(980, ge=14, description="pixels; larger images are scaled down (Idefics2: 980)")
    validation: float = Field(0.01, ge=0, lt=1, description="share of registered domains that is held out")


class Dedup(Table):
    """Between which documents duplicates, repeated texts and repeated images are looked for."""

    across: Literal["kind", "source"] = Field("kind", description="all sources of one kind together, or each alone")
    prefer: Strings = Field([], description="names of sources: of duplicates, the document of the first of them stays")


class Recipe(Table):
    name: FileName = Field("run", description="of the dataset; the run's folder is runs/NAME if --out is not given")
    license: str = Field("other", description="the dataset's, in the Hub's names; a document keeps its page's licence")
    sources: dict[PlainName, AnySource] = Field(
        {}, description="name -> {kind: web | pairs | pdf | conversations | text, ...}; the names are yours"
    )
    dedup: Dedup = Dedup()
    fetch: Fetch = Fetch()
    images: Images = Images()
    decontaminate: Decontaminate | None = None
    shards: Shards = Shards()
    tokenizer: str = Field("bytes", description="`bytes`, or the path of a tokenizer.json")
    mixtures: dict[FileName, Any] = Field(
        {"stage1": "stage1", "stage2": "stage2"}, description="training stage -> preset, or a whole mixture"
    )
    seed: int = 0
    forget: str | None = Field(
        None, description="a block-list: ids, addresses, hosts, sha256 of images, one a line; none is fetched or packed"
    )

    #: the file that it was read from, for messages; empty for the recipe of a manifest
    _file: str = PrivateAttr("")

    @model_validator(mode="after")
    def _names_are_free(self) -> Recipe:
        for name in self.sources:
            if name in type(self).model_fields:
                raise ValueError(f"sources.{name}: `{name}` is a key of recipes; give the source another name")
            for split in ("train", "validation"):
                if f"{name}-{split}" in self.sources:
                    files = f"files of the ledger have this name, for the source `{name}`"
                    raise ValueError(f"sources.{name}-{split}: {files}; give the source another name")
        return self

    def dump(self) -> dict[str, Any]:
        """The recipe as plain values, as the manifest stores it."""
        return self.model_dump(mode="json", by_alias=True)
