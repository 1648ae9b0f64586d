"""One job (read, filter, write) under our two backends, a bare process pool, Ray Data and datatrove's local executor.

Input: 48 Parquet files of 20,000 texts each, written once. The filter keeps texts whose share of letters is at least a
limit; a regular expression counts the letters row by row in Python. Output: Parquet. Each contender has two processes.
Seconds are for the complete job, with the start of the workers. Megabytes are the peak of the summed proportional set
sizes of all processes; processor seconds are summed over all processes. Both are sampled twice a second.

Each round runs all contenders, each in its own process. The table shows medians over the rounds; the ratio to the pool
is the median of the ratios of the rounds, so that other load on the machine counts for all contenders of a round.
"""

import contextlib
import multiprocessing
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from bench._inputs import LETTERS
from bench._timed import interleaved

FILES, ROWS, WORKERS, ROUNDS = 48, 20_000, 2, 3
LIMIT = 0.63
TEXTS = pa.schema([("id", pa.string()), ("text", pa.string())])
_LETTERS = re.compile(r"[^\W\d_]")
ROOT = pathlib.Path(__file__).resolve().parents[1]


def keep(text: str) -> bool:
    return len(_LETTERS.findall(text)) / max(1, len(text)) >= LIMIT


def _filtered(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.filter(pa.array([keep(t) for t in batch["text"].to_pylist()]))


@dataclass(frozen=True)
class Read:
    tables: ClassVar[Mapping[str, pa.Schema]] = {"kept": TEXTS}

    def __call__(self, batch: pa.RecordBatch, ctx: Any = None) -> Iterator[tuple[str, Any]]:
        for path in batch["path"].to_pylist():
            for rows in pq.ParquetFile(path).iter_batches(batch_size=512):
                yield "kept", _filtered(rows)


def write_input(folder: str) -> None:
    rng = random.Random(1)
    words = ["".join(rng.choices(LETTERS + "0123456789", k=rng.randrange(2, 12))) for _ in range(5000)]
    for n in range(FILES):
        r = random.Random(n)
        texts = [" ".join(r.choices(words, k=r.randrange(20, 60))) for _ in range(ROWS)]
        table = pa.table({"id": [f"{n}-{i}" for i in range(ROWS)], "text": texts})
        pq.write_table(table, f"{folder}/{n:03d}.parquet", compression="zstd", row_group_size=5000)


def _paths(folder: str) -> list[str]:
    return sorted(str(p) for p in pathlib.Path(folder).glob("*.parquet"))


def ours_local(folder: str, out: str) -> None:
    from pipelines.engine.local import Local

    _ours(folder, out, partial(Local, WORKERS))


def ours_ray(folder: str, out: str) -> None:
    from pipelines.engine.on_ray import OnRay

    _ours(folder, out, partial(OnRay, None, WORKERS))


def _ours(folder: str, out: str, start: Callable[[], Any]) -> None:
    from pipelines.engine.progress import Progress
    from pipelines.engine.run import run
    from pipelines.engine.stage import Step

    rows = pa.table({"path": _paths(folder)})
    run([Step("read", Read(), rows=lambda outputs: rows)], out, start, progress=Progress(quiet=True))


def bare_pool(folder: str, out: str) -> None:
    """No commits, no isolation, no records: the least code that does the work."""
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        for _ in pool.imap_unordered(_one, [(p, f"{out}/{os.path.basename(p)}") for p in _paths(folder)]):
            pass


def _one(paths: tuple[str, str]) -> None:
    batches = [_filtered(batch) for batch in pq.ParquetFile(paths[0]).iter_batches(batch_size=512)]
    pq.write_table(pa.Table.from_batches(batches, TEXTS), paths[1], compression="zstd")


def ray_data(folder: str, out: str) -> None:
    import ray

    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False

    def filtered(table: pa.Table) -> pa.Table:
        return pa.Table.from_batches([_filtered(b) for b in table.combine_chunks().to_batches()], table.schema)

    data = ray.data.read_parquet(_paths(folder))
    data.map_batches(filtered, batch_format="pyarrow", batch_size=512).write_parquet(out)
    ray.shutdown()


def datatrove(folder: str, out: str) -> None:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.filters import LambdaFilter
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import ParquetWriter

    pipeline = [ParquetReader(folder), LambdaFilter(lambda document: keep(document.text)), ParquetWriter(f"{out}/data")]
    LocalPipelineExecutor(pipeline, tasks=FILES, workers=WORKERS, logging_dir=f"{out}/logs", start_method="spawn").run()


CONTENDERS = {
    "a bare pool": bare_pool,
    "ours, local": ours_local,
    "datatrove, local": datatrove,
    "ours, Ray": ours_ray,
    "Ray Data": ray_data,
}


def rows() -> list[dict[str, Any]]:
    """One row for each contender: seconds, ratio to the bare pool, processor seconds, peak MB, rows in the output."""
    with tempfile.TemporaryDirectory(prefix="bench-engine-") as folder:
        os.mkdir(f"{folder}/in")
        write_input(f"{folder}/in")
        runs = {name: partial(_measure, run.__name__, folder) for name, run in CONTENDERS.items()}
        results = interleaved(runs, ROUNDS)
    pool = [seconds for seconds, *_ in results["a bare pool"]]
    table = []
    for name, measured in results.items():
        seconds, processor, peak, kept = map(statistics.median, zip(*measured, strict=True))
        ratio = statistics.median(one[0] / of_pool for one, of_pool in zip(measured, pool, strict=True))
        row = {"contender": name, "seconds": round(seconds, 1), "of the pool's time": round(ratio, 2)}
        table.append({**row, "processor s": round(processor, 1), "peak MB": round(peak), "rows kept": round(kept)})
    return table


def _measure(contender: str, folder: str) -> tuple[float, float, float, int]:
    """Seconds, processor seconds, peak MB, rows in the output."""
    out = f"{folder}/out"
    os.mkdir(out)
    ray = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    code = f"import sys; from bench.engine import {contender}\nif __name__ == '__main__': {contender}(*sys.argv[1:])"
    command, env = [sys.executable, "-c", code, f"{folder}/in", out], {**os.environ, "PYTHONPATH": str(ROOT), **ray}
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=errors)
        used: dict[int, float] = {}
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, _sample(process.pid, used))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
        seconds = time.monotonic() - began
        errors.seek(0)
        error_text = errors.read()
    if process.returncode:
        raise RuntimeError(f"{contender} ended with {process.returncode}: {error_text[-2000:]}")
    files = (path for path in pathlib.Path(out).rglob("*.parquet") if path.name != "parts.parquet")
    kept = sum(pq.ParquetFile(path).metadata.num_rows for path in files)
    shutil.rmtree(out)
    return seconds, sum(used.values()), peak, kept


def _sample(top: int, used: dict[int, float]) -> float:
    """Megabytes of a process and its descendants now. Notes the processor seconds of each in `used`, by its id."""
    total = 0
    try:
        family = [psutil.Process(top), *psutil.Process(top).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for process in family:
        with contextlib.suppress(psutil.Error):
            total += process.memory_full_info().pss
            used[process.pid] = sum(process.cpu_times()[:2])
    return total / 1e6
