"""Looking into a finished run: documents as they are in the shards, why one is not there, what two runs differ in.

Reads the run's own files only: manifest, index, ledger and a few bytes of a tar.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

Row = dict[str, Any]


class InspectError(ValueError):
    """One line that says what the run does not have."""


def samples(run: str, config: str, number: int) -> list[Row]:
    """The first `number` documents of a config's shards: their JSON, and `rendered` for a terminal."""
    manifest = _manifest(run)
    if config not in manifest["configs"]:
        raise InspectError(f"{run} has no config {config!r}; it has {', '.join(sorted(manifest['configs'])) or 'none'}")
    out: list[Row] = []
    for shards in manifest["configs"][config].values():
        for shard in shards:
            index = (
                pq.read_table(os.path.join(run, shard["index"]), columns=["key", "offset"])
                .slice(0, number - len(out))
                .to_pylist()
            )
            with open(os.path.join(run, shard["path"]), "rb") as f:
                for row in index:
                    f.seek(row["offset"])
                    head = f.read(512)  # the sample's first member is its JSON (USTAR: the size is octal, at byte 124)
                    fields = json.loads(f.read(int(head[124:135], 8)))
                    out.append({**fields, "key": row["key"], "rendered": _rendered(row["key"], fields)})
            if len(out) >= number:
                return out
    return out


def _rendered(key: str, fields: Row) -> str:
    lines = [f"── {key}  {fields.get('url') or ''}"]
    if "texts" in fields:
        sizes = {f"{i}.jpg": m for i, m in enumerate(fields["image_meta"])}
        for text, image in zip(fields["texts"], fields["images"], strict=True):
            if image is None:
                lines.append(text)
            else:
                m = sizes.get(image, {})
                lines.append(
                    f"[image {image}  {m.get('width')}x{m.get('height')}  {m.get('alt') or ''}  {m.get('url') or ''}]"
                )
    else:
        lines.append(f"[image {fields.get('width')}x{fields.get('height')}]")
        lines.append(fields.get("caption") or fields.get("text") or "")
    return "\n".join(lines) + "\n"


def explain(run: str, what: str) -> list[Row]:
    """Everything the ledger and the index say of a document's id, a page's URL or an image's URL. Rows with a line to
    read, `says`.
    """
    _manifest(run)
    out: list[Row] = []
    ids: set[str] = set()
    for row in _where(run, "documents", ("id", "url"), what):
        ids.add(row["id"])
        if row["keep"]:
            says = f"{row['source']} document {row['id']} ({row['url']}): kept, in {row['split']}, {row['images']} images, {row['tokens']} tokens"
        else:
            says = f"{row['source']} document {row['id']} ({row['url']}): dropped, {_why(row)}"
            says += (
                f", {'as' if row['reason'] == 'contaminated_text' else 'a duplicate of'} {row['survivor']}"
                if row["survivor"]
                else ""
            )
        out.append({**row, "says": says})
    for row in _where(run, "refused", ("url",), what):
        out.append({**row, "says": f"{row['url']}: never became a document, {row['reason']}"})
    for row in _where(run, "pages", ("url",), what):
        out.append({**row, "says": f"{row['url']}: crawled, {row['status']}"})
    for row in _where(run, "outcomes", ("url", "sha256"), what):
        size = (
            f", {row['width']}x{row['height']} {row['format']}, sha256 {row['sha256']}" if row["status"] == "ok" else ""
        )
        out.append({**row, "says": f"image {row['url']}: {row['status']}{size}"})
    for row in _where(run, "images", ("image", "id"), what, ids):
        out.append(
            {**row, "says": f"image {row['image']} at node {row['node']} of document {row['id']}: dropped, {_why(row)}"}
        )
    for row in _where(run, "texts", ("id",), what, ids):
        out.append(
            {
                **row,
                "says": f"paragraph at node {row['node']} of document {row['id']}: dropped, {_why(row)}: {row['text'][:80]!r}",
            }
        )
    for row in _index(run, ids):
        out.append(
            {
                **row,
                "says": f"document {row['id']}: sample {row['key']} of {row['config']} {row['split']}, byte {row['offset']} of its shard",
            }
        )
    return out


def _why(row: Row) -> str:
    saw = "" if row.get("score") is None else f" ({row['score']:.4g}"
    if saw:
        saw += ")" if row.get("threshold") is None else f", limit {row['threshold']:g})"
    return f"{row['reason']}{saw}"


def _where(run: str, table: str, columns: tuple[str, ...], what: str, ids: Collection[str] = ()) -> list[Row]:
    """Rows of a ledger table where one of the columns is `what`, or the document is one of `ids`."""
    folder = os.path.join(run, "ledger")
    files = sorted(os.path.join(folder, f) for f in os.listdir(folder) if f"-{table}-" in f)
    if not files:
        return []
    data = ds.dataset(files)
    match = pc.field("id").isin(pa.array(sorted(ids))) if ids else None
    for c in columns:
        one = pc.field(c) == what
        match = one if match is None else match | one
    rows: list[Row] = data.to_table(filter=match).to_pylist()
    return rows


def _index(run: str, ids: set[str]) -> list[Row]:
    folder = os.path.join(run, "index")
    if not ids or not os.path.isdir(folder):
        return []
    data = ds.dataset(folder, format="parquet")
    rows: list[Row] = data.to_table(
        columns=["id", "key", "config", "split", "offset"], filter=pc.field("id").isin(pa.array(sorted(ids)))
    ).to_pylist()
    return rows


def diff(first: Row, second: Row) -> list[Row]:
    """Numbers of two stats.json that differ: rows (source, what, first, second)."""
    rows = []
    for source in sorted({*first["sources"], *second["sources"]}):
        a, b = (_numbers(s["sources"].get(source)) for s in (first, second))
        for what in sorted({*a, *b}):
            if a.get(what, 0) != b.get(what, 0):
                rows.append({"source": source, "what": what, "first": a.get(what, 0), "second": b.get(what, 0)})
    return rows


def _numbers(s: Row | None) -> dict[str, int]:
    if s is None:
        return {}
    out = {k: s[k] for k in ("documents", "samples", "images", "tokens", "bytes", "shards")}
    for group in ("refused", "dropped", "unpacked"):
        out |= {f"{group}: {reason}": n for reason, n in s[group].items()}
    return out


def _manifest(run: str) -> Row:
    path = os.path.join(run, "manifest.json")
    if not os.path.exists(path):
        raise InspectError(f"{run} is no finished run: it has no manifest.json")
    with open(path, encoding="utf-8") as f:
        read: Row = json.load(f)
    return read
