"""Read access to the files of a run: local files by pread, others by ranges through fsspec."""

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, BinaryIO

import fsspec

from manifests.cache import Cache

_REMEDY = "run the recipe again, or copy the run again"
_OPEN = 128  # file descriptors held open


class RunFilesError(ValueError):
    """A folder that is no run, or a file of a run that is damaged. The message is one line and names the file."""


def root_of(text: str) -> str:
    """A run's folder or fsspec URL as a command was given it: a path for ``file://`` URLs, no slash at the end.

    An empty text stays empty: it is no folder, and above all not the root of the disk.
    """
    scheme, separator, path = text.partition("://")
    if separator and scheme in ("file", "local"):
        text = path
    return text.rstrip("/") or text[:1]


class RunFiles:
    """The files below `root`: a folder or a URL of fsspec. Picklable, thread-safe. cache: of remote ranges."""

    def __init__(self, root: str | os.PathLike[str], cache: Cache | None = None) -> None:
        self.root = root_of(str(root))
        self.cache = cache
        self._connect()

    def _connect(self) -> None:
        self.fs, self._base = fsspec.core.url_to_fs(self.root)
        protocol = self.fs.protocol
        self.local = "file" in ((protocol,) if isinstance(protocol, str) else protocol)
        self._open: OrderedDict[str, BinaryIO] = OrderedDict()
        self._lock = threading.Lock()

    def _path(self, path: str) -> str:
        return f"{self._base.rstrip('/')}/{path}"

    def paths(self, files: Iterable[str]) -> list[str]:
        """Files of the run as paths of `fs`."""
        return [self._path(file) for file in files]

    def read(self, path: str) -> bytes:
        """The content of a file. Raises FileNotFoundError."""
        return bytes(self.fs.cat_file(self._path(path)))

    def text(self, path: str) -> str:
        """A text file of a finished run. Raises RunFilesError where the run does not have it."""
        try:
            return self.read(path).decode()
        except UnicodeDecodeError as e:
            raise RunFilesError(f"{self.root}/{path} is damaged: not UTF-8 ({e}); {_REMEDY}") from None
        except (FileNotFoundError, NotADirectoryError):
            raise RunFilesError(f"{self.root} is no finished run: it has no {path}") from None

    def json(self, path: str, *keys: str) -> dict[str, Any]:
        """The table in a JSON file. Raises RunFilesError where the run does not have it, or where it is damaged.

        keys: those that the table must have.
        """
        text = self.text(path)
        try:
            table = json.loads(text)
        except ValueError as e:
            raise RunFilesError(f"{self.root}/{path} is damaged: not JSON ({e}); {_REMEDY}") from None
        if not isinstance(table, dict):
            raise RunFilesError(f"{self.root}/{path} is damaged: a JSON {type(table).__name__}, no table; {_REMEDY}")
        if lacks := [key for key in keys if key not in table]:
            raise RunFilesError(f"{self.root}/{path} is damaged: it has no `{lacks[0]}`; {_REMEDY}")
        return table

    def is_copy(self) -> bool:
        """Whether this is a published copy of a run, which has no ``stages/``."""
        return not self.exists("stages")

    def range(self, path: str, start: int, end: int, version: str = "") -> bytes:
        """Bytes [start, end), fewer if the file is shorter. Raises FileNotFoundError.

        version: distinguishes, in the cache, this file from another one of the same name, for example by its sha256.
        """
        if self.local:
            return os.pread(self._file(path).fileno(), end - start, start)

        def fetch(start: int, end: int) -> bytes:
            return bytes(self.fs.cat_file(self._path(path), start=start, end=end))

        if self.cache is None:
            return fetch(start, end)
        return self.cache.range(f"{self.root}/{path} {version}", start, end, fetch)

    def _file(self, path: str) -> BinaryIO:
        """An open file. One that is dropped while another thread reads it is closed when that thread ends its read."""
        with self._lock:
            file = self._open.get(path)
            if file is None:
                file = self._open[path] = open(self._path(path), "rb", buffering=0)  # noqa: SIM115
                if len(self._open) > _OPEN:
                    self._open.popitem(last=False)
            else:
                self._open.move_to_end(path)
            return file

    def exists(self, path: str) -> bool:
        return bool(self.fs.exists(self._path(path)))

    def open(self, path: str) -> Any:
        """The file, seekable, for reading."""
        return self.fs.open(self._path(path), "rb")

    def list(self, folder: str) -> list[str]:
        """Every file below `folder`, relative to the root, sorted; none if the folder is absent."""
        base = f"{self._base.rstrip('/')}/"
        return sorted(str(path)[len(base) :] for path in self.fs.find(self._path(folder)))

    def changed(self, folder: str) -> dict[str, Any]:
        """When each file below `folder` was last written, by its path: seconds or a date, as the store tells it."""
        base, found = f"{self._base.rstrip('/')}/", self.fs.find(self._path(folder), detail=True)
        return {str(path)[len(base) :]: info.get("mtime") or info.get("LastModified") for path, info in found.items()}

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "cache": self.cache and (str(self.cache.folder), self.cache.limit, self.cache.block)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.root, self.cache = state["root"], state["cache"] and Cache(*state["cache"])
        self._connect()
