"""What a part used is measured in the process that ran it, and run.json adds it up."""

import json
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.commands.run import execute
from pipelines.engine.progress import Progress
from pipelines.engine.usage import Meter, Usage, peak_bytes
from pipelines.recipe.load import parse

MB = 1 << 20


def test_a_meter_sees_memory_that_is_gone_again_and_forgets_what_was_before() -> None:
    Meter()
    before = peak_bytes()
    block = np.ones(64 * MB, np.uint8)
    del block
    assert peak_bytes() > before + 50 * MB
    assert Meter().usage().peak_bytes < before + 50 * MB


def test_bytes_of_files_are_counted(tmp_path: pathlib.Path) -> None:
    meter = Meter()
    (tmp_path / "file").write_bytes(bytes(3 * MB))
    (tmp_path / "file").read_bytes()
    usage = meter.usage()
    assert 3 * MB <= usage.written_bytes < 4 * MB and 3 * MB <= usage.read_bytes < 4 * MB


def test_usage_adds_up_to_sums_and_the_largest_peak() -> None:
    assert Usage(1.0, 5, 10, 1) + Usage(2.0, 3, 20, 2) == Usage(3.0, 5, 30, 3)


def test_a_run_records_what_its_steps_used(tmp_path: pathlib.Path) -> None:
    texts = [f"The text of row {n} has a few words, and it ends here." for n in range(50)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "texts.parquet")
    recipe = parse({"sources": {"texts": {"kind": "text", "files": str(tmp_path / "texts.parquet")}}}, "test")
    root = tmp_path / "run"
    execute(recipe, str(root), on="local", workers=1, progress=Progress(quiet=True))
    times = json.loads((root / "run.json").read_text())
    assert times["usage"].keys() == times["parts"].keys() == times["stages"].keys()
    read = times["usage"]["texts.read"]
    size = (tmp_path / "texts.parquet").stat().st_size
    assert read["cpu_s"] > 0 and read["peak_bytes"] > 30 * MB and read["read_bytes"] >= size
    assert times["driver"]["cpu_s"] > 0 and times["driver"]["peak_bytes"] > 30 * MB
