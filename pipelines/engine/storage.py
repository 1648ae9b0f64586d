"""Where runs live: local disk or any fsspec file system, with whole files or none.

A file appears under its name only when all its bytes are there: local files are synced, then renamed; on object stores
a PUT is whole.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import fsspec

# libraries of object stores whose errors are no OSErrors: no credentials, an address that nobody answers
_STORES = ("botocore", "aiobotocore", "aiohttp", "gcsfs", "adlfs", "azure", "google")
_REMEDIES = {
    errno.ENOSPC: "make room", errno.EDQUOT: "make room", errno.EROFS: "make it writable", errno.EACCES: "give access", errno.EPERM: "give access",
}  # fmt: skip


def of_a_store(e: BaseException) -> bool:
    """A fault of a disk or an object store."""
    return isinstance(e, OSError) or type(e).__module__.partition(".")[0] in _STORES


def in_a_line(e: BaseException, root: str) -> str:
    """What is wrong with a disk or an object store, and where, and what to do."""
    if isinstance(e, OSError) and e.errno and (e.errno in _REMEDIES or e.filename):
        line = f"{e.filename or root}: {os.strerror(e.errno)}"
        remedy = _REMEDIES.get(e.errno)
        return f"{line}; {remedy} and run the same command again: what was committed stays" if remedy else line
    said = " ".join(str(e).split())
    return said if root in said else f"{root}: {said}"


@dataclass(frozen=True)
class Store:
    """Files below a root, a local folder or an fsspec URL such as ``s3://bucket/runs/a``."""

    root: str

    @property
    def local(self) -> bool:
        return "://" not in self.root

    def path(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}"

    def fs(self) -> Any:
        # others write here too: nothing is remembered
        return fsspec.core.url_to_fs(self.root, use_listings_cache=False)[0]

    @contextlib.contextmanager
    def scratch(self) -> Iterator[str]:
        """A folder for files in the making: beside the run where that is local, so that a rename is enough."""
        if self.local:
            os.makedirs(self.path("tmp"), exist_ok=True)
        folder = tempfile.mkdtemp(dir=self.path("tmp") if self.local else None)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, made: str, name: str) -> None:
        """Move a finished file from the scratch folder to its name."""
        target = self.path(name)
        if not self.local:
            self.fs().put_file(made, target)
            return
        with open(made, "rb+") as f:
            os.fsync(f.fileno())
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.replace(made, target)
        _sync_folder(os.path.dirname(target))

    def create(self, name: str, data: bytes) -> bool:
        """Write a small file only if there is none of that name; False where there is one."""
        target = self.path(name)
        if not self.local:
            # S3 refuses the second writer (If-None-Match); other stores are asked first, which two at the same moment
            # can pass
            try:
                self.fs().pipe_file(target, data, mode="create")
            except FileExistsError:
                return False
            return True
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with self.scratch() as folder:
            made = os.path.join(folder, "new")
            with open(made, "wb") as f:
                f.write(data)
                f.flush()
                os.fsync(f.fileno())
            try:
                os.link(made, target)
            except FileExistsError:
                return False
        _sync_folder(os.path.dirname(target))
        return True

    def replace(self, name: str, data: bytes) -> None:
        """Write a small file whole, over an older one; left alone where it says the same already."""
        if self.exists(name) and self.read(name) == data:
            return
        with self.scratch() as folder:
            made = os.path.join(folder, "new")
            with open(made, "wb") as f:
                f.write(data)
            self.publish(made, name)

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError."""
        if self.local:
            with open(self.path(name), "rb") as f:
                return f.read()
        return bytes(self.fs().cat_file(self.path(name)))

    def read_all(self, names: Iterable[str]) -> Iterator[bytes]:
        """Many small files, in order; side by side where a request takes long."""
        if self.local:
            yield from map(self.read, names)
            return
        fs, left = self.fs(), list(names)
        for i in range(0, len(left), 1000):
            wanted = [fs._strip_protocol(self.path(n)) for n in left[i : i + 1000]]
            found = fs.cat(wanted) if len(wanted) > 1 else {wanted[0]: fs.cat_file(wanted[0])}
            yield from (bytes(found[w]) for w in wanted)

    def exists(self, name: str) -> bool:
        return os.path.exists(self.path(name)) if self.local else bool(self.fs().exists(self.path(name)))

    def sizes(self, folder: str) -> dict[str, int]:
        """Name -> bytes of the files in a folder, sorted; none where it does not exist."""
        if self.local:
            if not os.path.isdir(self.path(folder)):
                return {}
            with os.scandir(self.path(folder)) as found:
                return dict(sorted((e.name, e.stat().st_size) for e in found if e.is_file()))
        try:
            listed = self.fs().ls(self.path(folder), detail=True)
        except FileNotFoundError:
            return {}
        return dict(sorted((f["name"].rsplit("/", 1)[-1], int(f["size"])) for f in listed if f["type"] == "file"))

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted; none where it does not exist."""
        return list(self.sizes(folder))

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder, sorted."""
        if self.local:
            path = self.path(folder)
            return sorted(e.name for e in os.scandir(path) if e.is_dir()) if os.path.isdir(path) else []
        try:
            listed = self.fs().ls(self.path(folder), detail=True)
        except FileNotFoundError:
            return []
        return sorted(f["name"].rstrip("/").rsplit("/", 1)[-1] for f in listed if f["type"] == "directory")

    def link_all(self, links: Mapping[str, str]) -> None:
        """Give committed files second names (target -> name): hard links where there are such, else copies, made once.

        What an object store has copied stands in ``links.json``; a target is taken off that list before it is copied
        anew, so that the list is true whenever this is interrupted.
        """
        if self.local:
            for target, name in links.items():
                self._link(name, target)
            return
        before = json.loads(self.read("links.json")) if self.exists("links.json") else {}
        same = {t: n for t, n in links.items() if before.get(t) == n}
        if same == links:
            return
        self.replace("links.json", json.dumps(same).encode())
        fs = self.fs()
        for target, name in links.items():
            if target not in same:
                fs.copy(self.path(name), self.path(target))
        self.replace("links.json", json.dumps(links).encode())

    def _link(self, name: str, target: str) -> None:
        source, goal = self.path(name), self.path(target)
        if os.path.exists(goal) and os.path.samefile(source, goal):
            return
        os.makedirs(os.path.dirname(goal), exist_ok=True)
        with self.scratch() as folder:
            made = os.path.join(folder, "new")
            try:
                os.link(source, made)
            except FileNotFoundError:
                raise
            except OSError:  # a file system without links
                shutil.copyfile(source, made)
            os.replace(made, goal)

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


def _sync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
