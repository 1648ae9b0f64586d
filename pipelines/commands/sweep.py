"""`panoramix sweep`: what other thresholds would keep of a finished run, from its stored scores."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from filters.decide import REMEASURED
from filters.rules import RuleError
from filters.sweep import Sweep, of_fetched, parse, sweep, sweep_images
from manifests.nearest import nearest
from manifests.parquet import read_parquet
from manifests.runfiles import RunFiles
from pipelines.engine.storage import Store
from pipelines.plan import without_image_limit
from pipelines.recipe.load import of_manifest
from pipelines.recipe.resolve import resolve

NODE_COLUMNS = tuple(f"nodes.list.element.{f}" for f in ("kind", "role", "image", "alt", "width", "height"))
Folders = dict[str, list[str]]


def sweep_run(root: str, text: str, name: str | None = None) -> tuple[str, Sweep, float | None, list[dict[str, Any]]]:
    """The source, what is swept, the limit that the run has, and a row for each threshold and for that limit
    (`filters.sweep`).

    name: of the source; the run's first if None. Raises RuleError, RecipeError, RunFilesError.
    """
    store, manifest = Store(root), RunFiles(root).json("manifest.json", "recipe")
    if "steps" not in manifest:
        why = "was made by an older version; run its recipe again first, which fetches nothing"
        raise RuleError(f"sweep: {root} {why}")
    if RunFiles(root).is_copy():
        raise RuleError(f"sweep: {root} is a published copy, which has no scores (stages/): ask the run itself")
    sources = {source.name: source for source in resolve(of_manifest(manifest), list_inputs=False).sources}
    name = next(iter(sources)) if name is None else name
    if name not in sources:
        raise RuleError(f"sweep: this run has no source `{name}`{nearest(name, sources)}")
    source = sources[name]
    what = parse(text, source.rules).with_current(source.rules)
    current = what.current(source.rules)
    folders: Folders = {stage["node"]: stage["folders"] for stage in manifest["stages"]}
    steps = manifest["steps"][source.name]
    if of_fetched(what):
        images = (_read(store, file) for file in _files(store, folders, [steps["images"]], "counted"))
        return source.name, what, current, sweep_images(source.rules, what, images)
    rules = without_image_limit(source.rules)
    scores = [step for step in sorted(folders) if step.startswith(f"{source.name}.score")]
    needed = {*(rule.score for rule in (*rules.document, *rules.node)), *REMEASURED, what.score}
    batches = _documents_with_scores(store, folders, steps["documents"], scores, needed)
    return source.name, what, current, sweep(rules, what, batches)


def _documents_with_scores(
    store: Store, folders: Folders, documents: list[str], scores: list[str], needed: set[str]
) -> Iterator[pa.RecordBatch]:
    """Documents, without their texts, beside the scores that are needed; part by part."""
    files = [_files(store, folders, documents, "documents")]
    files += [_files(store, folders, [step], "scores") for step in scores]
    for first, *others in zip(*files, strict=True):
        tables = [_read(store, first, NODE_COLUMNS)]
        for file in others:
            schema = pq.read_schema(pa.BufferReader(store.read(file))).names
            tables.append(_read(store, file, tuple(c for c in schema if c.removeprefix("node_") in needed)))
        columns = {n: t[n] for t in tables for n in t.schema.names}
        yield from pa.table(columns).combine_chunks().to_batches()


def _files(store: Store, folders: Folders, steps: list[str], table: str) -> Iterator[str]:
    """The files of a table over all parts of some steps, in the order of the parts."""
    for step in steps:
        for folder in folders.get(step, ()):
            parts = read_parquet(store.read(f"{folder}/parts.parquet"), ["table", "file"])
            yield from (r["file"] for r in parts.to_pylist() if r["table"] == table)


def _read(store: Store, name: str, columns: tuple[str, ...] | None = None) -> pa.Table:
    data = pa.BufferReader(store.read(name))
    if name.endswith(".arrow"):  # tables that are shuffled or read by part
        return pa.ipc.open_file(data).read_all()
    # ParquetFile reads single fields of nested columns, which read_table does not
    return pq.ParquetFile(data).read(list(columns) if columns is not None else None, use_threads=False)
