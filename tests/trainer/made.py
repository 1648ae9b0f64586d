"""A run's folder with pictures worth learning from: captioned pairs, pages that show them, and OCR pages."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from shards import tokens
from shards.write import Pack
from tests.shards import made
from tests.trainer.pictures import picture


def prose(seed: int, sentences: int) -> str:
    rng = random.Random(seed)
    who = ["The surveyor", "A ferry pilot", "The archive", "Every village", "The old mill"]
    does = ["recorded", "forgot", "repainted", "measured", "carried home"]
    what = [
        "the height of the river",
        "a winter of snow",
        "its last harvest",
        "the road to the bay",
        "three boxes of letters",
    ]
    return " ".join(f"{rng.choice(who)} {rng.choice(does)} {rng.choice(what)}." for _ in range(sentences))


def pair(blobs: made.Blobs, seed: int) -> dict[str, Any]:
    data, caption = picture(seed)
    url = f"https://i.example/pair/{seed}.jpg"
    nodes = [made.node("image", image=url, alt=caption), made.text(caption)]
    return made.document(f"pair-{seed}", nodes, [blobs.place(0, data, url)], source="pairs")


def page(blobs: made.Blobs, seed: int) -> dict[str, Any]:
    data, caption = picture(seed)
    url = f"https://i.example/{seed}.jpg"
    nodes = [
        made.text(prose(seed, 3)),
        made.node("image", image=url),
        made.text(caption),
        made.text(prose(seed + 1, 5)),
    ]
    return made.document(f"page-{seed}", nodes, [blobs.place(1, data, url)])


def chat(blobs: made.Blobs, seed: int) -> dict[str, Any]:
    """An image, and two turns about it, parted by breaks."""
    data, caption = picture(seed)
    url = f"https://i.example/chat/{seed}.jpg"
    turns = [f"What is shown in picture {seed}?", f"{caption}.", "Which colour?", caption.split(" in ")[-1]]
    nodes = [made.node("image", image=url)]
    for n, turn in enumerate(turns):
        nodes += [made.node("text", role=("user", "assistant")[n % 2], text=turn), made.node("break")]
    return made.document(f"chat-{seed}", nodes, [blobs.place(0, data, url)])


MAKE = {"pairs": pair, "interleaved": page, "ocr": made.page, "conversations": chat}


def run(folder: Path, counts: dict[str, dict[str, int]]) -> Path:
    """counts: configuration -> split -> samples, one shard each.

    Pairs of the two splits show different pictures.
    """
    configs: dict[str, Any] = {}
    for name in ("index", "shards"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for c, (config, splits) in enumerate(counts.items()):
        for s, (split, size) in enumerate(splits.items()):
            blobs = made.Blobs(folder / "index")
            documents = [MAKE[config](blobs, 100_000 * (2 * c + s) + i) for i in range(size)]
            out = made.pack(Pack(config, split), documents, blobs.write())
            for path in blobs.paths.values():
                Path(path).unlink()
            shard, index = f"shards/{config}-{split}.tar", f"index/{config}-{split}.parquet"
            (folder / shard).write_bytes(out["tar"])
            pq.write_table(out["index"], folder / index)
            counted = {
                "images": sum(out["index"]["n_images"].to_pylist()),
                "tokens": sum(out["index"]["n_text_tokens"].to_pylist()),
            }
            digest = hashlib.sha256(out["tar"]).hexdigest()
            entry = {
                "path": shard,
                "index": index,
                "samples": size,
                "bytes": len(out["tar"]),
                "sha256": digest,
                **counted,
            }
            configs.setdefault(config, {})[split] = [entry]
    tokenizer = {"name": "bytes", "sha256": tokens.load("bytes").sha256}
    (folder / "manifest.json").write_text(json.dumps({"version": 1, "configs": configs, "tokenizer": tokenizer}))
    return folder
