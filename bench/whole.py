"""The complete product on one file: 100,000 texts in one Parquet file, all text rules, duplicates, selection, shards.

The texts are made by code (bench/_texts.py). The command runs on the local backend with two workers. A row for each
stage: wall seconds from its first part to its last (stages overlap), processor seconds of its parts, the largest
resident memory of a process that ran one, and the megabytes of files that they read and wrote. `driver` is the process
of the command. The wall seconds of `together` are those of the command, with the start of Python.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from bench import _run, _texts

ROWS = 100_000
WORKERS = 2


def rows() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="bench-whole-") as name:
        folder = Path(name)
        _texts.write_parquet(folder / "texts.parquet", ROWS)
        sources = {"texts": _run.text_recipe(str(folder / "texts.parquet"))}
        times = _run.product(folder, sources, ["--on", "local", "--workers", str(WORKERS)])
    table = _run.stages(times)
    table[-1]["load"] = os.getloadavg()[0]
    return table
