"""One run from recipe to report, for the command line and for anyone's Python."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from pipelines.engine.progress import Progress
from pipelines.engine.run import RunError, run, store_errors
from pipelines.engine.storage import Store
from pipelines.outputs import assemble
from pipelines.plan import job
from pipelines.recipe.schema import SOURCES, Recipe

#: recipe and limit of a run that is at work, or was cut off: what tells the shards it has finished
#: (pipelines/so_far.py)
UNFINISHED = "unfinished.json"


def execute(
    recipe: Recipe, root: str, *, on: str = "auto", limit: int | None = None, refresh: Collection[str] = (), workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Run a recipe below `root`; returns the statistics. `on`: local, ray, an address of a Ray cluster, or auto."""
    began = time.time()
    made = job(recipe, root, limit)
    known = {n.name for n in made.steps if n.recorded}
    for name in refresh:
        if name not in known:
            raise RunError(
                f"--refresh {name}: not a recorded stage of this recipe; those are {', '.join(sorted(known)) or 'none'}"
            )

    def begin() -> Any:
        Store(root).replace(UNFINISHED, json.dumps({"recipe": recipe.model_dump(), "limit": limit}, indent=1).encode())
        return _backend(on, workers)

    outcome = run(made.steps, root, begin, partitions=made.buckets, refresh=refresh, progress=progress)
    with store_errors(root):
        stats = assemble(recipe, made, outcome, root)
        if Store(root).exists(UNFINISHED):
            Store(root).remove(UNFINISHED)
        if outcome.parts:  # times stand here alone, outside every hash
            times = {"began": began, "seconds": time.time() - began, "stages": outcome.seconds, "parts": outcome.parts}
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


def tables(stats: dict[str, Any]) -> list[Table]:
    """A run in one table, and in a second what its conversation sets come to, as the paper's table 14 has it."""
    return [table(stats), *([_sets(rows)] if (rows := stats["sources"].get("conversations", {}).get("sets")) else [])]


def _sets(rows: list[dict[str, Any]]) -> Table:
    t = Table("set", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("repeat", "documents", "samples", "answer tokens", "share of them"):
        t.add_column(name, justify="right", no_wrap=True)
    for r in rows:
        t.add_row(
            r["name"],
            f"{r['repeat']:g}",
            f"{r['documents']:,}",
            f"{r['samples']:,}",
            f"{r['answer_tokens']:,}",
            f"{r['share']:.2%}",
        )
    return t


def table(stats: dict[str, Any], most: int = 5) -> Table:
    """A run in one table, for 80 columns: what came in, what stayed, and the top reasons why the rest left, refusals
    included.
    """
    t = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    t.add_column("source", no_wrap=True)
    for name in ("in", "kept", "images", "tokens", "bytes"):
        t.add_column(name, justify="right", no_wrap=True)
    t.add_column("dropped, by reason", no_wrap=True)
    for name in sorted(stats["sources"], key=SOURCES.index):
        s = stats["sources"][name]
        gone: dict[str, int] = {}
        for group in ("refused", "dropped", "unpacked"):
            for reason, n in s[group].items():
                gone[reason] = gone.get(reason, 0) + n
        top = sorted(gone.items(), key=lambda x: (-x[1], x[0]))
        said = [f"{n:5,d} {reason}" for reason, n in top[:most]]
        if len(top) > most:
            said.append(f"{sum(n for _, n in top[most:]):5,d} for {len(top) - most} other reasons")
        size = f"{s['bytes'] / 1e6:,.1f} MB"
        came = f"{s['funnel'][0][1]:,}"
        t.add_row(name, came, f"{s['samples']:,}", f"{s['images']:,}", f"{s['tokens']:,}", size, "\n".join(said))
    return t
