"""Publishing a run to the Hugging Face Hub.

    stage    the files to publish are laid, as hard links, in a folder beside them, with the card and Energon's metadata
    check    limits of the Hub, secrets in the small files
    upload   `HfApi.upload_folder`: many commits where there are many files; running it again uploads only what is not there yet
    verify   every remote file's hash against the file here

As shards are the same bytes every time, publishing an unchanged run again makes no commit.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shards import manifest, readers
from shards.store import Store

#: the Hub's limits (its documentation, "Storage limits"): bytes of a file, files of a repository, entries of a folder
MAX_FILE = 200 * 10**9
MAX_FILES = 100_000
MAX_ENTRIES = 10_000

_SECRETS = re.compile(rb"hf_[A-Za-z0-9]{30,}|AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY-----|gh[pousr]_[A-Za-z0-9]{36}|sk-[A-Za-z0-9_-]{40,}")
_SCANNED = (".json", ".md", ".html", ".yaml", ".yml", ".txt", ".py")


class PublishError(ValueError):
    """A run that should not be, or was not wholly, published; the message names the files."""


@dataclass(frozen=True)
class Published:
    repo_id: str
    files: dict[str, int]  #: path in the repository -> bytes
    problems: list[str] = field(default_factory=list)  #: limits broken; nothing is uploaded then
    revision: str | None = None  #: commit that holds it all; None for a dry run
    url: str | None = None

    @property
    def bytes(self) -> int:
        return sum(self.files.values())


def publish(
    run: str | Path,
    repo_id: str,
    *,
    dry_run: bool = False,
    private: bool = False,
    create_pr: bool = False,
    tag: str | None = None,
    license: str = "other",
    token: str | None = None,
    endpoint: str | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> Published:
    """Publishes the folder of a finished run as the dataset `repo_id` (``name/name``).

    `dry_run` says what would be done and touches no network. Raises ManifestError, and PublishError where a limit is broken, a
    secret would be published, or a remote file is not what it is here. Safe to run again at any time.
    """
    root = Path(run)
    with staged(root, repo_id, license) as folder:
        files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}
        problems = [*_limits(files), *_secrets(folder, files)]
        plan = Published(repo_id, files, problems)
        say(f"{repo_id}: {len(files)} files, {plan.bytes:,} bytes")
        for problem in problems:
            say(problem)
        if dry_run:
            return plan
        if problems:
            raise PublishError(f"{repo_id}: not published: " + "; ".join(problems))
        from huggingface_hub import HfApi

        api = HfApi(endpoint=endpoint, token=token)
        api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
        commit: Any = api.upload_folder(
            repo_id=repo_id, repo_type="dataset", folder_path=folder, commit_message=f"Publish {root.name}", create_pr=create_pr
        )
        revision = commit.pr_revision if create_pr and commit.pr_revision else commit.oid
        bad = list(differences(api, repo_id, revision, folder, files))
        if bad:
            raise PublishError(f"{repo_id}: after the upload: " + "; ".join(bad[:10]))
        if tag:
            api.create_tag(repo_id, tag=tag, revision=revision, repo_type="dataset", exist_ok=True)
        say(f"{repo_id}: all {len(files)} files are there, checked by hash")
        return Published(repo_id, files, [], revision, str(commit.pr_url or commit.commit_url))


@contextmanager
def staged(root: Path, name: str, license: str) -> Iterator[Path]:
    """A folder with what is published of a run: only what its manifest names, the mixtures, the report, and the readers' files."""
    store = Store(root)
    listed = manifest.read(store)
    wanted = [manifest.NAME]
    for splits in listed.configs.values():
        for shards in splits.values():
            wanted += [path for shard in shards for path in (shard.path, f"{shard.path}.idx", shard.index)]
    extras = [*sorted(root.glob("mixtures/*.json")), root / "stats.json", root / "report.html"]
    wanted += [path.relative_to(root).as_posix() for path in extras if path.is_file()]
    folder = Path(tempfile.mkdtemp(prefix=".publish-", dir=root))
    try:
        for path in wanted:
            _link(root / path, folder / path)
        for path, content in readers.files(store, listed, name, license).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        yield folder
    finally:
        shutil.rmtree(folder)


def _link(source: Path, target: Path) -> None:
    if not source.is_file():
        raise PublishError(f"{source}: the manifest names it, but it is not there; run verify")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # a filesystem without hard links
        shutil.copyfile(source, target)


def _limits(files: dict[str, int]) -> Iterator[str]:
    if len(files) > MAX_FILES:
        yield f"{len(files)} files; a repository should have at most {MAX_FILES}"
    for folder, entries in Counter(path.rpartition("/")[0] for path in files).items():
        if entries > MAX_ENTRIES:
            yield f"{folder}: {entries} files; a folder has at most {MAX_ENTRIES}"
    for path, size in files.items():
        if size > MAX_FILE:
            yield f"{path}: {size} bytes; a file has at most {MAX_FILE}"


def _secrets(folder: Path, files: dict[str, int]) -> Iterator[str]:
    for path in files:
        if path.endswith(_SCANNED) and (found := _SECRETS.search((folder / path).read_bytes())):
            yield f"{path}: holds what looks like a credential ({found[0][:8].decode(errors='replace')}...)"


def differences(api: Any, repo_id: str, revision: str, folder: Path, files: dict[str, int]) -> Iterator[str]:
    """Files whose remote hash is not that of the file in `folder`: sha256 where the Hub keeps that, else git's sha1 of the blob."""
    remote = {entry.path: entry for entry in api.list_repo_tree(repo_id, recursive=True, revision=revision, repo_type="dataset")}
    for path, size in files.items():
        entry = remote.get(path)
        if entry is None:
            yield f"{path}: not there"
        elif entry.lfs is not None:
            if entry.lfs.sha256 != _digest(folder / path, hashlib.sha256()):
                yield f"{path}: another sha256"
        elif entry.blob_id != _digest(folder / path, hashlib.sha1(b"blob %d\0" % size)):
            yield f"{path}: another content"


def _digest(path: Path, digest: Any) -> str:
    with path.open("rb") as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
    return str(digest.hexdigest())
