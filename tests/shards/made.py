"""Selected documents, blobs and complete runs, generated for tests."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from manifests.schema import NODE, SELECTED, document_id, key64
from manifests.stage import DirectContext
from shards import tokens
from shards.write import Pack

#: the kind of source for each layout
KINDS = {"interleaved": "web", "pairs": "pairs", "ocr": "pdf", "conversations": "conversations", "text": "text"}
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
    """Files of blobs under a folder, and the offset of each image in them."""

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
    values = {"key": key64(name), "id": document_id("web", url, name.encode()), "kind": "web", "url": url, "lang": "en"}
    return {**blank, **values, "provenance": provenance, "nodes": nodes, "images": images, "optout": [], **fields}


def interleaved(blobs: Blobs, seed: int, images: int, words: int = 12) -> dict[str, Any]:
    nodes, places = [text(prose(seed, words))], []
    for i in range(images):
        url = f"https://i.example/{seed}/{i}.jpg"
        places.append(blobs.place(len(nodes), picture(seed * 31 + i, 40 + 8 * i, 32), url))
        nodes += [node("image", image=url, alt=f"alt {i}"), text(prose(seed + i, words)), text(prose(seed + i + 1, 3))]
    return document(f"page-{seed}", nodes, places)


def article(seed: int, words: int = 12) -> dict[str, Any]:
    nodes = [text(prose(seed, words)), text(prose(seed + 1, 3))]
    return document(f"article-{seed}", nodes, [], kind="text")


def conversation(blobs: Blobs, seed: int, turns: int, words: int = 12) -> dict[str, Any]:
    url = f"https://i.example/chat/{seed}.jpg"
    nodes, places = [node("image", image=url)], [blobs.place(0, picture(seed, 48, 48), url)]
    for turn in range(turns + 1):
        nodes += [node("break")] if turn else []
        nodes += [
            node("text", role="user", text=f"{prose(seed + turn, words)}?"),
            node("break"),
            node("text", role="assistant", text=prose(turn, 4)),
        ]
    return document(f"chat-{seed}", nodes, places, kind="conversations")


def pair(blobs: Blobs, seed: int, words: int = 9) -> dict[str, Any]:
    url = f"https://i.example/pair/{seed}.jpg"
    nodes = [node("image", image=url, alt="an alt"), text(prose(seed, words))]
    return document(f"pair-{seed}", nodes, [blobs.place(0, picture(seed, 56, 40), url)], kind="pairs")


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
        kind="pdf",
        provenance=provenance,
    )


def table(documents: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(documents, schema=SELECTED)


def pack(stage: Pack, documents: list[dict[str, Any]], paths: dict[int, str], part: int = 0) -> dict[str, Any]:
    """The joined output of the stage: {"tar": bytes, "tar.idx": bytes, "index": Table, "refused": Table}."""
    out: dict[str, Any] = {"tar": b"", "tar.idx": b"", "index": [], "refused": []}
    for name, piece in stage({"documents": table(documents), "blobs": paths}, DirectContext(part=part)):
        out[name] += piece if isinstance(piece, bytes) else [piece]
    return {**out, **{name: pa.Table.from_batches(out[name]) for name in ("index", "refused")}}


#: for each layout a function of (blobs, seed, most images, words) that gives a document
MAKE: dict[str, Callable[[Blobs, int, int, int], dict[str, Any]]] = {
    "interleaved": lambda blobs, seed, images, words: interleaved(blobs, seed, seed % (images + 1), words),
    "conversations": lambda blobs, seed, images, words: conversation(blobs, seed, seed % (images + 1), words),
    "text": lambda blobs, seed, images, words: article(seed, words),
    "pairs": lambda blobs, seed, images, words: pair(blobs, seed, words),
    "ocr": lambda blobs, seed, images, words: page(blobs, seed),
}


def shard(folder: Path, stage: Pack, documents: list[dict[str, Any]], blobs: Blobs, part: int) -> dict[str, Any]:
    """Writes the shard of these documents into a run's folder. Returns the manifest row of the shard."""
    out = pack(stage, documents, blobs.write(), part)
    name, rows = f"{stage.split}-{part:06d}", out["index"]
    path, index = f"shards/{stage.source}/{name}.tar", f"index/{stage.source}-{name}.parquet"
    for parent in ("index", f"shards/{stage.source}"):
        (folder / parent).mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(out["tar"])
    (folder / f"{path}.idx").write_bytes(out["tar.idx"])
    pq.write_table(rows, folder / index)
    return {
        "path": path,
        "index": index,
        "samples": rows.num_rows,
        "bytes": len(out["tar"]),
        "sha256": hashlib.sha256(out["tar"]).hexdigest(),
        "images": sum(rows["n_images"].to_pylist()),
        "tokens": sum(rows["n_text_tokens"].to_pylist()),
    }


def manifest(folder: Path, sources: dict[str, Any]) -> Path:
    """Writes `manifest.json` and returns the folder."""
    tokenizer = {"name": "bytes", "sha256": tokens.load("bytes").sha256}
    raw = {"version": 2, "sources": sources, "tokenizer": tokenizer}
    (folder / "manifest.json").write_text(json.dumps(raw, indent=1))
    return folder


def run(
    folder: Path,
    counts: dict[str, list[int]] | None = None,
    images: int = 3,
    words: int = 12,
    split: str = "train",
    layouts: dict[str, str] | None = None,
) -> Path:
    """Writes a run's folder. counts: samples of each shard of a source. layouts: by source, by default its name."""
    counts = counts or {"interleaved": [5, 4], "pairs": [6, 3], "ocr": [3]}
    folder.mkdir(parents=True, exist_ok=True)
    sources: dict[str, Any] = {}
    for number, (name, sizes) in enumerate(counts.items()):
        layout = (layouts or {}).get(name, name)
        shards = []
        for part, size in enumerate(sizes):
            first = 10_000 * number + sum(sizes[:part])
            with TemporaryDirectory() as place:
                blobs = Blobs(Path(place))
                documents = [MAKE[layout](blobs, seed, images, words) for seed in range(first, first + size)]
                shards.append(shard(folder, Pack(name, layout, split), documents, blobs, part))
        sources[name] = {"kind": KINDS[layout], "layout": layout, "tag": None, "splits": {split: shards}}
    return manifest(folder, sources)
