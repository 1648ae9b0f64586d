"""Nodes of the sources that are not pages on a disk: Common Crawl's index, others' releases, conversation datasets; and
evaluations.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from dedup.decontaminate import Overlap
from pipelines.crawl import index
from pipelines.crawl.commoncrawl import CommonCrawl
from pipelines.cut import raw_file, some
from pipelines.engine.plan import StepOutput
from pipelines.engine.run import RunError
from pipelines.engine.stage import Step, aligned, shuffle
from pipelines.engine.storage import Store
from pipelines.formats import conversations as sets
from pipelines.formats import releases
from pipelines.recipe import schema as recipes
from pipelines.select.evaluation import INPUTS, Evaluation
from pipelines.select.join import ByAddress

#: captures fetched in one part: about 100 MB of compressed pages
CAPTURES_A_PART = 5000

_REFUSED: Mapping[str, tuple[str, ...]] = {"refused": ("reason",)}


def commoncrawl(recipe: recipes.Recipe, files: list[dict[str, Any]], limit: int | None) -> list[Step]:
    """Choose captures in the index ``files`` (rows of pipelines.crawl.index.INDEX), then fetch them."""
    table = recipe.web.commoncrawl if recipe.web is not None else None
    if table is None:
        return []
    conditions = index.where(table.where)
    files = [f for f in files if index.wanted(f["path"], conditions)]
    if not files:
        raise RunError("web.commoncrawl.index: no file of it is of the crawl and subset asked for")
    rows = [pa.Table.from_pylist([f], schema=index.INDEX) for f in files]
    choose = index.Choose(index.field_of(conditions), None if limit is None else -(-limit // len(files)))
    fetch = CommonCrawl(prefix=table.prefix, threads=table.threads, allow_private=tuple(recipe.fetch.allow_private))
    return [
        Step("web.index", choose, rows=lambda made: rows),
        Step(
            "web.commoncrawl", fetch, {"chosen": shuffle("chosen", "web.index")}, recorded=True, previous=("fetched", "place"),
            per_part=("rows", CAPTURES_A_PART), count=_REFUSED,
        ),
    ]  # fmt: skip


def fetched(made: Mapping[str, StepOutput], root: str) -> list[dict[str, list[Any]]]:
    """What web.commoncrawl fetched, as slices for pipelines.html.stages.Extract. Raises RunError where nothing could be
    had.
    """
    out: list[dict[str, list[Any]]] = []
    for n, part in enumerate(made["web.commoncrawl"].parts):
        if "warc" in part.files:
            warc = part.files["warc"]
            out.append(
                {
                    "path": [Store(root).path(warc.name)], "file": [f"web.commoncrawl/{n:05d}.warc.gz"], "size": [warc.bytes],
                    "changed": [warc.sha256], "offset": [0], "length": [warc.bytes], "origins": [os.path.basename(part.files["fetched"].name)],
                }
            )  # fmt: skip
    if not out:
        counts = made["web.commoncrawl"].counts.get("refused", {}).get("reason", {})
        why = (
            ", ".join(f"{reason} {n}" for reason, n in sorted(counts.items()))
            or "web.commoncrawl.where chooses nothing in the index"
        )
        raise RunError(
            f"web.commoncrawl: no page ({why}); look at web.commoncrawl.prefix and where, then run again with --refresh web.commoncrawl"
        )
    return out


def released(recipe: recipes.Recipe, files: list[dict[str, Any]], limit: int | None) -> list[Step]:
    """The documents of others' releases; ``files``: rows with path, file, size, changed and format."""
    if not files:
        return []
    pieces = [
        p for f in files for p in releases.pieces({k: f[k] for k in ("path", "file", "size", "changed")}, f["format"])
    ]
    rows = [pa.Table.from_pylist([p], schema=releases.INPUTS) for p in pieces]
    stage = releases.Releases(limit=None if limit is None else -(-limit // len(pieces)))
    return [
        Step("web.releases", stage, rows=lambda made: rows, count={**_REFUSED, "documents": ("lang",)}, deadline_s=60)
    ]


def conversations(recipe: recipes.Recipe, inputs: Mapping[str, list[str]], limit: int | None) -> list[Step]:
    """The documents of conversation datasets, with the images they bring."""
    table = recipe.conversations
    assert table is not None
    files = [
        (s, {k: v[0] for k, v in raw_file(p).items()})
        for i, s in enumerate(table.sets)
        for p in inputs[f"conversations.sets.{i}.files"]
    ]
    pieces = [p for s, f in some(files, limit) for p in sets.pieces(f, s.name, s.images)]
    rows = [pa.Table.from_pylist([p], schema=sets.INPUTS) for p in pieces]
    most = None if limit is None else -(-limit // len(pieces))
    stage = sets.Conversations(table.together, recipe.fetch.max_bytes, recipe.fetch.max_pixels, most)
    count = {**_REFUSED, "outcomes": ("status",)}
    return [Step("conversations.read", stage, rows=lambda made: rows, count=count, deadline_s=60)]


def fetched_for_conversations(steps: Sequence[Step]) -> list[Step]:
    """Outcomes of what conversations have by address: their blobs' parts come behind those of the images that came
    along.
    """
    read = next((n for n in steps if n.name == "conversations.read"), None)
    if read is None or read.rows is None:
        return []
    return [
        Step("conversations.fetched", ByAddress(behind=len(read.rows({}))), {"outcomes": aligned("outcomes", "fetch")})
    ]


def evaluated(recipe: recipes.Recipe, inputs: Mapping[str, list[str]]) -> list[Step]:
    """What is known of the evaluations that must not be in the data."""
    if recipe.decontaminate is None:
        return []
    rows = [pa.table(raw_file(p), schema=INPUTS) for p in inputs["decontaminate.files"]]
    return [Step("evaluated", Evaluation(overlap(recipe)), rows=lambda made: rows)]


def overlap(recipe: recipes.Recipe) -> Overlap:
    assert recipe.decontaminate is not None
    return Overlap(recipe.decontaminate.words, recipe.decontaminate.whole)


#: the step of each source whose documents bring their images
OWN_IMAGES = {"pdf": "pdf.pages", "conversations": "conversations.read"}


def images_of(source: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The steps that hold a source's blobs, in the order in which their parts are numbered, and those that hold their
    outcomes by address.
    """
    if source == "conversations":
        return ("conversations.read", "fetch"), ("conversations.keys", "conversations.fetched")
    return (("pdf.pages",), ("pdf.keys",)) if source == "pdf" else (("fetch",), ("fetch.keys",))
