"""The dataset card, ``README.md``: the front matter, and the text of ``card.md.j2``.

The text is made from the manifest, its recipe and `stats.json`. It leaves out the sections that they say nothing about.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import jinja2
import yaml

from manifests.report import answers
from manifests.runfiles import RunFiles
from shards import forget
from shards.manifest import Manifest
from shards.publish.front_matter import front_matter, indexed, ranked, samples

Row = Mapping[str, Any]

#: the picture that the card shows, beside it
PLOTS = "plots.svg"
_MOST = 8  # reasons or languages in one line
_DROPPED = ("dropped", "images_dropped")
_LEVELS = {"node": "paragraph"}
_TEMPLATES = jinja2.Environment(loader=jinja2.PackageLoader("shards.publish", ""), trim_blocks=True, lstrip_blocks=True)


def card(run: RunFiles, manifest: Manifest, name: str, license: str, previews: Sequence[str], stats: Row) -> str:
    """The text of the card. previews: see front_matter.py. stats: `stats.json` of the run, empty if it has none."""
    indexes = {source: indexed(run, manifest, source) for source in manifest.sources if samples(manifest, source)}
    front = front_matter(manifest, name, license, previews, indexes)
    values = _values(manifest, name, {source: index.languages for source, index in indexes.items()}, stats)
    text = _TEMPLATES.get_template("card.md.j2").render(values)
    return f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n\n{text}\n"


def _values(manifest: Manifest, name: str, languages: Mapping[str, Counter[str]], stats: Row) -> dict[str, Any]:
    recipe: Row = manifest.raw.get("recipe") or {}
    entries: Mapping[str, Row] = stats.get("sources", {})
    # "config": of a run whose manifest has version 1
    sources = {s.get("config", key): s for key, s in entries.items()}
    own = {s["config"]: recipe.get(key) or {} for key, s in entries.items() if "config" in s}
    settings: Mapping[str, Row] = recipe.get("sources") or own
    so_far = (manifest.raw.get("so_far") or {}).items()
    texts = {source: table["text"] for source, table in settings.items() if table.get("text")}
    mixtures: Mapping[str, Row] = stats.get("mixtures", {})
    return {
        "name": name,
        "repository": "/" in name and "://" not in name,
        "first": next(iter(languages), "interleaved"),
        "tokenizer": manifest.tokenizer,
        "layouts": {manifest.sources[source].layout for source in languages},
        "progress": ", ".join(f"{n} of {of} of {split}" if of else f"none of {split}" for split, (n, of) in so_far),
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
        "duplicates": {source: _about("duplicate", s.get("dropped")) for source, s in sources.items()},
        "near_copies": {source: t["near"] for source, t in settings.items() if (t.get("near") or {}).get("on")},
        "recipe": recipe,
        "settings": settings,
        "files": ", ".join(f"`{PurePath(path).name}`" for path in (recipe.get("decontaminate") or {}).get("files", ())),
        "contaminated": [_about("contaminated", s.get(key)) for s in sources.values() for key in _DROPPED],
        "fetch": stats.get("fetch", {}).get("status", {}),
        "takedowns": manifest.raw.get("forgotten", forget.digest([])) != forget.digest([]),
        "texts": texts,
        "redacted": "; ".join(f"{source}: {', '.join(t['redact'])}" for source, t in texts.items() if t.get("redact")),
        "quarantined": sum(stats.get("quarantined", {}).values()),
        "table": table,
    }


def _splits(manifest: Manifest, sources: Iterable[str]) -> list[list[Any]]:
    counts = ("samples", "images", "tokens", "bytes")
    return [
        [source, split, len(shards), *(sum(getattr(shard, count) for shard in shards) for count in counts)]
        for source in sources
        for split in manifest.sources[source].splits
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


def _first(languages: Mapping[str, int]) -> str:
    by_count = ranked(languages)
    texts = [f"{lang or 'unknown'} {n:,}" for lang, n in by_count[:_MOST]]
    if others := sum(n for _, n in by_count[_MOST:]):
        texts.append(f"others {others:,}")
    return ", ".join(texts)


def reasons(*groups: Mapping[str, int]) -> str:
    """The counts of all groups, the largest first; a long tail as one sum."""
    counts = Counter[str]()
    for group in groups:
        counts.update(group or {})
    by_count = ranked(counts)
    most = _MOST if len(by_count) > _MOST + 1 else len(by_count)
    texts = [f"{n:,} `{reason}`" for reason, n in by_count[:most]]
    if tail := by_count[most:]:
        texts.append(f"{sum(n for _, n in tail):,} for {len(tail)} other reasons")
    return ", ".join(texts) or "nothing"


def _about(word: str, counts: Mapping[str, int] | None) -> dict[str, int]:
    return {reason: n for reason, n in (counts or {}).items() if word in reason}


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table of GitHub's Markdown. Columns of numbers are aligned to the right."""
    columns = list(zip(*rows, strict=True)) or [("text",)] * len(head)
    right = [all(isinstance(cell, int) or not cell or str(cell).endswith("%") for cell in column) for column in columns]
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell).replace("|", "\\|") for cell in row] for row in rows]
    lines = [head, ["---:" if number else "---" for number in right], *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
