"""Are the shards those the manifest names? Finds what is missing, cut, changed, miscounted or not named, and says
which.

Everything is held against the manifest: each shard's size and sha256, the members the archive really has, its
`.tar.idx`, and its Parquet index. Where bytes have changed, the samples they lie in are named, since the index keeps
the sha256 of each.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shards import manifest, tar
from shards.fields import INDEX
from shards.store import Store

#: what a problem can be
KINDS = ("manifest", "missing", "truncated", "damaged", "count", "index", "extra")
_CHUNK = 1 << 22
_NAMED = 5  # samples named in one line


@dataclass(frozen=True)
class Problem:
    path: str  #: relative to what was verified
    kind: str  #: one of KINDS
    detail: str

    def __str__(self) -> str:
        return f"{self.path}: {self.kind}: {self.detail}"


def verify(path: str | Path) -> Iterator[Problem]:
    """The problems of a run's folder (or any URL fsspec knows), none where all is well. A path to one `.tar` checks its
    structure.
    """
    if str(path).endswith(".tar"):
        folder, _, name = str(path).rpartition("/")
        yield from _members(Store(folder or "."), name)[1]
        return
    store = Store(path)
    try:
        listed = manifest.read(store)
    except manifest.ManifestError as error:
        yield Problem(manifest.NAME, "manifest", str(error))
        return
    known = set()
    for config, splits in listed.configs.items():
        for split, shards in splits.items():
            for shard in shards:
                if shard.path in known:
                    yield Problem(shard.path, "manifest", "named twice")
                known |= {shard.path, f"{shard.path}.idx", shard.index}
                yield from _shard(store, config, split, shard)
    for folder in ("shards", "index"):
        for found in store.list(folder):
            if found not in known and "/.nv-meta/" not in found:
                yield Problem(found, "extra", "the manifest does not name it")


def _shard(store: Store, config: str, split: str, shard: manifest.Shard) -> Iterator[Problem]:
    rows, problems = _index(store, config, split, shard)
    yield from problems
    try:
        size, sha256 = _digest(store, shard.path)
    except FileNotFoundError:
        yield Problem(shard.path, "missing", f"{shard.samples} samples, {shard.bytes} bytes")
        return
    if size < shard.bytes:
        held = sum(row["offset"] + row["size"] <= size for row in rows)
        yield Problem(
            shard.path, "truncated", f"{size} of {shard.bytes} bytes; whole samples: {held} of {shard.samples}"
        )
        return
    if sha256 != shard.sha256:
        yield Problem(
            shard.path,
            "damaged",
            f"sha256 is {sha256[:16]}, not {shard.sha256[:16]}; {_where(store, shard, size, rows)}",
        )
        return
    groups, problems = _members(store, shard.path)
    yield from problems
    if problems:
        return
    if len(groups) != shard.samples:
        yield Problem(shard.path, "count", f"{len(groups)} samples, the manifest says {shard.samples}")
    yield from _against(groups, rows, shard)
    yield from _offsets(store, shard, groups, size)


def _digest(store: Store, path: str) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with store.open(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def _where(store: Store, shard: manifest.Shard, size: int, rows: list[dict[str, Any]]) -> str:
    """Which samples changed bytes lie in."""
    if size != shard.bytes:
        return f"{size} bytes, not {shard.bytes}"
    bad = [
        row["key"]
        for row in rows
        if hashlib.sha256(store.range(shard.path, row["offset"], row["offset"] + row["size"])).hexdigest()
        != row["sha256"]
    ]
    if not bad:
        return "every sample of the index is whole" if rows else "there is no index to find the samples by"
    return f"in sample{'s' * (len(bad) > 1)} {', '.join(bad[:_NAMED])}" + (
        f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
    )


def _members(store: Store, path: str) -> tuple[list[tuple[str, list[tar.Member]]], list[Problem]]:
    try:
        with store.open(path) as file:
            return list(tar.groups(tar.scan(file, path), path)), []
    except FileNotFoundError:
        return [], [Problem(path, "missing", "no such file")]
    except tar.TarError as error:
        kind = "truncated" if "truncated" in str(error) else "damaged"
        return [], [Problem(path, kind, str(error).removeprefix(f"{path}: "))]


def _index(store: Store, config: str, split: str, shard: manifest.Shard) -> tuple[list[dict[str, Any]], list[Problem]]:
    try:
        data = store.read(shard.index)
        if shard.index_sha256 is not None and hashlib.sha256(data).hexdigest() != shard.index_sha256:
            return [], [Problem(shard.index, "damaged", f"its sha256 is not {shard.index_sha256[:16]}")]
        table = pq.read_table(io.BytesIO(data))
    except FileNotFoundError:
        return [], [Problem(shard.index, "missing", f"the index of {shard.path}")]
    except (pa.ArrowException, OSError) as error:
        return [], [Problem(shard.index, "damaged", f"no Parquet that can be read ({str(error).splitlines()[0]})")]
    absent = [name for name in INDEX.names if name not in table.schema.names]
    if absent:
        return [], [Problem(shard.index, "index", f"lacks the column {absent[0]}")]
    rows = table.select(INDEX.names).to_pylist()
    problems = [
        Problem(shard.index, "count", f"{what} come to {found}, the manifest says {said}")
        for what, found, said in (
            ("samples", len(rows), shard.samples),
            ("images", sum(row["n_images"] for row in rows), shard.images),
            ("tokens", sum(row["n_text_tokens"] for row in rows), shard.tokens),
        )
        if found != said
    ]
    other = [row["key"] for row in rows if (row["config"], row["split"]) != (config, split)]
    if other:
        problems.append(Problem(shard.index, "index", f"sample {other[0]} is not of {config}, {split}"))
    return rows, problems


def _against(
    groups: list[tuple[str, list[tar.Member]]], rows: list[dict[str, Any]], shard: manifest.Shard
) -> Iterator[Problem]:
    """The index against what the archive holds."""
    for (key, members), row in zip(groups, rows, strict=False):
        images = sum(member.name.endswith(".jpg") for member in members)
        if (key, members[0].header, images) != (row["key"], row["offset"], row["n_images"]):
            said = f"{row['key']} at byte {row['offset']} with {row['n_images']} images"
            yield Problem(
                shard.index, "index", f"says {said}; the archive has {key} at {members[0].header} with {images}"
            )
            return


def _offsets(
    store: Store, shard: manifest.Shard, groups: list[tuple[str, list[tar.Member]]], size: int
) -> Iterator[Problem]:
    path = f"{shard.path}.idx"
    try:
        offsets = tar.read_index(store.read(path), size, path).tolist()
    except FileNotFoundError:
        yield Problem(path, "missing", f"the offsets of {shard.path}")
        return
    except tar.TarError as error:
        yield Problem(path, "damaged", str(error).removeprefix(f"{path}: "))
        return
    last = groups[-1][1][-1] if groups else None
    end = last.offset + last.size + -last.size % tar.BLOCK if last else 0
    if offsets != [*(members[0].header for _, members in groups), end]:
        yield Problem(path, "damaged", f"the offsets are not those of the {len(groups)} samples of {shard.path}")
