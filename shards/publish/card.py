"""The dataset card, ``README.md``: front matter for the Hub and for `datasets`, above the text of ``card.md.j2``.

The front matter declares the features of every source, with as many image columns as its largest sample has. Without
that declaration, `datasets` infers the columns from the first five samples and fails on a later sample with others.

The text is made from the manifest, its recipe and `stats.json`. It leaves out the sections that they say nothing about.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

import jinja2
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from manifests.report import answers
from shards import forget
from shards.fields import FIELDS, SLOTTED
from shards.manifest import Manifest, Shard
from shards.publish.preview import FEATURES
from shards.store import Store

Row = Mapping[str, Any]

#: the picture that the card shows, beside it
PLOTS = "plots.svg"
_PREVIEW = [("__key__", "string"), ("__url__", "string"), *FEATURES]
#: the Hub's names of sizes: below so many samples
_SIZES = [(10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"),
          (10**8, "10M<n<100M"), (10**9, "100M<n<1B"), (10**10, "1B<n<10B"), (10**11, "10B<n<100B"),
          (10**12, "100B<n<1T")]  # fmt: skip
_LANGUAGE = re.compile(r"[a-z]{2,3}\Z")  # ISO 639, which is what the Hub takes
_LANGUAGE_SHARE = 0.01  # the front matter leaves out a language of a smaller share of the samples
_MOST = 8  # reasons or languages in one line
_LEVELS = {"node": "paragraph"}
_TEMPLATES = jinja2.Environment(loader=jinja2.PackageLoader("shards.publish", ""), trim_blocks=True, lstrip_blocks=True)


class Indexed(NamedTuple):
    """What the indexes of a source say."""

    images: int  #: of the sample with the most images
    languages: Counter[str]  #: samples of each language; "" where a sample names none


def indexed(store: Store, manifest: Manifest, source: str) -> Indexed:
    """Reads two columns of each index of the source."""
    most, languages = 0, Counter[str]()
    for split in manifest.configs[source]:
        for shard in manifest.shards(source, split):
            table = pq.read_table(io.BytesIO(store.read(shard.index)), columns=["n_images", "lang"])
            most = max(most, *table["n_images"].to_pylist(), 0)
            languages.update(lang or "" for lang in table["lang"].to_pylist())
    return Indexed(most, languages)


def card(
    store: Store,
    manifest: Manifest,
    name: str,
    license: str = "other",
    previews: Sequence[str] = (),
    stats: Row | None = None,
) -> str:
    """The text of the card.

    previews: paths of the tars of shards/publish/preview.py, which become the first configuration.
    stats: `stats.json` of the run, if it has one.
    """
    indexes = {source: indexed(store, manifest, source) for source in manifest.configs if samples(manifest, source)}
    front = yaml.safe_dump(
        _front_matter(manifest, name, license, previews, indexes), sort_keys=False, allow_unicode=True
    )
    values = _values(manifest, name, {source: index.languages for source, index in indexes.items()}, stats or {})
    return f"---\n{front}---\n\n{_TEMPLATES.get_template('card.md.j2').render(values)}\n"


# ---- front matter


def _front_matter(
    manifest: Manifest, name: str, license: str, previews: Sequence[str], indexes: Mapping[str, Indexed]
) -> dict[str, Any]:
    configs: list[dict[str, Any]] = []
    infos: list[dict[str, Any]] = []
    if previews and "preview" not in indexes:  # a source may have that name
        shown: dict[str, list[str]] = {}
        for path in previews:  # `datasets` takes no "-" in the name of a split
            shown.setdefault(path.partition("/")[2].rpartition("-")[0].replace("-", "_"), []).append(path)
        configs.append({"config_name": "preview", "data_files": [{"split": s, "path": p} for s, p in shown.items()]})
        infos.append({"config_name": "preview", "features": [{"name": n, "dtype": t} for n, t in _PREVIEW]})
    for source, index in indexes.items():
        splits = {split: shards for split in manifest.configs[source] if (shards := manifest.shards(source, split))}
        files = [{"split": split, "path": _pattern(manifest, source, split, s)} for split, s in splits.items()]
        configs.append({"config_name": source, "data_files": files})
        sizes = {split: sum(shard.bytes for shard in shards) for split, shards in splits.items()}
        infos.append(
            {
                "config_name": source,
                "features": features(source, index.images),
                "splits": [
                    {"name": split, "num_bytes": sizes[split], "num_examples": sum(shard.samples for shard in shards)}
                    for split, shards in splits.items()
                ],
                "download_size": sum(sizes.values()),
                "dataset_size": sum(sizes.values()),
            }
        )
    if configs:
        configs[0]["default"] = True
    total = sum(samples(manifest, source) for source in indexes)
    languages = sum((index.languages for index in indexes.values()), Counter[str]())
    named = [lang for lang, n in _ranked(languages) if _LANGUAGE.match(lang) and n >= _LANGUAGE_SHARE * total]
    return {
        "pretty_name": name.rpartition("/")[2],
        "license": license,
        **({"language": named} if named else {}),
        "task_categories": ["image-text-to-text", "image-to-text"],
        "size_categories": [next((label for limit, label in _SIZES if total < limit), "n>1T")],
        "tags": ["webdataset", "multimodal", "interleaved", "vlm", "energon"],
        "configs": configs,
        "dataset_info": infos,
    }


def features(layout: str, images: int) -> list[dict[str, Any]]:
    """The columns that `datasets` sees, as the card declares them. images: the most that a sample of the source has."""
    out: list[dict[str, Any]] = [{"name": "__key__", "dtype": "string"}, {"name": "__url__", "dtype": "string"}]
    out.append({"name": "json", "struct": [_feature(field.name, field.type) for field in FIELDS[layout]]})
    if layout in SLOTTED:
        return out + [{"name": f"{i}.jpg", "dtype": "image"} for i in range(images)]
    return [*out, {"name": "jpg", "dtype": "image"}, {"name": "txt", "dtype": "string"}]


def _feature(name: str, kind: pa.DataType) -> dict[str, Any]:
    return {"name": name, **_type(kind)}


def _type(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_struct(kind):
        return {"struct": [_feature(field.name, field.type) for field in kind]}
    if pa.types.is_list(kind):
        item = _type(kind.value_type)
        return {"list": item.get("dtype") or item.get("struct") or item}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind))}


def columns(store: Store, manifest: Manifest, source: str) -> int:
    """Number of columns of a source that `datasets` sees."""
    return len(features(source, indexed(store, manifest, source).images))


def samples(manifest: Manifest, source: str) -> int:
    return sum(shard.samples for split in manifest.configs[source] for shard in manifest.shards(source, split))


def _pattern(manifest: Manifest, source: str, split: str, shards: tuple[Shard, ...]) -> str | list[str]:
    """One glob, or the paths themselves where an empty shard, which `datasets` cannot read, matches the glob."""
    every = len(shards) == len(manifest.configs[source][split])
    return f"shards/{source}/{split}-*.tar" if every else [shard.path for shard in shards]


# ---- values of the template


def _values(manifest: Manifest, name: str, languages: Mapping[str, Counter[str]], stats: Row) -> dict[str, Any]:
    recipe: Row = manifest.raw.get("recipe") or {}
    run: Mapping[str, Row] = stats.get("sources", {})
    sources = {s.get("config", key): s for key, s in run.items()}  # "config": of a run before version 2 of the manifest
    settings: Mapping[str, Row] = recipe.get("sources") or {
        s["config"]: recipe.get(key) or {} for key, s in run.items() if "config" in s
    }
    texts = {source: table["text"] for source, table in settings.items() if table.get("text")}
    mixtures: Mapping[str, Row] = stats.get("mixtures", {})
    return {
        "name": name,
        "repository": "/" in name and "://" not in name,
        "first": next(iter(languages), "interleaved"),
        "tokenizer": manifest.tokenizer,
        "layouts": set(languages),
        "progress": _progress(manifest.raw.get("so_far") or {}),
        "splits": _splits(manifest, languages),
        "languages": "; ".join(f"{source}: {_first(counts)}" for source, counts in languages.items()),
        "mixtures": list(mixtures),
        "mixture_rows": _mixture(manifest, list(languages), mixtures),
        "answers": [
            [source, f"{s['repeat']:g}", s["documents"], s["samples"], s["answer_tokens"], f"{share:.1%}"]
            for source, s, share in answers(stats)
        ],
        "sources": sources,
        "plots": PLOTS,
        "funnel": _funnel(sources),
        "rules": _rules(sources),
        "reasons": reasons,
        "duplicates": lambda s: {reason: n for reason, n in s.get("dropped", {}).items() if "duplicate" in reason},
        "near_copies": {source: t["near"] for source, t in settings.items() if (t.get("near") or {}).get("on")},
        "recipe": recipe,
        "settings": settings,
        "files": ", ".join(f"`{PurePath(path).name}`" for path in (recipe.get("decontaminate") or {}).get("files", ())),
        "contaminated": Counter(
            {
                reason: n
                for s in sources.values()
                for group in ("dropped", "images_dropped")
                for reason, n in s.get(group, {}).items()
                if reason.startswith("contaminated")
            }
        ),
        "fetch": stats.get("fetch", {}).get("status", {}),
        "takedowns": manifest.raw.get("forgotten", forget.digest([])) != forget.digest([]),
        "texts": texts,
        "redacted": "; ".join(f"{source}: {', '.join(t['redact'])}" for source, t in texts.items() if t.get("redact")),
        "quarantined": sum(stats.get("quarantined", {}).values()),
        "table": table,
    }


def _progress(parts: Mapping[str, Sequence[int]]) -> str:
    return ", ".join(f"{done} of {of} of {split}" if of else f"none of {split}" for split, (done, of) in parts.items())


def _splits(manifest: Manifest, sources: Iterable[str]) -> list[list[Any]]:
    counts = ("samples", "images", "tokens", "bytes")
    return [
        [source, split, len(shards), *(sum(getattr(shard, count) for shard in shards) for count in counts)]
        for source in sources
        for split in manifest.configs[source]
        if (shards := manifest.shards(source, split))
    ]


def _mixture(manifest: Manifest, sources: Sequence[str], mixtures: Mapping[str, Row]) -> list[list[Any]]:
    """A row for each source: what it has to train on, and the part of it in each training stage."""
    train = {source: manifest.shards(source, "train") for source in sources}
    tokens = {source: sum(shard.tokens for shard in shards) for source, shards in train.items()}
    total = sum(tokens.values()) or 1
    rows = []
    for source, shards in train.items():
        row = [source, sum(s.samples for s in shards), sum(s.images for s in shards), tokens[source]]
        rows.append([*row, f"{tokens[source] / total:.0%}", *(_share(m["sources"], source) for m in mixtures.values())])
    return rows


def _share(mixture: Mapping[str, Row], source: str) -> str:
    if source not in mixture:
        return ""
    own, image = mixture[source], mixture[source]["image"]
    side = f"{image['longest']} px square" if image["mode"] == "square" else f"up to {image['longest']} px"
    share = own["weight"] / sum(each["weight"] for each in mixture.values())
    return f"{share:.0%}, {own['sequence_length']:,} tokens, {side}"


def _funnel(sources: Mapping[str, Row]) -> list[list[Any]]:
    counts = {source: dict(s["funnel"]) for source, s in sources.items()}
    steps = dict.fromkeys(step for s in sources.values() for step, _ in s["funnel"])
    return [[step, *(counts[source].get(step, "") for source in sources)] for step in steps]


def _rules(sources: Mapping[str, Row]) -> list[list[str]]:
    return [
        [source, _LEVELS.get(level, level), f"`{rule['score']}`", _kept(rule), rule.get("source", "")]
        for source, s in sources.items()
        for level, rules in s.get("rules", {}).items()
        for rule in rules
    ]


def _kept(rule: Row) -> str:
    """The values that the rule keeps, and the documents that it does not apply to."""
    if rule.get("any_of") is not None:
        kept = ", ".join(map(str, rule["any_of"])) or "none listed"
    else:
        limits = [("at least", rule.get("min")), ("at most", rule.get("max"))]
        kept = ", ".join(f"{word} {_number(limit)}" for word, limit in limits if limit is not None)
    return f"{kept}; does not apply to: {', '.join(rule['spares'])}" if rule.get("spares") else kept


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _first(languages: Mapping[str, int]) -> str:
    ranked = _ranked(languages)
    others = sum(n for _, n in ranked[_MOST:])
    return ", ".join(f"{lang or 'unknown'} {n:,}" for lang, n in ranked[:_MOST]) + (
        f", others {others:,}" if others else ""
    )


def reasons(*groups: Mapping[str, int]) -> str:
    """The counts of all groups, the largest first; a long tail as one sum."""
    counts = Counter[str]()
    for group in groups:
        counts.update(group or {})
    ranked = _ranked(counts)
    most = _MOST if len(ranked) > _MOST + 1 else len(ranked)
    texts = [f"{n:,} `{reason}`" for reason, n in ranked[:most]]
    if tail := ranked[most:]:
        texts.append(f"{sum(n for _, n in tail):,} for {len(tail)} other reasons")
    return ", ".join(texts) or "nothing"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table of GitHub's Markdown. Columns of numbers are aligned to the right."""
    right = [
        bool(rows) and all(isinstance(row[i], int) or not row[i] or str(row[i]).endswith("%") for row in rows)
        for i in range(len(head))
    ]
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell).replace("|", "\\|") for cell in row] for row in rows]
    lines = [head, ["---:" if number else "---" for number in right], *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
