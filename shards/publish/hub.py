"""Publishing a run to the Hugging Face Hub, or to any folder that fsspec can write.

* stage: the files to publish are hard-linked into a temporary folder, with the card, a preview and Energon's metadata;
* check: limits of the Hub, takedowns that the shards do not contain yet, credentials in the small files;
* upload: only files that are not there yet, so a second call continues an interrupted one; files that the run no longer
  has are removed;
* verify: the hash of every remote file is compared with the local file.

Shards have the same bytes every time, so publishing an unchanged run again makes no commit.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec

from shards import manifest
from shards.publish.staging import OURS, PublishError, problems, staged

__all__ = ["PublishError", "Published", "publish"]

#: files of the first commit of huggingface_hub's upload pipeline, which adapts the number
COMMIT_FILES = 250


@dataclass(frozen=True)
class Published:
    to: str  #: repository or URL
    files: dict[str, int]  #: path in the repository -> bytes
    problems: list[str] = field(default_factory=list)  #: reasons against it; with any, nothing is uploaded
    revision: str | None = None  #: commit that has all files; None for a dry run
    url: str | None = None

    @property
    def bytes(self) -> int:
        return sum(self.files.values())

    @property
    def commits(self) -> int:
        """Estimate of the commits for an empty repository."""
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
    """Publish the folder of a finished run as the dataset `to` (``name/name``), or to a URL (``s3://bucket/folder``).

    dry_run: list the files and the problems without any use of the network.
    squash: leave one commit on the Hub, so that no earlier commit has what was taken down.
    title: name of the run in the commit message; the name of its folder if not given.
    say: called with each line of progress.

    Raises ManifestError, and PublishError where a limit is exceeded, a credential would be published, the shards are
    older than the last takedown, or a remote file differs from the local one. It may be called again at any time.
    """
    name = str(run).rstrip("/").rpartition("/")[2] if "://" in str(run) else Path(run).resolve().name
    message = f"Publish {title or name}"
    with staged(run, to, license) as folder:
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
        plan = Published(to, files, list(problems(folder, files)))
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
        remote = api.list_repo_files(to, repo_type="dataset")
        stale = [path for path in remote if path.startswith(OURS) and path not in files]
        options: dict[str, Any] = {"folder_path": folder, "create_pr": create_pr, "delete_patterns": stale or None}
        commit: Any = api.upload_folder(repo_id=to, repo_type="dataset", commit_message=message, **options)
        revision = commit.pr_revision if create_pr and commit.pr_revision else commit.oid
        if bad := list(differences(api, to, revision, folder, files)):
            raise PublishError(f"{to}: after the upload: " + "; ".join(bad[:10]))
        if squash and not create_pr:
            api.super_squash_history(to, repo_type="dataset", commit_message=message)
            revision = str(api.repo_info(to, repo_type="dataset").sha)
        if tag:
            api.create_tag(to, tag=tag, revision=revision, repo_type="dataset", exist_ok=True)
        say(f"{to}: all {len(files)} files are there, checked by hash")
        return Published(to, files, [], revision, str(commit.pr_url or commit.commit_url))


def _to_url(folder: Path, files: dict[str, int], url: str, say: Callable[[str], object]) -> Published:
    """Send the files that are absent or differ. The manifest is the last, so that a reader never sees a partial run."""
    fs, base = fsspec.core.url_to_fs(url)
    base = base.rstrip("/")
    remote = fs.find(base, detail=True) if fs.exists(base) else {}
    sizes = {str(path)[len(base) + 1 :]: int(info["size"]) for path, info in remote.items()}
    sent = 0
    for path in sorted(files, key=lambda name: (name == manifest.NAME, name)):
        with (folder / path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if sizes.get(path) == files[path] and _remote(fs, f"{base}/{path}") == digest:
            continue
        fs.makedirs(f"{base}/{path}".rpartition("/")[0], exist_ok=True)
        fs.put_file(str(folder / path), f"{base}/{path}")
        if _remote(fs, f"{base}/{path}") != digest:
            raise PublishError(f"{url}/{path}: the file there differs from the one that was sent")
        sent += 1
    stale = [path for path in sizes if path.startswith(OURS) and path not in files]
    for path in stale:
        fs.rm_file(f"{base}/{path}")
    say(f"{url}: {sent} files sent, {len(stale)} removed; all {len(files)} are there, checked by hash")
    return Published(url, files, [], None, url)


def _remote(fs: Any, path: str) -> str:
    with fs.open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def differences(api: Any, repo_id: str, revision: str, folder: Path, files: dict[str, int]) -> Iterator[str]:
    """Files whose remote hash (sha256 of large files, else git's sha1 of the blob) differs from that in `folder`."""
    tree = api.list_repo_tree(repo_id, recursive=True, revision=revision, repo_type="dataset")
    remote = {entry.path: entry for entry in tree}
    for path, size in files.items():
        entry = remote.get(path)
        if entry is None:
            yield f"{path}: not there"
            continue
        large = entry.lfs is not None
        with (folder / path).open("rb") as file:
            start = hashlib.sha256() if large else hashlib.sha1(b"blob %d\0" % size)
            digest = hashlib.file_digest(file, lambda start=start: start).hexdigest()  # type: ignore[misc]
        if digest != (entry.lfs.sha256 if large else entry.blob_id):
            yield f"{path}: another {'sha256' if large else 'content'}"
