"""Publishing a run: to the Hugging Face Hub, or to any folder that fsspec can write.

    stage    the files to publish are laid, as hard links, in a folder beside them, with the card, a preview and
    Energon's metadata check    limits of the Hub, takedowns that the shards do not keep to yet, secrets in the small
    files upload   only what is not there yet, so running it again goes on where it was cut off; what the run no longer
    has is taken away verify   every remote file's hash against the file here

As shards are the same bytes every time, publishing an unchanged run again makes no commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec

from shards import manifest
from shards.staging import OURS, PublishError, problems, staged

__all__ = ["PublishError", "Published", "publish"]

#: files of one commit at first, of huggingface_hub's upload pipeline; it adapts
COMMIT_FILES = 250


@dataclass(frozen=True)
class Published:
    to: str  #: repository or URL
    files: dict[str, int]  #: path in the repository -> bytes
    problems: list[str] = field(default_factory=list)  #: limits broken; nothing is uploaded then
    revision: str | None = None  #: commit that holds it all; None for a dry run
    url: str | None = None

    @property
    def bytes(self) -> int:
        return sum(self.files.values())

    @property
    def commits(self) -> int:
        """About how many the Hub would see, were nothing there yet."""
        return -(-len(self.files) // COMMIT_FILES)


def publish(
    run: str | Path,
    to: str,
    *,
    dry_run: bool = False,
    private: bool = False,
    create_pr: bool = False,
    tag: str | None = None,
    squash: bool = False,
    license: str = "other",
    title: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> Published:
    """Publishes the folder of a finished run as the dataset `to` (``name/name``), or to a URL (``s3://bucket/folder``).

    `dry_run` says what would be done and touches no network. `squash` leaves one commit on the Hub: after a takedown,
    no earlier commit holds what was taken down. `title`: what the commit calls the run, if not by its folder's name.
    Raises ManifestError, and PublishError where a limit is broken, a secret would be published, shards were made before
    the last takedown, or a remote file is not what it is here. Safe to run again at any time.
    """
    root = Path(run)
    message = f"Publish {title or root.name}"
    with staged(root, to, license) as folder:
        files = {
            path.relative_to(folder).as_posix(): path.stat().st_size
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        plan = Published(to, files, problems(folder, files))
        say(f"{to}: {len(files)} files, {plan.bytes:,} bytes, about {plan.commits} commit{'s' * (plan.commits > 1)}")
        for problem in plan.problems:
            say(problem)
        if dry_run:
            return plan
        if plan.problems:
            raise PublishError(f"{to}: not published: " + "; ".join(plan.problems))
        if "://" in to:
            return _to_url(folder, files, to, say)
        from huggingface_hub import HfApi

        api = HfApi(endpoint=endpoint, token=token)
        api.create_repo(to, repo_type="dataset", private=private, exist_ok=True)
        stale = [
            path for path in api.list_repo_files(to, repo_type="dataset") if path.startswith(OURS) and path not in files
        ]
        commit: Any = api.upload_folder(
            repo_id=to,
            repo_type="dataset",
            folder_path=folder,
            commit_message=message,
            create_pr=create_pr,
            delete_patterns=stale or None,
        )
        revision = commit.pr_revision if create_pr and commit.pr_revision else commit.oid
        bad = list(differences(api, to, revision, folder, files))
        if bad:
            raise PublishError(f"{to}: after the upload: " + "; ".join(bad[:10]))
        if squash and not create_pr:
            api.super_squash_history(to, repo_type="dataset", commit_message=message)
            revision = str(api.repo_info(to, repo_type="dataset").sha)
        if tag:
            api.create_tag(to, tag=tag, revision=revision, repo_type="dataset", exist_ok=True)
        say(f"{to}: all {len(files)} files are there, checked by hash")
        return Published(to, files, [], revision, str(commit.pr_url or commit.commit_url))


def _to_url(folder: Path, files: dict[str, int], url: str, say: Callable[[str], object]) -> Published:
    """Files that are not there, or not the same, in the order that keeps a reader whole: the manifest last."""
    fs, base = fsspec.core.url_to_fs(url)
    base = base.rstrip("/")
    there = (
        {str(path)[len(base) + 1 :]: int(info["size"]) for path, info in fs.find(base, detail=True).items()}
        if fs.exists(base)
        else {}
    )
    sent = 0
    for path in sorted(files, key=lambda name: (name == manifest.NAME, name)):
        wanted = _digest(folder / path, hashlib.sha256())
        if there.get(path) == files[path] and _remote(fs, f"{base}/{path}") == wanted:
            continue
        fs.makedirs(f"{base}/{path}".rpartition("/")[0], exist_ok=True)
        fs.put_file(str(folder / path), f"{base}/{path}")
        if _remote(fs, f"{base}/{path}") != wanted:
            raise PublishError(f"{url}/{path}: what is there after the upload is not what was sent")
        sent += 1
    stale = [path for path in there if path.startswith(OURS) and path not in files]
    for path in stale:
        fs.rm_file(f"{base}/{path}")
    say(f"{url}: {sent} files sent, {len(stale)} taken away; all {len(files)} are there, checked by hash")
    return Published(url, files, [], None, url)


def _remote(fs: Any, path: str) -> str:
    digest = hashlib.sha256()
    with fs.open(path, "rb") as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()


def differences(api: Any, repo_id: str, revision: str, folder: Path, files: dict[str, int]) -> Iterator[str]:
    """Files whose remote hash is not that of the file in `folder`: sha256 where the Hub keeps that, else git's sha1 of
    the blob.
    """
    remote = {
        entry.path: entry
        for entry in api.list_repo_tree(repo_id, recursive=True, revision=revision, repo_type="dataset")
    }
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
