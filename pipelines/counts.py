"""What became of the rows of a run's inputs, for each source and for each input file:

    in = kept + dropped + refused + quarantined

* kept: documents that are in a shard, each counted once however often it is packed;
* dropped: documents that left by a rule, as a duplicate, or in the last selection, by reason;
* refused: rows that never became documents, and documents that could not be packed, by reason;
* quarantined: rows at which a step raised an exception, crashed or hung, by step. A document whose scores were
  quarantined is counted as dropped, for the reason `quarantined`.
"""

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.ledger import DROPPED, FILES, KEPT, QUARANTINE, QUARANTINED, REFUSED
from manifests.parquet import read_parquet
from manifests.runfiles import RunFiles
from pipelines.engine.plan import StepOutput
from pipelines.engine.stage import fingerprint
from pipelines.engine.storage import Store
from pipelines.plan import SPLITS, Plan, PlannedSource

Row = dict[str, Any]
Outputs = Mapping[str, StepOutput]

FILES_NAME = "ledger/files.parquet"
_MADE_FROM = b"made_from"  # metadata of that file: a digest of the tables that it was counted from


def counts_of(outputs: Outputs, steps: Iterable[str], table: str, column: str) -> Counter[str]:
    """The counts of a column of a table over some steps."""
    total: Counter[str] = Counter()
    for step in steps:
        total.update(outputs[step].counts.get(table, {}).get(column, {}))
    return total


def source_counts(planned: PlannedSource, outputs: Outputs, store: Store) -> Row:
    """The counts of a source, for `stats.json`.

    `in`; `packed`: documents in the shards of each split; `kept`: documents that the last selection kept; `dropped`,
    `refused` and `unpacked` (at packing) by reason; `quarantined` by step.
    """
    selected = outputs[planned.step("select")].counts.get("documents", {})
    reasons, splits = Counter(selected.get("reason", {})), Counter(selected.get("split", {}))
    kept = reasons.pop("kept", 0)
    reading = [step.name for step in planned.documents.steps]
    refused = counts_of(outputs, reading, "refused", "reason")
    quarantined = Counter({step: len(outputs[step].quarantined) for step in reading})
    documents = sum(outputs[step].rows("documents") for step in planned.documents.documents)
    total = documents + refused.total() + quarantined.total()
    unpacked: Counter[str] = Counter()
    for row in _unpacked(planned, outputs, store):
        splits[row["split"]] -= 1
        if row["outcome"] == QUARANTINED:
            quarantined[row["reason"]] += 1
        else:
            unpacked[row["reason"]] += 1
    return {
        "in": total,
        "documents": documents,
        "kept": kept,
        "packed": {split: splits[split] for split in SPLITS if splits[split]},
        "dropped": dict(sorted(reasons.items())),
        "refused": dict(sorted(refused.items())),
        "unpacked": dict(sorted(unpacked.items())),
        "quarantined": {step: n for step, n in sorted(quarantined.items()) if n},
    }


def _unpacked(planned: PlannedSource, outputs: Outputs, store: Store) -> list[Row]:
    """The documents that the last selection kept and that are in no shard: split, url, file, outcome and reason."""
    rows: list[Row] = []
    for split in SPLITS:
        output = outputs[planned.step(split)]
        for table in _tables(output, store, "refused", ["url", "reason", "provenance.file"]):
            for row in table.to_pylist():
                where = {"url": row["url"], "file": row["provenance"]["file"]}
                rows.append({**where, "split": split, "outcome": REFUSED, "reason": row["reason"]})
        for _, row in output.quarantined:
            where = {name: row.names.get(name) for name in ("url", "file")}
            rows.append({**where, "split": split, "outcome": QUARANTINED, "reason": output.name})
    if getattr(planned.source.table, "repeat", None) in (None, 1) or not rows:
        return rows
    # copies of a document: it is lost where no copy of it is packed
    urls = pa.array({row["url"] for row in rows if row["url"]}, pa.string())
    packed: set[str] = set()
    for split in SPLITS:
        for table in _tables(outputs[planned.step(split)], store, "index", ["url"]):
            packed.update(table["url"].filter(pc.is_in(table["url"], value_set=urls)).to_pylist())
    lost = {row["url"] or number: row for number, row in enumerate(rows) if row["url"] not in packed}
    return list(lost.values())


def _tables(output: StepOutput, store: Store, table: str, columns: list[str]) -> Iterator[pa.Table]:
    """Columns of a table, part by part, without the parts that have no row of it."""
    rows = output.parts.table
    rows = rows.filter(pc.and_(pc.equal(rows["table"], table), pc.greater(rows["rows"], 0)))
    for data in store.read_all(rows["file"].to_pylist()):
        # ParquetFile reads single fields of nested columns
        yield pq.ParquetFile(pa.BufferReader(data)).read(columns, use_threads=False)


# --- quarantine -------------------------------------------------------------------------------------------------------


def quarantine(run: Plan, outputs: Outputs) -> bytes:
    """The ledger's table QUARANTINE, as Parquet."""
    sources = {planned.name for planned in run.sources}
    rows = []
    for name, output in sorted(outputs.items()):
        source = name.partition(".")[0]
        for part, q in output.quarantined:
            about = {"stage": name, "part": part, "row": q.row, "sub": q.sub, "cause": q.cause}
            rows.append({**q.names, **about, "source": source if source in sources else None})
    return _parquet(pa.Table.from_pylist(rows, schema=QUARANTINE))


# --- input files ------------------------------------------------------------------------------------------------------


def file_counts(run: Plan, outputs: Outputs, store: Store) -> bytes | None:
    """The ledger's table FILES, as Parquet; None where the run has it already."""
    made_from = fingerprint(run.limit, [_contents(planned, outputs) for planned in run.sources]).encode()
    if store.exists(FILES_NAME):
        metadata = pq.read_schema(pa.BufferReader(store.read(FILES_NAME))).metadata or {}
        if metadata.get(_MADE_FROM) == made_from:
            return None
    tables = [_of_files(planned, outputs, store) for planned in run.sources]
    table = pa.concat_tables([FILES.empty_table(), *tables])
    return _parquet(table.replace_schema_metadata({_MADE_FROM: made_from}))


def _contents(planned: PlannedSource, outputs: Outputs) -> list[Any]:
    """What the counts of a source's files depend on."""
    files = sorted(row["file"] for rows in planned.source.files.values() for row in rows)
    contents = [planned.name, files, outputs[planned.step("select")].parts.content("files")]
    for step in (*(step.name for step in planned.documents.steps), *map(planned.step, SPLITS)):
        contents += [outputs[step].parts.content("refused"), [str(q) for q in outputs[step].quarantined]]
    return contents


def _of_files(planned: PlannedSource, outputs: Outputs, store: Store) -> pa.Table:
    counts: Counter[tuple[str | None, str | None, str | None]] = Counter()  # of file, outcome and reason
    for table in _tables(outputs[planned.step("select")], store, "files", ["file", "reason", "rows"]):
        for row in table.to_pylist():
            counts[row["file"], DROPPED if row["reason"] else KEPT, row["reason"]] += row["rows"]
    for step in planned.documents.steps:
        output = outputs[step.name]
        for table in _tables(output, store, "refused", ["reason", "provenance.file"]):
            rows = pa.table([pc.struct_field(table["provenance"], "file"), table["reason"]], ["file", "reason"])
            for row in rows.group_by(["file", "reason"]).aggregate([([], "count_all")]).to_pylist():
                counts[row["file"], REFUSED, row["reason"]] += row["count_all"]
        for _, q in output.quarantined:
            counts[q.names.get("file"), QUARANTINED, step.name] += 1
    for row in _unpacked(planned, outputs, store):
        counts[row["file"], row["outcome"], row["reason"]] += 1
        counts[row["file"], KEPT, None] -= 1
    for file in _read_files(planned, outputs) - {file for file, _, _ in counts}:
        counts[file, None, None] = 0
    lines = [(*key, n) for key, n in counts.items() if n or key[1] is None]
    lines.sort(key=lambda line: [str(value or "") for value in line[:3]])
    columns = [[planned.name] * len(lines), *(zip(*lines, strict=True) if lines else [()] * 4)]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, FILES, strict=True)], schema=FILES)


def _read_files(planned: PlannedSource, outputs: Outputs) -> set[str]:
    """Names of the input files that the recipe gives a source, as far as a step with documents reads them."""
    listed = {row["file"] for rows in planned.source.files.values() for row in rows}
    read: set[str] = set()
    for step in planned.documents.steps:
        if step.rows is not None and step.name in planned.documents.documents:
            rows = step.rows(outputs)
            for table in rows if isinstance(rows, list) else [rows]:
                read.update(table["file"].to_pylist())
    return listed & read


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def read_files(run: RunFiles) -> pa.Table:
    """The table FILES of a run. Raises FileNotFoundError for a published copy, and a run of an older version."""
    return read_parquet(run.read(FILES_NAME))
