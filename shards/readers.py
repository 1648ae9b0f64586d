"""What other readers want beside the shards: the dataset card for Hugging Face `datasets`, and `.nv-meta` for Megatron-Energon.

Both are small text files made from the manifest. The card declares the features of every configuration with as many image columns
as its largest document has: without that, `datasets` infers columns from the first five samples and fails on the next. Energon finds
samples by the `.tar.idx` that were written with the shards, so `energon prepare` is not needed.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shards.fields import FIELDS, SLOTTED
from shards.manifest import Manifest, Shard
from shards.preview import FEATURES
from shards.store import Store

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

_ENERGON_TYPES: dict[str, dict[str, Any]] = {
    "interleaved": {
        "sample_type": {"__module__": "megatron.energon", "__class__": "InterleavedSample"},
        "sample_loader": "sample_loader.py:sample_loader",
        "part_filter": "sample_loader.py:part_filter",
    },
    "pairs": {
        "sample_type": {"__module__": "megatron.energon", "__class__": "CaptioningSample"},
        "field_map": {"image": "jpg", "caption": "txt"},
    },
    "ocr": {
        "sample_type": {"__module__": "megatron.energon", "__class__": "OCRSample"},
        "field_map": {"image": "jpg", "text": "txt"},
    },
}

_ENERGON_TYPES["conversations"] = _ENERGON_TYPES["interleaved"]

_PREVIEW = [("__key__", "string"), ("__url__", "string"), *FEATURES]
_SIZES = [(10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"), (10**8, "10M<n<100M")]
_SIZES += [(10**9, "100M<n<1B"), (10**10, "1B<n<10B"), (10**11, "10B<n<100B"), (10**12, "100B<n<1T")]


def files(store: Store, manifest: Manifest, name: str, license: str = "other", previews: Sequence[str] = ()) -> dict[str, bytes]:
    """Path, relative to the run, -> content: ``README.md`` and the ``.nv-meta`` of each configuration that has samples.

    previews: the tars of shards/preview.py that lie beside them, as the card's first configuration.
    """
    out = {"README.md": card(store, manifest, name, license, previews).encode()}
    for config in manifest.configs:
        if _samples(manifest, config):
            out |= {f"shards/{config}/.nv-meta/{path}": content for path, content in nv_meta(manifest, config).items()}
    return out


def nv_meta(manifest: Manifest, config: str) -> dict[str, bytes]:
    """Energon's files for one configuration, by name; the shard paths in them are relative to the configuration's folder."""
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


def features(config: str, images: int) -> list[dict[str, Any]]:
    """The columns `datasets` sees, as the card declares them. images: the most a sample of this configuration has."""
    out: list[dict[str, Any]] = [{"name": "__key__", "dtype": "string"}, {"name": "__url__", "dtype": "string"}]
    out.append({"name": "json", "struct": [_feature(field.name, field.type) for field in FIELDS[config]]})
    if config in SLOTTED:
        return out + [{"name": f"{i}.jpg", "dtype": "image"} for i in range(images)]
    return [*out, {"name": "jpg", "dtype": "image"}, {"name": "txt", "dtype": "string"}]


def _feature(name: str, kind: pa.DataType) -> dict[str, Any]:
    return {"name": name, **_kind(kind)}


def _kind(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_struct(kind):
        return {"struct": [_feature(field.name, field.type) for field in kind]}
    if pa.types.is_list(kind):
        inner = _kind(kind.value_type)
        return {"list": inner.get("dtype") or inner.get("struct") or inner}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind))}


def columns(store: Store, manifest: Manifest, config: str) -> int:
    """Columns of a configuration, as `datasets` sees it."""
    shards = [shard for split in manifest.configs[config] for shard in manifest.shards(config, split)]
    return len(features(config, max((_most_images(store, shard) for shard in shards), default=0)))


def card(store: Store, manifest: Manifest, name: str, license: str = "other", previews: Sequence[str] = ()) -> str:
    """The dataset card. Reads one column of each index, for the number of image columns."""
    present = [config for config in manifest.configs if _samples(manifest, config)]
    total = sum(_samples(manifest, config) for config in present)
    configs: list[dict[str, Any]] = []
    infos: list[dict[str, Any]] = []
    if previews:
        shown = {path.partition("/")[2].partition("-")[0]: path for path in previews}
        configs.append({"config_name": "preview", "data_files": [{"split": s, "path": p} for s, p in shown.items()], "default": True})
        infos.append({"config_name": "preview", "features": [{"name": n, "dtype": t} for n, t in _PREVIEW]})
    for config in present:
        splits = {split: manifest.shards(config, split) for split in manifest.configs[config]}
        splits = {split: shards for split, shards in splits.items() if shards}
        listed = [{"split": split, "path": _pattern(manifest, config, split, shards)} for split, shards in splits.items()]
        configs.append({"config_name": config, "data_files": listed, **({"default": True} if not configs else {})})
        most = max((_most_images(store, shard) for shards in splits.values() for shard in shards), default=0)
        sizes = {split: sum(shard.bytes for shard in shards) for split, shards in splits.items()}
        counts = {split: sum(shard.samples for shard in shards) for split, shards in splits.items()}
        infos.append(
            {
                "config_name": config,
                "features": features(config, most),
                "splits": [{"name": split, "num_bytes": sizes[split], "num_examples": counts[split]} for split in splits],
                "download_size": sum(sizes.values()),
                "dataset_size": sum(sizes.values()),
            }
        )
    head = {
        "pretty_name": name,
        "license": license,
        "task_categories": ["image-text-to-text", "image-to-text"],
        "size_categories": [next((label for limit, label in _SIZES if total < limit), "n>1T")],
        "tags": ["webdataset", "multimodal", "interleaved", "vlm", "energon"],
        "configs": configs,
        "dataset_info": infos,
    }
    return f"---\n{yaml(head)}---\n\n{_body(manifest, name, present)}"


def _body(manifest: Manifest, name: str, present: list[str]) -> str:
    rows = [
        f"| {config} | {split} | {len(shards)} | {sum(s.samples for s in shards):,} | {sum(s.images for s in shards):,} "
        f"| {sum(s.tokens for s in shards):,} | {sum(s.bytes for s in shards):,} |"
        for config in present
        for split in manifest.configs[config]
        if (shards := manifest.shards(config, split))
    ]
    first = present[0] if present else "interleaved"
    return "\n".join(
        [
            f"# {name}",
            "",
            "Made with Panoramix: raw web in, balanced tar shards for vision-language models out. `manifest.json` names every shard",
            "with its sha256; `index/` holds one Parquet row a sample.",
            "",
            f"Text tokens by the tokenizer `{manifest.tokenizer['name']}` (sha256 `{manifest.tokenizer['sha256'][:16]}`).",
            "",
            "| configuration | split | shards | samples | images | text tokens | bytes |",
            "|---|---|---:|---:|---:|---:|---:|",
            *rows,
            "",
            "## Layout",
            "",
            "A sample is `KEY.json` and its images: `KEY.0.jpg`, `KEY.1.jpg` ... for documents (the JSON's `texts` and `images` are parallel,",
            "one of them null in each slot; `images` holds the part's name), `KEY.jpg` and `KEY.txt` for pairs and pages.",
            "",
            "## Reading it",
            "",
            "```python",
            "# datasets",
            "from datasets import load_dataset",
            f'load_dataset("{name}", "{first}", split="train", streaming=True)',
            "",
            "# webdataset, on a local copy",
            "import webdataset",
            f'webdataset.WebDataset("shards/{first}/train-000000.tar", shardshuffle=False).decode("pil")',
            "",
            "# panoramix: mixture, packing, exact resume on any number of ranks",
            "from shards.loader import Loader",
            'Loader("path of a local copy", "stage1")',
            "```",
            "",
        ]
    )


def _samples(manifest: Manifest, config: str) -> int:
    return sum(shard.samples for split in manifest.configs[config] for shard in manifest.shards(config, split))


def _pattern(manifest: Manifest, config: str, split: str, shards: tuple[Shard, ...]) -> str | list[str]:
    """One glob; the names themselves where an empty shard, which `datasets` cannot read, lies among them."""
    every = len(shards) == len(manifest.configs[config][split])
    return f"shards/{config}/{split}-*.tar" if every else [shard.path for shard in shards]


def _most_images(store: Store, shard: Shard) -> int:
    column = pq.read_table(io.BytesIO(store.read(shard.index)), columns=["n_images"])["n_images"]
    return int(max(column.to_pylist(), default=0))


def yaml(value: Any, indent: int = 0) -> str:
    """Block YAML of mappings, lists, strings, numbers and booleans. Strings are quoted as JSON, which YAML reads."""
    pad = "  " * indent
    if isinstance(value, Mapping):
        return "".join(f"{pad}{key}:{_nested(child, indent + 1)}" for key, child in value.items())
    out = []
    for child in value:
        text = yaml(child, indent + 1) if isinstance(child, Mapping | list) and child else f"{pad}  {_scalar(child)}\n"
        out.append(f"{pad}- {text[len(pad) + 2 :]}")
    return "".join(out)


def _nested(child: Any, indent: int) -> str:
    if isinstance(child, Mapping | list) and child:
        return "\n" + yaml(child, indent)
    return f" {_scalar(child)}\n"


def _scalar(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
