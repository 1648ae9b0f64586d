"""A complete run of the product as a user starts it, and what its own records say that it took."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
PRESETS = ROOT / "filters" / "presets"

Row = dict[str, Any]


def text_recipe(files: str) -> Row:
    """A recipe of texts with the rules of FineWeb, Gopher and C4, near-duplicates, and shards."""
    rules: dict[str, Row] = {}
    for preset in ("gopher", "c4", "fineweb"):
        for level, table in yaml.safe_load((PRESETS / f"{preset}.yaml").read_text("utf-8")).items():
            rules.setdefault(level, {}).update(table)
    return {"kind": "text", "files": files, "rules": rules}


def product(folder: Path, sources: Mapping[str, Row], on: Sequence[str], **more: Any) -> Row:
    """Run the sources into FOLDER/run; returns its `run.json`, and `command_s`: wall seconds with the start of Python.

    on: arguments of the command, such as --on local. Raises RuntimeError with the end of stderr where it fails.
    """
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"name": "bench", "sources": dict(sources), **more}))
    command = [sys.executable, "-m", "pipelines", "run", str(recipe), "--out", str(folder / "run"), *on, "--json"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return {**json.loads((folder / "run" / "run.json").read_text()), "command_s": seconds}


def stages(times: Row) -> list[Row]:
    """A row for each step that had parts to run, then the driver, then all of it together."""
    rows = []
    for name, seconds in times["stages"].items():
        rows.append({"stage": name, "parts": times["parts"][name], "seconds": seconds, **_used(times["usage"][name])})
    rows.append({"stage": "driver", **_used(times["driver"])})
    together = {"stage": "together", "seconds": times["command_s"], "peak_MB": max(row["peak_MB"] for row in rows)}
    sums = {key: sum(row.get(key, 0) for row in rows) for key in ("parts", "cpu_s", "read_MB", "written_MB")}
    return [*rows, {**together, **sums}]


def _used(usage: Row) -> Row:
    sizes = {key.replace("bytes", "MB"): value / 1e6 for key, value in usage.items() if key.endswith("_bytes")}
    return {"cpu_s": usage["cpu_s"], **sizes}
