"""The statistics of a run, `stats.json`. They are a function of the committed parts, and have no times."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from filters import language
from filters.scores import LEVELS
from manifests.sketch import merge
from pipelines import counts
from pipelines.counts import counts_of
from pipelines.engine.plan import StepOutput
from pipelines.engine.storage import Store
from pipelines.plan import Plan, PlannedSource
from pipelines.recipe.schema import Recipe
from shards import mixture

Row = dict[str, Any]
Outputs = Mapping[str, StepOutput]


def statistics(
    recipe: Recipe,
    run: Plan,
    outputs: Outputs,
    manifest: Mapping[str, Any],
    mixtures: Mapping[str, mixture.Mixture | str],
    own_code: Sequence[Row],
    store: Store,
) -> Row:
    """What `stats.json` holds: the numbers of each source, of the fetch and of the crawl.

    own_code: failures of the user's code (`pipelines.select.failures`), as rows.
    """
    fetch = outputs["fetch"].counts.get("outcomes", {}) if "fetch" in outputs else {}
    formats = {k: v for k, v in fetch.get("format", {}).items() if k != "kept"}
    crawls = [step for planned in run.sources for step in planned.documents.crawls]
    return {
        "name": recipe.name,
        "tokenizer": manifest["tokenizer"],
        "sources": {p.name: _source_stats(p, outputs, manifest, store) for p in run.sources},
        "fetch": {"status": fetch.get("status", {}), "format": formats},
        "crawl": dict(sorted(counts_of(outputs, crawls, "pages", "status").items())),
        "quarantined": {name: len(o.quarantined) for name, o in sorted(outputs.items()) if o.quarantined},
        "own_code": own_code,
        "evaluations": outputs["evaluated"].read(store, "read").to_pylist() if "evaluated" in outputs else [],
        "mixtures": {name: json.loads(m.to_json()) for name, m in mixtures.items() if not isinstance(m, str)},
    }


def _source_stats(planned: PlannedSource, outputs: Outputs, manifest: Mapping[str, Any], store: Store) -> Row:
    source, select, title = planned.source, outputs[planned.step("select")], planned.source.kind.title
    own = counts.source_counts(planned, outputs, store)
    after_rules = counts_of(outputs, [planned.step("decide")], "decisions", "reason")["kept"]
    duplicates = sum(n for reason, n in own["dropped"].items() if reason.startswith(("duplicate_", "near_duplicate")))
    dropped = {f"{t}_dropped": dict(counts_of(outputs, [select.name], t, "reason")) for t in ("texts", "images")}
    splits = {
        split: {k: sum(r[k] for r in rows) for k in ("samples", "bytes", "images", "tokens")} | {"shards": len(rows)}
        for split, rows in manifest["sources"].get(source.name, {}).get("splits", {}).items()
    }
    total = {k: sum(s[k] for s in splits.values()) for k in ("samples", "images", "tokens", "bytes", "shards")}
    stats: Row = {
        "kind": source.kind.name,
        "layout": source.layout,
        "title": title if source.name in (source.kind.name, title.lower()) else f"{title}: {source.name}",
        "funnel": [
            ["read", own["in"]],
            ["documents", own["documents"]],
            ["after text rules", after_rules],
            ["after dedup", after_rules - duplicates],
            ["after image rules", own["kept"]],
            ["packed", total["samples"]],
        ],
        **own,
        **dropped,
        "splits": splits,
        **total,
        "sketches": {
            name: {str(bin_): n for bin_, n in bins.items()}
            for name, bins in merge(select.read(store, "sketches")).items()
        },
        "rules": {level: [vars(rule) for rule in getattr(source.rules, level)] for level in LEVELS},
        "language": language.name(source.table.text.language_model),
    }
    if "answers" in select.parts.tables():
        answers = select.read(store, "answers")
        sums = {name: sum(answers[name].to_pylist()) for name in answers.column_names}
        stats["answers"] = {"repeat": source.table.repeat, **sums}
    return stats
