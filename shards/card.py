"""The dataset card: YAML that the Hub and `datasets` read, over the text of shards/about.py.

It declares the features of every configuration, with as many image columns as its largest document has: without that,
`datasets` infers columns from the first five samples and fails on the next.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from shards import about
from shards.fields import FIELDS, SLOTTED
from shards.manifest import Manifest, Shard
from shards.preview import FEATURES
from shards.store import Store
from shards.yaml import yaml

_PREVIEW = [("__key__", "string"), ("__url__", "string"), *FEATURES]
#: the Hub's names of sizes
_SIZES = [
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
]
_SIZES += [(10**9, "100M<n<1B"), (10**10, "1B<n<10B"), (10**11, "10B<n<100B"), (10**12, "100B<n<1T")]
_LANGUAGE = re.compile(r"[a-z]{2,3}\Z")  # ISO 639, which is what the Hub takes
_FEW = 0.01  # share of samples below which the head leaves a language out


class Seen(NamedTuple):
    """What the indexes of a configuration say."""

    images: int  #: the most of one sample
    languages: Counter[str]  #: samples of each; "" where it is not known


def seen(store: Store, manifest: Manifest, config: str) -> Seen:
    """Reads two columns of each index."""
    most, languages = 0, Counter[str]()
    for split in manifest.configs[config]:
        for shard in manifest.shards(config, split):
            table = pq.read_table(io.BytesIO(store.read(shard.index)), columns=["n_images", "lang"])
            most = max(most, *table["n_images"].to_pylist(), 0)
            languages.update(lang or "" for lang in table["lang"].to_pylist())
    return Seen(most, languages)


def card(
    store: Store,
    manifest: Manifest,
    name: str,
    license: str = "other",
    previews: Sequence[str] = (),
    stats: Mapping[str, Any] | None = None,
) -> str:
    """The dataset card. previews: tars of shards/preview.py, for the first configuration. stats: `stats.json` of the
    run, if it has one.
    """
    present = {config: seen(store, manifest, config) for config in manifest.configs if samples(manifest, config)}
    total = sum(samples(manifest, config) for config in present)
    configs: list[dict[str, Any]] = []
    infos: list[dict[str, Any]] = []
    if previews:
        shown = {path.partition("/")[2].partition("-")[0]: path for path in previews}
        configs.append(
            {
                "config_name": "preview",
                "data_files": [{"split": s, "path": p} for s, p in shown.items()],
                "default": True,
            }
        )
        infos.append({"config_name": "preview", "features": [{"name": n, "dtype": t} for n, t in _PREVIEW]})
    for config, found in present.items():
        splits = {split: manifest.shards(config, split) for split in manifest.configs[config]}
        splits = {split: shards for split, shards in splits.items() if shards}
        listed = [
            {"split": split, "path": _pattern(manifest, config, split, shards)} for split, shards in splits.items()
        ]
        configs.append({"config_name": config, "data_files": listed, **({"default": True} if not configs else {})})
        sizes = {split: sum(shard.bytes for shard in shards) for split, shards in splits.items()}
        counts = {split: sum(shard.samples for shard in shards) for split, shards in splits.items()}
        infos.append(
            {
                "config_name": config,
                "features": features(config, found.images),
                "splits": [
                    {"name": split, "num_bytes": sizes[split], "num_examples": counts[split]} for split in splits
                ],
                "download_size": sum(sizes.values()),
                "dataset_size": sum(sizes.values()),
            }
        )
    languages = sum((found.languages for found in present.values()), Counter[str]())
    spoken = [
        lang
        for lang, n in sorted(languages.items(), key=lambda x: (-x[1], x[0]))
        if _LANGUAGE.match(lang) and n >= _FEW * total
    ]
    head = {
        "pretty_name": name.rpartition("/")[2],
        "license": license,
        **({"language": spoken} if spoken else {}),
        "task_categories": ["image-text-to-text", "image-to-text"],
        "size_categories": [next((label for limit, label in _SIZES if total < limit), "n>1T")],
        "tags": ["webdataset", "multimodal", "interleaved", "vlm", "energon"],
        "configs": configs,
        "dataset_info": infos,
    }
    return f"---\n{yaml(head)}---\n\n{about.text(manifest, name, {c: found.languages for c, found in present.items()}, stats or {})}"


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
    return len(features(config, seen(store, manifest, config).images))


def samples(manifest: Manifest, config: str) -> int:
    return sum(shard.samples for split in manifest.configs[config] for shard in manifest.shards(config, split))


def _pattern(manifest: Manifest, config: str, split: str, shards: tuple[Shard, ...]) -> str | list[str]:
    """One glob; the names themselves where an empty shard, which `datasets` cannot read, lies among them."""
    every = len(shards) == len(manifest.configs[config][split])
    return f"shards/{config}/{split}-*.tar" if every else [shard.path for shard in shards]
