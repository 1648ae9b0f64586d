"""What a stage is, and how steps of a plan name the tables they read.

A stage is a frozen dataclass; its fields are its parameters. It is called in one of two ways, told apart by its node's
inputs:

* every input ``aligned`` (a **map**): ``stage(batch, ctx)`` for each batch of the part; the batch has the columns of
  all inputs;
* any other input (an **exchange** or a **reduce**): ``stage(tables, ctx)`` once a part, with a table for each input
  name.

Either way it yields ``(table name, RecordBatch)`` rows or ``(file name, bytes)`` to append to a raw file.

A stage with a method ``open`` (a model) is not called itself: ``stage.open()`` is, once in a worker's life, and what it
returns is called for every part that follows.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import importlib.metadata
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

Output = tuple[str, pa.RecordBatch | bytes]

How = Literal[
    "aligned",  # part i reads part i
    "shuffle",  # part i reads its range of the 64-bit keys, from every part
    "by_part",  # part i reads the rows whose key is i, from every part
    "broadcast",  # every part reads everything
    "paths",  # {part: path} of raw files, unread
]


@dataclass(frozen=True)
class Input:
    """A table of one step, or of several whose parts follow one another."""

    steps: tuple[str, ...]
    table: str
    how: How = "aligned"


def aligned(table: str, *steps: str) -> Input:
    return Input(steps, table, "aligned")


def shuffle(table: str, *steps: str) -> Input:
    return Input(steps, table, "shuffle")


def by_part(table: str, *steps: str) -> Input:
    return Input(steps, table, "by_part")


def broadcast(table: str, *steps: str) -> Input:
    return Input(steps, table, "broadcast")


def paths(file: str, *steps: str) -> Input:
    return Input(steps, file, "paths")


@dataclass(frozen=True)
class Step:
    """One stage of a plan, with what it reads and how it is run."""

    name: str
    stage: Any
    inputs: Mapping[str, Input] = field(default_factory=dict)
    #: a source's parts as literal rows; called when the steps in `after` are done, with what they made
    #: (one table: a row a part)
    rows: Callable[[Mapping[str, Any]], list[pa.Table] | pa.Table] | None = None
    after: tuple[str, ...] = ()
    #: tables with one row for each input row; checked at commit, null rows stand for quarantined ones
    same_rows: tuple[str, ...] = ()
    #: tables that share out the rows of an input (of a map: of its rows): each row is in one of them, or quarantined;
    #: checked at commit
    adds_up: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: the output depends on the outside world: kept until refreshed, whatever changes before it
    recorded: bool = False
    #: table and column that a recorded stage is given (as `known`) of what earlier generations hold
    known: tuple[str, str] | None = None
    #: files that each part of a recorded source is given of what was recorded before its refresh, as the column
    #: `earlier` of its rows: for each earlier part that has them all, their addresses in this order
    earlier: tuple[str, ...] = ()
    #: how many parts an exchange has: rows, or units of the `weight` column, for each
    per_part: tuple[Literal["rows", "weight"], int] = ("rows", 200_000)
    #: columns whose values are counted, and numeric ones summed, into the manifest, by table
    count: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    batch_rows: int = 512
    deadline_s: float = 600.0  # for one row (or one batch where the stage does not say which row it is on)
    memory: int = 6 << 30  # bytes of resident memory, of the process that runs a part
    gpus: float = 0  # share of a GPU a part takes; with `open`, for models

    @property
    def is_map(self) -> bool:
        return all(i.how == "aligned" for i in self.inputs.values())

    @property
    def parents(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.after, *(n for i in self.inputs.values() for n in i.steps)]))


def describe(value: Any) -> Any:
    """A stage's class and fields as plain JSON values: what its fingerprint and its manifest say of it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        fields = {f.name: describe(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"class": f"{kind.__module__}:{kind.__qualname__}", **fields}
    if isinstance(value, Mapping):
        return {str(k): describe(v) for k, v in sorted(value.items())}
    if isinstance(value, (list, tuple)):
        return [describe(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a stage's fields are plain values, not {type(value).__name__}: {value!r}")


def fingerprint(*things: Any) -> str:
    """Twelve hex digits that name a stage's directory."""
    return hashlib.blake2b(json.dumps(things, sort_keys=True).encode(), digest_size=6).hexdigest()


def code_of(value: Any) -> dict[str, str]:
    """Digest of the source each dataclass in `value` comes from, by room: the folder (two deep inside `pipelines`)."""
    rooms = {"manifests"}

    def walk(v: Any) -> None:
        if dataclasses.is_dataclass(v) and not isinstance(v, type):
            names = type(v).__module__.split(".")
            rooms.add(".".join(names[:2]) if names[0] == "pipelines" and len(names) > 2 else names[0])
            for f in dataclasses.fields(v):
                walk(getattr(v, f.name))
        elif isinstance(v, (list, tuple)):
            for x in v:
                walk(x)

    walk(value)
    return {room: source_digest(room) for room in sorted(rooms)}


@functools.cache
def source_digest(package: str) -> str:
    """Digest of every source and data file of a package, by name and content."""
    module = importlib.import_module(package)
    if not hasattr(module, "__path__"):
        files = [pathlib.Path(str(module.__file__))]
        root = files[0].parent
    else:
        root = pathlib.Path(next(iter(module.__path__)))
        files = sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    h = hashlib.blake2b(digest_size=8)
    for p in files:
        h.update(str(p.relative_to(root)).encode())
        h.update(p.read_bytes())
    return h.hexdigest()


def versions_of(stage: Any) -> dict[str, str]:
    """Versions of what a stage says its output depends on: libraries (a class attribute), programs (a method); and of
    Arrow.
    """
    libraries = {
        name: importlib.metadata.version(name) for name in ("pyarrow", "numpy", *getattr(stage, "libraries", ()))
    }
    return {**libraries, **(stage.programs() if hasattr(stage, "programs") else {})}


def files_of(stage: Any) -> dict[str, str]:
    """sha256 of the files a stage's fields name, where it says which fields do (a class attribute `files`): models,
    word lists.
    """
    out = {}
    for name in getattr(stage, "files", ()):
        path = getattr(stage, name)
        if path and pathlib.Path(path).is_file():
            with open(path, "rb") as f:
                out[name] = hashlib.file_digest(f, "sha256").hexdigest()
    return out


def batches(table: pa.Table, rows: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, table.num_rows, rows):
        yield from table.slice(start, rows).combine_chunks().to_batches()
