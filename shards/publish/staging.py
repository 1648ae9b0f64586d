"""The folder that is uploaded: the files that a run's manifest names and the files for readers; and its problems."""

import hashlib
import os
import re
import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from manifests.runfiles import RunFiles
from shards import forget, manifest
from shards.publish import preview, readers
from shards.publish.front_matter import features, indexed

#: the Hub's limits (its documentation, "Storage limits"): bytes of a file, files of a repository, entries of a folder
MAX_FILE = 200 * 10**9
MAX_FILES = 100_000
MAX_ENTRIES = 10_000
#: columns that the Hub's viewer shows (dataset-viewer's `columns_max_number`)
MAX_COLUMNS = 1000
#: folders of which all files are ours: a file there that a run no longer has is removed from the repository
OURS = ("shards/", "index/", "preview/", "mixtures/")

_SECRETS = re.compile(
    rb"hf_[A-Za-z0-9]{30,}|AKIA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    rb"|gh[pousr]_[A-Za-z0-9]{36}|xox[abprs]-[A-Za-z0-9-]{20,}|sk-[A-Za-z0-9_-]{40,}"
)
# the beginning of an address with a password, as a recipe may have for an input
_PASSWORD = re.compile(rb"[a-z0-9+]+://[^/\s:@\"]+:[^/\s@\"]+@")
_SCANNED = (".json", ".md", ".html", ".yaml", ".yml", ".txt", ".py")


class PublishError(ValueError):
    """A run that must not be published, or was published in part only. The message names the files."""


class RefusedError(PublishError):
    """Reasons against the publication, such as a shard unlike its manifest. Nothing was sent."""


@contextmanager
def staged(root: str | Path, name: str, license: str) -> Iterator[Path]:
    """A folder with all that is published of a run, until the block ends.

    It has the files that the manifest names, the mixtures, the statistics, the report, the preview, and the files of
    shards/publish/readers.py. Files of a run on another store than the local disk are copied. Raises RefusedError
    where a shard or an index is not what the manifest says, and PublishError where a file is missing or the shards are
    older than a takedown.
    """
    run = RunFiles(root)
    listed = manifest.read(run)
    data = run.read(forget.NAME) if run.exists(forget.NAME) else None
    entries = forget.read(data, f"{run.root}/{forget.NAME}")
    if listed.raw.get("forgotten", forget.digest([])) != forget.digest(entries):
        remedy = "run `panoramix forget` or `panoramix run` again"
        raise PublishError(f"{run.root}: the shards were made before the last takedown; {remedy}")
    paths = [manifest.NAME]
    for source in listed.sources.values():
        for shards in source.splits.values():
            paths += [path for shard in shards for path in (shard.path, f"{shard.path}.idx", shard.index)]
    paths += [path for path in run.list("mixtures") if path.endswith(".json")]
    paths += [path for path in ("stats.json", "report.html") if run.exists(path)]
    with scratch(Path(run.root) if run.local else None) as folder:
        for path in paths:
            _take(run, path, folder / path)
        if damaged := list(_damaged(folder, run, listed)):
            raise RefusedError(f"{name}: not published: " + "; ".join(damaged))
        previews = preview.files(run, listed)
        for path, content in {**previews, **readers.files(run, listed, name, license, tuple(previews))}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        yield folder


@contextmanager
def scratch(root: Path | None) -> Iterator[Path]:
    """A temporary folder below `root`, so that files can be linked into it. Removes those of killed processes first.

    It is in the system's folder for temporary files where `root` is None or not writable.
    """
    if root is None or not os.access(root, os.W_OK):
        with tempfile.TemporaryDirectory() as elsewhere:
            yield Path(elsewhere)
        return
    prefix = f".publish-{socket.gethostname()}-"
    for folder in root.glob(f"{prefix}*"):
        try:
            os.kill(int(folder.name.removeprefix(prefix).partition("-")[0]), 0)
        except ProcessLookupError:
            shutil.rmtree(folder)
        except (ValueError, PermissionError):  # not a folder of ours
            continue
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _take(run: RunFiles, path: str, target: Path) -> None:
    """A file of the run under another name: a hard link, a symbolic link from another disk, else a copy."""
    (source,) = run.paths([path])
    if not run.exists(path):
        raise PublishError(f"{run.root}/{path}: the manifest names it, but it is not there; run verify")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not run.local:
        run.fs.get_file(source, str(target))
        return
    for link in (os.link, os.symlink):
        try:
            link(os.path.abspath(source), target)
            return
        except OSError:  # another disk, or a file system without such links
            continue
    shutil.copyfile(source, target)


def problems(folder: Path, files: dict[str, int]) -> Iterator[str]:
    """Limits of the Hub and its viewer that the files exceed, and files that look as if they held a credential."""
    if len(files) > MAX_FILES:
        yield f"{len(files)} files; a repository should have at most {MAX_FILES}"
    for parent, entries in Counter(path.rpartition("/")[0] for path in files).items():
        if entries > MAX_ENTRIES:
            yield f"{parent}: {entries} files; a folder has at most {MAX_ENTRIES}"
    for path, size in files.items():
        if size > MAX_FILE:
            yield f"{path}: {size} bytes; a file has at most {MAX_FILE}"
    listed = manifest.read(RunFiles(folder))
    for source, shards in listed.sources.items():
        columns = len(features(shards.layout, indexed(RunFiles(folder), listed, source).images))
        if columns > MAX_COLUMNS:
            yield f"{source}: {columns} columns, one for each image; the viewer shows at most {MAX_COLUMNS}"
    for path in files:
        if path.endswith(_SCANNED):
            data = (folder / path).read_bytes()
            if match := _SECRETS.search(data) or (_PASSWORD.search(data) if path == manifest.NAME else None):
                yield f"{path}: holds what looks like a credential ({match[0][:8].decode(errors='replace')}...)"


def _damaged(folder: Path, run: RunFiles, listed: manifest.Manifest) -> Iterator[str]:
    """Shards and indexes whose bytes are not those of the manifest, and what to do."""
    stages = {stage["node"]: stage["folders"][0] for stage in listed.raw.get("stages", ())}
    made_by = {
        path: stages.get(f"{source}.{split}", "its folder in stages/")
        for source, of_source in listed.sources.items()
        for split, shards in of_source.splits.items()
        for shard in shards
        for path in (shard.path, shard.index)
    }
    for path, digest in manifest.digests(listed).items():
        if sha256_of(folder / path) != digest:
            remedy = f"`panoramix verify {run.root}` says more; remove {made_by[path]} and run the recipe again"
            copies = "" if run.local else " (and links.json, so that the shard is copied again)"
            yield f"{path}: its sha256 is not that of the manifest, so it was damaged or changed; {remedy}{copies}"


def sha256_of(path: Path) -> str:
    """The sha256 of a local file, in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
