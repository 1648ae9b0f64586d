"""`panoramix sweep`: what other thresholds would keep of a finished run, read from its stored scores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from filters.decide import AGAIN
from filters.rules import RuleError, Rules
from filters.sweep import Sweep, of_fetched, parse, sweep, sweep_images
from pipelines.engine.storage import Store
from pipelines.recipe.schema import Recipe
from pipelines.sources.steps import OWN_IMAGES

OWN = {source: (node,) for source, node in OWN_IMAGES.items()}
DOCUMENTS = {"web": ("web.extract", "web.datatrove", "web.releases"), "pairs": ("pairs.pages", "pairs.listed"), **OWN}
NODE_COLUMNS = tuple(f"nodes.list.element.{f}" for f in ("kind", "role", "image", "alt", "width", "height"))


def sweep_run(root: str, text: str, source: str | None = None) -> tuple[str, Sweep, float | None, list[dict[str, Any]]]:
    """The source, what was swept, the limit the run had, and a row a threshold (`filters.sweep`).

    Without a ``source``, the first that the run has. Raises RuleError, one line; FileNotFoundError where the run
    has not finished.
    """
    store = Store(root)
    if not store.exists("manifest.json"):
        raise FileNotFoundError(f"{root} is no finished run: it has no manifest.json")
    manifest = json.loads(store.read("manifest.json"))
    recipe = Recipe(**manifest["recipe"])
    have = [s for s in DOCUMENTS if getattr(recipe, s) is not None]
    if source is not None and source not in have:
        raise RuleError(f"sweep: this run has no source `{source}`; it has {', '.join(have)}")
    source = source or have[0]
    rules = recipe.rules(source)
    what = parse(text, rules)
    folders = {stage["node"]: stage["folders"] for stage in manifest["stages"]}
    if of_fetched(what):
        last = f"{source}.relevance" if f"{source}.relevance" in folders else f"{source}.count"
        images = (_read(store, name) for name in _files(store, folders, (last,), "counted"))
        return source, what, what.current(rules), sweep_images(rules, what, images)
    # as when it ran: how many images are left is asked last, here only that there is one to begin with
    before = replace(rules, document=tuple(replace(r, max=None) if r.score == "images" else r for r in rules.document))
    return source, what, what.current(rules), sweep(before, what, _zipped(store, folders, source, before, what))


def _zipped(
    store: Store, folders: dict[str, list[str]], source: str, rules: Rules, what: Sweep
) -> Iterator[pa.RecordBatch]:
    """Documents, without their texts, beside the scores that the rules name; part by part."""
    own = [name for name in sorted(folders) if name.startswith(f"{source}.score")]
    scores = [list(_files(store, folders, (name,), "scores")) for name in own]
    named = {r.score for r in (*rules.document, *rules.node)} | {*AGAIN, what.score}
    for documents, *beside in zip(_files(store, folders, DOCUMENTS[source], "documents"), *scores, strict=True):
        tables = [_read(store, documents, NODE_COLUMNS)]
        for name in beside:
            schema = pq.read_schema(pa.BufferReader(store.read(name))).names
            wanted = [c for c in schema if c.removeprefix("node_") in named]
            tables.append(_read(store, name, tuple(wanted)))
        columns = {n: t[n] for t in tables for n in t.schema.names}
        yield from pa.table(columns).combine_chunks().to_batches()


def _files(store: Store, folders: dict[str, list[str]], nodes: tuple[str, ...], table: str) -> Iterator[str]:
    """A table's files over all parts of some stages, in the order of the parts."""
    for node in nodes:
        for folder in folders.get(node, ()):
            parts = pq.read_table(pa.BufferReader(store.read(f"{folder}/parts.parquet")), columns=["table", "file"])
            yield from (r["file"] for r in parts.to_pylist() if r["table"] == table)


def _read(store: Store, name: str, columns: tuple[str, ...] | None = None) -> pa.Table:
    data = pa.BufferReader(store.read(name))
    if name.endswith(".arrow"):  # what goes home is kept by part, not as Parquet
        return pa.ipc.open_file(data).read_all()
    # it takes fields of nested columns, which read_table does not
    return pq.ParquetFile(data).read(list(columns) if columns is not None else None)
