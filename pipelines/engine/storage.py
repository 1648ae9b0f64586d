"""Where runs live: local disk or any fsspec file system, with whole files or none.

A file appears under its name only when all its bytes are there: local files are synced, then renamed; on object stores a PUT is whole.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import fsspec


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
        return fsspec.core.url_to_fs(self.root)[0]

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
            fs = self.fs()
            try:
                # S3 refuses the second writer (If-None-Match); other stores are asked first
                fs.pipe_file(target, data, mode="create")
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
        if self.local:
            with open(self.path(name), "rb") as f:
                return f.read()
        return bytes(self.fs().cat_file(self.path(name)))

    def exists(self, name: str) -> bool:
        return os.path.exists(self.path(name)) if self.local else bool(self.fs().exists(self.path(name)))

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted; none where it does not exist."""
        if self.local:
            return sorted(e.name for e in os.scandir(self.path(folder)) if e.is_file()) if os.path.isdir(self.path(folder)) else []
        fs = self.fs()
        try:
            found = fs.ls(self.path(folder), detail=True, refresh=True)
            return sorted(f["name"].rsplit("/", 1)[-1] for f in found if f["type"] == "file")
        except FileNotFoundError:
            return []

    def link(self, name: str, target: str) -> None:
        """Give a committed file a second name: a hard link where there are such, else a copy by the store."""
        if not self.local:
            self.fs().copy(self.path(name), self.path(target))
            return
        goal = self.path(target)
        os.makedirs(os.path.dirname(goal), exist_ok=True)
        if os.path.exists(goal):
            if os.path.samefile(self.path(name), goal):
                return
            os.unlink(goal)
        try:
            os.link(self.path(name), goal)
        except OSError:  # a file system without links
            shutil.copyfile(self.path(name), goal)

    def remove(self, name: str) -> None:
        if self.local:
            os.unlink(self.path(name))
        else:
            self.fs().rm_file(self.path(name))


def _sync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
