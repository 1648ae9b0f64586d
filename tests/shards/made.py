"""Selected documents, blobs and whole runs, made by code."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from manifests.schema import NODE, SELECTED, document_id, key64
from manifests.stage import DirectContext
from shards import tokens
from shards.write import Pack

PROSE = "der Kürbis floats over the river and the old mill turns its wheel while rain falls softly on the slate roofs"
WORDS = PROSE.split(" ")


def picture(
    seed: int, width: int = 64, height: int = 48, format: str = "JPEG", mode: str = "RGB", **options: Any
) -> bytes:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).convert(mode)
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def prose(seed: int, words: int) -> str:
    rng = np.random.default_rng(seed)
    return " ".join(WORDS[i] for i in rng.integers(0, len(WORDS), words))


class Blobs:
    """Files of blobs under a folder, and where each image lies."""

    def __init__(self, folder: Path, parts: int = 2) -> None:
        self.paths = {part: str(folder / f"blobs-{part}") for part in range(parts)}
        self._data = {part: bytearray() for part in self.paths}

    def place(self, node: int, data: bytes, url: str) -> dict[str, Any]:
        part = len(data) % len(self.paths)
        offset = len(self._data[part])
        self._data[part] += data
        sha256 = hashlib.sha256(data).hexdigest()
        place = {"node": node, "url": url, "sha256": sha256, "part": part, "offset": offset, "length": len(data)}
        return {**place, "width": 1, "height": 1, "format": "jpeg"}

    def write(self) -> dict[int, str]:
        for part, path in self.paths.items():
            Path(path).write_bytes(bytes(self._data[part]))
        return self.paths


def node(kind: str, **fields: Any) -> dict[str, Any]:
    return {**{field.name: None for field in NODE}, "kind": kind, **fields}


def text(paragraph: str, **fields: Any) -> dict[str, Any]:
    return node("text", role="paragraph", text=paragraph, **fields)


def document(name: str, nodes: list[dict[str, Any]], images: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    url = f"https://{name}.example/page"
    blank = {field.name: None for field in SELECTED}
    provenance = {"file": "a.warc", "offset": 5, "length": 6, "page": None}
    own = {"key": key64(name), "id": document_id("web", url, name.encode()), "source": "web", "url": url, "lang": "en"}
    return {**blank, **own, "provenance": provenance, "nodes": nodes, "images": images, "optout": [], **fields}


def interleaved(blobs: Blobs, seed: int, images: int, words: int = 12) -> dict[str, Any]:
    nodes, placed = [text(prose(seed, words))], []
    for i in range(images):
        url = f"https://i.example/{seed}/{i}.jpg"
        placed.append(blobs.place(len(nodes), picture(seed * 31 + i, 40 + 8 * i, 32), url))
        nodes += [node("image", image=url, alt=f"alt {i}"), text(prose(seed + i, words)), text(prose(seed + i + 1, 3))]
    return document(f"page-{seed}", nodes, placed)


def conversation(blobs: Blobs, seed: int, turns: int, words: int = 12) -> dict[str, Any]:
    url = f"https://i.example/chat/{seed}.jpg"
    nodes, placed = [node("image", image=url)], [blobs.place(0, picture(seed, 48, 48), url)]
    for turn in range(turns + 1):
        nodes += [node("break")] if turn else []
        nodes += [
            node("text", role="user", text=f"{prose(seed + turn, words)}?"),
            node("break"),
            node("text", role="assistant", text=prose(turn, 4)),
        ]
    return document(f"chat-{seed}", nodes, placed, source="conversations")


def pair(blobs: Blobs, seed: int, words: int = 9) -> dict[str, Any]:
    url = f"https://i.example/pair/{seed}.jpg"
    nodes = [node("image", image=url, alt="an alt"), text(prose(seed, words))]
    return document(f"pair-{seed}", nodes, [blobs.place(0, picture(seed, 56, 40), url)], source="pairs")


def page(blobs: Blobs, seed: int, lines: int = 3) -> dict[str, Any]:
    words = [
        {"text": f"w{line}{i}", "box": [0.1 * i, 0.1 * line, 0.08, 0.05], "score": 1.0, "line": line}
        for line in range(lines)
        for i in range(4)
    ]
    block = text(" ".join(w["text"] for w in words), box=[0.0, 0.0, 0.5, 0.3], words=words)
    nodes = [node("image", image=f"pdf:{seed}#0", box=[0, 0, 1, 1]), block]
    provenance = {"file": "a.pdf", "offset": None, "length": None, "page": seed % 7}
    return document(
        f"pdf-{seed}",
        nodes,
        [blobs.place(0, picture(seed, 60, 80), f"pdf:{seed}#0")],
        source="pdf",
        provenance=provenance,
    )


def table(documents: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(documents, schema=SELECTED)


def pack(stage: Pack, documents: list[dict[str, Any]], paths: dict[int, str], part: int = 0) -> dict[str, Any]:
    """What the stage yields, joined: {"tar": bytes, "tar.idx": bytes, "index": Table, "refused": Table}."""
    out: dict[str, Any] = {"tar": b"", "tar.idx": b"", "index": [], "refused": []}
    for name, piece in stage({"documents": table(documents), "blobs": paths}, DirectContext(part=part)):
        out[name] += piece if isinstance(piece, bytes) else [piece]
    return {**out, **{name: pa.Table.from_batches(out[name]) for name in ("index", "refused")}}


def run(
    folder: Path, counts: dict[str, list[int]] | None = None, images: int = 3, words: int = 12, split: str = "train"
) -> Path:
    """A run's folder. ``counts``: samples in each shard of each configuration."""
    counts = counts or {"interleaved": [5, 4], "pairs": [6, 3], "ocr": [3]}
    make = {
        "interleaved": lambda blobs, seed: interleaved(blobs, seed, seed % (images + 1), words),
        "conversations": lambda blobs, seed: conversation(blobs, seed, seed % (images + 1), words),
        "pairs": lambda blobs, seed: pair(blobs, seed, words),
        "ocr": page,
    }
    configs: dict[str, Any] = {}
    (folder / "index").mkdir(parents=True, exist_ok=True)
    for c, (config, sizes) in enumerate(counts.items()):
        (folder / "shards" / config).mkdir(parents=True, exist_ok=True)
        for part, size in enumerate(sizes):
            blobs = Blobs(folder / "index")
            seeds = range(10_000 * c + sum(sizes[:part]), 10_000 * c + sum(sizes[:part]) + size)
            documents = [make[config](blobs, seed) for seed in seeds]
            out = pack(Pack(config, split), documents, blobs.write(), part)
            for path in blobs.paths.values():
                Path(path).unlink()
            name = f"{split}-{part:06d}"
            shard, index = f"shards/{config}/{name}.tar", f"index/{config}-{name}.parquet"
            (folder / shard).write_bytes(out["tar"])
            (folder / f"{shard}.idx").write_bytes(out["tar.idx"])
            pq.write_table(out["index"], folder / index)
            rows = out["index"]
            entry = {
                "path": shard,
                "index": index,
                "samples": rows.num_rows,
                "bytes": len(out["tar"]),
                "sha256": hashlib.sha256(out["tar"]).hexdigest(),
                "images": sum(rows["n_images"].to_pylist()),
                "tokens": sum(rows["n_text_tokens"].to_pylist()),
            }
            configs.setdefault(config, {}).setdefault(split, []).append(entry)
    tokenizer = {"name": "bytes", "sha256": tokens.load("bytes").sha256}
    (folder / "manifest.json").write_text(
        json.dumps({"version": 1, "configs": configs, "tokenizer": tokenizer}, indent=1)
    )
    return folder
