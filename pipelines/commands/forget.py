"""A takedown: the run's list grows, and the last selection and the shards are made again without what it covers."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from manifests.parquet import read_parquet
from pipelines.commands.run import execute
from pipelines.engine.progress import Progress
from pipelines.engine.storage import Store
from pipelines.recipe.load import of_manifest
from shards import forget as lists
from shards.forget import Entry, Forgotten
from shards.manifest import parse


def forget(
    root: str,
    manifest: Mapping[str, Any],
    entries: Sequence[Entry],
    *,
    on: str = "auto",
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Add `entries` to the takedown list of the run at `root`, and make its selection and shards again.

    manifest: of that run. Returns how many `documents` and `images` the whole list removes, how many `shards` there are
    and how many of them were `rewritten`, and which new entries are `without_effect`. The list is kept even where the
    run cannot be made again (its inputs are gone, for example); `publish` refuses such a run. Raises RecipeError,
    RunError, ForgetError.
    """
    store = Store(root)
    before = store.read(lists.NAME) if store.exists(lists.NAME) else None
    store.replace(lists.NAME, lists.added(before, entries, store.path(lists.NAME)))
    without_effect = _without_effect(store, entries)
    recipe = of_manifest(manifest)
    stats = execute(recipe, root, on=on, limit=manifest.get("limit"), workers=workers, progress=progress)
    old, new = _hashes(manifest), _hashes(json.loads(store.read("manifest.json")))
    sources = stats["sources"].values()
    return {
        "documents": sum(s["dropped"].get(lists.REASON, 0) for s in sources),
        "images": sum(s["images_dropped"].get(lists.REASON, 0) for s in sources),
        "shards": len(new),
        "rewritten": sum(old.get(path) != sha256 for path, sha256 in new.items()),
        "without_effect": without_effect,
    }


def _hashes(manifest: Mapping[str, Any]) -> dict[str, str]:
    """sha256 of each shard, by path."""
    sources = parse(manifest, "manifest.json").sources.values()
    return {s.path: s.sha256 for source in sources for shards in source.splits.values() for s in shards}


def _without_effect(store: Store, entries: Sequence[Entry]) -> list[str]:
    """Entries that cover no document and no fetched image of the ledger."""
    left = {entry: Forgotten([entry]) for entry in entries}
    for name in store.names("ledger"):
        table = name.split("-")[-2] if "-" in name else ""
        columns = {"documents": ["id", "url"], "outcomes": ["url", "sha256"]}.get(table)
        if columns is None or not left:
            continue
        rows = read_parquet(store.read(f"ledger/{name}"), columns)
        for first, second in zip(*(rows[column].to_pylist() for column in columns), strict=True):
            for entry, list_ in list(left.items()):
                if list_.document(first, second) if table == "documents" else list_.image(first, second):
                    del left[entry]
    return [entry.value for entry in left]
