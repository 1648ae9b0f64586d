"""What a run's folder shows: shards, index and ledger under their names, manifest, statistics, mixtures, report.

Files are hard links to the files of the stages, never copies (on object stores, which have no links, copies). A name
that is no longer part of the run is removed. The same run writes the same bytes: an identical second run rewrites
nothing.
"""

import itertools
import json
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from manifests.code import source_digest
from manifests.parquet import read_parquet
from manifests.report import report
from manifests.runfiles import RunFiles
from pipelines import counts
from pipelines.engine.commit import Sidecar
from pipelines.engine.parts import Parts
from pipelines.engine.plan import StepOutput
from pipelines.engine.run import Outcome, RunError, committed
from pipelines.engine.stage import fingerprint
from pipelines.engine.storage import Store
from pipelines.plan import SPLITS, Plan, PlannedSource, plan
from pipelines.recipe.load import parse
from pipelines.recipe.resolve import resolve
from pipelines.recipe.schema import Recipe
from pipelines.select.failures import failures
from pipelines.select.samples import KEPT, OF_A_REASON
from pipelines.stats import statistics
from shards import forget, mixture
from shards import manifest as shard_manifest
from shards.output import writer
from shards.publish import readers
from shards.publish.staging import scratch
from shards.tokens import load

#: recipe and limit of a run that is at work or was interrupted, from which the shards that it has finished are found
UNFINISHED = "unfinished.json"

#: folders in which every file belongs to the run: what it did not link there is removed
OWN_FOLDERS = frozenset(("shards", "outputs", "index", "ledger"))

Row = dict[str, Any]
Outputs = Mapping[str, StepOutput]


def assemble(recipe: Recipe, run: Plan, outcome: Outcome, root: str, own_code: Sequence[Row] | None = None) -> Row:
    """Write everything that a run's folder holds beside `stages/`; returns the statistics (`stats.json`).

    own_code: the failures of the user's code, for a plan that holds the last steps of a run alone.
    """
    store = Store(root)
    outputs = outcome.outputs
    sources, links = _sources(run, lambda step: list(enumerate(outputs[step].parts)))
    links |= _ledger_links(run, outputs) | _output_links(run, outputs)
    manifest = {
        **_manifest(recipe, run, sources, store),
        "stages": [
            {"node": name, "folders": output.folders, "rows": output.parts.tables()}
            for name, output in sorted(outputs.items())
        ],
        "steps": {p.name: _steps_of(p, outputs) for p in run.sources},
    }
    _remove_stale_manifest(manifest, store)
    store.link_all(links)
    with_shards = {name for name, source in sources.items() if source["splits"]}
    _remove_unnamed({*links, "ledger/quarantine.parquet", counts.FILES_NAME}, with_shards, store)
    store.replace("ledger/quarantine.parquet", counts.quarantine(run, outputs))
    if (files := counts.file_counts(run, outputs, store)) is not None:
        store.replace(counts.FILES_NAME, files)
    mixtures = _mixtures(recipe, manifest, store)
    for name, mixed in mixtures.items():
        if isinstance(mixed, mixture.Mixture):
            store.replace(f"mixtures/{name}.json", mixed.to_json().encode())
    names = {name: m if isinstance(m, str) else f"mixtures/{name}.json" for name, m in mixtures.items()}
    store.replace("manifest.json", _json({**manifest, "mixtures": names}))
    if own_code is None:
        own_code = [vars(failure) for failure in failures(run.steps, outputs, store)]
    stats = statistics(recipe, run, outputs, manifest, mixtures, own_code, store)
    store.replace("stats.json", _json(stats))
    shards = RunFiles(root)
    for name, data in readers.files(shards, shard_manifest.read(shards), recipe.name, recipe.license).items():
        store.replace(name, data)  # the dataset card, and metadata for other readers
    _report(run, outputs, stats, store)
    return stats


def _steps_of(planned: PlannedSource, outputs: Outputs) -> Row:
    """The steps of a source that the last selection reads: those that have its documents, its images with their scores,
    and so on (`pipelines.sources.base.Documents`).
    """
    relevance, of = planned.step("relevance"), planned.documents
    images = relevance if relevance in outputs else f"{planned.scope}.count"
    return {
        "documents": list(of.documents),
        "images": images if images in outputs else None,
        "readers": [step.name for step in of.steps],
        "own_images": list(of.images),
        "pages": list(of.pages),
        "crawls": list(of.crawls),
    }


def _remove_stale_manifest(manifest: Mapping[str, Any], store: Store) -> None:
    """Remove the manifest before its shards are replaced: an interrupted run has none, rather than a wrong one."""
    if not store.exists("manifest.json"):
        return
    previous = json.loads(store.read("manifest.json"))
    if previous.get("sources") != json.loads(_json(manifest["sources"])):
        store.remove("manifest.json")


def _remove_unnamed(names: set[str], sources: Collection[str], store: Store) -> None:
    """Remove what an earlier run linked and this run does not have."""
    for top in ("shards", "outputs"):
        for folder in store.folders(top):
            if folder not in sources:
                store.remove_folder(f"{top}/{folder}")
    folders = ["index", "ledger", *(f"shards/{folder}" for folder in store.folders("shards"))]
    folders += [f"outputs/{a}/{b}" for a in store.folders("outputs") for b in store.folders(f"outputs/{a}")]
    for folder in folders:
        for name in store.names(folder):
            if f"{folder}/{name}" not in names:
                store.remove(f"{folder}/{name}")


# --- shards and the manifest ------------------------------------------------------------------------------------------


def _sources(run: Plan, parts_of: Any) -> tuple[dict[str, Row], dict[str, str]]:
    """The manifest's `sources`, and the links of their shards (name in the run -> committed file).

    parts_of: (number, part) of a step's committed parts.
    """
    sources: dict[str, Row] = {}
    links: dict[str, str] = {}
    for planned in run.sources:
        splits: dict[str, list[Row]] = {}
        for split in SPLITS:
            for number, part in parts_of(planned.step(split)):
                if "index" in part.files and part.files["index"].rows:
                    shard, shard_links = _shard(planned.name, split, number, part)
                    splits.setdefault(split, []).append(shard)
                    links |= shard_links
        source = planned.source
        about = {"kind": source.kind.name, "layout": source.layout, "tag": source.table.tag}
        sources[source.name] = {**about, "splits": splits}
    return sources, links


def _shard(source: str, split: str, number: int, part: Sidecar) -> tuple[Row, dict[str, str]]:
    """A shard as the manifest lists it (shards/manifest.py), and its links. number: of the part."""
    tar, index, counts = part.files["tar"], part.files["index"], part.counts.get("index", {})
    path, index_path = f"shards/{source}/{split}-{number:06d}.tar", f"index/{source}-{split}-{number:06d}.parquet"
    row = {
        "path": path,
        "index": index_path,
        "samples": index.rows,
        "bytes": tar.bytes,
        "sha256": tar.sha256,
        "index_sha256": index.sha256,
        "images": counts.get("n_images", {}).get("sum", 0),
        "tokens": counts.get("n_text_tokens", {}).get("sum", 0),
    }
    return row, {path: tar.name, f"{path}.idx": part.files["tar.idx"].name, index_path: index.name}


def _manifest(recipe: Recipe, run: Plan, sources: Mapping[str, Row], store: Store) -> Row:
    tokenizer = load(recipe.tokenizer)
    takedowns = store.read(forget.NAME) if store.exists(forget.NAME) else None
    return {
        "version": shard_manifest.VERSION,
        "name": recipe.name,
        "recipe": recipe.dump(),
        "limit": run.limit,
        "tokenizer": {"name": tokenizer.name, "sha256": tokenizer.sha256},
        "sources": sources,
        "forgotten": forget.digest(forget.read(takedowns, forget.NAME)),
    }


def _mixtures(
    recipe: Recipe, manifest: Mapping[str, Any], store: Store, say: Any = None
) -> dict[str, mixture.Mixture | str]:
    """The recipe's training stages with the sources that this run has, or why a stage is left out.

    A file of the recipe that is gone leaves the mixture that an earlier run has made of it.
    """
    sources = shard_manifest.parse(manifest, "manifest.json").sources
    out: dict[str, mixture.Mixture | str] = {}
    for stage, given in recipe.mixtures.items():
        try:
            own = f"mixtures/{stage}.json"
            gone = isinstance(given, str) and given not in mixture.PRESETS and not os.path.isfile(given)
            mixed = mixture.load(json.loads(store.read(own)) if gone and store.exists(own) else given)
            out[stage] = mixed.resolve(sources, say)
        except mixture.MixtureError as e:
            out[stage] = f"left out: {e}"
            if "mixtures" in recipe.model_fields_set:  # a default that fits no source is no news
                (say or partial(print, file=sys.stderr))(f"mixtures.{stage}: {out[stage]}")
    return out


def _output_links(run: Plan, outputs: Outputs) -> dict[str, str]:
    """Name in the run -> committed file, of the files that the recipe's writers wrote."""
    links = {}
    for planned, split in itertools.product(run.sources, SPLITS):
        for output in planned.source.table.outputs:
            suffix = writer(output.writer, output.arguments).suffix
            for number, part in enumerate(outputs[planned.step(f"output.{output.name}.{split}")].parts):
                if "output" in part.files:
                    name = f"outputs/{planned.name}/{output.name}/{split}-{number:06d}{suffix}"
                    links[name] = part.files["output"].name
    return links


# --- the ledger -------------------------------------------------------------------------------------------------------


def _ledger_links(run: Plan, outputs: Outputs) -> dict[str, str]:
    """Name in the ledger -> committed file: LABEL-TABLE-NNNNN, numbered over the parts of all steps of a label."""
    tables: list[tuple[str, str, Iterable[str]]] = []  # label, table, steps
    for planned in run.sources:
        name, documents = planned.name, planned.documents
        tables += [(name, table, [planned.step("select")]) for table in ("documents", "texts", "images")]
        tables.append((name, "refused", [step.name for step in documents.steps]))
        tables += [(name, "outcomes", documents.images), (name, "pages", documents.crawls)]
        tables += [(f"{name}.{split}", "refused", [planned.step(split)]) for split in SPLITS]  # no source has a dot
    tables.append(("fetch", "outcomes", ["fetch"] if "fetch" in outputs else []))
    links = {}
    for label, table, steps in tables:
        for number, name in Parts.join([outputs[step].parts for step in steps]).files(table, least=1):
            links[f"ledger/{label}-{table}-{number:05d}.parquet"] = name
    return links


def shown_tables(planned: PlannedSource) -> dict[str, int]:
    """Step of a source -> how many files of each of its parts get a name in the run's folder, at most."""
    of_documents = 3 if planned.source.kind.has_images else 2  # documents, texts, images
    ledger = {**dict.fromkeys((step.name for step in planned.documents.steps), 1), planned.step("select"): of_documents}
    return ledger | {planned.step(split): 4 for split in SPLITS}  # tar, its index, the index of samples, refused


# --- the report -------------------------------------------------------------------------------------------------------


def _report(run: Plan, outputs: Outputs, stats: Row, store: Store) -> None:
    """Draw the report where what it shows has changed. Its last line is a digest of what it was drawn from."""
    drawn_from = [outputs[p.step("select")].parts.content("samples") for p in run.sources]
    mark = f"<!-- made from {fingerprint(stats, drawn_from, source_digest('manifests'))} -->\n".encode()
    if store.exists("report.html") and store.read("report.html").endswith(mark):
        return
    blobs = {p.name: Parts.join([outputs[step].parts for step in p.blobs]) for p in run.sources if p.blobs}

    def blob(source: str, part: int, offset: int, length: int) -> bytes:
        """The bytes of an image, for a thumbnail."""
        path = store.path(blobs[source][part].files["blobs"].name)
        if not store.local:
            return bytes(store.fs().cat_file(path, start=offset, end=offset + length))
        with open(path, "rb") as f:
            f.seek(offset)
            return f.read(length)

    samples = {p.name: _samples(outputs[p.step("select")], store) for p in run.sources}
    store.replace("report.html", report(stats, samples, blob).encode() + mark)


def _samples(select: StepOutput, store: Store) -> list[Row]:
    """The documents that the report shows of a source: of the samples of all parts, those of smallest priority.

    A part at a time: a part may hold a megabyte of samples, and there may be ten thousand parts.
    """
    shown: list[Row] = []
    for data in store.read_all(name for _, name in select.parts.files("samples")):
        shown = _first_of_each_reason([*shown, *read_parquet(data).to_pylist()])
    return shown


def _first_of_each_reason(rows: list[Row]) -> list[Row]:
    rows.sort(key=lambda r: (r["priority"], r["id"]))
    shown: dict[str, list[Row]] = {}
    for row in rows:
        group = shown.setdefault(row["reason"] or "", [])
        if len(group) < (OF_A_REASON if row["reason"] else KEPT):
            group.append(row)
    return [row for reason in sorted(shown) for row in shown[reason]]


# --- the finished shards of an unfinished run -------------------------------------------------------------------------


@contextmanager
def finished_shards(root: str) -> Iterator[Path]:
    """A folder with the shards that an unfinished run has committed (hard links), and a manifest, until the block ends.

    The manifest says in `so_far` how many parts of each split are done, and of how many. A shard's name and bytes do
    not depend on when this is called, so that a later publication adds the rest and sends none of these again.
    Raises RunError where no run is under way, where its inputs are gone, or where no shard is finished.
    """
    store = Store(root)
    if not store.local or not store.exists(UNFINISHED):
        why = "no run is at work in this folder, and none was interrupted; publish it without --so-far"
        raise RunError(f"{root}: {why}")
    begun = json.loads(store.read(UNFINISHED))
    recipe = parse(begun["recipe"], UNFINISHED)
    run = plan(resolve(recipe), root, begun["limit"])
    done = committed(run.steps, root, run.partitions)
    progress = {}
    finished: dict[str, list[tuple[int, Sidecar]]] = {}
    for planned, split in itertools.product(run.sources, SPLITS):
        step = planned.step(split)
        total, parts = done.get(step, (0, None))
        numbers = [] if parts is None else sorted(set(parts.table["part"].to_pylist()))
        finished[step] = [(number, parts[number]) for number in numbers]  # type: ignore[index]
        progress[f"{planned.name}/{split}"] = [len(numbers), total]
    sources, links = _sources(run, finished.__getitem__)
    if not links:
        raise RunError(f"{root}: no shard is finished yet")
    manifest = {**_manifest(recipe, run, sources, store), "so_far": progress}
    with scratch(Path(root)) as folder:
        for target, name in links.items():
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            os.link(store.path(name), folder / target)
        if store.exists(forget.NAME):
            (folder / forget.NAME).write_bytes(store.read(forget.NAME))
        (folder / "mixtures").mkdir()
        for stage, mixed in _mixtures(recipe, manifest, store, lambda line: None).items():
            if isinstance(mixed, mixture.Mixture):
                (folder / f"mixtures/{stage}.json").write_text(mixed.to_json())
        (folder / shard_manifest.NAME).write_bytes(_json(manifest))
        yield folder


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, default=list).encode()
