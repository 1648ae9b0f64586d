"""One run from recipe to report, for the command line and for Python."""

import dataclasses
import json
import os
import shlex
import time
from collections.abc import Collection
from typing import Any

from manifests.ray_cluster import usual_address
from manifests.runfiles import RunFiles
from pipelines.commands import files
from pipelines.counts import read_files
from pipelines.engine.progress import Progress
from pipelines.engine.requests import requests
from pipelines.engine.run import Outcome, RunError, run, states, store_errors
from pipelines.engine.storage import Store
from pipelines.engine.usage import Meter
from pipelines.outputs import OWN_FOLDERS, UNFINISHED, assemble, shown_tables
from pipelines.plan import Plan, plan
from pipelines.recipe.resolve import resolve
from pipelines.recipe.schema import Recipe
from pipelines.select.failures import failures
from pipelines.sources import KINDS


def folder_of(out: str | None, name: str) -> str:
    """The folder of a run: `--out`, or the one of the recipe's name. Raises RunError where it cannot be a folder."""
    if out is None:
        return f"runs/{name}"
    if not out.strip():
        raise RunError("--out is empty; give a folder, or leave it out for runs/NAME")
    if os.path.abspath(out) == "/":
        raise RunError(f"--out {out}: the root of the disk; give a folder of the run's own")
    if os.path.isfile(out):
        raise RunError(f"--out {out}: a file, not a folder; give another name")
    return out


def execute(
    recipe: Recipe,
    root: str,
    *,
    on: str = "auto",
    limit: int | None = None,
    refresh: Collection[str] = (),
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run a recipe below `root`; returns the statistics (stats.json).

    on: local, ray, the address of a Ray cluster, or auto. limit: about so many inputs of each kind. refresh: names of
    recorded steps to run again. workers: partitions at a time. Raises RecipeError, RunError.
    """
    began, meter = time.time(), Meter()
    planned = plan(resolve(recipe), root, limit)
    recorded = {step.name for step in planned.steps if step.recorded}
    for name in refresh:
        if name not in recorded:
            names = ", ".join(sorted(recorded)) or "none"
            raise RunError(f"--refresh {name}: not a recorded step of this recipe; those are {names}")
    _check_folder(root)

    def start() -> Any:
        unfinished = {"recipe": recipe.dump(), "limit": limit}
        Store(root).replace(UNFINISHED, json.dumps(unfinished, indent=1).encode())
        return backend(on, workers)

    outcome = run(planned.steps, root, start, partitions=planned.partitions, refresh=refresh, progress=progress)
    with store_errors(root):
        _check_own_code(planned, outcome, root)
        stats = assemble(recipe, planned, outcome, root)
        if Store(root).exists(UNFINISHED):
            Store(root).remove(UNFINISHED)
        if outcome.parts:  # times are here alone, so that no hash depends on them
            times = {"began": began, "seconds": time.time() - began, "stages": outcome.seconds, "parts": outcome.parts}
            usage = {name: vars(used) for name, used in outcome.usage.items()}
            driver = meter.usage()  # without its bytes: those of its children that have ended would be among them
            times |= {"usage": usage, "driver": {"cpu_s": driver.cpu_s, "peak_bytes": driver.peak_bytes}}
            Store(root).replace("run.json", json.dumps(times, indent=1).encode())
    return stats


def _check_folder(root: str) -> None:
    """Raises RunError for a folder that is no run's and holds folders of names that a run empties at its end."""
    with store_errors(root):
        there = set(Store(root).folders(""))
    if "stages" not in there and (others := sorted(there & OWN_FOLDERS)):
        names = ", ".join(f"{name}/" for name in others)
        raise RunError(f"{root} holds {names}, which no run has made there; give a folder of the run's own with --out")


def plan_rows(recipe: Recipe, root: str, limit: int | None) -> list[dict[str, Any]]:
    """What `--plan` prints: for each step its `pipelines.engine.run.State`, and the requests to an object store that
    are left to do, with their price. Where the run's folder is local, they are those that it would make at a URL.

    Raises RecipeError, RunError.
    """
    resolved = resolve(recipe)
    planned = plan(resolved, root, limit)
    rows = states(planned.steps, root, planned.partitions)
    shown = {step: tables for source in planned.sources for step, tables in shown_tables(source).items()}
    counted = requests(planned.steps, rows, planned.partitions, resolved.input_bytes, shown)
    costs = {stage: {"requests": vars(n), "dollars": round(n.dollars, 6)} for stage, n in counted.items()}
    return [{**dataclasses.asdict(row), **costs[row.stage]} for row in rows]


def shortfalls(recipe: Recipe, root: str, stats: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Lines about the sources and about the input files that gave nothing. stats: what `execute` returned."""
    rows = files.by_file(read_files(RunFiles(root)))
    read_from = {name: KINDS[table.kind].read_from(table) for name, table in recipe.sources.items()}
    sources, run = stats["sources"], shlex.quote(root)
    return files.silent(sources, rows, read_from, run), files.silent_files(sources, rows, run)


def _check_own_code(planned: Plan, outcome: Outcome, root: str) -> None:
    """The user's code that failed on every row is at fault, not the data. Quarantined rows count as failed."""
    for failure in failures(planned.steps, outcome.outputs, Store(root)):
        if failure.failed == failure.rows:
            raise RunError(str(failure))


def backend(on: str, workers: int | None) -> Any:
    """What runs the parts; on: see `execute`."""
    if on == "auto":
        on = "ray" if os.environ.get("RAY_ADDRESS") else "local"
    if on == "local":
        from pipelines.engine.local import Local

        return Local(workers)
    from pipelines.engine.on_ray import OnRay

    return OnRay(usual_address() if on == "ray" else on, workers)
