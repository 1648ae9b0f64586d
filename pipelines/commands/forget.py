"""A takedown: the run's list grows, and the last selection and the shards are made again without what it covers."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from manifests.parquet import read_parquet
from manifests.runfiles import RunFiles, RunFilesError
from pipelines.commands.run import backend
from pipelines.engine.lock import hold
from pipelines.engine.progress import Progress
from pipelines.engine.run import run, store_errors
from pipelines.engine.storage import Store
from pipelines.finished import selection
from pipelines.outputs import UNFINISHED, assemble
from pipelines.recipe.load import of_manifest
from shards import forget as lists
from shards.forget import Entry, ForgetError, Forgotten
from shards.manifest import parse
from shards.publish.takedown import take_down

_NO_ENTRIES = "nothing to forget: give ids, addresses, hosts or hashes, or a file of them with --from"
_NOTHING = "nothing was changed"
#: tables of the ledger in which an entry is looked for, and the columns that are compared
_TABLES = {"documents": ["url", "id"], "outcomes": ["url", "sha256"]}


def forget(
    root: str,
    entries: Sequence[Entry],
    *,
    on: str = "auto",
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Add `entries` to the takedown list of the run at `root`, and make its selection and shards again.

    Only the run's own tables are read, never its inputs. Without entries, or with the same ones, it finishes an
    interrupted takedown. A published copy loses the samples (shards/publish/takedown.py).

    Returns how many `documents` and `images` the whole list removes (of a copy: `samples` and `documents`), how many
    `shards` there are and how many of them were `rewritten`, which new entries are `without_effect`, and whether
    anything was `done`: where no entry has an effect, nothing is changed. Raises RecipeError, RunError, ForgetError,
    RunFilesError, PublishError, ManifestError.
    """
    store, files = Store(root), RunFiles(root)
    with store_errors(root):
        manifest = _last_finished(files)
        if files.is_copy():
            return _from_copy(root, entries)
        stats = files.json("stats.json", "sources")
        before = store.read(lists.NAME) if store.exists(lists.NAME) else None
        data = lists.added(before, entries, store.path(lists.NAME))
        listed = lists.read(data, lists.NAME)
        plan, finished = selection(manifest, stats, root, listed)
        without_effect, old = _without_effect(files, entries), _hashes(manifest)
        result = {"documents": 0, "images": 0, "shards": len(old), "rewritten": 0, "without_effect": without_effect}
        if entries and len(without_effect) == len(set(entries)):
            return {**result, "done": False, "unmatched": _NOTHING}
        if not entries and files.exists("manifest.json") and manifest.get("forgotten") == lists.digest(listed):
            raise ForgetError(_NO_ENTRIES)
        with hold(store):
            store.replace(UNFINISHED, json.dumps(manifest, indent=1).encode())
            store.replace(lists.NAME, data)
    start = lambda: backend(on, workers)
    outcome = run(plan.steps, root, start, partitions=plan.partitions, progress=progress, finished=finished)
    with store_errors(root):
        sources = assemble(of_manifest(manifest), plan, outcome, root, stats.get("own_code", []))["sources"].values()
        store.remove(UNFINISHED)
    new = _hashes(files.json("manifest.json"))
    result |= {
        "documents": sum(s["dropped"].get(lists.REASON, 0) for s in sources),
        "images": sum(s["images_dropped"].get(lists.REASON, 0) for s in sources),
        "shards": len(new),
        "rewritten": sum(old.get(path) != sha256 for path, sha256 in new.items()),
    }
    says = "{documents} documents and {images} images are out; {rewritten} of {shards} shards are new".format(**result)
    return {**result, "done": True, "unmatched": "it is on the list for further runs", "says": says}


def _from_copy(root: str, entries: Sequence[Entry]) -> dict[str, Any]:
    """The takedown from a published copy: shards/publish/takedown.py."""
    if not entries:
        raise ForgetError(_NO_ENTRIES)
    result = take_down(root, entries)
    done = result["rewritten"] > 0 or len(result["without_effect"]) < len(set(entries))
    says = "{samples} samples of {documents} documents are out; {rewritten} of {shards} shards are new: {url}"
    return {
        **result,
        "done": done,
        "unmatched": _NOTHING if not done else "not in this copy",
        "says": says.format(**result),
    }


def _last_finished(files: RunFiles) -> dict[str, Any]:
    """The manifest; or, where an interrupted takedown has removed it, the one from before."""
    if not files.exists("manifest.json") and files.exists(UNFINISHED):
        before = files.json(UNFINISHED)
        if "stages" in before:
            return before
        raise RunFilesError(f"{files.root}: its run was interrupted; run the recipe again, then forget")
    return files.json("manifest.json", "recipe")


def _hashes(manifest: Mapping[str, Any]) -> dict[str, str]:
    """sha256 of each shard, by path."""
    sources = parse(manifest, "manifest.json").sources.values()
    return {s.path: s.sha256 for source in sources for shards in source.splits.values() for s in shards}


def _without_effect(files: RunFiles, entries: Sequence[Entry]) -> list[str]:
    """Entries that cover no document and no image of the ledger."""
    asked = Forgotten(entries)
    left = set(entries)
    for name in files.list("ledger"):
        columns = _TABLES.get(name.split("-")[-2] if "-" in name else "")
        if columns is None or not left:
            continue
        for row in read_parquet(files.read(name), columns).to_pylist():
            left.difference_update(asked.covering(**row))
    return [entry.value for entry in dict.fromkeys(entries) if entry in left]
