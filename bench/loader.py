"""Reading shards for training: our loader against webdataset, datasets, Energon and MosaicML's streaming.

All read the same samples in one run, from the page cache.

* `raw`: 4,000 pairs of about 70 KB in four shards. A sample counts when its members are separate bytes in memory. Ours
  reads in shuffled order (one pread a sample), webdataset and datasets in the order of the tars, Energon and streaming
  (its shards converted) through their shuffles. One process each. `ready_s`: time to the first sample.
* `decoded 384` and `decoded 980`: 240 pairs of 980 x 735 pixels, about 240 KB, each as RGB pixels with the longest side
  of 384 or 980. Ours decodes in the loop or in threads, one a core; webdataset decodes with its "pil" and Pillow's
  resize, in the loop or in as many worker processes of a DataLoader, which pass the pixels by shared memory.
* `decoder`: the same pictures by each decoder, in one thread, without a loader: it gives the order in
  shards.image.decoders.
* `resume`: `resume_s` from a saved state after sample 100,000 to the next batch, with an index of 200,000 samples.

Figures are medians of five interleaved rounds. `cpu_ms`: processor time for a sample, with threads and workers; it
holds even if the machine has other work. `ratio`: samples a second against the faster of webdataset's ways.

A peer that is not installed is left out, and stderr says so. streaming conflicts with this project's pins (numpy,
datasets); give it an environment of its own: `python -m bench loader --python ENV/bin/python`.
"""

import hashlib
import importlib.util
import io
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from bench._timed import interleaved, timed
from manifests.runfiles import RunFiles
from manifests.schema import NODE, SELECTED, document_id, key64
from manifests.stage import DirectContext
from shards import manifest, plan, tar, tokens
from shards.image import decode, decoders, size_for
from shards.loader import Loader
from shards.publish import readers
from shards.write import Pack

PICTURES = 16
MANY, FEW = (4, 1000), (2, 120)  # shards, samples of each
RESUME = (2, 100_000)
Read = Callable[[Path], Iterator[Any]]


def picture(seed: int, width: int, height: int) -> bytes:
    """A photo-like JPEG, smooth shapes with grain: about 70 KB at 512 x 384, 240 KB at 980 x 735."""
    rng = np.random.default_rng(seed)
    shapes = rng.integers(0, 256, (height // 64, width // 64, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(shapes).resize((width, height), Image.Resampling.BICUBIC), np.int16)
    grain = rng.normal(0, 9, (height, width, 1)).astype(np.int16)
    out = io.BytesIO()
    Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=88)
    return out.getvalue()


def make(folder: Path, shape: tuple[int, int], width: int, height: int, repeat: int = 1) -> Path:
    """A run of pairs: shards, index, manifest and Energon's metadata. repeat: rows of the index for each sample."""
    pictures = [picture(seed, width, height) for seed in range(PICTURES)]
    blobs, offsets = folder / "blobs", np.cumsum([0, *map(len, pictures)]).tolist()
    (folder / "shards/pairs").mkdir(parents=True)
    (folder / "index").mkdir()
    blobs.write_bytes(b"".join(pictures))
    listed = []
    blank, node = {field.name: None for field in SELECTED}, {field.name: None for field in NODE}
    for part in range(shape[0]):
        documents = []
        for i in range(part * shape[1], (part + 1) * shape[1]):
            url, which = f"https://bench.example/{i}.jpg", i % len(pictures)
            place = {"node": 0, "url": url, "sha256": hashlib.sha256(pictures[which]).hexdigest(), "part": 0}
            place |= {"offset": offsets[which], "length": len(pictures[which])}
            nodes = [
                {**node, "kind": "image", "image": url},
                {**node, "kind": "text", "text": f"A synthetic picture, number {i}, of soft shapes."},
            ]
            own = {"key": key64(url), "id": document_id("pairs", url, b""), "kind": "pairs", "url": url}
            documents.append({**blank, **own, "nodes": nodes, "images": [place], "optout": []})
        pieces: dict[str, list[Any]] = {"tar": [], "tar.idx": [], "index": [], "refused": []}
        tables = {"documents": pa.Table.from_pylist(documents, SELECTED), "blobs": {0: str(blobs)}}
        for name, piece in Pack("pairs", "pairs")(tables, DirectContext(part)):
            pieces[name].append(piece)
        path, index = f"shards/pairs/train-{part:06d}.tar", f"index/pairs-train-{part:06d}.parquet"
        data, rows = b"".join(pieces["tar"]), pa.Table.from_batches(pieces["index"] * repeat)
        (folder / path).write_bytes(data)
        (folder / f"{path}.idx").write_bytes(b"".join(pieces["tar.idx"]))
        pq.write_table(rows, folder / index)
        count = sum(rows["n_text_tokens"].to_pylist())
        entry = {"path": path, "index": index, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        listed.append({**entry, "samples": rows.num_rows, "images": rows.num_rows, "tokens": count})
    tokenizer = {"name": "bytes", "sha256": tokens.load("bytes").sha256}
    source = {"kind": "pairs", "layout": "pairs", "tag": None, "splits": {"train": listed}}
    listing = {"version": manifest.VERSION, "sources": {"pairs": source}, "tokenizer": tokenizer}
    (folder / "manifest.json").write_text(json.dumps(listing))
    blobs.unlink()
    for name, content in readers.files(RunFiles(folder), manifest.read(RunFiles(folder)), "bench").items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def rows(python: str | None = None) -> list[dict[str, Any]]:
    """Rows: what, name, order, samples_per_s, cpu_ms, ratio, ready_s or resume_s. python: one that has streaming."""
    out: list[dict[str, Any]] = []
    threads = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as temporary:
        many = make(Path(temporary) / "many", MANY, 512, 384)
        raw: list[tuple[str, str, Read]] = [
            ("ours, loader", "shuffled, packed", partial(_decoded, longest=384, threads=0, decoded=False)),
            ("ours, samples", "shuffled", _samples),
            ("webdataset", "as stored", _webdataset),
            ("datasets", "as stored", _datasets),
            ("energon", "shuffled", _energon),
        ]
        size = sum(path.stat().st_size for path in many.glob("shards/*/*.tar")) / (MANY[0] * MANY[1] * 1000)
        out += [{**row, "sample_kb": round(size, 1)} for row in _compared("raw", raw, many, MANY)]
        out += _streaming(many, Path(temporary) / "mds", python, round(size, 1))
        peer = "webdataset, pil"
        few = make(Path(temporary) / "few", FEW, 980, 735)
        for longest in (384, 980):
            ways: list[tuple[str, str, Read]] = [
                (f"ours, {threads} threads", "shuffled, packed", partial(_decoded, longest=longest, threads=threads)),
                ("ours, no threads", "shuffled, packed", partial(_decoded, longest=longest, threads=0)),
                (peer, "as stored", partial(_webdataset_pil, longest=longest)),
                (f"{peer}, {threads} workers", "as stored", partial(_webdataset_pil, longest=longest, workers=threads)),
            ]
            out += _compared(f"decoded {longest}", ways, few, FEW)
        out += _decoders()
        long = make(Path(temporary) / "long", (RESUME[0], 1000), 64, 48, repeat=RESUME[1] // 1000)
        out.append({"what": "resume", "name": "ours, loader", "order": "shuffled, packed", "resume_s": _resume(long)})
    for row in out:
        same = (peer for peer in out if peer["what"] == row["what"])
        peers = [peer["samples_per_s"] for peer in same if peer["name"].startswith("webdataset")]
        if peers:
            row["ratio"] = round(row["samples_per_s"] / max(peers), 2)
    return out


def _installed(name: str) -> bool:
    package = name.split(",")[0]
    module = {"energon": "megatron", "ours": "shards"}.get(package, package)
    installed = importlib.util.find_spec(module) is not None
    if not installed:
        print(f"{package}: not installed, left out", file=sys.stderr)
    return installed


def _compared(what: str, ways: list[tuple[str, str, Read]], run: Path, shape: tuple[int, int]) -> list[dict[str, Any]]:
    present = [way for way in ways if _installed(way[0])]
    times = timed({name: partial(read, run) for name, _, read in present}, shape[0] * shape[1])
    return [{"what": what, "name": name, "order": order, **times[name]} for name, order, _ in present]


def _streaming(run: Path, converted: Path, python: str | None, size: float) -> list[dict[str, Any]]:
    if python is None and not _installed("streaming"):
        return []
    command = [python or sys.executable, "-m", "bench._streaming", str(converted), str(MANY[0] * MANY[1]), *_tars(run)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    if result.returncode:
        raise RuntimeError(f"streaming, by {command[0]}: {result.stderr[-2000:]}")
    row = {"what": "raw", "name": "streaming", "order": "shuffled", **json.loads(result.stdout.splitlines()[-1])}
    return [{**row, "sample_kb": size}]


def _mixture(longest: int = 384) -> dict[str, Any]:
    source = {"weight": 1, "sequence_length": 1536, "image": {"mode": "native", "longest": longest, "shortest": 16}}
    return {"batch_sequences": 4, "sources": {"pairs": source}}


def _decoded(run: Path, longest: int, threads: int, decoded: bool = True) -> Iterator[Any]:
    for batch in Loader(run, _mixture(longest), epochs=1, decoded=decoded, threads=threads):
        for sequence in batch.sequences:
            yield from sequence


def _samples(run: Path) -> Iterator[Any]:
    store = RunFiles(run)
    places = []
    for path in sorted(run.glob("shards/*/*.tar")):
        name = path.relative_to(run).as_posix()
        offsets = tar.read_index(store.read(f"{name}.idx"), path.stat().st_size, name).tolist()
        places += [(name, start, end) for start, end in itertools.pairwise(offsets)]
    for i in plan.shuffled(len(places), 1).tolist():
        name, start, end = places[i]
        yield tar.parse(store.range(name, start, end), name)


def _tars(run: Path) -> list[str]:
    return [str(path) for path in sorted(run.glob("shards/*/*.tar"))]


def _webdataset(run: Path) -> Iterator[Any]:
    import webdataset

    yield from webdataset.WebDataset(_tars(run), shardshuffle=False)


def _pil(longest: int) -> Callable[[dict[str, Any]], np.ndarray]:
    def pixels(sample: dict[str, Any]) -> np.ndarray:
        image = sample["jpg"]
        size = size_for(*image.size, "native", longest, 16)
        return np.array(image if image.size == size else image.resize(size, Image.Resampling.BILINEAR))

    return pixels


def _webdataset_pil(run: Path, longest: int, workers: int = 0) -> Iterator[Any]:
    import webdataset
    from torch.utils.data import DataLoader

    data = webdataset.WebDataset(_tars(run), shardshuffle=False).decode("pil").map(_pil(longest))
    yield from DataLoader(data, batch_size=None, num_workers=workers) if workers else data


def _datasets(run: Path) -> Iterator[Any]:
    import datasets

    rows = datasets.load_dataset("webdataset", data_files={"train": _tars(run)}, split="train", streaming=True)
    yield from rows.cast_column("jpg", datasets.Image(decode=False))


def _energon(run: Path) -> Iterator[Any]:
    from megatron.energon import WorkerConfig, get_loader, get_train_dataset
    from megatron.energon.task_encoder import DefaultTaskEncoder

    class Raw(DefaultTaskEncoder):  # type: ignore[misc]
        decoder = None

    data = get_train_dataset(
        run / "shards/pairs", worker_config=WorkerConfig(rank=0, world_size=1, num_workers=0), batch_size=None,
        shuffle_buffer_size=100, max_samples_per_sequence=100, task_encoder=Raw(),
    )  # fmt: skip
    yield from itertools.islice(get_loader(data), MANY[0] * MANY[1])


def _decoders() -> list[dict[str, Any]]:
    pictures = [picture(seed, 980, 735) for seed in range(PICTURES)]
    ways: dict[str, Callable[[bytes, int], Any]] = {
        **{name: lambda data, side, by=name: decode(data, "native", side, 16, by) for name in decoders()},
        "pillow, without draft": lambda data, side: _pil(side)({"jpg": Image.open(io.BytesIO(data)).convert("RGB")}),
    }
    if _installed("pyvips"):
        import pyvips  # type: ignore[import-not-found]

        ways["pyvips"] = lambda data, side: pyvips.Image.thumbnail_buffer(data, side, size="down").numpy()
    out = []
    for longest in (384, 980):
        reads = {name: partial(map, way, pictures, itertools.repeat(longest)) for name, way in ways.items()}
        times = timed(reads, len(pictures))
        out += [{"what": f"decoder {longest}", "name": name, **row} for name, row in times.items()]
    return out


def _resume(run: Path) -> float:
    loader, samples = Loader(run, _mixture()), 0
    # the walk reaches sample 100,000 without reading the samples before it
    for planned in loader._order.walk(loader._order.start, 0, 1):
        samples += sum(int(block.packs.start[pack + 1] - block.packs.start[pack]) for block, pack, _ in planned.packs)
        if samples >= RESUME[1]:
            state = loader._state(planned.next)
            break

    def seconds() -> float:
        start = time.perf_counter()
        again = Loader(run, _mixture())
        again.load_state_dict(state)
        next(iter(again))
        return time.perf_counter() - start

    return round(statistics.median(interleaved({"ours": seconds})["ours"]), 4)
