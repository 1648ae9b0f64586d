"""Where runs are stored: a local disk or any fsspec file system. A file appears under its name with all its bytes.

A local file is synced and then renamed. A PUT to an object store is atomic.
"""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import fsspec

# libraries of object stores with errors that are not OSErrors: no credentials, no answer from an address
_STORE_LIBRARIES = ("botocore", "aiobotocore", "aiohttp", "gcsfs", "adlfs", "azure", "google")
#: the folder for unfinished files within a run. It is removed whole, so its name must be one that nobody else gives
SCRATCH = ".panoramix-unfinished"

_REMEDIES = dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room")
_REMEDIES |= {errno.EROFS: "make it writable", **dict.fromkeys((errno.EACCES, errno.EPERM), "give access")}


def is_store_error(e: BaseException) -> bool:
    """True for an error of a disk or an object store."""
    return isinstance(e, OSError) or type(e).__module__.partition(".")[0] in _STORE_LIBRARIES


def one_line(e: BaseException, root: str) -> str:
    """An error of a disk or an object store in one line: the file, the fault, and what to do."""
    if isinstance(e, OSError) and e.errno and (e.errno in _REMEDIES or e.filename):
        line = f"{e.filename or root}: {os.strerror(e.errno)}"
        remedy = _REMEDIES.get(e.errno)
        return f"{line}; {remedy} and run the same command again: what was committed stays" if remedy else line
    text = " ".join(str(e).split())
    return text if root in text else f"{root}: {text}"


@dataclass(frozen=True)
class Store:
    """Files below a root: a local folder, or an fsspec URL such as ``s3://bucket/runs/a``.

    fsspec reads and lists on every file system. Only changes differ on a local disk, where they must survive a crash.
    """

    root: str

    @property
    def local(self) -> bool:
        return "://" not in self.root

    def path(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}"

    def fs(self) -> Any:
        # other processes write here too, so listings are not cached
        return fsspec.core.url_to_fs(self.root, use_listings_cache=False)[0]

    @contextlib.contextmanager
    def scratch(self) -> Iterator[str]:
        """A folder for unfinished files. On a local disk it is within the run, so that a rename publishes a file."""
        if self.local:
            os.makedirs(self.path(SCRATCH), exist_ok=True)
        parent = self.path(SCRATCH) if self.local else None
        with tempfile.TemporaryDirectory(dir=parent, ignore_cleanup_errors=True) as folder:
            yield folder

    def publish(self, source: str, name: str) -> None:
        """Move a finished file from the scratch folder to its name."""
        target = self.path(name)
        if not self.local:
            self.fs().put_file(source, target)
            return
        _sync(source)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.replace(source, target)
        _sync(os.path.dirname(target))

    def create(self, name: str, data: bytes) -> bool:
        """Write a small file if there is none of that name; returns False if there is one."""
        target = self.path(name)
        try:
            if self.local:
                with self._new_file(data) as new:
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                    os.link(new, target)
                _sync(os.path.dirname(target))
            else:
                # S3 refuses the second writer (If-None-Match). fsspec asks other stores first, so two writers at the
                # same moment can both succeed there.
                self.fs().pipe_file(target, data, mode="create")
        except FileExistsError:
            return False
        return True

    def replace(self, name: str, data: bytes) -> None:
        """Write a small file in place of an older one; nothing is written if the content is the same."""
        if not self.exists(name) or self.read(name) != data:
            with self._new_file(data) as new:
                self.publish(new, name)

    @contextlib.contextmanager
    def _new_file(self, data: bytes) -> Iterator[str]:
        with self.scratch() as folder:
            new = pathlib.Path(folder, "new")
            new.write_bytes(data)
            _sync(str(new))
            yield str(new)

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError."""
        return bytes(self.fs().cat_file(self.path(name)))

    def read_all(self, names: Iterable[str]) -> Iterator[bytes]:
        """Many small files, in order. Object stores get 1,000 requests at a time."""
        if self.local:
            yield from (pathlib.Path(self.path(name)).read_bytes() for name in names)
            return
        fs = self.fs()
        paths = [fs._strip_protocol(self.path(name)) for name in names]
        for i in range(0, len(paths), 1000):
            contents = fs.cat(paths[i : i + 1000])
            yield from (bytes(contents[p]) for p in paths[i : i + 1000])

    def exists(self, name: str) -> bool:
        return bool(self.fs().exists(self.path(name)))

    def sizes(self, folder: str, kind: str = "file") -> dict[str, int]:
        """Name -> bytes of the files in a folder, sorted; empty if the folder does not exist."""
        entries: list[Any] = []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            entries = self.fs().ls(self.path(folder), detail=True)
        names = ((e["name"].rstrip("/").rsplit("/", 1)[-1], int(e["size"] or 0)) for e in entries if e["type"] == kind)
        return dict(sorted(names))

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted."""
        return list(self.sizes(folder))

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder, sorted."""
        return list(self.sizes(folder, "directory"))

    def link_all(self, links: Mapping[str, str]) -> None:
        """Give committed files second names (target -> name): hard links on a local disk, copies elsewhere.

        On an object store ``links.json`` lists the copies. A target is taken off the list before it is copied again, so
        that the list is correct whenever this is interrupted.
        """
        if self.local:
            for target, name in links.items():
                self._link(self.path(name), self.path(target))
            return
        before = json.loads(self.read("links.json")) if self.exists("links.json") else {}
        same = {target: name for target, name in links.items() if before.get(target) == name}
        if same != links:
            self.replace("links.json", json.dumps(same).encode())
            for target in (t for t in links if t not in same):
                self.fs().copy(self.path(links[target]), self.path(target))
            self.replace("links.json", json.dumps(links).encode())

    def _link(self, source: str, target: str) -> None:
        if os.path.exists(target) and os.path.samefile(source, target):
            return
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with self.scratch() as folder:
            new = os.path.join(folder, "new")
            try:
                os.link(source, new)
            except OSError:  # a file system without links; the copy raises FileNotFoundError if there is no source
                shutil.copyfile(source, new)
            os.replace(new, target)

    def remove(self, name: str) -> None:
        if self.local:
            os.unlink(self.path(name))
        else:
            self.fs().rm_file(self.path(name))

    def remove_folder(self, name: str) -> None:
        if self.local:
            shutil.rmtree(self.path(name), ignore_errors=True)
        elif self.fs().exists(self.path(name)):
            self.fs().rm(self.path(name), recursive=True)


def sha256_of(path: str) -> str:
    """The sha256 of a local file, in hex digits."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _sync(path: str) -> None:
    """Wait until a file, or the list of names of a folder, is on the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
