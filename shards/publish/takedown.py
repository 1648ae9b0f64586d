"""A takedown from a published copy of a run: the shards without the samples that a list covers.

A sample leaves whole where its document or one of its images is covered. What shows or counts samples is made again
too: index, manifest, statistics, card, preview, the report's examples, and the ledger where the copy has one. The new
files are made in a temporary folder. On the Hub they become one pull request. Elsewhere they are put in place one by
one, the manifest last, and the copy is verified; the same call finishes an interrupted one.
"""

import hashlib
import io
import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.parquet import read_parquet
from manifests.runfiles import RunFiles
from shards import forget, manifest, tar
from shards.forget import Entry, Forgotten
from shards.publish import preview, readers
from shards.publish.hub import REPOSITORY, differences, hub_errors
from shards.publish.staging import PublishError, sha256_of
from shards.publish.verify import verify

Row = dict[str, Any]

_ARTICLE = re.compile(r"<article>.*?</article>", re.DOTALL)
_ARTICLE_ID = re.compile(r"<small class=id>([0-9a-f]{32})</small>")


def take_down(
    root: str, entries: Sequence[Entry], *, token: str | None = None, endpoint: str | None = None
) -> dict[str, Any]:
    """Remove what `entries` cover from the published copy at `root`: ``hf://datasets/NAME/NAME``, a folder or a URL.

    Returns how many `samples` of how many `documents` left, how many `shards` there were and how many of them were
    `rewritten`, which entries are `without_effect`, and the `url` of the pull request or the copy. Where no entry has
    an effect, nothing is changed. Raises ManifestError, PublishError.
    """
    files = RunFiles(root)
    listed = manifest.read(files)
    with tempfile.TemporaryDirectory() as folder:
        change = _Change(files, listed, entries, Path(folder))
        change.shards()
        result: Row = {
            "samples": sum(change.removed.values()),
            "documents": len(change.ids),
            "shards": sum(len(rows) for s in listed.sources.values() for rows in s.splits.values()),
            "rewritten": change.rewritten,
            "without_effect": [entry.value for entry in dict.fromkeys(entries) if entry not in change.effective],
            "url": root,
        }
        if change.rewritten:
            change.others()
            put = _as_pull_request if root.startswith(REPOSITORY) else _in_place
            result["url"] = put(files, change, token, endpoint)
    return result


class _Change:
    """The new files of a copy, in `folder`, and the `gone` ones.

    removed: samples that left, by source. ids: of their documents. effective: the entries that cover something.
    """

    def __init__(self, files: RunFiles, listed: manifest.Manifest, entries: Sequence[Entry], folder: Path) -> None:
        self.files, self.listed, self.folder, self.entries = files, listed, folder, entries
        self.asked = Forgotten(entries)
        self.raw: Row = json.loads(json.dumps(listed.raw))
        self.removed: Counter[str] = Counter()
        self.ids: set[str] = set()
        self.effective: set[Entry] = set()
        self.gone: list[str] = []
        self.rewritten = 0

    def paths(self) -> list[str]:
        """The new files: those that show samples, the shards, their indexes, the manifest.

        An interrupted takedown is found by a shard or an index unlike the manifest, so these come last.
        """
        paths = [path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()]
        last = (manifest.NAME, "index/", "shards/")
        return sorted(paths, key=lambda path: ([path.startswith(name) for name in last], path))

    def write(self, path: str, data: bytes) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(data)

    def shards(self) -> None:
        """Write the shards that change, and their indexes."""
        version_1 = self.listed.raw["version"] == 1
        for name, source in self.listed.sources.items():
            splits = self.raw["configs"][name] if version_1 else self.raw["sources"][name]["splits"]
            for split, shards in source.splits.items():
                splits[split] = [
                    row for shard, row in zip(shards, splits[split], strict=True) if self._shard(name, shard, row)
                ]

    def _shard(self, source: str, shard: manifest.Shard, row: Row) -> bool:
        """Write a shard without what is covered, and update its row of the manifest. False if no sample is left."""
        data = self.files.read(shard.index)
        index, same = read_parquet(data), shard.index_sha256 in (None, hashlib.sha256(data).hexdigest())
        with self.files.open(shard.path) as file:
            whole = same and file.seek(0, 2) == shard.bytes  # else an interrupted takedown has replaced a file
            places = _places(index) if whole else _scanned(file, shard.path)
            keep = [
                self._stays(source, document, places, file)
                for document in index.select(["key", "id", "url"]).to_pylist()
            ]
            if all(keep) and whole:
                return True
            self.rewritten += 1
            index = index.filter(pa.array(keep))
            paths = (shard.path, f"{shard.path}.idx", shard.index)
            if not index.num_rows:
                self.gone += paths
                return False
            offsets = self._write_tar(shard.path, [places[key] for key in index["key"].to_pylist()], file)
        self.write(paths[1], tar.index_bytes(offsets))
        numbers = {"offset": offsets[:-1], "sample_index": list(range(index.num_rows))}
        for name in numbers.keys() & set(index.schema.names):
            place = index.schema.get_field_index(name)
            field = index.schema.field(place)
            index = index.set_column(place, field, pa.array(numbers[name], field.type))
        self.write(shard.index, _parquet(index))
        new = self.folder / shard.path
        row |= {"samples": index.num_rows, "bytes": new.stat().st_size, "sha256": sha256_of(new)}
        row |= {"images": pc.sum(index["n_images"]).as_py(), "tokens": pc.sum(index["n_text_tokens"]).as_py()}
        row["index_sha256"] = sha256_of(self.folder / shard.index)
        return True

    def _stays(self, source: str, document: Row, places: Mapping[str, tuple[int, int]], file: Any) -> bool:
        if document["key"] not in places:
            return False
        covering = set(self.asked.covering(document["url"], id=document["id"]))
        if any(entry.kind != "id" for entry in self.entries):  # an image of the sample may be covered
            for url, sha256 in _images(_json(file, places[document["key"]][0])):
                covering.update(self.asked.covering(url, sha256=sha256))
        if covering:
            self.effective |= covering
            self.ids.add(document["id"])
            self.removed[source] += 1
        return not covering

    def _write_tar(self, path: str, places: Sequence[tuple[int, int]], file: Any) -> list[int]:
        """Write the samples at (offset, bytes) of a shard as a new one; returns their new offsets and the end."""
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        offsets = [0]
        with (self.folder / path).open("wb") as new:
            for offset, size in places:
                file.seek(offset)
                new.write(file.read(size))
                offsets.append(offsets[-1] + size)
            new.write(tar.END)
        return offsets

    def others(self) -> None:
        """Write what shows or counts the samples: manifest, ledger, statistics, report, preview, card."""
        before = Entry("before", self.raw.get("forgotten", forget.digest([])))
        self.raw["forgotten"] = forget.digest([before, *self.entries])
        self.write(manifest.NAME, json.dumps(self.raw, indent=1).encode())
        for path in self.files.list("ledger"):
            if (data := self._ledger(path)) is not None:
                self.write(path, data)
        if self.files.exists("stats.json"):
            self.write("stats.json", json.dumps(self._stats(), indent=1).encode())
        if self.files.exists("report.html"):
            page = self.files.read("report.html").decode()
            self.write("report.html", _ARTICLE.sub(self._article, page).encode())
        new = _Changed(self.files.root, str(self.folder))
        listed = manifest.read(new)
        name, license = self.files.root.removeprefix(REPOSITORY), self.raw.get("recipe", {}).get("license", "other")
        old = self.files.list("preview")
        previews = preview.files(new, listed) if old else {}
        self.gone += [path for path in old if path not in previews]
        made = {**previews, **readers.files(new, listed, name, license, tuple(previews))}
        for path, data in made.items():
            if self.files.exists(path):
                self.write(path, data)

    def _ledger(self, path: str) -> bytes | None:
        """A file of the ledger as a run has it after the takedown; None for one that does not change."""
        name = path.split("-")[-2] if path.count("-") > 1 else ""
        if name not in ("documents", "texts", "images"):
            return None
        table = read_parquet(self.files.read(path))
        ids, urls = table["id"].to_pylist(), table["url"].to_pylist() if name == "documents" else [None] * len(table)
        covered = [i in self.ids or self.asked.document(i, url) for i, url in zip(ids, urls, strict=True)]
        if not any(covered):
            return None
        if name != "documents":
            return _parquet(table.filter(pc.invert(pa.array(covered))))
        rows = table.to_pylist()
        for row, is_covered in zip(rows, covered, strict=True):
            if is_covered:
                row.update(dict.fromkeys(set(row) - {"id", "source", "url"}), keep=False, reason=forget.REASON)
        return _parquet(pa.Table.from_pylist(rows, schema=table.schema))

    def _stats(self) -> Row:
        """`stats.json` with the numbers of the shards that are left."""
        stats: Row = json.loads(self.files.read("stats.json"))
        counts = ("samples", "bytes", "images", "tokens")
        for name, source in manifest.parse(self.raw, manifest.NAME).sources.items():
            if (s := stats["sources"].get(name)) is None:
                continue
            s["splits"] = {
                split: {key: sum(getattr(shard, key) for shard in shards) for key in counts} | {"shards": len(shards)}
                for split, shards in source.splits.items()
            }
            s |= {key: sum(split[key] for split in s["splits"].values()) for key in (*counts, "shards")}
            s["funnel"] = [[step, s["samples"] if step == "packed" else n] for step, n in s["funnel"]]
            if removed := self.removed[name]:
                s["unpacked"] = {**s["unpacked"], forget.REASON: s["unpacked"].get(forget.REASON, 0) + removed}
        return stats

    def _article(self, article: re.Match[str]) -> str:
        """A document of the report; nothing for one that is covered."""
        id = _ARTICLE_ID.search(article[0])
        addresses = re.findall(r"<a href='([^']*)'", article[0])
        covered = (id and (id[1] in self.ids or self.asked.document(id[1], None))) or any(
            self.asked.document(None, url) for url in addresses
        )
        return "" if covered else article[0]


class _Changed(RunFiles):
    """The files of a copy with those of a folder over them."""

    def __init__(self, root: str, folder: str) -> None:
        super().__init__(root)
        self._new = RunFiles(folder)

    def read(self, path: str) -> bytes:
        return self._new.read(path) if self._new.exists(path) else super().read(path)

    def range(self, path: str, start: int, end: int, version: str = "") -> bytes:
        return self._new.range(path, start, end) if self._new.exists(path) else super().range(path, start, end, version)


def _places(index: pa.Table) -> dict[str, tuple[int, int]]:
    """Key -> offset and bytes of each sample, by the index."""
    return {row["key"]: (row["offset"], row["size"]) for row in index.select(["key", "offset", "size"]).to_pylist()}


def _scanned(file: Any, path: str) -> dict[str, tuple[int, int]]:
    """Key -> offset and bytes of each sample, by the headers of the archive."""
    out = {}
    for key, members in tar.groups(tar.scan(file, path), path):
        last = members[-1]
        out[key] = (members[0].header, last.offset + last.size + -last.size % tar.BLOCK - members[0].header)
    return out


def _json(file: Any, offset: int) -> Row:
    """The JSON of the sample at an offset: its first member."""
    file.seek(offset)
    fields: Row = json.loads(file.read(int(file.read(tar.BLOCK)[124:135], 8)))
    return fields


def _images(fields: Row) -> Iterator[tuple[str | None, str | None]]:
    """Address and sha256 of each image of a sample."""
    return ((meta.get("url"), meta.get("sha256")) for meta in fields.get("image_meta", [fields]))


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


# --- putting in place -------------------------------------------------------------------------------------------------


def _in_place(files: RunFiles, change: _Change, token: str | None, endpoint: str | None) -> str:
    """Replace the files of the copy, check the hash of each, and verify the copy."""
    for path in change.paths():
        (target,) = files.paths([path])
        if files.local:
            files.fs.put_file(str(change.folder / path), f"{target}.new")
            os.replace(f"{target}.new", target)
        else:
            files.fs.put_file(str(change.folder / path), target)
    for path in change.gone:
        if files.exists(path):
            files.fs.rm_file(files.paths([path])[0])
    files.fs.invalidate_cache()
    if problems := [str(problem) for problem in verify(files.root)]:
        raise PublishError(f"{files.root}: after the takedown: {'; '.join(problems[:5])}; run it again")
    return files.root


def _as_pull_request(files: RunFiles, change: _Change, token: str | None, endpoint: str | None) -> str:
    """One pull request with all changes, checked by the hash of each file; returns its address."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    to, paths = files.root.removeprefix(REPOSITORY), change.paths()
    operations = [CommitOperationAdd(path, str(change.folder / path)) for path in paths]
    operations += [CommitOperationDelete(path) for path in change.gone]
    message = f"Take down {sum(change.removed.values())} samples"
    with hub_errors(to):
        api = HfApi(endpoint=endpoint, token=token)
        commit = api.create_commit(to, operations, commit_message=message, repo_type="dataset", create_pr=True)
        sizes = {path: (change.folder / path).stat().st_size for path in paths}
        if bad := list(differences(api, to, commit.pr_revision, change.folder, sizes)):
            raise PublishError(f"{to}: in {commit.pr_revision}: " + "; ".join(bad[:10]))
    return str(commit.pr_url)
