"""Raw samples a second from the same shards, in one process and from the page cache: ours, webdataset, and datasets' streaming.

4,000 image-text pairs of about 70 KB in four shards, made by code. A sample counts once its parts are separate bytes in memory; ours and
datasets also read the JSON. Nothing is decoded. Each contender reads everything three times, and the best time counts. Ours reads in
shuffled order (one pread a sample), the others as the tars lie. `ready_s` is the time to the first sample, `resume_s` the time from a saved
state at the middle of the epoch to its next batch.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from manifests.at import Anywhere
from manifests.schema import NODE, SELECTED, document_id, key64
from shards import plan, tar, tokens
from shards.loader import Loader
from shards.store import Store
from shards.write import Pack

SHARDS, SAMPLES = 4, 1000
REPEATS = 3
MIXTURE = {"batch_sequences": 8, "sources": {"pairs": {"weight": 1, "sequence_length": 1536}}}


def picture(seed: int) -> bytes:
    """A photo-like JPEG of 512 x 384 pixels, about 70 KB: smooth shapes under grain."""
    rng = np.random.default_rng(seed)
    smooth = np.asarray(Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((512, 384), Image.Resampling.BICUBIC), np.int16)
    grain = rng.normal(0, 9, (384, 512, 1)).astype(np.int16)
    out = io.BytesIO()
    Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=88)
    return out.getvalue()


def make(folder: Path) -> Path:
    """A run of pairs: shards, index and manifest."""
    pictures = [picture(seed) for seed in range(16)]
    blobs, offsets = folder / "blobs", np.cumsum([0, *map(len, pictures)]).tolist()
    blobs.write_bytes(b"".join(pictures))
    (folder / "shards/pairs").mkdir(parents=True)
    (folder / "index").mkdir()
    listed = []
    blank, node = {field.name: None for field in SELECTED}, {field.name: None for field in NODE}
    for part in range(SHARDS):
        documents = []
        for i in range(part * SAMPLES, (part + 1) * SAMPLES):
            url, which = f"https://bench.example/{i}.jpg", i % len(pictures)
            place = {"node": 0, "url": url, "sha256": hashlib.sha256(pictures[which]).hexdigest(), "part": 0}
            place |= {"offset": offsets[which], "length": len(pictures[which])}
            nodes = [{**node, "kind": "image", "image": url}, {**node, "kind": "text", "text": f"A made picture, number {i}, of soft shapes."}]
            own = {"key": key64(url), "id": document_id("pairs", url, b""), "source": "pairs", "url": url}
            documents.append({**blank, **own, "nodes": nodes, "images": [place], "optout": []})
        out: dict[str, Any] = {"tar": b"", "tar.idx": b"", "index": [], "refused": []}
        pieces: dict[str, list[Any]] = {name: [] for name in out}
        for name, piece in Pack("pairs")({"documents": pa.Table.from_pylist(documents, SELECTED), "blobs": {0: str(blobs)}}, Anywhere(part)):
            pieces[name].append(piece)
        path, index = f"shards/pairs/train-{part:06d}.tar", f"index/pairs-train-{part:06d}.parquet"
        data, rows = b"".join(pieces["tar"]), pa.Table.from_batches(pieces["index"])
        (folder / path).write_bytes(data)
        (folder / f"{path}.idx").write_bytes(b"".join(pieces["tar.idx"]))
        pq.write_table(rows, folder / index)
        count = sum(rows["n_text_tokens"].to_pylist())
        entry = {"path": path, "index": index, "samples": SAMPLES, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        listed.append({**entry, "images": SAMPLES, "tokens": count})
    tokenizer = {"name": "bytes", "sha256": tokens.load("bytes").sha256}
    (folder / "manifest.json").write_text(json.dumps({"version": 1, "configs": {"pairs": {"train": listed}}, "tokenizer": tokenizer}))
    blobs.unlink()
    return folder


def rows() -> list[dict[str, Any]]:
    """One row a contender: name, order, samples_per_s, ready_s, and for the loader resume_s."""
    with tempfile.TemporaryDirectory() as temporary:
        run = make(Path(temporary))
        mean = sum(path.stat().st_size for path in run.glob("shards/*/*.tar")) / (SHARDS * SAMPLES * 1000)
        contenders: list[tuple[str, str, Callable[[Path], Iterator[Any]]]] = [
            ("ours, loader", "shuffled, packed", _loader),
            ("ours, samples", "shuffled", _samples),
            ("webdataset", "as stored", _webdataset),
            ("datasets", "as stored", _datasets),
        ]
        out = [{"name": name, "order": order, **_timed(read, run), "sample_kb": round(mean, 1)} for name, order, read in contenders]
        out[0]["resume_s"] = _resume(run)
        return out


def _timed(read: Callable[[Path], Iterator[Any]], run: Path) -> dict[str, float]:
    rates, ready = [], []
    for _ in range(REPEATS):
        start = time.perf_counter()
        count = 0
        for _ in read(run):
            if not count:
                ready.append(time.perf_counter() - start)
            count += 1
        if count != SHARDS * SAMPLES:
            raise RuntimeError(f"{read.__name__}: {count} samples, not {SHARDS * SAMPLES}")
        rates.append(count / (time.perf_counter() - start))
    return {"samples_per_s": round(max(rates)), "ready_s": round(min(ready), 4)}


def _loader(run: Path) -> Iterator[Any]:
    for batch in Loader(run, MIXTURE, epochs=1):
        for sequence in batch.sequences:
            yield from sequence


def _samples(run: Path) -> Iterator[Any]:
    store = Store(run)
    places = []
    for path in sorted(run.glob("shards/*/*.tar")):
        name = path.relative_to(run).as_posix()
        offsets = tar.read_index(store.read(f"{name}.idx"), path.stat().st_size, name).tolist()
        places += [(name, start, end) for start, end in itertools.pairwise(offsets)]
    for i in plan.shuffled(len(places), 1).tolist():
        name, start, end = places[i]
        yield tar.parse(store.range(name, start, end), name)


def _webdataset(run: Path) -> Iterator[Any]:
    import webdataset

    yield from webdataset.WebDataset([str(path) for path in sorted(run.glob("shards/*/*.tar"))], shardshuffle=False)


def _datasets(run: Path) -> Iterator[Any]:
    import datasets

    files = {"train": [str(path) for path in sorted(run.glob("shards/*/*.tar"))]}
    rows = datasets.load_dataset("webdataset", data_files=files, split="train", streaming=True)
    yield from rows.cast_column("jpg", datasets.Image(decode=False))


def _resume(run: Path) -> float:
    loader = Loader(run, MIXTURE)
    for batch in loader:
        if batch.step == len(loader) // 2:
            break
    state = loader.state_dict()
    start = time.perf_counter()
    again = Loader(run, MIXTURE)
    again.load_state_dict(state)
    next(iter(again))
    return round(time.perf_counter() - start, 4)
