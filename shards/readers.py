"""What other readers want beside the shards: the dataset card, for Hugging Face `datasets`, and `.nv-meta`, for
Megatron-Energon.

Small files made from the manifest. Energon finds samples by the `.tar.idx` that were written with the shards, so
`energon prepare` is not needed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from shards import plots
from shards.card import card, samples
from shards.fields import SLOTTED
from shards.manifest import Manifest
from shards.store import Store
from shards.yaml import yaml

STATS = "stats.json"

#: the format of `.nv-meta` is that of this release
ENERGON = "7.4.1"
_ENERGON_SPLITS = {"train": "train", "validation": "val", "test": "test"}

_SAMPLE_LOADER = '''\
"""Texts and images in reading order. Written by panoramix; reads nothing but the sample it is given."""


def sample_loader(raw):
    doc = raw["json"]
    return {
        "__key__": raw["__key__"],
        "sequence": [raw[image] if text is None else text for text, image in zip(doc["texts"], doc["images"])],
    }


def part_filter(part):
    return part == "json" or part.endswith(".jpg")
'''

_SEQUENCE = {
    "sample_type": {"__module__": "megatron.energon", "__class__": "InterleavedSample"},
    "sample_loader": "sample_loader.py:sample_loader",
    "part_filter": "sample_loader.py:part_filter",
}
_ENERGON_TYPES: dict[str, dict[str, Any]] = {
    "interleaved": _SEQUENCE,
    "conversations": _SEQUENCE,
    "pairs": {
        "sample_type": {"__module__": "megatron.energon", "__class__": "CaptioningSample"},
        "field_map": {"image": "jpg", "caption": "txt"},
    },
    "ocr": {
        "sample_type": {"__module__": "megatron.energon", "__class__": "OCRSample"},
        "field_map": {"image": "jpg", "text": "txt"},
    },
}


def files(
    store: Store, manifest: Manifest, name: str, license: str = "other", previews: Sequence[str] = ()
) -> dict[str, bytes]:
    """Path, relative to the run, -> content: ``README.md``, its plots, and the ``.nv-meta`` of each configuration that
    has samples.

    The card tells what `stats.json` beside the manifest knows. previews: the tars of shards/preview.py that lie beside
    them, as the card's first configuration.
    """
    stats = json.loads(store.read(STATS)) if store.exists(STATS) else {}
    out = {"README.md": card(store, manifest, name, license, previews, stats).encode()}
    if stats.get("sources"):
        out[plots.NAME] = plots.png(stats)
    for config in manifest.configs:
        if samples(manifest, config):
            out |= {f"shards/{config}/.nv-meta/{path}": content for path, content in nv_meta(manifest, config).items()}
    return out


def nv_meta(manifest: Manifest, config: str) -> dict[str, bytes]:
    """Energon's files for one configuration, by name; the shard paths in them are relative to the configuration's
    folder.
    """
    counts: dict[str, int] = {}
    parts: dict[str, list[str]] = {split: [] for split in _ENERGON_SPLITS.values()}
    for split in manifest.configs[config]:
        for shard in manifest.shards(config, split):
            path = shard.path.removeprefix(f"shards/{config}/")
            counts[path] = shard.samples
            parts.setdefault(_ENERGON_SPLITS.get(split, split), []).append(path)
    out = {
        ".info.json": json.dumps({"energon_version": ENERGON, "shard_counts": counts}, indent=1),
        "split.yaml": yaml({"split_parts": parts, "exclude": []}),
        "dataset.yaml": yaml(_ENERGON_TYPES[config]),
    }
    if config in SLOTTED:
        out["sample_loader.py"] = _SAMPLE_LOADER
    return {path: content.encode() for path, content in out.items()}
