"""The manifest of a run, as far as shards are concerned: which shards there are, and what each must hold.

    {"version": 2, "tokenizer": {"name", "sha256"},
     "sources": {NAME: {"kind", "layout", "tag": string or null,
                        "splits": {SPLIT: [{"path", "index", "samples", "bytes", "sha256", "images", "tokens",
                                            "index_sha256"?}]}}}}

NAME is the user's name of a source. `layout` is a row of shards.layout.LAYOUTS. Paths are relative to the manifest's
folder. A shard without a row here does not exist.

Version 1 has {"configs": {CONFIG: {SPLIT: [...]}}} in the place of "sources"; CONFIG is then read as name and layout of
a source.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import Any

from manifests.runfiles import RunFiles, RunFilesError
from shards.layout import LAYOUTS

NAME = "manifest.json"
VERSION = 2
#: version 1: the kind of the source of each config
_KINDS = {"interleaved": "web", "pairs": "pairs", "ocr": "pdf", "conversations": "conversations"}


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
    tokens: int  #: text tokens, by the tokenizer of the manifest
    index_sha256: str | None = None  #: None where the manifest does not give it


@dataclass(frozen=True)
class SourceShards:
    kind: str  #: web, pairs, pdf, conversations or text
    layout: str  #: a row of shards.layout.LAYOUTS
    tag: str | None  #: the user's, for mixtures
    splits: dict[str, tuple[Shard, ...]]

    def shards(self, split: str) -> tuple[Shard, ...]:
        """The shards of a split that hold samples; none where there is no such split."""
        return tuple(shard for shard in self.splits.get(split, ()) if shard.samples)


@dataclass(frozen=True)
class Manifest:
    sources: dict[str, SourceShards]
    tokenizer: dict[str, str]  #: name, sha256
    raw: dict[str, Any]

    def shards(self, name: str, split: str) -> tuple[Shard, ...]:
        """The shards of a source's split that hold samples; none where there is no such source or split."""
        return self.sources[name].shards(split) if name in self.sources else ()


def read(files: RunFiles) -> Manifest:
    """The manifest at the root of `files`. Raises ManifestError."""
    try:
        raw = files.json(NAME)
    except RunFilesError as error:
        raise ManifestError(str(error)) from error
    return parse(raw, f"{files.root}/{NAME}")


def parse(raw: Any, where: str) -> Manifest:
    """A manifest from its JSON. where: the file, for messages. Raises ManifestError."""
    version = raw.get("version") if isinstance(raw, dict) else None
    if version not in (1, VERSION):
        raise ManifestError(f"{where}: version {version!r}; this code reads 1 and {VERSION}")
    table, sources = "configs" if version == 1 else "sources", dict[str, SourceShards]()
    for name in _mapping(raw, table, where):
        entry, key = _mapping(raw[table], name, where), f"{where}: {table}.{name}"
        if version == 1:
            entry = {"kind": _KINDS.get(name), "layout": name, "splits": entry}
        kind, layout, tag = (entry.get(field) for field in ("kind", "layout", "tag"))
        if layout not in LAYOUTS:
            raise ManifestError(f"{key}.layout is {layout!r}, not one of {', '.join(LAYOUTS)}")
        if not isinstance(kind, str) or not (tag is None or isinstance(tag, str)):
            raise ManifestError(f"{key}: kind is {kind!r} and tag {tag!r}; kind is a string, tag a string or null")
        splits = {}
        for split, rows in _mapping(entry, "splits", key).items():
            if not isinstance(rows, list):
                raise ManifestError(f"{key}.{split} is not a list of shards")
            splits[split] = tuple(_shard(row, f"{key}.{split}[{i}]") for i, row in enumerate(rows))
        sources[name] = SourceShards(kind, layout, tag, splits)
    tokenizer = _mapping(raw, "tokenizer", where)
    if not all(isinstance(tokenizer.get(k), str) for k in ("name", "sha256")):
        raise ManifestError(f"{where}: tokenizer needs name and sha256")
    return Manifest(sources, {"name": tokenizer["name"], "sha256": tokenizer["sha256"]}, raw)


def digests(manifest: Manifest) -> dict[str, str]:
    """The sha256 of each shard, and of each index for which the manifest gives it, by path."""
    rows = [row for source in manifest.sources.values() for shards in source.splits.values() for row in shards]
    indexes = {row.index: row.index_sha256 for row in rows if row.index_sha256 is not None}
    return {row.path: row.sha256 for row in rows} | indexes


def _mapping(raw: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    value = raw.get(key)
    if not isinstance(value, dict):
        raise ManifestError(f"{where}: {key} is absent or no mapping")
    return value


def _shard(row: Any, where: str) -> Shard:
    values: dict[str, Any] = {}
    for field in fields(Shard):
        kind = int if field.type is int else str
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
