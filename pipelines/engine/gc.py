"""What a run no longer needs: stage folders its last finished run does not use, files that no record names, half-made
files.
"""

from __future__ import annotations

import json

from pipelines.engine.lock import hold
from pipelines.engine.parts import read_committed, read_manifest
from pipelines.engine.run import RunError, clear
from pipelines.engine.storage import Store


def collect(root: str, dry_run: bool = False) -> dict[str, int]:
    """Remove it all; returns what went (or would go) and its bytes. Raises RunError where no run has finished, or one
    is at work.

    The stages of an interrupted run with other parameters are no longer needed either: finish it first.
    """
    store = Store(root)
    if not store.exists("manifest.json"):
        raise RunError(f"{root} is no finished run: it has no manifest.json, so nothing says what is still needed")
    with clear(root), hold(store):
        used = {folder for stage in json.loads(store.read("manifest.json"))["stages"] for folder in stage["folders"]}
        for name in store.names("stages"):  # recordings are kept, whether the last run used them or not
            used.update(json.loads(store.read(f"stages/{name}"))["generations"])
        gone: dict[str, int] = {}
        for name in store.folders("stages"):
            folder = f"stages/{name}"
            sizes = store.sizes(folder)
            if folder not in used:
                gone[folder] = sum(sizes.values())
                if not dry_run:
                    store.remove_folder(folder)
                continue
            for file in sorted(set(sizes) - _named(store, folder, sizes)):
                gone[f"{folder}/{file}"] = sizes[file]
                if not dry_run:
                    store.remove(f"{folder}/{file}")
    return gone


def _named(store: Store, folder: str, sizes: dict[str, int]) -> set[str]:
    """Files of a stage that exist, in the engine's sense; of a finished stage the records of single parts are not
    needed any more.
    """
    finished = read_manifest(store, folder)
    if finished is not None:
        return {
            "manifest.json",
            "parts.parquet",
            *(str(f).rpartition("/")[2] for f in finished[0].table["file"].to_pylist()),
        }
    records = {n for n in sizes if n.endswith(".json") and n.removesuffix(".json").isdigit()}
    parts = read_committed(store, folder, 1 + max((int(n.removesuffix(".json")) for n in records), default=-1)).parts()
    return records | {str(f).rpartition("/")[2] for f in parts.table["file"].to_pylist()}
