"""Input files: patterns and folders resolved, each file as a row that fingerprints can use."""

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import fsspec

Row = dict[str, Any]


def lister(names: Sequence[str], suffixes: str | tuple[str, ...]) -> Callable[[], list[Row]]:
    """A function that lists the files of `names`: for `pipelines.sources.base.Listing`."""
    return partial(list_files, names, suffixes)


def list_files(names: Sequence[str], suffixes: str | tuple[str, ...] = "") -> list[Row]:
    """The files that paths, globs, folders and fsspec URLs name, sorted by path, each once.

    suffixes: of the files that are taken from a folder. Folders and globs pass over what Spark and Hadoop write beside
    data (`_SUCCESS`, `_metadata`: files and folders whose name begins with `_` or a dot), unless the glob names it.
    Raises ValueError where a name matches no file.
    """
    paths: list[str] = []
    for name in names:
        with _reached(name):
            matches = _matches(name, suffixes)
        if not matches:
            raise ValueError(f"{name} matches no file{_locked(name)}")
        paths += matches
    return [file_row(path) for path in sorted(set(paths))]


@contextmanager
def _reached(name: str) -> Iterator[None]:
    """Raises ValueError where a store does not answer: its libraries raise exceptions of many kinds."""
    try:
        yield
    except Exception as e:
        if "://" not in name or isinstance(e, ValueError):
            raise
        raise ValueError(f"{name} cannot be read ({type(e).__name__}: {' '.join(str(e).split())})") from e


def _locked(name: str) -> str:
    """Names the folder of a pattern that this user may not list, if there is one."""
    folder = os.path.dirname(name.partition("*")[0])
    while folder and not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    may = "://" in name or os.access(folder or ".", os.R_OK | os.X_OK)
    return "" if may else f": {folder or '.'} may not be listed by this user"


def file_row(path: str) -> Row:
    """A file as a row: `path` (absolute), `file` (as it was named), `size` in bytes, `changed` (mtime or ETag)."""
    if "://" not in path:
        stat = os.stat(path)
        return {"path": os.path.abspath(path), "file": path, "size": stat.st_size, "changed": str(stat.st_mtime_ns)}
    with _reached(path):
        fs, name = fsspec.core.url_to_fs(path)
        info = fs.info(name)
    changed = str(info.get("ETag") or info.get("mtime") or "")
    return {"path": path, "file": path, "size": info["size"], "changed": changed}


def _matches(name: str, suffixes: str | tuple[str, ...]) -> list[str]:
    if "://" in name:
        fs, path = fsspec.core.url_to_fs(name)
        if "*" in name:
            found = fs.glob(path)
        elif path.endswith(suffixes) or not fs.isdir(path):
            return [name]
        else:
            found = [p for p in fs.find(path) if p.endswith(suffixes)]
        return [fs.unstrip_protocol(p) for p in found if not _beside(p, path)]
    if os.path.isdir(name):
        everything = glob.glob(os.path.join(glob.escape(name), "**"), recursive=True)
        found = [p for p in everything if p.endswith(suffixes)]
    else:
        found = glob.glob(name, recursive=True)
    return [p for p in found if os.path.isfile(p) and not _beside(p, name)]


def _beside(path: str, name: str) -> bool:
    """Whether a folder or a wildcard of `name` matched what stands beside data (see `list_files`)."""
    named = name.split("/")

    def meant(part: str) -> bool:
        return any(n == part or (n[:1] == part[0] and glob.has_magic(n)) for n in named)

    hidden = [part for part in path.split("/") if part.startswith(("_", ".")) and part not in (".", "..")]
    return not all(map(meant, hidden))
