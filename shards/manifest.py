"""The top manifest of a run, as far as shards are concerned: what there is to read, and what it must be.

    {"version": 1, "tokenizer": {"name", "sha256"},
     "configs": {config: {split: [{"path", "index", "samples", "bytes", "sha256", "images", "tokens",
     "index_sha256"?}]}}}

Paths are relative to the manifest's folder. A shard without a row here does not exist.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import Any

from shards.store import Store

NAME = "manifest.json"
VERSION = 1


class ManifestError(ValueError):
    """A manifest that is absent or does not hold what it should; the message names the file and the key."""


@dataclass(frozen=True)
class Shard:
    path: str
    index: str
    samples: int
    bytes: int
    sha256: str
    images: int
    tokens: int
    index_sha256: str | None = None  #: of the index, where the manifest keeps it


@dataclass(frozen=True)
class Manifest:
    configs: dict[str, dict[str, tuple[Shard, ...]]]
    tokenizer: dict[str, str]  #: name, sha256
    raw: dict[str, Any]

    def shards(self, config: str, split: str) -> tuple[Shard, ...]:
        """The shards that hold samples."""
        return tuple(shard for shard in self.configs.get(config, {}).get(split, ()) if shard.samples)


def read(store: Store) -> Manifest:
    """The manifest at the store's root. Raises ManifestError."""
    where = f"{store.root}/{NAME}"
    try:
        raw = json.loads(store.read(NAME))
    except FileNotFoundError as error:
        raise ManifestError(f"{where}: no such file; give the folder of a finished run") from error
    except ValueError as error:
        raise ManifestError(f"{where}: not JSON ({error})") from error
    return parse(raw, where)


def parse(raw: Any, where: str) -> Manifest:
    if not isinstance(raw, dict) or raw.get("version") != VERSION:
        raise ManifestError(
            f"{where}: version {raw.get('version') if isinstance(raw, dict) else None!r}; this code reads {VERSION}"
        )
    configs: dict[str, dict[str, tuple[Shard, ...]]] = {}
    for config, splits in _mapping(raw, "configs", where).items():
        configs[config] = {}
        for split in _mapping(raw["configs"], config, where):
            rows = splits[split]
            if not isinstance(rows, list):
                raise ManifestError(f"{where}: configs.{config}.{split} is not a list of shards")
            configs[config][split] = tuple(
                _shard(row, f"{where}: configs.{config}.{split}[{i}]") for i, row in enumerate(rows)
            )
    tokenizer = _mapping(raw, "tokenizer", where)
    if not all(isinstance(tokenizer.get(k), str) for k in ("name", "sha256")):
        raise ManifestError(f"{where}: tokenizer needs name and sha256")
    return Manifest(configs, {"name": tokenizer["name"], "sha256": tokenizer["sha256"]}, raw)


def _mapping(raw: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    value = raw.get(key)
    if not isinstance(value, dict):
        raise ManifestError(f"{where}: {key} is absent or no mapping")
    return value


def _shard(row: Any, where: str) -> Shard:
    values: dict[str, Any] = {}
    for field in fields(Shard):
        kind = int if field.type == "int" else str
        value = row.get(field.name) if isinstance(row, dict) else None
        if value is None and field.default is None:
            continue
        if type(value) is not kind or (isinstance(value, int) and value < 0):
            raise ManifestError(f"{where}: {field.name} is {value!r}, not {'a count' if kind is int else 'a string'}")
        values[field.name] = value
    for name in ("path", "index"):
        path = PurePosixPath(values[name])
        if path.is_absolute() or ".." in path.parts:
            raise ManifestError(f"{where}: {name} {values[name]!r} leaves the folder")
    return Shard(**values)
