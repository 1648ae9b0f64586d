"""One run from recipe to report, for the command line and for Python."""

import dataclasses
import json
import os
import time
from collections.abc import Collection
from typing import Any

from filters.adapters import DatatroveScore, raised
from filters.own import OwnScore, failure
from pipelines.engine.progress import Progress
from pipelines.engine.requests import requests
from pipelines.engine.run import Outcome, RunError, run, states, store_errors
from pipelines.engine.storage import Store
from pipelines.engine.usage import Meter
from pipelines.outputs import UNFINISHED, assemble, shown_tables
from pipelines.plan import Plan, plan
from pipelines.recipe.resolve import resolve
from pipelines.recipe.schema import Recipe
from pipelines.select.duplicate_key import DuplicateKeys


def folder_of(out: str | None, name: str) -> str:
    """The folder of a run: `--out`, or the one of the recipe's name. Raises RunError where it cannot be a folder."""
    if out is None:
        return f"runs/{name}"
    if not out.strip():
        raise RunError("--out is empty; give a folder, or leave it out for runs/NAME")
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

    def start() -> Any:
        unfinished = {"recipe": recipe.dump(), "limit": limit}
        Store(root).replace(UNFINISHED, json.dumps(unfinished, indent=1).encode())
        return _backend(on, workers)

    outcome = run(planned.steps, root, start, partitions=planned.partitions, refresh=refresh, progress=progress)
    _check_scores(planned, outcome)
    with store_errors(root):
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


def _check_scores(planned: Plan, outcome: Outcome) -> None:
    """The user's code that failed on every row is at fault, not the data. Quarantined rows count as failed."""
    for step in planned.steps:
        stage, output = getattr(step.stage, "stage", step.stage), outcome.outputs[step.name]
        counts, quarantined = output.counts.get("scores", {}), len(output.quarantined)
        if isinstance(stage, OwnScore):
            failed = counts.get(f"{stage.name}_failed", {}).get("sum", 0)
            line = failure(stage.name, stage.path, failed + quarantined, output.rows("scores"))
        elif isinstance(stage, DatatroveScore):
            failed = raised(counts.get(f"{stage.name}_reason", {}))
            line = failure(stage.name, stage.filter, failed + quarantined, output.rows("scores"))
        elif isinstance(stage, DuplicateKeys):
            line = failure("duplicate_key", stage.path, quarantined, output.rows("keys"))
        else:
            continue
        if line is not None:
            raise RunError(f"{step.name}: {line}")


def _backend(on: str, workers: int | None) -> Any:
    if on == "auto":
        on = "ray" if os.environ.get("RAY_ADDRESS") else "local"
    if on == "local":
        from pipelines.engine.local import Local

        return Local(workers)
    from pipelines.engine.on_ray import OnRay

    return OnRay(os.environ.get("RAY_ADDRESS") if on == "ray" else on, workers)
