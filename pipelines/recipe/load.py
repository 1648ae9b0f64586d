"""A recipe from its file: YAML with settings over it, checked before anything starts; each fault is one line that names
the key.
"""

from __future__ import annotations

import difflib
import os
import pathlib
from collections.abc import Iterable
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from dedup.images import ADDED
from filters.scores import LEVELS
from pipelines.crawl import index
from pipelines.images import halves, models
from pipelines.recipe import resolve as inputs
from pipelines.recipe.schema import SOURCES, Images, Recipe, RecipeError
from pipelines.select.join import PLACED
from shards import mixture


def read(path: str, settings: Iterable[str] = ()) -> Recipe:
    """The recipe of a file, with ``key=value`` settings over it. Raises RecipeError."""
    try:
        with open(path, encoding="utf-8") as f:
            table = yaml.safe_load(f) or {}
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such recipe{_similar(path, [str(p) for p in own()])}") from None
    except yaml.YAMLError as e:
        raise RecipeError(f"{path}: not YAML: {' '.join(str(e).split())}") from None
    if not isinstance(table, dict):
        raise RecipeError(f"{path}: a recipe is a table of keys, not a {type(table).__name__}")
    for setting in settings:
        _set(table, setting)
    try:
        recipe = Recipe(**table)
    except ValidationError as e:
        raise RecipeError(f"{path}: {_first(e)}") from None
    for source in SOURCES:
        if getattr(recipe, source) is not None:
            recipe.rules(source)
    _inputs(recipe)
    return recipe


def own() -> list[pathlib.Path]:
    """The recipes that come with the project."""
    return sorted((pathlib.Path(__file__).parent / "recipes").glob("*.yaml"))


def _set(table: dict[str, Any], setting: str) -> None:
    key, equals, value = setting.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {setting}: expected key=value, such as web.warc=pages.warc.gz")
    *path, last = key.split(".")
    for name in path:
        table = table.setdefault(name, {})
        if table is None or not isinstance(table, dict):
            raise RecipeError(f"--set {setting}: {name!r} is a value, not a table of keys")
    try:
        table[last] = yaml.safe_load(value)
    except yaml.YAMLError:  # `*.pdf` is an alias to YAML, and a pattern to everyone else
        table[last] = value


def _first(e: ValidationError) -> str:
    """The first fault, in one line with the nearest valid key."""
    # a misspelt key before the key it leaves out
    fault = min(e.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    where = ".".join(str(p) for p in fault["loc"])
    if fault["type"] == "extra_forbidden":
        model: Any = Recipe
        for name in fault["loc"][:-1]:
            if isinstance(name, int):  # a place in a list
                continue
            model = _model(model.model_fields[str(name)].annotation)
        return f"{where}: no such key{_similar(str(fault['loc'][-1]), model.model_fields)}"
    return f"{where}: {fault['msg'].lower()}" + ("" if fault["type"] == "missing" else f", not {fault['input']!r}")


def _model(annotation: Any) -> Any:
    options = getattr(annotation, "__args__", (annotation,))
    return next(o for o in options if isinstance(o, type) and issubclass(o, BaseModel))


def _similar(name: str, names: Iterable[str]) -> str:
    names = list(names)
    near = difflib.get_close_matches(name, names, 1, 0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(names))}"


def _inputs(recipe: Recipe) -> None:
    """Every input exists, and there is at least one."""
    if all(getattr(recipe, source) is None for source in SOURCES):
        raise RecipeError(f"the recipe has no source: give it one of {', '.join(SOURCES)}")
    web = recipe.web
    if web is not None and not (web.warc or web.seeds or web.commoncrawl or web.datatrove or web.releases):
        raise RecipeError(
            "web: no input; give web.warc (WARC files), web.seeds (addresses to crawl from), web.commoncrawl (an index), "
            "web.datatrove (a reader) or web.releases (OBELICS, MINT-1T, mmc4)"
        )
    if web is not None and web.commoncrawl is not None:
        try:
            index.where(web.commoncrawl.where)
        except index.ChoiceError as e:
            raise RecipeError(f"web.commoncrawl.where.{e}") from None
    if recipe.web is None and recipe.pairs is not None and not recipe.pairs.urls:
        raise RecipeError(
            "pairs: no input; give pairs.urls (a file with url and text columns), or a `web` source to take pairs from"
        )
    if recipe.web is None and recipe.pdf is not None and not recipe.pdf.paths:
        raise RecipeError("pdf: no input; give pdf.paths (PDF files or folders)")
    if recipe.conversations is not None:
        names = [s.name for s in recipe.conversations.sets]
        if not names:
            raise RecipeError(
                "conversations: no input; give conversations.sets, such as [{name: vqa, files: vqa/*.parquet}]"
            )
        if twice := [name for name in names if names.count(name) > 1]:
            raise RecipeError(
                f"conversations.sets: two are called {twice[0]!r}; the files of one set go into one entry"
            )
    inputs.input_files(recipe)
    inputs.block_list(recipe)
    inputs.read_by_datatrove(recipe)
    for stage, which in recipe.mixtures.items():
        try:
            mixture.load(which)
        except (mixture.MixtureError, FileNotFoundError) as e:
            raise RecipeError(f"mixtures.{stage}: {e}") from None
    if recipe.tokenizer != "bytes" and not os.path.exists(recipe.tokenizer):
        raise RecipeError(f"tokenizer: {recipe.tokenizer} is neither `bytes` nor a file")
    _models(recipe.images)


def _models(images: Images) -> None:
    """Every model of images is there, and takes what it will be given: each is asked once."""
    taken = {*LEVELS["image"], *PLACED.names, *(name for name, _ in ADDED), "vector"}
    for i, (named, model) in enumerate(zip(images.models, models(images), strict=True)):
        where = f"images.models.{i} ({named.name})"
        if named.name in taken:
            raise RecipeError(f"{where}: there is a score {named.name!r} already; give it another name")
        taken.add(named.name)
        try:
            model.check()
        except ValueError as e:
            raise RecipeError(f"{where}: {e}") from None
    if images.similarity is not None:
        image, text = halves(images.similarity)
        try:
            if (a := image.check()) != (b := text.check()):
                raise ValueError(f"vectors of {a} numbers for images and {b} for texts: not the halves of one model")
        except ValueError as e:
            raise RecipeError(f"images.similarity: {e}") from None
