"""Reading files under a root: local ones by pread, others by ranges through fsspec."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any

import fsspec

_OPEN = 128  # file descriptors kept


class Store:
    """Files below `root`, a folder or any URL fsspec knows. Picklable; not meant for several threads at a time."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = str(root).rstrip("/") or "/"
        self._connect()

    def _connect(self) -> None:
        self.fs, self._base = fsspec.core.url_to_fs(self.root)
        protocol = self.fs.protocol
        self.local = "file" in ((protocol,) if isinstance(protocol, str) else protocol)
        self._open: OrderedDict[str, int] = OrderedDict()

    def _path(self, path: str) -> str:
        return f"{self._base.rstrip('/')}/{path}"

    def read(self, path: str) -> bytes:
        """The whole file. Raises FileNotFoundError."""
        data: bytes = self.fs.cat_file(self._path(path))
        return data

    def range(self, path: str, start: int, end: int) -> bytes:
        """Bytes [start, end), fewer where the file is shorter. Raises FileNotFoundError."""
        if not self.local:
            data: bytes = self.fs.cat_file(self._path(path), start=start, end=end)
            return data
        fd = self._open.get(path)
        if fd is None:
            if len(self._open) >= _OPEN:
                os.close(self._open.popitem(last=False)[1])
            fd = self._open[path] = os.open(self._path(path), os.O_RDONLY)
        else:
            self._open.move_to_end(path)
        return os.pread(fd, end - start, start)

    def size(self, path: str) -> int:
        """Bytes. Raises FileNotFoundError."""
        return int(self.fs.size(self._path(path)))

    def open(self, path: str) -> Any:
        """The file, seekable, for reading."""
        return self.fs.open(self._path(path), "rb")

    def list(self, folder: str) -> list[str]:
        """Every file below `folder`, relative to the root, sorted; none where the folder is absent."""
        base = f"{self._base.rstrip('/')}/"
        return sorted(str(path)[len(base) :] for path in self.fs.find(self._path(folder)))

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def __getstate__(self) -> dict[str, str]:
        return {"root": self.root}

    def __setstate__(self, state: dict[str, str]) -> None:
        self.root = state["root"]
        self._connect()

    def __del__(self) -> None:
        if hasattr(self, "_open"):
            self.close()
