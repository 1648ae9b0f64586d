"""How raw inputs are cut into parts: by bytes and files, never by workers, so that every cluster makes the same."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import fsspec

from manifests.schema import key64

WARC_SLICE = 64 << 20  # bytes of a WARC file in one part
PDF_PART = 16 << 20  # bytes of PDFs in one part
PDF_FILES = 32


def raw_file(path: str) -> dict[str, list[Any]]:
    """A raw input as the fingerprint knows it: name, size, and time of change or ETag."""
    if "://" not in path:
        stat = os.stat(path)
        return {
            "path": [os.path.abspath(path)],
            "file": [path],
            "size": [stat.st_size],
            "changed": [str(stat.st_mtime_ns)],
        }
    fs, name = fsspec.core.url_to_fs(path)
    info = fs.info(name)
    return {
        "path": [path],
        "file": [path],
        "size": [info["size"]],
        "changed": [str(info.get("ETag") or info.get("mtime") or "")],
    }


def slices(path: str) -> list[dict[str, list[Any]]]:
    file = raw_file(path)
    size = file["size"][0]
    starts = range(0, max(size, 1), WARC_SLICE)
    return [{**file, "offset": [s], "length": [min(WARC_SLICE, size - s)]} for s in starts]


def groups_of(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """PDFs in parts of so many bytes and files, in their order."""
    groups: list[list[dict[str, Any]]] = []
    held = 0
    for row in rows:
        if not groups or held + row["size"] > PDF_PART or len(groups[-1]) >= PDF_FILES:
            groups.append([])
            held = 0
        groups[-1].append(row)
        held += row["size"]
    return groups


def some(items: list[Any], limit: int | None) -> list[Any]:
    """`limit` of them, chosen by hash, in their order."""
    if limit is None or limit >= len(items):
        return items
    chosen = sorted(range(len(items)), key=lambda i: key64(str(items[i])))[:limit]
    return [items[i] for i in sorted(chosen)]


def buckets_for(inputs: Mapping[str, list[str]], more: int = 0) -> int:
    """Key ranges of the exchanges: a power of two, one for about every 8 MB of input, so that the result does not
    depend on workers.
    """
    size: int = more + sum(raw_file(p)["size"][0] for names in inputs.values() for p in names)
    return 1 << min(14, max(4, (size >> 23).bit_length()))
