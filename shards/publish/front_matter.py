"""The front matter of the dataset card: what the Hub and `datasets` know about the files.

It declares the features of every source, with as many image columns as its largest sample has. Without that
declaration, `datasets` infers the columns from the first five samples and fails on a later sample with others.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import pyarrow as pa

from manifests.parquet import read_parquet
from manifests.runfiles import RunFiles
from shards.layout import LAYOUTS
from shards.manifest import Manifest
from shards.publish.preview import FEATURES

_PREVIEW = [("__key__", "string"), ("__url__", "string"), *FEATURES]
#: the Hub's names of sizes, from below 10^3 samples, each up to ten times those of the one before
_POWERS = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
_SIZES = ["n<1K", *(f"{low}<n<{high}" for low, high in pairwise(_POWERS)), "n>1T"]
_LANGUAGE = re.compile(r"[a-z]{2,3}\Z")  # ISO 639, which is what the Hub takes
_LANGUAGE_SHARE = 0.01  # the front matter leaves out a language of a smaller share of the samples


class Indexed(NamedTuple):
    """What the indexes of a source say."""

    images: int  #: of the sample with the most images
    languages: Counter[str]  #: samples of each language; "" where a sample names none


def indexed(run: RunFiles, manifest: Manifest, source: str) -> Indexed:
    """Reads two columns of each index of the source."""
    most, languages = 0, Counter[str]()
    for split in manifest.sources[source].splits:
        for shard in manifest.shards(source, split):
            table = read_parquet(run.read(shard.index), ["n_images", "lang"])
            most = max(most, *table["n_images"].to_pylist(), 0)
            languages.update(lang or "" for lang in table["lang"].to_pylist())
    return Indexed(most, languages)


def front_matter(
    manifest: Manifest, name: str, license: str, previews: Sequence[str], indexes: Mapping[str, Indexed]
) -> dict[str, Any]:
    """The mapping above the card, as YAML. previews: paths of the preview's tars, the first configuration."""
    configs: list[dict[str, Any]] = []
    infos: list[dict[str, Any]] = []
    if previews and "preview" not in indexes:  # a source may have that name
        shown: dict[str, list[str]] = {}
        for path in previews:  # `datasets` takes no "-" in the name of a split
            shown.setdefault(path.partition("/")[2].rpartition("-")[0].replace("-", "_"), []).append(path)
        configs.append({"config_name": "preview", "data_files": [{"split": s, "path": p} for s, p in shown.items()]})
        infos.append({"config_name": "preview", "features": [{"name": n, "dtype": t} for n, t in _PREVIEW]})
    for source, index in indexes.items():
        listed = manifest.sources[source]
        splits = {split: shards for split in listed.splits if (shards := listed.shards(split))}
        files: list[dict[str, Any]] = []
        rows = []
        for split, shards in splits.items():
            # the paths themselves where an empty shard, which `datasets` cannot read, matches the glob
            every = len(shards) == len(listed.splits[split])
            paths = f"shards/{source}/{split}-*.tar" if every else [shard.path for shard in shards]
            files.append({"split": split, "path": paths})
            size, count = (sum(getattr(shard, name) for shard in shards) for name in ("bytes", "samples"))
            rows.append({"name": split, "num_bytes": size, "num_examples": count})
        configs.append({"config_name": source, "data_files": files})
        size = sum(row["num_bytes"] for row in rows)
        info = {"config_name": source, "features": features(listed.layout, index.images), "splits": rows}
        infos.append({**info, "download_size": size, "dataset_size": size})
    if configs:
        configs[0]["default"] = True
    total = sum(samples(manifest, source) for source in indexes)
    counts = sum((index.languages for index in indexes.values()), Counter[str]())
    named = [lang for lang, n in ranked(counts) if _LANGUAGE.match(lang) and n >= _LANGUAGE_SHARE * total]
    return {
        "pretty_name": name.rpartition("/")[2],
        "license": license,
        **({"language": named} if named else {}),
        "task_categories": ["image-text-to-text", "image-to-text"],
        "size_categories": [_SIZES[min(max(len(str(total)) - 3, 0), len(_SIZES) - 1)]],
        "tags": ["webdataset", "multimodal", "interleaved", "vlm", "energon"],
        "configs": configs,
        "dataset_info": infos,
    }


def ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Names and their counts, the largest count first, equal ones by name."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def features(layout: str, images: int) -> list[dict[str, Any]]:
    """The columns that `datasets` sees, as the card declares them. images: the most that a sample of the source has."""
    schema, slots = LAYOUTS[layout].schema, LAYOUTS[layout].slots
    out: list[dict[str, Any]] = [{"name": name, "dtype": "string"} for name in ("__key__", "__url__")]
    out.append({"name": "json", **_type(pa.struct(list(schema)))})
    if slots:
        return out + [{"name": f"{i}.jpg", "dtype": "image"} for i in range(images)]
    return [*out, {"name": "jpg", "dtype": "image"}, {"name": "txt", "dtype": "string"}]


def _type(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_struct(kind):
        return {"struct": [{"name": field.name, **_type(field.type)} for field in kind]}
    if pa.types.is_list(kind):
        item = _type(kind.value_type)
        return {"list": item.get("dtype") or item.get("struct") or item}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind))}


def samples(manifest: Manifest, source: str) -> int:
    return sum(shard.samples for split in manifest.sources[source].splits for shard in manifest.shards(source, split))
