"""What is published of a run, laid in a folder: the files that its manifest names, and what is made for readers. And
what speaks against it.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shards import card, croissant, forget, manifest, preview, readers
from shards.fields import FIELDS
from shards.store import Store

#: the Hub's limits (its documentation, "Storage limits"): bytes of a file, files of a repository, entries of a folder
MAX_FILE = 200 * 10**9
MAX_FILES = 100_000
MAX_ENTRIES = 10_000
#: columns that the Hub's viewer shows (dataset-viewer's `columns_max_number`)
MAX_COLUMNS = 1000
#: folders in which everything is ours: what a run no longer has is taken away there
OURS = ("shards/", "index/", "preview/", "mixtures/")

_SECRETS = re.compile(
    rb"hf_[A-Za-z0-9]{30,}|AKIA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}|-----BEGIN [A-Z ]*PRIVATE KEY-----|gh[pousr]_[A-Za-z0-9]{36}"
    rb"|xox[abprs]-[A-Za-z0-9-]{20,}|sk-[A-Za-z0-9_-]{40,}"
)
# of an address with a password: a recipe may name its inputs so
_USER = re.compile(rb"[a-z0-9+]+://[^/\s:@\"]+:[^/\s@\"]+@")
_SCANNED = (".json", ".md", ".html", ".yaml", ".yml", ".txt", ".py")


class PublishError(ValueError):
    """A run that should not be, or was not wholly, published; the message names the files."""


@contextmanager
def staged(root: Path, name: str, license: str) -> Iterator[Path]:
    """A folder with what is published of a run: only what its manifest names, the mixtures, the report, and the
    readers' files.
    """
    store = Store(root)
    listed = manifest.read(store)
    _keeps_to_takedowns(store, listed)
    wanted = [manifest.NAME]
    for splits in listed.configs.values():
        for shards in splits.values():
            wanted += [path for shard in shards for path in (shard.path, f"{shard.path}.idx", shard.index)]
    extras = [*sorted(root.glob("mixtures/*.json")), root / "stats.json", root / "report.html"]
    wanted += [path.relative_to(root).as_posix() for path in extras if path.is_file()]
    with scratch(root) as folder:
        for path in wanted:
            _link(root / path, folder / path)
        shown = preview.files(store, listed)
        made = {
            **shown,
            **readers.files(store, listed, name, license, tuple(shown)),
            croissant.NAME: croissant.croissant(listed, name, license),
        }
        for path, content in made.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        yield folder


@contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """A folder below `root`, so that files can be linked into it, which goes when the block ends; those of killed
    processes go first.
    """
    mine = f".publish-{socket.gethostname()}-"
    _clear(root, mine)
    folder = Path(tempfile.mkdtemp(prefix=f"{mine}{os.getpid()}-", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _clear(root: Path, mine: str) -> None:
    """Folders of processes of this machine that were killed."""
    for left in root.glob(f"{mine}*"):
        try:
            os.kill(int(left.name.removeprefix(mine).partition("-")[0]), 0)
        except ProcessLookupError:
            shutil.rmtree(left)
        except (ValueError, PermissionError):  # not ours
            continue


def _link(source: Path, target: Path) -> None:
    if not source.is_file():
        raise PublishError(f"{source}: the manifest names it, but it is not there; run verify")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # a filesystem without hard links
        shutil.copyfile(source, target)


def _keeps_to_takedowns(store: Store, listed: manifest.Manifest) -> None:
    asked = forget.read(store.read(forget.NAME) if store.exists(forget.NAME) else None, f"{store.root}/{forget.NAME}")
    if listed.raw.get("forgotten", forget.digest([])) != forget.digest(asked):
        raise PublishError(
            f"{store.root}: the shards were made before the last takedown; run `panoramix forget` or `panoramix run` again"
        )


def problems(folder: Path, files: dict[str, int]) -> list[str]:
    """What the Hub would refuse or its viewer not show, and what should not be seen; none where all is well."""
    return [*_limits(files), *_columns(folder), *_secrets(folder, files)]


def _columns(folder: Path) -> Iterator[str]:
    listed = manifest.read(Store(folder))
    for config in listed.configs:
        columns = card.columns(Store(folder), listed, config) if config in FIELDS else 0
        if columns > MAX_COLUMNS:
            yield f"{config}: {columns} columns, one an image; the viewer shows at most {MAX_COLUMNS}"


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
        if path.endswith(_SCANNED):
            data = (folder / path).read_bytes()
            if found := _SECRETS.search(data) or (_USER.search(data) if path == manifest.NAME else None):
                yield f"{path}: holds what looks like a credential ({found[0][:8].decode(errors='replace')}...)"
