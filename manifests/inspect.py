"""Queries about a finished run: its documents, and the differences between two runs.

They read only the run's own files: manifest, index, statistics, and a few bytes of a tar.
"""

import json
from collections.abc import Mapping
from typing import Any

from manifests.parquet import read_parquet
from manifests.runfiles import RunFiles

Row = dict[str, Any]


class InspectError(ValueError):
    """A source that does not exist or has no samples, or a damaged shard. The message is one line."""


def samples(run: RunFiles, source: str | None, number: int) -> list[Row]:
    """The first `number` samples of a source: their JSON, and `rendered` for a terminal.

    source: None for the first one with samples. Raises RunFilesError and InspectError.
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
                try:
                    size = int(run.range(shard["path"], start - 512, start)[124:135], 8)
                    fields = json.loads(run.range(shard["path"], start, start + size))
                except ValueError as e:
                    fault = f"damaged at byte {row['offset']} ({e}); panoramix verify names what else is"
                    raise InspectError(f"{run.root}/{shard['path']}: {fault}") from None
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
    counts = {k: s[k] for k in ("in", "documents", "samples", "images", "tokens", "bytes", "shards") if k in s}
    groups = ("packed", "refused", "dropped", "unpacked", "quarantined")  # not all of them in runs of older versions
    return counts | {f"{group}: {reason}": n for group in groups for reason, n in s.get(group, {}).items()}


def _sources(run: RunFiles) -> Mapping[str, Mapping[str, list[Row]]]:
    """Rows of shards by source and split. Version 1 of the manifest has them in `configs`."""
    manifest = run.json("manifest.json", "version")
    return manifest.get("configs") or {name: source["splits"] for name, source in manifest.get("sources", {}).items()}
