"""One run from recipe to report, for the command line and for anyone's Python."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection
from typing import Any

from rich.table import Table

from pipelines.assemble import assemble
from pipelines.engine.progress import Progress
from pipelines.engine.run import RunError, run
from pipelines.engine.storage import Store
from pipelines.job import job
from pipelines.recipe import Recipe


def execute(
    recipe: Recipe, root: str, *, on: str = "auto", limit: int | None = None, refresh: Collection[str] = (), workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Run a recipe below `root`; returns the statistics. `on`: local, ray, an address of a Ray cluster, or auto."""
    began = time.time()
    made = job(recipe, root, limit)
    known = {n.name for n in made.nodes if n.recorded}
    for name in refresh:
        if name not in known:
            raise RunError(f"--refresh {name}: not a recorded stage of this recipe; those are {', '.join(sorted(known)) or 'none'}")
    outcome = run(made.nodes, root, lambda: _backend(on, workers), buckets=made.buckets, refresh=refresh, progress=progress)
    stats = assemble(recipe, made, outcome, root)
    if outcome.worked:  # times stand here alone, outside every hash
        times = {"began": began, "seconds": time.time() - began, "stages": outcome.seconds, "parts": outcome.worked}
        Store(root).replace("run.json", json.dumps(times, indent=1).encode())
    return stats


def _backend(on: str, workers: int | None) -> Any:
    if on == "auto":
        on = "ray" if os.environ.get("RAY_ADDRESS") else "local"
    if on == "local":
        from pipelines.engine.local import Local

        return Local(workers)
    from pipelines.engine.on_ray import OnRay

    return OnRay(os.environ.get("RAY_ADDRESS") if on == "ray" else on, workers)


def table(stats: dict[str, Any], most: int = 4) -> Table:
    """A run in one table: for each source what came in, what stayed, and the top reasons why the rest left."""
    t = Table("source", "documents in", "kept", "dropped, by reason", "images", "tokens", "bytes")
    for name, s in stats["sources"].items():
        gone = {**s["refused"]}
        for more in (s["dropped"], s["unpacked"]):
            for reason, n in more.items():
                gone[reason] = gone.get(reason, 0) + n
        top = sorted(gone.items(), key=lambda x: (-x[1], x[0]))
        said = "\n".join(f"{n:7,d}  {reason}" for reason, n in top[:most])
        if len(top) > most:
            said += f"\n{sum(n for _, n in top[most:]):7,d}  {len(top) - most} other reasons"
        came = s["funnel"][0][1]
        t.add_row(
            f"{name}\n[dim]{s['config']}[/dim]",
            f"{came:,}",
            f"{s['samples']:,}",
            said,
            f"{s['images']:,}",
            f"{s['tokens']:,}",
            f"{s['bytes']:,}",
        )
    return t
