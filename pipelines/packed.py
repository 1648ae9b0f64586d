"""Packed parts under the names a run shows them by: what its manifest says of each, and where its files are linked."""

from __future__ import annotations

from typing import Any

from pipelines.engine.commit import Sidecar


def has_samples(part: Sidecar) -> bool:
    return "index" in part.files and part.files["index"].rows > 0


def shard(config: str, split: str, number: int, part: Sidecar) -> dict[str, Any]:
    """A row of the manifest (shards/manifest.py). number: of the part."""
    tar, index, counts = part.files["tar"], part.files["index"], part.counts.get("index", {})
    return {
        "path": _tar(config, split, number),
        "index": _index(config, split, number),
        "samples": index.rows,
        "bytes": tar.bytes,
        "sha256": tar.sha256,
        "index_sha256": index.sha256,
        "images": counts.get("n_images", {}).get("sum", 0),
        "tokens": counts.get("n_text_tokens", {}).get("sum", 0),
    }


def links(config: str, split: str, number: int, part: Sidecar) -> dict[str, str]:
    """Name in the run -> committed file."""
    tar = _tar(config, split, number)
    return {
        tar: part.files["tar"].name,
        f"{tar}.idx": part.files["tar.idx"].name,
        _index(config, split, number): part.files["index"].name,
    }


def _tar(config: str, split: str, number: int) -> str:
    return f"shards/{config}/{split}-{number:06d}.tar"


def _index(config: str, split: str, number: int) -> str:
    return f"index/{config}-{split}-{number:06d}.parquet"
