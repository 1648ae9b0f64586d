"""What a recipe reads: its input files, block-list and readers, resolved. A name that matches nothing is an error that
names its key.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from typing import Any

import fsspec

from pipelines.formats import from_datatrove
from pipelines.recipe.schema import Recipe, RecipeError
from shards import forget


def read_by_datatrove(recipe: Recipe) -> list[dict[str, Any]]:
    """What `web.datatrove` reads, as rows of from_datatrove.INPUTS. Raises RecipeError where there is no such reader,
    or nothing to read.
    """
    table = recipe.web.datatrove if recipe.web is not None else None
    if table is None:
        return []
    try:
        return from_datatrove.inputs(table.reader, table.arguments, table.shards)
    except ValueError as e:
        raise RecipeError(f"web.datatrove: {e}") from None


def block_list(recipe: Recipe) -> list[forget.Entry]:
    """The entries of the recipe's block-list, sorted. Raises RecipeError."""
    if recipe.forget is None:
        return []
    try:
        with open(recipe.forget, encoding="utf-8") as f:
            return sorted(set(forget.entries(f, recipe.forget)))
    except FileNotFoundError:
        raise RecipeError(f"forget: no file {recipe.forget}") from None
    except (forget.ForgetError, UnicodeDecodeError) as e:
        raise RecipeError(f"forget: {e}") from None


_SUFFIXES: Mapping[str, str | tuple[str, ...]] = {
    "obelics": ".parquet",
    "mint1t": (".parquet", ".tar"),
    "mmc4": (".jsonl", ".jsonl.gz", ".jsonl.zip"),
}
_ROWS = (".parquet", ".jsonl", ".json", ".jsonl.gz", ".json.gz", ".jsonl.zst", ".json.zst")


def _remote(pattern: str) -> list[str]:
    fs, path = fsspec.core.url_to_fs(pattern)
    return [fs.unstrip_protocol(p) for p in fs.glob(path)]


def input_files(recipe: Recipe) -> Mapping[str, list[str]]:
    """Input files by key, patterns and folders resolved, sorted. Raises RecipeError where a name matches nothing."""
    found = {}
    for key, names, suffix in (
        ("web.warc", recipe.web.warc if recipe.web else [], ".warc.gz"),
        *(
            [("web.commoncrawl.index", recipe.web.commoncrawl.index, ".parquet")]
            if recipe.web and recipe.web.commoncrawl
            else []
        ),
        *(
            (f"web.releases.{i}.files", r.files, _SUFFIXES[r.format])
            for i, r in enumerate(recipe.web.releases if recipe.web else ())
        ),
        ("pairs.urls", recipe.pairs.urls if recipe.pairs else [], ""),
        *(
            (f"conversations.sets.{i}.files", s.files, _ROWS)
            for i, s in enumerate(recipe.conversations.sets if recipe.conversations else ())
        ),
        *(
            [("decontaminate.files", recipe.decontaminate.files, (".jsonl", ".jsonl.gz"))]
            if recipe.decontaminate
            else []
        ),
        ("pdf.paths", recipe.pdf.paths if recipe.pdf else [], ".pdf"),
    ):
        paths: list[str] = []
        for name in names:
            if "://" in name:
                matched = _remote(name) if "*" in name else [name]
            elif os.path.isdir(name):
                matched = [
                    p
                    for p in glob.glob(os.path.join(glob.escape(name), "**"), recursive=True)
                    if p.endswith(suffix) and os.path.isfile(p)
                ]
            else:
                matched = [p for p in glob.glob(name, recursive=True) if os.path.isfile(p)]
            if not matched:
                raise RecipeError(f"{key}: {name} matches no file")
            paths += matched
        found[key] = sorted(set(paths))
    return found
