"""A recipe resolved: files listed, models and word lists opened, rules loaded, names checked. All of it once.

Nothing else does input or output for a recipe, and nothing here knows of the plan. What is wrong is a `RecipeError`:
one line that names the key.
"""

import dataclasses
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from dedup.images import ADDED
from filters.adapters import datatrove_score
from filters.blocklist import Blocklist
from filters.models import text_models
from filters.onnx import ImageModel, View
from filters.own import own_score
from filters.rules import Rule, RuleError, Rules, load
from filters.scores import IMAGE_SIMILARITY, LEVELS
from filters.text import SCORES
from filters.vectors import ImageVectors, TextVectors
from manifests.code import frozen_arguments
from manifests.nearest import nearest
from manifests.schema import DOCUMENT
from pipelines.fetch.http import user_agent
from pipelines.recipe.schema import ImageModel as ImageModelTable
from pipelines.recipe.schema import Images, Recipe, RecipeError, Similarity
from pipelines.select.duplicate_key import key_function
from pipelines.select.join import PLACED
from pipelines.sources import KINDS
from pipelines.sources.base import Row, Source
from pipelines.sources.files import list_files
from pipelines.sources.tables import fault_of
from shards import forget, mixture
from shards.output import writer


@dataclass(frozen=True)
class Resolved:
    """A recipe and everything that it names, ready to be planned."""

    recipe: Recipe
    sources: tuple[Source, ...]  # each behind the sources that it reads from
    evaluations: tuple[Row, ...]  # files of `decontaminate`
    blocklist: tuple[forget.Entry, ...]  # entries of `forget`, sorted
    image_models: tuple[ImageModel, ...]
    similarity: tuple[ImageVectors, TextVectors] | None
    compared: frozenset[str]  # sources whose images are compared with their text
    user_agent: str

    @property
    def input_bytes(self) -> int:
        files = [file for source in self.sources for rows in source.files.values() for file in rows]
        return sum(row["size"] for row in (*files, *self.evaluations))


def resolve(recipe: Recipe, list_inputs: bool = True) -> Resolved:
    """The recipe with everything that it names. Raises RecipeError, which names the recipe's file.

    list_inputs: False for a finished run, whose input files may be gone; then the sources have no files.
    """
    try:
        return _resolve(recipe, list_inputs)
    except RecipeError as e:
        raise RecipeError(f"{recipe._file}: {e}" if recipe._file else str(e)) from None


def _resolve(recipe: Recipe, list_inputs: bool) -> Resolved:
    if not recipe.sources:
        raise RecipeError("the recipe has no source; give it one: sources: {web: {kind: web, warc: pages.warc.gz}}")
    models, similarity = _image_models(recipe.images)
    compared = _compared(recipe)
    sources = tuple(_source(name, recipe, name in compared, list_inputs) for name in _order(recipe))
    _check_dedup(recipe, sources)
    _check_image_scores(sources, models)
    _check_mixtures(recipe)
    if recipe.tokenizer != "bytes" and not os.path.exists(recipe.tokenizer):
        raise RecipeError(f"tokenizer: {recipe.tokenizer} is neither `bytes` nor a file")
    evaluations: list[Row] = []
    if recipe.decontaminate is not None and list_inputs:
        with fault_of("decontaminate.files: "):
            evaluations = list_files(recipe.decontaminate.files, (".jsonl", ".jsonl.gz"))
    with fault_of("fetch."):
        agent = user_agent(recipe.fetch.contact, recipe.fetch.user_agent)
    entries = tuple(block_list(recipe))
    return Resolved(recipe, sources, tuple(evaluations), entries, models, similarity, compared, agent)


def block_list(recipe: Recipe) -> list[forget.Entry]:
    """The entries of the recipe's block-list `forget`, sorted. Raises RecipeError."""
    if recipe.forget is None:
        return []
    if not os.path.exists(recipe.forget):
        raise RecipeError(f"forget: no file {recipe.forget}")
    with fault_of("forget: ", forget.ForgetError), open(recipe.forget, encoding="utf-8") as f:
        entries = set(forget.entries(f, recipe.forget))
    return sorted(entries)


# --- one source -------------------------------------------------------------------------------------------------------


def _source(name: str, recipe: Recipe, compared: bool, list_inputs: bool) -> Source:
    table = recipe.sources[name]
    kind = KINDS[table.kind]
    files: dict[str, list[Row]] = {}
    for listing in kind.listings(name, table) if list_inputs else ():
        with fault_of(f"{name}.{listing.key}: "):
            files[listing.key] = listing.rows()
    if table.duplicate_key is not None:
        with fault_of(f"{name}.duplicate_key: "):
            key_function(table.duplicate_key)
    for i, output in enumerate(table.outputs):
        with fault_of(f"{name}.outputs.{i} ({output.name}): "):
            if output.name in [earlier.name for earlier in table.outputs[:i]]:
                raise ValueError("there is an output of this name already; give it another name")
            frozen_arguments(output.arguments)
            writer(output.writer, output.arguments)
    scores, image_scores = _scores(name, table)
    image_names = [m.name for m in recipe.images.models] + [s.name for s in image_scores]
    rules = _rules(name, table, scores, image_names, compared)
    return Source(name, kind, table, rules, scores, image_scores, files)


def _scores(name: str, table: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The stages of a source's own models, filters and functions: of texts and documents, and of images."""
    with fault_of(f"{name}."):
        stages: list[Any] = list(text_models(table.text, table.blocklist))
    images: list[Any] = []
    columns = {*DOCUMENT.names, *SCORES.names, *(c for stage in stages for c in stage.tables["scores"].names)}
    makers = [(f"text.datatrove.{i}", entry) for i, entry in enumerate(table.text.datatrove)]
    makers += [(f"scores.{i}", entry) for i, entry in enumerate(table.scores)]
    for key, entry in makers:
        where = f"{name}.{key} ({entry.name})"
        with fault_of(f"{where}: "):
            if key.startswith("scores"):
                stage: Any = own_score(entry.name, entry.function, entry.level, entry.arguments)
            else:
                stage = datatrove_score(entry.name, entry.filter, entry.arguments)
        if getattr(stage, "level", "text") == "image":
            images.append(stage)
            continue
        if taken := [c for c in stage.tables["scores"].names if c in columns]:
            raise RecipeError(f"{where}: there is a column {taken[0]!r} already; give it another name")
        columns.update(stage.tables["scores"].names)
        stages.append(stage)
    return tuple(stages), tuple(images)


def _rules(name: str, table: Any, scores: Iterable[Any], image_names: list[str], compared: bool) -> Rules:
    """The rules of a source; each names a score that something gives."""
    own: dict[str, list[str]] = {
        "document": [c.name for s in scores for c in s.tables["scores"] if pa.types.is_floating(c.type)],
        "node": [],
        "image": image_names,
    }
    try:
        rules = load(
            {"preset": table.preset, **table.rules.model_dump()}, [score for names in own.values() for score in names]
        )
    except RuleError as e:
        raise RecipeError(f"{name}.{e}") from None
    for level, built_in in LEVELS.items():
        for rule in getattr(rules, level):
            where = f"{name}.rules.{level}.{rule.score}"
            if rule.score in own[level]:
                if rule.any_of is not None:
                    raise RecipeError(f"{where}.any_of: a number; give min or max")
            elif rule.score in own["document"]:
                raise RecipeError(f"{where}: a score of whole documents; its rule goes under {name}.rules.document")
            elif rule.score in own["image"]:
                raise RecipeError(f"{where}: a score of images; its rule goes under {name}.rules.image")
            elif rule.score not in built_in:
                keys = (
                    f"images.models or {name}.scores" if level == "image" else f"{name}.text.datatrove or {name}.scores"
                )
                raise RecipeError(f"{where}: nothing gives this score; name it in {keys}")
            elif level == "image" and rule.score in IMAGE_SIMILARITY and not compared:
                raise RecipeError(
                    f"{where}: nothing gives this score; name two models in images.similarity, with {name} in its `of`"
                )
    if table.blocklist is not None:
        # the score is the entry that covers the address, or null; no entry is among the allowed values
        blocked = Rule(Blocklist.name, any_of=(), source=f"{name}.blocklist")
        rules = dataclasses.replace(rules, document=(blocked, *rules.document))
    return rules


# --- names of sources -------------------------------------------------------------------------------------------------


def _order(recipe: Recipe) -> list[str]:
    """The sources in the recipe's order, but each behind the sources that it reads from."""
    order: list[str] = []
    for name, table in recipe.sources.items():
        for upstream in KINDS[table.kind].read_from(table):
            _check_name(upstream, recipe, f"{name}.from")
            if recipe.sources[upstream].kind != "web":
                raise RecipeError(f"{name}.from: {upstream} is not a source of kind web")
            if upstream not in order:
                order.append(upstream)
        if name not in order:
            order.append(name)
    return order


def _check_name(name: str, recipe: Recipe, where: str) -> None:
    if name not in recipe.sources:
        raise RecipeError(f"{where}: no source `{name}`{nearest(name, recipe.sources)}")


def _check_dedup(recipe: Recipe, sources: Iterable[Source]) -> None:
    for name in recipe.dedup.prefer:
        _check_name(name, recipe, "dedup.prefer")
    if recipe.dedup.across == "source":
        return
    first: dict[str, Source] = {}
    for source in sources:
        other = first.setdefault(source.kind.name, source)
        for what in ("sign", "threshold", "most_uses"):
            settings = getattr(source.kind, what)
            if settings(source.table) != settings(other.table):
                raise RecipeError(
                    f"{other.name} and {source.name}: their duplicates are found together, but their settings of "
                    "duplicates (`near`, `paragraph_uses`, `text_uses`) differ; give both the same, or set "
                    "dedup.across to source"
                )


def _compared(recipe: Recipe) -> frozenset[str]:
    """The sources whose images are compared with text by `images.similarity`."""
    similarity = recipe.images.similarity
    if similarity is None:
        return frozenset()
    if similarity.of is None:
        return frozenset(name for name, t in recipe.sources.items() if t.kind in ("web", "pairs"))
    for name in similarity.of:
        _check_name(name, recipe, "images.similarity.of")
    return frozenset(similarity.of)


def _check_mixtures(recipe: Recipe) -> None:
    tags = sorted({table.tag for table in recipe.sources.values() if table.tag is not None})
    for stage, given in recipe.mixtures.items():
        with fault_of(f"mixtures.{stage}: ", mixture.MixtureError, FileNotFoundError):
            mixture.load(given).check(recipe.sources, tags)


# --- scores of images -------------------------------------------------------------------------------------------------


def _image_models(images: Images) -> tuple[tuple[ImageModel, ...], tuple[ImageVectors, TextVectors] | None]:
    """The models of `images`, each opened once to check what it takes and gives."""
    models = tuple(ImageModel(m.name, m.model, _view(m), m.column, m.softmax, m.share_above) for m in images.models)
    for i, model in enumerate(models):
        with fault_of(f"images.models.{i} ({model.name}): "):
            model.check()
    if images.similarity is None:
        return models, None
    s = images.similarity
    halves = ImageVectors(s.image_model, _view(s)), TextVectors(s.text_model, s.tokenizer, s.tokens)
    with fault_of("images.similarity: "):
        image_length, text_length = (half.check() for half in halves)
    if image_length != text_length:
        lengths = f"vectors of {image_length} numbers for images and {text_length} for texts"
        raise RecipeError(f"images.similarity: {lengths}: not halves of one model")
    return models, halves


def _view(table: ImageModelTable | Similarity) -> View:
    return View(table.side, table.mean, table.deviation, table.whole)


def _check_image_scores(sources: Iterable[Source], models: Iterable[ImageModel]) -> None:
    """No two scores of images have one name."""
    stages: dict[str, Any] = dict.fromkeys([*LEVELS["image"], *PLACED.names, *ADDED.names, "vector"])
    entries = [(f"images.models.{i} ({model.name})", model) for i, model in enumerate(models)]
    entries += [(f"{source.name}.scores ({stage.name})", stage) for source in sources for stage in source.image_scores]
    for where, stage in entries:
        if stage.name in stages and stages[stage.name] != stage:
            raise RecipeError(f"{where}: there is a score {stage.name!r} already; give it another name")
        stages[stage.name] = stage
