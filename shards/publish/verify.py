"""Checks that shards are those that the manifest names: finds what is missing, truncated, changed or miscounted.

Each shard is compared with the manifest: its size and sha256, the members of the archive, its ``.tar.idx``, and its
Parquet index. Where bytes have changed, the problem names the samples that contain them, because the index has the
sha256 of each sample. On request, each shard is also read with `webdataset`, which must find the same samples.
"""

import hashlib
import importlib
import itertools
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests.parquet import read_parquet
from manifests.runfiles import RunFiles
from shards import manifest, tar
from shards.fields import INDEX

#: the kinds of problems
KINDS = ("manifest", "missing", "truncated", "damaged", "count", "index", "extra", "reader")
#: the packages that can read each shard as well
READERS = ("webdataset",)
_NAMED = 5  # samples named in one line
#: columns of the index in every version of the manifest
_COLUMNS = [name for name in INDEX.names if name not in ("kind", "layout")]

Groups = list[tuple[str, list[tar.Member]]]  # key and members of each sample of an archive


class ReaderError(ValueError):
    """The other reader that was asked for is unknown or not installed."""


@dataclass(frozen=True)
class Problem:
    path: str  #: relative to what was verified
    kind: str  #: one of KINDS
    detail: str

    def __str__(self) -> str:
        return f"{self.path}: {self.kind}: {self.detail}"


def verify(path: str | Path, reader: str | None = None) -> Iterator[Problem]:
    """The problems of a run's folder, or of any URL that fsspec knows. A path to one ``.tar`` checks its structure.

    reader: one of READERS, which then reads each undamaged shard as well. Raises ReaderError.
    """
    if reader not in (None, *READERS):
        raise ReaderError(f"no reader {reader!r}; there is {', '.join(READERS)}")
    try:
        if reader:
            importlib.import_module(reader)
    except ImportError as error:
        remedy = f"of the extra `pipeline`: pip install 'panoramix[pipeline]' ({error})"
        raise ReaderError(f"the reader {reader} needs the package {reader}, {remedy}") from error
    if str(path).endswith(".tar"):
        folder, _, name = str(path).rpartition("/")
        run = RunFiles(folder or ".")
        groups, problems = _members(run, name)
        yield from problems or (_by_webdataset(run, name, groups) if reader else ())
        return
    run = RunFiles(path)
    try:
        listed = manifest.read(run)
    except manifest.ManifestError as error:
        yield Problem(manifest.NAME, "manifest", str(error))
        return
    expected = set()
    for name, source in listed.sources.items():
        version_2 = {"source": name, "kind": source.kind, "layout": source.layout}
        labels = {"config": name} if listed.raw["version"] == 1 else version_2
        for split, shards in source.splits.items():
            for shard in shards:
                if shard.path in expected:
                    yield Problem(shard.path, "manifest", "named twice")
                expected |= {shard.path, f"{shard.path}.idx", shard.index}
                yield from _shard(run, shard, {**labels, "split": split}, reader)
    for folder in ("shards", "index"):
        for file in run.list(folder):
            if file not in expected and "/.nv-meta/" not in file:
                yield Problem(file, "extra", "the manifest does not name it")


def _shard(run: RunFiles, shard: manifest.Shard, labels: dict[str, str], reader: str | None) -> Iterator[Problem]:
    rows, problems = _index(run, shard, labels)
    yield from problems
    try:
        with run.open(shard.path) as file:
            sha256, size = hashlib.file_digest(file, "sha256").hexdigest(), file.seek(0, 2)
    except FileNotFoundError:
        yield Problem(shard.path, "missing", f"{shard.samples} samples, {shard.bytes} bytes")
        return
    if size < shard.bytes:
        complete = sum(row["offset"] + row["size"] <= size for row in rows)
        detail = f"{size} of {shard.bytes} bytes; complete samples: {complete} of {shard.samples}"
        yield Problem(shard.path, "truncated", detail)
        return
    if sha256 != shard.sha256:
        detail = f"sha256 is {sha256[:16]}, not {shard.sha256[:16]}; {_changed(run, shard, size, rows)}"
        yield Problem(shard.path, "damaged", detail)
        return
    groups, problems = _members(run, shard.path)
    yield from problems
    if problems:
        return
    if len(groups) != shard.samples:
        yield Problem(shard.path, "count", f"{len(groups)} samples, the manifest says {shard.samples}")
    yield from _against_index(groups, rows, shard)
    yield from _against_offsets(run, shard, groups, size)
    if reader:
        yield from _by_webdataset(run, shard.path, groups)


def _by_webdataset(run: RunFiles, path: str, groups: Groups) -> Iterator[Problem]:
    """The samples of a shard as webdataset reads them, against our own reading: keys, names of parts, and sizes."""
    from webdataset.tariterators import group_by_keys, tar_file_expander

    expected = ((key, {m.name.removeprefix(f"{key}."): m.size for m in members}) for key, members in groups)
    try:
        with run.open(path) as file:
            samples = group_by_keys(tar_file_expander([{"url": path, "stream": file}]))
            parts = ((s["__key__"], {k: len(v) for k, v in s.items() if not k.startswith("__")}) for s in samples)
            for number, (ours, theirs) in enumerate(itertools.zip_longest(expected, parts)):
                if ours != theirs:
                    detail = f"webdataset reads {_sample(theirs)} as sample {number}, where there is {_sample(ours)}"
                    yield Problem(path, "reader", detail)
                    return
    except (tarfile.TarError, ValueError, OSError) as error:
        yield Problem(path, "reader", f"webdataset cannot read it ({type(error).__name__}: {error.args[0]})")


def _sample(sample: tuple[str, dict[str, int]] | None) -> str:
    return "no sample" if sample is None else f"{sample[0]} with {', '.join(sample[1])}"


def _changed(run: RunFiles, shard: manifest.Shard, size: int, rows: list[dict[str, Any]]) -> str:
    """The samples whose bytes have changed, in words."""
    if size != shard.bytes:
        return f"{size} bytes, not {shard.bytes}"
    changed = []
    for row in rows:
        data = run.range(shard.path, row["offset"], row["offset"] + row["size"])
        if hashlib.sha256(data).hexdigest() != row["sha256"]:
            changed.append(row["key"])
    if not changed:
        return "every sample of the index is unchanged" if rows else "there is no index to find the samples by"
    more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
    return f"in sample{'s' * (len(changed) > 1)} {', '.join(changed[:_NAMED])}{more}"


def _members(run: RunFiles, path: str) -> tuple[Groups, list[Problem]]:
    try:
        with run.open(path) as file:
            return list(tar.groups(tar.scan(file, path), path)), []
    except FileNotFoundError:
        return [], [Problem(path, "missing", "no such file")]
    except tar.TarError as error:
        kind = "truncated" if "truncated" in str(error) else "damaged"
        return [], [Problem(path, kind, str(error).removeprefix(f"{path}: "))]


def _index(run: RunFiles, shard: manifest.Shard, labels: dict[str, str]) -> tuple[list[dict[str, Any]], list[Problem]]:
    """The rows of a shard's index, none where it is unusable, and its problems. labels: columns of one value."""
    try:
        data = run.read(shard.index)
        if shard.index_sha256 is not None and hashlib.sha256(data).hexdigest() != shard.index_sha256:
            return [], [Problem(shard.index, "damaged", f"its sha256 is not {shard.index_sha256[:16]}")]
        table = read_parquet(data)
    except FileNotFoundError:
        return [], [Problem(shard.index, "missing", f"the index of {shard.path}")]
    except (pa.ArrowException, OSError) as error:
        return [], [Problem(shard.index, "damaged", f"Parquet that cannot be read ({str(error).splitlines()[0]})")]
    columns = list(dict.fromkeys([*_COLUMNS, *labels]))
    if absent := [name for name in columns if name not in table.schema.names]:
        return [], [Problem(shard.index, "index", f"lacks the column {absent[0]}")]
    rows = table.select(columns).to_pylist()
    images, tokens = (sum(row[name] for row in rows) for name in ("n_images", "n_text_tokens"))
    sums = {"samples": (len(rows), shard.samples), "images": (images, shard.images), "tokens": (tokens, shard.tokens)}
    problems = [
        Problem(shard.index, "count", f"{what} come to {count}, the manifest says {expected}")
        for what, (count, expected) in sums.items()
        if count != expected
    ]
    if foreign := [row["key"] for row in rows if any(row[name] != value for name, value in labels.items())]:
        expected = ", ".join(f"{name} {value}" for name, value in labels.items())
        problems.append(Problem(shard.index, "index", f"sample {foreign[0]} is not of {expected}"))
    return rows, problems


def _against_index(groups: Groups, rows: list[dict[str, Any]], shard: manifest.Shard) -> Iterator[Problem]:
    """The first difference between the index and the archive."""
    for (key, members), row in zip(groups, rows, strict=False):
        images = sum(member.name.endswith(".jpg") for member in members)
        if (key, members[0].header, images) != (row["key"], row["offset"], row["n_images"]):
            listed = f"{row['key']} at byte {row['offset']} with {row['n_images']} images"
            detail = f"says {listed}; the archive has {key} at {members[0].header} with {images}"
            yield Problem(shard.index, "index", detail)
            return


def _against_offsets(run: RunFiles, shard: manifest.Shard, groups: Groups, size: int) -> Iterator[Problem]:
    path = f"{shard.path}.idx"
    try:
        offsets = tar.read_index(run.read(path), size, path).tolist()
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
