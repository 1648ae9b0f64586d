"""A takedown: the run's list grows, and the last selection and the shards are made again without what it covers."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.parquet as pq

from pipelines.commands.run import execute
from pipelines.engine.progress import Progress
from pipelines.engine.storage import Store
from pipelines.recipe.schema import Recipe
from shards import forget as lists
from shards.forget import Entry, Forgotten


def forget(
    root: str,
    manifest: Mapping[str, Any],
    new: Sequence[Entry],
    *,
    on: str = "auto",
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Put `new` on the list of the run at `root`, whose manifest this is, and make again what was made of it.

    Returns how many `documents` and `images` the whole list has taken out, how many `shards` there are and how many of
    them were `rewritten`, and which new entries are `without_effect`. The list is kept whatever happens behind it: a
    run that could not be made again (its inputs are gone, say) is one that `publish` refuses. Raises RecipeError,
    RunError, ForgetError.
    """
    store = Store(root)
    held = store.read(lists.NAME) if store.exists(lists.NAME) else None
    store.replace(lists.NAME, lists.added(held, new, store.path(lists.NAME)))
    idle = _without_effect(store, new)
    stats = execute(
        Recipe(**manifest["recipe"]), root, on=on, limit=manifest.get("limit"), workers=workers, progress=progress
    )
    before, after = _shards(manifest), _shards(_manifest(store))
    sources = stats["sources"].values()
    return {
        "documents": sum(s["dropped"].get(lists.REASON, 0) for s in sources),
        "images": sum(s["images_dropped"].get(lists.REASON, 0) for s in sources),
        "shards": len(after),
        "rewritten": sum(before.get(path) != sha256 for path, sha256 in after.items()),
        "without_effect": idle,
    }


def _manifest(store: Store) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(store.read("manifest.json"))
    return found


def _shards(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {
        s["path"]: s["sha256"] for splits in manifest["configs"].values() for shards in splits.values() for s in shards
    }


def _without_effect(store: Store, new: Sequence[Entry]) -> list[str]:
    """Entries that cover no document and no fetched image that the ledger names."""
    left = {entry: Forgotten([entry]) for entry in new}
    for name in store.names("ledger"):
        columns = {"documents": ("id", "url"), "outcomes": ("url", "sha256")}.get(
            name.split("-")[-2] if "-" in name else ""
        )
        if columns is None or not left:
            continue
        rows = pq.read_table(io.BytesIO(store.read(f"ledger/{name}")), columns=list(columns))
        for one, two in zip(rows[columns[0]].to_pylist(), rows[columns[1]].to_pylist(), strict=True):
            for entry in [
                e for e, f in left.items() if (f.document(one, two) if columns[0] == "id" else f.image(one, two))
            ]:
                del left[entry]
    return [entry.value for entry in left]
