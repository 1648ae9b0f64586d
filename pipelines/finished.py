"""The last steps of a finished run, planned from the run's own files: what a takedown makes again.

The recipe's inputs, models, lists and own code are not read, so they may be gone, and the current folder does not
matter. Every earlier step is taken as its tables are.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from filters.rules import Rule, Rules
from manifests.runfiles import RunFiles
from pipelines.counts import FILES_NAME, read_files
from pipelines.engine.plan import StepOutput
from pipelines.engine.recorded import read_folders
from pipelines.engine.retry import RunError
from pipelines.engine.stage import Step, by_part
from pipelines.engine.storage import Store
from pipelines.images import FETCH
from pipelines.plan import ASKED, LISTED, Plan, PlannedSource, listed_step, scopes_of, selected
from pipelines.recipe.load import of_manifest
from pipelines.sources import KINDS
from pipelines.sources.base import Documents, Source
from shards.forget import Entry
from shards.tokens import load

Row = Mapping[str, Any]


def selection(manifest: Row, stats: Row, root: str, takedowns: Sequence[Entry]) -> tuple[Plan, dict[str, StepOutput]]:
    """The selection and the shards of the run at `root`, under a list of takedowns; and the output of all other steps.

    manifest, stats: of that run. Raises RunError for a run of an older version, and where a table or
    the tokenizer's file is gone.
    """
    again = f"run the recipe of {root} again"
    of_sources: dict[str, Row] = manifest.get("steps", {})
    if not of_sources or not all("readers" in steps for steps in of_sources.values()):
        raise RunError(f"{root} was made by an older version; {again} first, which fetches nothing")
    recipe, store = of_manifest(manifest), Store(root)
    try:
        load(recipe.tokenizer)
    except FileNotFoundError as e:
        raise RunError(f"{root}: {e} here; it counts the tokens of documents: go to the recipe's folder") from None
    outputs: dict[str, StepOutput] = {}
    for stage in manifest["stages"]:
        name, folders = stage["node"], stage["folders"]
        parts, counts = read_folders(store, folders, f"{root}/manifest.json names it", again)
        outputs[name] = StepOutput(name, parts, counts, folders)
    files = _files(RunFiles(root))
    documents = {name: _documents(steps, files.get(name, [])) for name, steps in of_sources.items()}
    sources = [
        Source(
            name,
            KINDS[recipe.sources[name].kind],
            recipe.sources[name],
            _rules(stats["sources"][name]["rules"]),
            files={"": [{"file": file} for file in files.get(name, [])]},
        )
        for name in of_sources
    ]
    steps = [listed_step(ASKED, takedowns)]
    lists = [*([LISTED] if LISTED in outputs else []), ASKED]
    planned: dict[str, PlannedSource] = {}
    for scope in scopes_of(recipe, sources, documents):
        own = [step for source in scope.members for step in documents[source.name].images]
        blobs = (*own, *([FETCH] if scope.kind.fetches else []))
        for source in scope.members:
            counted = of_sources[source.name]["images"]
            images = None if counted is None else by_part("counted", counted)
            steps += selected(recipe, scope, source, images, blobs, lists)
            planned[source.name] = PlannedSource(source, documents[source.name], scope.name, blobs)
    for step in steps:
        outputs.pop(step.name, None)
    partitions = _partitions(manifest, planned.values(), store)
    return Plan(tuple(steps), partitions, tuple(planned[name] for name in of_sources), manifest.get("limit")), outputs


def _files(run: RunFiles) -> dict[str, list[str]]:
    """The input files of each source, as the ledger names them."""
    files: dict[str, list[str]] = {}
    if run.exists(FILES_NAME):
        table = read_files(run)
        for source, file in sorted({(r["source"], r["file"]) for r in table.to_pylist() if r["file"] is not None}):
            files.setdefault(source, []).append(file)
    return files


def _documents(steps: Row, files: Sequence[str]) -> Documents:
    """The steps of a source as its manifest names them, without their stages. files: what they read."""
    read = pa.table({"file": pa.array(files, pa.string())})
    readers = tuple(Step(name, None, rows=lambda outputs: [read]) for name in steps["readers"])
    documents, images, pages, crawls = (tuple(steps[key]) for key in ("documents", "own_images", "pages", "crawls"))
    return Documents(readers, documents, images=images, pages=pages, crawls=crawls)


def _rules(levels: Mapping[str, Sequence[Row]]) -> Rules:
    """The rules of a source as `stats.json` lists them."""

    def rule(row: Row) -> Rule:
        any_of = row["any_of"]
        return Rule(**{**row, "any_of": None if any_of is None else tuple(any_of), "spares": tuple(row["spares"])})

    return Rules(**{level: tuple(map(rule, rows)) for level, rows in levels.items()})


def _partitions(manifest: Row, planned: Any, store: Store) -> int:
    """The key ranges of the run's shuffles: a function of its inputs, which the record of a selection has kept."""
    folders = {stage["node"]: stage["folders"] for stage in manifest["stages"]}
    (folder,) = folders[next(iter(planned)).step("select")]
    return int(json.loads(store.read(f"{folder}/manifest.json"))["keyed"]["train"])
