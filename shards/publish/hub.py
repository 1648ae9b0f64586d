"""Publishing a run to the Hugging Face Hub, or to any folder that fsspec can write.

* stage: the files to publish are hard-linked into a temporary folder, with the card, a preview and Energon's metadata;
* check: limits of the Hub, takedowns that the shards do not contain yet, credentials in the small files, and the hash
  of each shard and index against the manifest;
* upload: only files that are not there yet, so a second call continues an interrupted one; files that the run no longer
  has are removed;
* verify: the hash of every remote file is compared with the local file.

Shards have the same bytes every time, so publishing an unchanged run again makes no commit.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec

from manifests.runfiles import RunFiles
from shards import manifest
from shards.publish.staging import OURS, PublishError, RefusedError, problems, sha256_of, staged

__all__ = ["PublishError", "Published", "RefusedError", "publish"]

#: files of the first commit of huggingface_hub's upload pipeline, which adapts the number
COMMIT_FILES = 250


#: the beginning of the URL of a dataset on the Hub
REPOSITORY = "hf://datasets/"
#: packages whose errors say that the Hub does not answer, or refuses
_HUB_PACKAGES = ("huggingface_hub", "hf_xet", "httpx", "httpx2", "httpcore", "httpcore2", "requests")


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
    """Publish a finished run as the dataset `to` (``name/name``), or to a URL (``s3://bucket/folder``).

    run: its folder or fsspec URL. dry_run: list the files and the problems without any use of the network.
    squash: leave one commit on the Hub, so that no earlier commit has what was taken down.
    title: name of the run in the commit message; the name of its folder if not given.
    say: called with each line of progress.

    Raises ManifestError; RefusedError where a limit is exceeded, a credential would be published, or a shard or an
    index is not what the manifest says; PublishError where the target is no name, does not take the options or does not
    answer, where the shards are older than the last takedown, or where a remote file differs from the local one. It may
    be called again at any time.
    """
    to = to.removeprefix(REPOSITORY)
    _check_target(to, {"--private": private, "--pr": create_pr, "--tag": tag is not None, "--squash": squash})
    name = str(run).rstrip("/").rpartition("/")[2] if "://" in str(run) else Path(run).resolve().name
    message = f"Publish {title or name}"
    with staged(run, to, license) as folder:
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
        plan = Published(to, files, list(problems(folder, files)))
        say(f"{to}: {len(files)} files, {plan.bytes:,} bytes, about {plan.commits} commit{'s' * (plan.commits > 1)}")
        if dry_run:
            return plan
        if plan.problems:
            raise RefusedError(f"{to}: not published: " + "; ".join(plan.problems))
        digests = manifest.digests(manifest.read(RunFiles(folder)))
        if "://" in to:
            return _to_url(folder, files, to, digests, say)
        from huggingface_hub import HfApi

        with hub_errors(to):
            api = HfApi(endpoint=endpoint, token=token)
            api.create_repo(to, repo_type="dataset", private=private, exist_ok=True)
            remote = api.list_repo_files(to, repo_type="dataset")
            stale = [path for path in remote if path.startswith(OURS) and path not in files]
            options: dict[str, Any] = {"folder_path": folder, "create_pr": create_pr, "delete_patterns": stale or None}
            commit: Any = api.upload_folder(repo_id=to, repo_type="dataset", commit_message=message, **options)
            revision = commit.pr_revision if create_pr and commit.pr_revision else commit.oid
            if bad := list(differences(api, to, revision, folder, files, digests)):
                raise PublishError(f"{to}: after the upload: " + "; ".join(bad[:10]))
            if squash and not create_pr:
                api.super_squash_history(to, repo_type="dataset", commit_message=message)
                revision = str(api.repo_info(to, repo_type="dataset").sha)
            if tag:
                api.create_tag(to, tag=tag, revision=revision, repo_type="dataset", exist_ok=True)
        say(f"{to}: all {len(files)} files are there, checked by hash")
        return Published(to, files, [], revision, str(commit.pr_url or commit.commit_url))


def _check_target(to: str, options: Mapping[str, bool]) -> None:
    """Raises PublishError where `to` is neither a repository's name nor a URL, or does not take the options."""
    if "://" in to:
        if given := [option for option, is_given in options.items() if is_given]:
            raise PublishError(f"{to} is no repository of the Hub: it does not take {', '.join(given)}")
        return
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(to)
    except HFValidationError as e:
        fault = " ".join(str(e).split()).partition(" Use `repo_type`")[0]
        raise PublishError(f"{to} is no name of a repository ({fault}); for a folder, give file:///PATH") from None


@contextmanager
def hub_errors(to: str) -> Iterator[None]:
    """Turns an error of the network or of the Hub into a PublishError of one line."""
    try:
        yield
    except Exception as e:
        if type(e).__module__.partition(".")[0] not in _HUB_PACKAGES and not isinstance(e, ConnectionError):
            raise
        fault = " ".join(str(e).split())[:300] or type(e).__name__
        remedy = "check the network, HF_ENDPOINT, HF_HUB_OFFLINE and the token (hf auth login), then run it again"
        raise PublishError(f"{to}: the Hub does not answer, or refuses: {fault}; {remedy}") from e


def _to_url(
    folder: Path, files: dict[str, int], url: str, digests: Mapping[str, str], say: Callable[[str], object]
) -> Published:
    """Send the files that are absent or differ. The manifest is the last, so that a reader never sees a partial run.

    digests: sha256 of files for which it is known.
    """
    fs, base = fsspec.core.url_to_fs(url)
    base = base.rstrip("/")
    remote = fs.find(base, detail=True) if fs.exists(base) else {}
    sizes = {str(path)[len(base) + 1 :]: int(info["size"]) for path, info in remote.items()}
    sent = 0
    for path in sorted(files, key=lambda name: (name == manifest.NAME, name)):
        digest = digests.get(path) or sha256_of(folder / path)
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


def differences(
    api: Any,
    repo_id: str,
    revision: str,
    folder: Path,
    files: Mapping[str, int],
    digests: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Files whose remote hash (sha256 of large files, else git's sha1 of the blob) differs from that in `folder`.

    digests: sha256 of files for which it is known.
    """
    tree = api.list_repo_tree(repo_id, recursive=True, revision=revision, repo_type="dataset")
    remote = {entry.path: entry for entry in tree}
    for path, size in files.items():
        entry = remote.get(path)
        if entry is None:
            yield f"{path}: not there"
        elif entry.lfs is not None:
            if entry.lfs.sha256 != ((digests or {}).get(path) or sha256_of(folder / path)):
                yield f"{path}: another sha256"
        else:
            blob = hashlib.sha1(b"blob %d\0" % size + (folder / path).read_bytes()).hexdigest()
            if entry.blob_id != blob:
                yield f"{path}: another content"
