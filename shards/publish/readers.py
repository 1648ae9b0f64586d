"""Files for other readers: the dataset card for Hugging Face `datasets`, and ``.nv-meta`` for Megatron-Energon.

They are small and made from the manifest. Energon finds samples by the ``.tar.idx`` files that were written with the
shards, so `energon prepare` is not needed.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from manifests.chart import sheet
from manifests.runfiles import RunFiles
from shards.layout import LAYOUTS
from shards.manifest import Manifest
from shards.publish.card import PLOTS, card
from shards.publish.front_matter import samples

Files = dict[str, bytes]  # path -> content

STATS = "stats.json"
#: histograms of `stats.json` in the card's picture, and their titles
_PLOTTED = {
    "tokens": "text tokens of a sample",
    "images": "images of a sample",
    "short side": "short side of an image, px",
}

#: the release of Energon whose format ``.nv-meta`` has
ENERGON = "7.4.1"
_ENERGON_SPLITS = {"train": "train", "validation": "val", "test": "test"}

_SAMPLE_LOADER = '''\
"""Texts and images in reading order. Written by panoramix; reads only the sample that it is given."""


def sample_loader(raw):
    doc = raw["json"]
    return {
        "__key__": raw["__key__"],
        "sequence": [raw[image] if text is None else text for text, image in zip(doc["texts"], doc["images"])],
    }


def part_filter(part):
    return part == "json" or part.endswith(".jpg")
'''

#: by layout: the class of Energon's samples, and the rest of `dataset.yaml`
_ENERGON_TYPES: dict[str, tuple[str, dict[str, Any]]] = {
    "pairs": ("CaptioningSample", {"field_map": {"image": "jpg", "caption": "txt"}}),
    "ocr": ("OCRSample", {"field_map": {"image": "jpg", "text": "txt"}}),
}
#: samples of the other layouts are sequences of texts and images
_SEQUENCE = {"sample_loader": "sample_loader.py:sample_loader", "part_filter": "sample_loader.py:part_filter"}


def files(run: RunFiles, manifest: Manifest, name: str, license: str = "other", previews: Sequence[str] = ()) -> Files:
    """Path relative to the run -> content: ``README.md``, its picture, and ``.nv-meta`` of each source with samples.

    The card uses `stats.json` beside the manifest, where there is one. previews: see shards/publish/card.py.
    """
    stats: dict[str, Any] = json.loads(run.read(STATS)) if run.exists(STATS) else {}
    out = {"README.md": card(run, manifest, name, license, previews, stats).encode()}
    if stats.get("sources"):
        out[PLOTS] = plots(stats).encode()
    for source in manifest.sources:
        if samples(manifest, source):
            out |= {f"shards/{source}/.nv-meta/{path}": content for path, content in nv_meta(manifest, source).items()}
    return out


def plots(stats: Mapping[str, Any]) -> str:
    """The card's picture, as SVG: a row of histograms for each source with samples."""
    rows = []
    for source, s in stats["sources"].items():
        sketches = {key: {int(b): n for b, n in s["sketches"].get(key, {}).items()} for key in _PLOTTED}
        if s["samples"]:
            rows.append([(f"{s.get('config', source)}: {title}", sketches[key]) for key, title in _PLOTTED.items()])
    return sheet(rows)


def nv_meta(manifest: Manifest, source: str) -> Files:
    """File name -> content of Energon's files for one source. Their paths are relative to the folder of the source."""
    counts: dict[str, int] = {}
    parts: dict[str, list[str]] = {split: [] for split in _ENERGON_SPLITS.values()}
    for split in manifest.sources[source].splits:
        for shard in manifest.shards(source, split):
            path = shard.path.removeprefix(f"shards/{source}/")
            counts[path] = shard.samples
            parts.setdefault(_ENERGON_SPLITS.get(split, split), []).append(path)
    layout = manifest.sources[source].layout
    kind, rest = _ENERGON_TYPES.get(layout, ("InterleavedSample", _SEQUENCE))
    dataset = {"sample_type": {"__module__": "megatron.energon", "__class__": kind}, **rest}
    out = {
        ".info.json": json.dumps({"energon_version": ENERGON, "shard_counts": counts}, indent=1),
        "split.yaml": yaml.safe_dump({"split_parts": parts, "exclude": []}, sort_keys=False),
        "dataset.yaml": yaml.safe_dump(dataset, sort_keys=False),
    }
    if LAYOUTS[layout].slots:
        out["sample_loader.py"] = _SAMPLE_LOADER
    return {path: content.encode() for path, content in out.items()}
