"""Nodes of images: each address fetched once, each image scored once, and what is known of it brought back to the
documents that show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dedup.images import ImageCounts
from filters.onnx import ImageModel, View
from filters.pixels import PixelScores
from filters.scores import IMAGE_PIXELS
from filters.vectors import ImageVectors, TextVectors
from pipelines.adapted.images import ScoreImages, ScoreTexts, label
from pipelines.engine.stage import Step, aligned, by_part, paths, shuffle
from pipelines.fetch.images import Fetch
from pipelines.recipe import schema as recipes
from pipelines.select.join import ByAddress, Count, Join
from pipelines.select.relevance import Heard, Relevance, Spoken
from pipelines.sources.steps import images_of

IMAGES_A_PART = 5000
TEXTS_A_PART = 20_000


def fetched(recipe: recipes.Recipe, links: list[str]) -> list[Step]:
    """The addresses of web pages and pairs."""
    f = recipe.fetch
    stage = Fetch(
        deadline_s=f.deadline_s, max_bytes=f.max_bytes, max_pixels=f.max_pixels, threads=f.threads, per_host=f.per_host, robots=f.robots,
        allow_private=tuple(f.allow_private),
    )  # fmt: skip
    step = Step(
        "fetch", stage, {"wanted": shuffle("wanted", *links)}, recorded=True, previous=("outcomes", "url"),
        per_part=("rows", f.addresses_a_part), count={"outcomes": ("status", "format")},
    )  # fmt: skip
    return [step, *known(recipe, "fetch")]


def known(recipe: recipes.Recipe, blobs: str) -> list[Step]:
    """What a stage that has `outcomes` and `blobs` (fetch, pdf.pages, conversations.read) knows of images, keyed, and
    their scores.

    Pixel scores are a function of the bytes; a model may run on a GPU, or take long, so its scores are recorded.
    """
    prefix, stages = _prefix(blobs), _stages(recipe, blobs)
    keys = f"{prefix}.keys"
    steps = [Step(keys, ByAddress(images=bool(stages)), {"outcomes": aligned("outcomes", blobs)})]
    for name, stage in stages.items():
        reads = {"images": shuffle("images", keys), "blobs": paths("blobs", blobs)}
        step = Step(f"{prefix}.{name}", ScoreImages(stage), reads, per_part=("rows", IMAGES_A_PART), deadline_s=60)
        if not isinstance(stage, PixelScores):
            step = replace(step, recorded=True, previous=("scores", "sha256"), deadline_s=600, gpus=recipe.images.gpus)
        steps.append(step)
    return steps


def placed(recipe: recipes.Recipe, source: str, here: Mapping[str, Any]) -> tuple[list[Step], str]:
    """What is known of every image of one source's kept documents, and the step that has it (table `counted`). `here`:
    inputs by part.
    """
    n = f"{source}.".__add__
    holders, keys = images_of(source)
    steps = [Step(n("join"), Join(), {"places": shuffle("places", n("links")), "outcomes": shuffle("outcomes", *keys)})]
    reads = {"images": shuffle("images", n("join"))}
    asked = _similar(recipe, source)
    columns: dict[str, str] = {}
    for blobs in holders:
        for name, stage in _stages(recipe, blobs).items():
            if asked or not isinstance(stage, ImageVectors):
                columns |= {c.name: "vector" if c.name == "vector" else "number" for c in stage.columns()}
                reads[f"{_prefix(blobs)}.{name}"] = shuffle("scores", f"{_prefix(blobs)}.{name}")
    steps.append(Step(n("count"), Count(tuple(columns.items())) if columns else ImageCounts(), reads))
    if not asked:
        return steps, n("count")
    assert recipe.images.similarity is not None
    _, texts = halves(recipe.images.similarity)
    vectors = n(label(texts))
    steps += [
        Step(n("spoken"), Spoken(), dict(here)),
        Step(
            vectors, ScoreTexts(texts), {"texts": shuffle("texts", n("spoken"))}, per_part=("rows", TEXTS_A_PART), recorded=True,
            previous=("scores", "key"), gpus=recipe.images.gpus,
        ),
        Step(n("heard"), Heard(), {"texts": shuffle("texts", n("spoken")), "scores": shuffle("scores", vectors)}),
        Step(n("relevance"), Relevance(), {"images": by_part("counted", n("count")), "heard": by_part("heard", n("heard"))}),
    ]  # fmt: skip
    return steps, n("relevance")


def models(images: recipes.Images) -> list[ImageModel]:
    """The stages of a recipe's `images.models`."""
    return [ImageModel(m.name, m.model, _view(m), m.column, m.softmax, m.share_above) for m in images.models]


def halves(s: recipes.Similarity) -> tuple[ImageVectors, TextVectors]:
    """The stages of a recipe's `images.similarity`."""
    return ImageVectors(s.image_model, _view(s)), TextVectors(s.text_model, s.tokenizer, s.tokens)


def _view(m: recipes.ImageModel | recipes.Similarity) -> View:
    return View(m.side, m.mean, m.deviation, m.whole)


def _prefix(blobs: str) -> str:
    return blobs.partition(".")[0]


def _stages(recipe: recipes.Recipe, blobs: str) -> dict[str, PixelScores | ImageModel | ImageVectors]:
    """What scores the images of `blobs`: of fetched ones, what the recipe lists and what a rule asks for; of others,
    what a rule asks for.
    """
    fetched = blobs == "fetch"
    sources = [s for s in recipes.SOURCES if getattr(recipe, s) is not None and blobs in images_of(s)[0]]
    named = {rule.score for s in sources for rule in recipe.rules(s).image}
    stages: dict[str, PixelScores | ImageModel | ImageVectors] = {}
    if (recipe.images.pixels and fetched) or named & IMAGE_PIXELS.keys():
        stages["pixels"] = PixelScores()
    stages |= {label(m): m for m in models(recipe.images) if fetched or m.name in named}
    if recipe.images.similarity is not None and any(_similar(recipe, s) for s in sources):
        vectors, _ = halves(recipe.images.similarity)
        stages[label(vectors)] = vectors
    return stages


def _similar(recipe: recipes.Recipe, source: str) -> bool:
    return recipe.images.similarity is not None and source in recipe.images.similarity.of
