"""Queries about a finished run: its documents, why a document is absent, and the differences between two runs.

They read only the run's own files: manifest, index, ledger, and a few bytes of a tar.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from manifests.parquet import read_parquet
from manifests.runfiles import RunFiles

Row = dict[str, Any]


class InspectError(ValueError):
    """A source that does not exist or has no samples. The message is one line."""


def samples(run: RunFiles, source: str | None, number: int) -> list[Row]:
    """The first `number` samples of a source: their JSON, and `rendered` for a terminal.

    source: None for the first one with samples. Raises RunFilesError, and InspectError for a source without samples.
    """
    sources = _sources(run)
    name = source or next((name for name, splits in sources.items() if splits), next(iter(sources), ""))
    if name not in sources:
        raise InspectError(f"{run.root} has no source {name!r}; it has {', '.join(sources) or 'none'}")
    if not sources[name]:
        raise InspectError(
            f"{run.root}: the source {name!r} has no samples; `panoramix stats` shows where its documents went"
        )
    out: list[Row] = []
    for shards in sources[name].values():
        for shard in shards:
            index = read_parquet(run.read(shard["index"]), ["key", "offset"])
            for row in index.slice(0, number - len(out)).to_pylist():
                start = row["offset"] + 512  # the sample's first member is its JSON: its size is octal, at byte 124
                size = int(run.range(shard["path"], start - 512, start)[124:135], 8)
                fields = json.loads(run.range(shard["path"], start, start + size))
                out.append({**fields, "key": row["key"], "rendered": _rendered(row["key"], fields)})
            if len(out) >= number:
                return out
    return out


def _rendered(key: str, fields: Row) -> str:
    lines = [f"── {key}  {fields.get('url') or ''}"]
    if "texts" in fields:
        sizes = {f"{i}.jpg": m for i, m in enumerate(fields["image_meta"])}
        for text, image in zip(fields["texts"], fields["images"], strict=True):
            m = sizes.get(image, {})
            size, alt, url = f"{m.get('width')}x{m.get('height')}", m.get("alt") or "", m.get("url") or ""
            lines.append(text if image is None else f"[image {image}  {size}  {alt}  {url}]")
    else:
        if fields.get("n_images", 1):
            lines.append(f"[image {fields.get('width')}x{fields.get('height')}]")
        lines.append(fields.get("caption") or fields.get("text") or "")
    return "\n".join(lines) + "\n"


def explain(run: RunFiles, what: str) -> list[Row]:
    """All rows of the ledger and the index about a document's id or a URL, each with a line to read, `says`."""
    _sources(run)
    out: list[Row] = []
    ids: set[str] = set()

    def add(row: Row, says: str) -> None:
        out.append({**row, "says": says})

    for row in _where(run, "documents", ("id", "url"), what):
        ids.add(row["id"])
        document = f"{row['source']} document {row['id']} ({row['url']})"
        if row["keep"]:
            add(row, f"{document}: kept, in {row['split']}, {row['images']} images, {row['tokens']} tokens")
            continue
        relation = "as" if row["reason"] == "contaminated_text" else "a duplicate of"
        survivor = f", {relation} {row['survivor']}" if row["survivor"] else ""
        add(row, f"{document}: dropped, {_why(row)}{survivor}")
    for row in _where(run, "refused", ("url",), what):
        add(row, f"{row['url']}: never became a document, {row['reason']}")
    for row in _where(run, "pages", ("url",), what):
        add(row, f"{row['url']}: crawled, {row['status']}")
    for row in _where(run, "outcomes", ("url", "sha256"), what):
        size = f", {row['width']}x{row['height']} {row['format']}, sha256 {row['sha256']}"
        add(row, f"image {row['url']}: {row['status']}{size if row['status'] == 'ok' else ''}")
    for row in _where(run, "images", ("image", "id"), what, ids):
        add(row, f"image {row['image']} at node {row['node']} of document {row['id']}: dropped, {_why(row)}")
    for row in _where(run, "texts", ("id",), what, ids):
        paragraph = f"paragraph at node {row['node']} of document {row['id']}"
        add(row, f"{paragraph}: dropped, {_why(row)}: {row['text'][:80]!r}")
    for row in _index(run, ids):
        sample = f"sample {row['key']} of {row['source']} {row['split']}"
        add(row, f"document {row['id']}: {sample}, byte {row['offset']} of its shard")
    return out


def _why(row: Row) -> str:
    """The reason, the score, and the limit where the rule has one."""
    if row.get("score") is None:
        return str(row["reason"])
    limit = "" if row.get("threshold") is None else f", limit {row['threshold']:g}"
    return f"{row['reason']} ({row['score']:.4g}{limit})"


def _where(run: RunFiles, table: str, columns: tuple[str, ...], what: str, ids: Collection[str] = ()) -> list[Row]:
    """Rows of a ledger table where one of the columns is `what`, or the document is one of `ids`."""
    pattern = re.compile(rf"-{table}-\d+\.parquet\Z")
    files = [file for file in run.list("ledger") if pattern.search(file)]
    if not files:
        return []
    match = pc.field("id").isin(pa.array(sorted(ids))) if ids else pc.scalar(False)
    for column in columns:
        match = match | (pc.field(column) == what)
    return _rows(run, files, match)


def _index(run: RunFiles, ids: set[str]) -> list[Row]:
    files = run.list("index") if ids else []
    if not files:
        return []
    match = pc.field("id").isin(pa.array(sorted(ids)))
    return _rows(run, files, match, ["id", "key", "source", "split", "offset"])


def _rows(run: RunFiles, files: list[str], match: pc.Expression, columns: list[str] | None = None) -> list[Row]:
    table = ds.dataset(run.paths(files), filesystem=run.fs).to_table(columns, filter=match)
    return list(table.to_pylist())


def diff(first: Row, second: Row) -> list[Row]:
    """Numbers of two stats.json that differ, as rows: source, what, first, second."""
    rows = []
    for source in dict.fromkeys([*first["sources"], *second["sources"]]):
        a, b = (_numbers(stats["sources"].get(source)) for stats in (first, second))
        for what in sorted({*a, *b}):
            if a.get(what, 0) != b.get(what, 0):
                rows.append({"source": source, "what": what, "first": a.get(what, 0), "second": b.get(what, 0)})
    return rows


def _numbers(s: Row | None) -> dict[str, int]:
    if s is None:
        return {}
    counts = {k: s[k] for k in ("documents", "samples", "images", "tokens", "bytes", "shards")}
    groups = ("refused", "dropped", "unpacked")
    return counts | {f"{group}: {reason}": n for group in groups for reason, n in s[group].items()}


def _sources(run: RunFiles) -> Mapping[str, Mapping[str, list[Row]]]:
    """Rows of shards by source and split. Version 1 of the manifest has them in `configs`."""
    manifest = run.json("manifest.json", "version")
    return manifest.get("configs") or {name: source["splits"] for name, source in manifest.get("sources", {}).items()}
