"""What a finished run shows: shards, index and ledger under their names, `manifest.json`, `stats.json`, mixtures, the
report.

Files are linked from the stages that made them, never copied; a name that is no longer part of the run is removed.
Everything here says the same twice: an identical second run rewrites nothing.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from filters import language
from manifests.ledger import QUARANTINE
from manifests.report import report
from manifests.sketch import merge
from pipelines import packed
from pipelines.engine.commit import Sidecar
from pipelines.engine.parts import Parts
from pipelines.engine.plan import StepOutput
from pipelines.engine.run import Outcome
from pipelines.engine.stage import fingerprint, source_digest
from pipelines.engine.storage import Store
from pipelines.plan import CONFIGS, SPLITS, Job
from pipelines.recipe.schema import Recipe
from pipelines.select.repeat import shares
from pipelines.select.samples import KEPT, OF_A_REASON
from pipelines.sources.steps import OWN_IMAGES, images_of
from shards import forget, mixture, readers
from shards import manifest as shard_manifest
from shards.store import Store as ShardStore
from shards.tokens import load

VERSION = 1


def assemble(recipe: Recipe, job: Job, outcome: Outcome, root: str) -> dict[str, Any]:
    """Write everything a run's folder holds beside `stages/`; returns the statistics (`stats.json`)."""
    store = Store(root)
    made = outcome.outputs
    named = {**_shards(job, made), **_ledger(job, made)}
    manifest = _manifest(recipe, job, made, store)
    _withdraw(manifest, store)
    store.link_all(named)
    keep = {*named, "ledger/quarantine.parquet"}
    for folder in ("index", "ledger", *(f"shards/{c}" for c in CONFIGS.values())):
        for name in store.names(folder):
            if f"{folder}/{name}" not in keep:
                store.remove(f"{folder}/{name}")
    store.replace("ledger/quarantine.parquet", _quarantine(made))
    written = _mixtures(recipe, manifest, store)
    store.replace("manifest.json", _json({**manifest, "mixtures": written}))
    stats = _stats(recipe, job, made, manifest, written, store)
    store.replace("stats.json", _json(stats))
    listed = shard_manifest.read(ShardStore(root))
    for name, made_for_readers in readers.files(ShardStore(root), listed, recipe.name, recipe.license).items():
        # the dataset card, which tells what stats.json knows, and Energon's metadata
        store.replace(name, made_for_readers)
    _report(job, made, stats, store)
    return stats


def _withdraw(manifest: Mapping[str, Any], store: Store) -> None:
    """A manifest whose shards are about to be replaced goes first: interrupted, a run has none rather than a wrong one."""
    if store.exists("manifest.json") and json.loads(store.read("manifest.json"))["configs"] != json.loads(
        _json(manifest["configs"])
    ):
        store.remove("manifest.json")


def _report(job: Job, made: Mapping[str, StepOutput], stats: dict[str, Any], store: Store) -> None:
    """Drawn only where what it shows has changed: its last line says what it was made from."""
    seen = [made[f"{s}.select"].parts.content("samples") for s in job.sources]
    mark = f"<!-- made from {fingerprint(stats, seen, source_digest('manifests'))} -->\n".encode()
    if store.exists("report.html") and store.read("report.html").endswith(mark):
        return
    pictures = lambda source, part, offset, length: _blob(store, made, source, part, offset, length)
    store.replace("report.html", report(stats, _samples(job, made, store), pictures).encode() + mark)


def _shards(job: Job, made: Mapping[str, StepOutput]) -> dict[str, str]:
    """Name in the run -> committed file, for every shard with at least one sample."""
    out: dict[str, str] = {}
    for source in job.sources:
        for split in SPLITS:
            for number, part in _full(made[f"{source}.{split}"]):
                out |= packed.links(CONFIGS[source], split, number, part)
    return out


def _full(pack: StepOutput) -> list[tuple[int, Sidecar]]:
    return [(n, p) for n, p in enumerate(pack.parts) if packed.has_samples(p)]


def _manifest(recipe: Recipe, job: Job, made: Mapping[str, StepOutput], store: Store) -> dict[str, Any]:
    tokenizer = load(recipe.tokenizer)
    configs: dict[str, Any] = {}
    for source in job.sources:
        config = CONFIGS[source]
        for split in SPLITS:
            rows = [packed.shard(config, split, number, part) for number, part in _full(made[f"{source}.{split}"])]
            if rows:
                configs.setdefault(config, {})[split] = rows
    stages = [
        {
            "node": name,
            "folders": m.folders,
            "rows": {t: m.rows(t) for t in sorted({t for p in m.parts for t in p.files})},
        }
        for name, m in sorted(made.items())
    ]
    return {
        "version": VERSION,
        "name": recipe.name,
        "recipe": recipe.model_dump(),
        "limit": job.limit,
        "tokenizer": {"name": tokenizer.name, "sha256": tokenizer.sha256},
        "configs": configs,
        "forgotten": forget.digest(
            forget.read(store.read(forget.NAME) if store.exists(forget.NAME) else None, forget.NAME)
        ),
        "stages": stages,
    }


def _ledger(job: Job, made: Mapping[str, StepOutput]) -> dict[str, str]:
    links = {}
    tables = [(s, f"{s}.select", t) for s in job.sources for t in ("documents", "texts", "images")]
    refused = [("web", "web.extract"), ("pairs", "pairs.listed"), *OWN_IMAGES.items()]
    refused += [(f"web-{s}", f"web.{s}") for s in ("commoncrawl", "datatrove", "releases")]
    tables += [(s, n, "refused") for s, n in refused if n in made]
    tables += [(f"{s}-{split}", f"{s}.{split}", "refused") for s in job.sources for split in SPLITS]
    if "fetch" in made:
        tables.append(("fetch", "fetch", "outcomes"))
    tables += [(source, step, "outcomes") for source, step in OWN_IMAGES.items() if step in made]
    if "web.crawl" in made:
        tables.append(("crawl", "web.crawl", "pages"))
    for label, step, table in tables:
        for number, part in enumerate(made[step].parts):
            if table in part.files and part.files[table].rows:
                links[f"ledger/{label}-{table}-{number:05d}.parquet"] = part.files[table].name
    return links


def _quarantine(made: Mapping[str, StepOutput]) -> bytes:
    rows = [
        {"stage": n, "part": p, "row": r, "sub": s, "cause": c}
        for n, m in sorted(made.items())
        for p, r, s, c in m.quarantined
    ]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=QUARANTINE), sink)
    return sink.getvalue()


def _mixtures(recipe: Recipe, manifest: Mapping[str, Any], store: Store) -> dict[str, str]:
    """The recipe's training stages, for the sources this run has: `mixtures/<stage>.json`, or why there is none."""
    have = [c for c, splits in manifest["configs"].items() if "train" in splits]
    written = {}
    for stage, which in recipe.mixtures.items():
        try:
            chosen = mixture.load(which).available(have)
        except mixture.MixtureError as e:
            written[stage] = f"left out: {e}"
            continue
        store.replace(f"mixtures/{stage}.json", chosen.to_json().encode())
        written[stage] = f"mixtures/{stage}.json"
    return written


def _stats(
    recipe: Recipe,
    job: Job,
    made: Mapping[str, StepOutput],
    manifest: Mapping[str, Any],
    written: Mapping[str, str],
    store: Store,
) -> dict[str, Any]:
    sources = {}
    pages = ["web.commoncrawl", "web.extract", "web.datatrove", "web.releases"]
    entries = {"web": pages, "pairs": ["pairs.pages", "pairs.listed"], **{s: [step] for s, step in OWN_IMAGES.items()}}
    for source in job.sources:
        select = made[f"{source}.select"]
        counts = select.counts
        reasons = dict(counts.get("documents", {}).get("reason", {}))
        kept = reasons.pop("kept", 0)
        duplicates = made[f"{source}.verify"].counts.get("duplicates", {}).get("reason", {})
        decided = made[f"{source}.decide"].counts.get("decisions", {}).get("reason", {})
        refused: dict[str, int] = {}
        for step in entries[source]:
            for reason, n in made[step].counts.get("refused", {}).get("reason", {}).items() if step in made else ():
                refused[reason] = refused.get(reason, 0) + n
        unpacked: dict[str, int] = {}
        for split in SPLITS:
            for reason, n in made[f"{source}.{split}"].counts.get("refused", {}).get("reason", {}).items():
                unpacked[reason] = unpacked.get(reason, 0) + n
        documents = sum(made[n].rows("documents") for n in entries[source] if n in made)
        by_rules = decided.get("kept", 0)
        shards = manifest["configs"].get(CONFIGS[source], {})
        splits = {
            split: {k: sum(r[k] for r in rows) for k in ("samples", "bytes", "images", "tokens")}
            | {"shards": len(rows)}
            for split, rows in shards.items()
        }
        total = {k: sum(s[k] for s in splits.values()) for k in ("samples", "bytes", "images", "tokens", "shards")}
        sources[source] = {
            "config": CONFIGS[source],
            "documents": documents,
            "refused": refused,
            "funnel": [
                ["read", documents + sum(refused.values())],
                ["documents", documents],
                ["after text rules", by_rules],
                ["after dedup", by_rules - sum(duplicates.values())],
                ["after image rules", kept],
                ["packed", total["samples"]],
            ],
            "kept": kept,
            "dropped": reasons,
            "unpacked": unpacked,
            "texts_dropped": counts.get("texts", {}).get("reason", {}),
            "images_dropped": counts.get("images", {}).get("reason", {}),
            "splits": splits,
            **{k: total[k] for k in ("samples", "images", "tokens", "bytes", "shards")},
            "sketches": {
                name: {str(b): n for b, n in h.items()} for name, h in merge(select.read(store, "sketches")).items()
            },
            "rules": _rules(recipe, source),
            "language": language.name(getattr(recipe, source).text.language_model),
            **({"sets": shares(select.read(store, "sets"), factors)} if (factors := recipe.repeats(source)) else {}),
        }
    fetch = made["fetch"].counts.get("outcomes", {}) if "fetch" in made else {}
    return {
        "name": recipe.name,
        "tokenizer": manifest["tokenizer"],
        "sources": sources,
        "fetch": {
            "status": fetch.get("status", {}),
            "format": {k: v for k, v in fetch.get("format", {}).items() if k != "kept"},
        },
        "crawl": made["web.crawl"].counts.get("pages", {}).get("status", {}) if "web.crawl" in made else {},
        "quarantined": {n: len(m.quarantined) for n, m in sorted(made.items()) if m.quarantined},
        "mixtures": {s: json.loads(store.read(p)) for s, p in written.items() if p.endswith(".json")},
    }


def _rules(recipe: Recipe, source: str) -> dict[str, list[dict[str, Any]]]:
    rules = recipe.rules(source)
    return {level: [vars(r) for r in getattr(rules, level)] for level in ("document", "node", "image")}


def _samples(job: Job, made: Mapping[str, StepOutput], store: Store) -> dict[str, list[dict[str, Any]]]:
    """The documents the report shows, by source: of all parts' reservoirs the ones of smallest priority."""
    out = {}
    for source in job.sources:
        rows = made[f"{source}.select"].read(store, "samples").to_pylist()
        rows.sort(key=lambda r: (r["priority"], r["id"]))
        shown: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            group = shown.setdefault(row["reason"] or "", [])
            if len(group) < (OF_A_REASON if row["reason"] else KEPT):
                group.append(row)
        out[source] = [r for reason in sorted(shown) for r in shown[reason]]
    return out


def _blob(store: Store, made: Mapping[str, StepOutput], source: str, part: int, offset: int, length: int) -> bytes:
    """The bytes of a fetched image, for the report's thumbnails."""
    steps, _ = images_of(source)
    path = store.path(Parts.join([made[n].parts for n in steps])[part].files["blobs"].name)
    if store.local:
        with open(path, "rb") as f:
            f.seek(offset)
            return f.read(length)
    return bytes(store.fs().cat_file(path, start=offset, end=offset + length))


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, default=list).encode()
