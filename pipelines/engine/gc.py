"""Removes what a run no longer needs: stage folders that its last finished run does not use, files that no record
names, and unfinished files.
"""

import json

from manifests.runfiles import RunFiles
from pipelines.engine.lock import hold
from pipelines.engine.parts import read_committed, read_manifest, record_names
from pipelines.engine.run import RunError, store_errors
from pipelines.engine.storage import Store


def collect(root: str, dry_run: bool = False) -> dict[str, int]:
    """Returns what was removed (or would be) and its bytes.

    Recordings are kept, even if the last run did not use them. The stages of an interrupted run with other parameters
    are removed: finish that run first. Raises RunFilesError if no run has finished, RunError if
    one is at work.
    """
    store = Store(root)
    with store_errors(root):
        manifest = RunFiles(root).json("manifest.json")
    if "stages" not in manifest:
        raise RunError(f"{root}/manifest.json names no stages, as in a published copy: there is nothing to remove")
    with store_errors(root), hold(store):
        used = {folder for stage in manifest["stages"] for folder in stage["folders"]}
        for name in store.names("stages"):
            used.update(json.loads(store.read(f"stages/{name}"))["generations"])
        removed: dict[str, int] = {}
        for name in store.folders("stages"):
            folder = f"stages/{name}"
            sizes = store.sizes(folder)
            if folder in used:
                files = sorted(sizes.keys() - _named_files(store, folder, sizes))
                removed |= {f"{folder}/{file}": sizes[file] for file in files}
            else:
                removed[folder] = sum(sizes.values())
        for name in removed if not dry_run else ():
            (store.remove_folder if name.count("/") == 1 else store.remove)(name)
    return removed


def _named_files(store: Store, folder: str, sizes: dict[str, int]) -> set[str]:
    """The files of a stage that it needs. A finished stage no longer needs the records of single parts."""
    if (finished := read_manifest(store, folder)) is not None:
        names, parts = {"manifest.json", "parts.parquet"}, finished[0]
    else:
        names = set(record_names(sizes))
        count = 1 + max((int(n.removesuffix(".json")) for n in names), default=-1)
        parts = read_committed(store, folder, count).parts()
    return names | {str(f).rpartition("/")[2] for f in parts.table["file"].to_pylist()}
