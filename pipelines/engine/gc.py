"""Removes what a run no longer needs: stage folders that its last finished run does not use, files that no record
names, and unfinished files.
"""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from manifests.runfiles import RunFiles
from pipelines.engine.lock import hold
from pipelines.engine.parts import read_committed, read_manifest, record_names
from pipelines.engine.run import RunError, store_errors
from pipelines.engine.storage import Store


@dataclass(frozen=True)
class Removed:
    """A file or folder below a run that is no longer needed."""

    name: str
    bytes: int
    why: str


def collect(root: str, dry_run: bool = False) -> list[Removed]:
    """Returns what was removed (or would be).

    Recordings are kept, even if the last run did not use them. The stages of an interrupted run with other parameters
    are removed: finish that run first. A dry run writes nothing. Raises RunFilesError if no run has finished, RunError
    if one is at work.
    """
    store, run = Store(root), RunFiles(root)
    with store_errors(root):
        manifest = run.json("manifest.json")
    if run.is_copy():
        raise RunError(f"{root}/manifest.json names no stages that are here, as in a published copy: nothing to remove")
    with store_errors(root), contextlib.nullcontext() if dry_run else hold(store):
        folders = {stage["node"]: stage["folders"] for stage in manifest["stages"]}
        used = {folder for of_stage in folders.values() for folder in of_stage}
        for name in store.names("stages"):
            used.update(json.loads(store.read(f"stages/{name}"))["generations"])
        removed = []
        for name in store.folders("stages"):
            folder = f"stages/{name}"
            sizes = store.sizes(folder)
            if folder not in used:
                removed.append(Removed(folder, sum(sizes.values()), _why_unused(name, sizes, folders)))
                continue
            needed = _named_files(store, folder, sizes)
            for file in sorted(sizes.keys() - needed):
                removed.append(Removed(f"{folder}/{file}", sizes[file], _why_unnamed(file)))
        for item in removed if not dry_run else ():
            (store.remove_folder if item.name.count("/") == 1 else store.remove)(item.name)
    return removed


def _why_unused(name: str, sizes: Mapping[str, int], folders: Mapping[str, Sequence[str]]) -> str:
    """Why no step of the last finished run uses a stage folder. folders: step -> its folders."""
    state = "finished" if "manifest.json" in sizes else f"unfinished: {len(record_names(sizes))} parts are committed"
    step = name.rpartition("-")[0]
    if step in folders:
        return f"superseded by {', '.join(folders[step])} ({state})"
    return f"the last finished run has no step {step} ({state})"


def _why_unnamed(file: str) -> str:
    if record_names([file]):
        return "the record of one part: parts.parquet of the finished stage holds it"
    return "no record names it: the attempt that wrote it was not committed"


def _named_files(store: Store, folder: str, sizes: dict[str, int]) -> set[str]:
    """The files of a stage that it needs. A finished stage no longer needs the records of single parts."""
    if (finished := read_manifest(store, folder)) is not None:
        names, parts = {"manifest.json", "parts.parquet"}, finished[0]
    else:
        names = set(record_names(sizes))
        count = 1 + max((int(n.removesuffix(".json")) for n in names), default=-1)
        parts = read_committed(store, folder, count).parts()
    return names | {str(f).rpartition("/")[2] for f in parts.table["file"].to_pylist()}
