"""`explain` on a made ledger of 1,000,000 documents and 300,000 images, in 16 files each; one row for each question."""

import hashlib
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench._timed import interleaved
from manifests.explain import explain
from manifests.ledger import DOCUMENTS
from manifests.runfiles import RunFiles
from manifests.schema import OUTCOME
from shards.fields import INDEX

ROWS, IMAGES, FILES, ROW_GROUP = 1_000_000, 300_000, 16, 30_000
_ASKED = 777_777  # the document that the questions are about


def rows() -> list[dict[str, Any]]:
    with TemporaryDirectory() as folder:
        _make(Path(folder))
        run, url = RunFiles(folder), _url(_ASKED)
        questions = {
            "id": _id(_ASKED),
            "first ten digits of an id": _id(_ASKED)[:10],
            "address": url,
            "address in another spelling": " " + url.replace("https://site", "HTTPS://me:x@Site") + "#part",
            "host": url.split("/")[2],
            "key of a sample": "000003000017",
            "sha256 of an image": _sha256(5),
            "row of a file": "rows.jsonl/17",
            "address that is not there": "https://nowhere.example/",
        }
        times = interleaved({name: lambda what=what: _ask(run, what) for name, what in questions.items()})  # type: ignore[misc]
    return [
        {
            "question": name,
            "wall_s": float(np.median([t[0] for t in all_])),
            "cpu_s": float(np.median([t[1] for t in all_])),
        }
        for name, all_ in times.items()
    ]


def _ask(run: RunFiles, what: str) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    explain(run, what)
    return time.perf_counter() - wall, time.process_time() - cpu


def _id(n: int) -> str:
    return hashlib.blake2b(str(n).encode(), digest_size=16).hexdigest()


def _url(n: int) -> str:
    return f"https://site{n * 7919 % 5000}.example/articles/{n % 97}/story-{n}.html"


def _sha256(n: int) -> str:
    return hashlib.sha256(str(n).encode()).hexdigest()


def _make(folder: Path) -> None:
    """The ledger and the index of a run whose documents were kept, six of ten."""
    for name in ("ledger", "index"):
        (folder / name).mkdir()
    (folder / "manifest.json").write_text(json.dumps({"version": 2, "sources": {}}))
    for file, numbers in enumerate(np.array_split(np.arange(ROWS), FILES)):
        keep = numbers % 10 < 6
        ids, urls = [_id(n) for n in numbers.tolist()], [_url(n) for n in numbers.tolist()]
        reason = pa.array([None if k else "words_low" for k in keep]).dictionary_encode()
        documents = {"id": ids, "source": ["web"] * len(ids), "url": urls, "keep": keep, "reason": reason}
        _write(folder / f"ledger/web-documents-{file:05d}.parquet", documents, DOCUMENTS)
        kept = np.flatnonzero(keep).tolist()
        index = {"key": [f"{file:06d}{n:06d}" for n in range(len(kept))], "split": ["train"] * len(kept)}
        index |= {"id": [ids[n] for n in kept], "url": [urls[n] for n in kept], "source": ["web"] * len(kept)}
        _write(folder / f"index/web-train-{file:06d}.parquet", index, INDEX)
    for file, numbers in enumerate(np.array_split(np.arange(IMAGES), FILES)):
        images = {
            "url": [f"https://img.example/{n}.jpg" for n in numbers],
            "sha256": [_sha256(n) for n in numbers.tolist()],
        }
        images |= {"status": ["ok"] * len(numbers)}
        _write(folder / f"ledger/fetch-outcomes-{file:05d}.parquet", images, OUTCOME)


def _write(path: Path, columns: dict[str, Any], schema: pa.Schema) -> None:
    rows = len(next(iter(columns.values())))
    arrays = [pa.array(columns[f.name]).cast(f.type) if f.name in columns else pa.nulls(rows, f.type) for f in schema]
    pq.write_table(pa.table(arrays, schema=schema), path, compression="zstd", row_group_size=ROW_GROUP)
