"""A step of a plan: a stage, the tables that it reads, and how it runs; and the task of one of its parts.

`manifests.stage` describes the contract of a stage. A step whose inputs are all `aligned` is a **map**: the engine
calls its stage for each batch of a part. Any other step is an **exchange**: the engine calls its stage once for a part,
with a table for each input.

A **part** is one unit of work of a step. A **partition** is a range of the 64-bit keys of a table.

A stage with a method ``open`` (a model) is not called itself. The engine calls ``stage.open()`` once in a process, and
calls the result for every part that the process runs.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from manifests.code import source_digest
from pipelines.engine.storage import sha256_of

How = Literal[
    "aligned",  # part i reads part i
    "shuffle",  # a part reads its range of the keys, from every part
    "by_part",  # the part with number n reads the rows whose key is n, from every part
    "broadcast",  # every part reads the complete table
    "paths",  # {part: path} of raw files, which the engine does not read
]


@dataclass(frozen=True)
class Input:
    """A table of one step, or of several steps whose parts follow one another."""

    steps: tuple[str, ...]
    table: str
    how: How = "aligned"


def _input(how: How) -> Callable[..., Input]:
    """The function (table, *steps) -> Input of one way of reading."""
    return lambda table, *steps: Input(steps, table, how)


aligned, shuffle, by_part = _input("aligned"), _input("shuffle"), _input("by_part")
broadcast, paths = _input("broadcast"), _input("paths")


@dataclass(frozen=True)
class Step:
    """One stage of a plan, the tables that it reads, and how it runs."""

    name: str
    stage: Any
    inputs: Mapping[str, Input] = field(default_factory=dict)
    #: literal rows of a source: a table for each part, or one table with a row for each part. The engine calls the
    #: function with the outputs of all earlier steps as soon as the steps in `after` have finished.
    rows: Callable[[Mapping[str, Any]], list[pa.Table] | pa.Table] | None = None
    after: tuple[str, ...] = ()
    #: steps whose parts are numbered before the parts of this step. `ctx.part` of part i, and the key of the rows that
    #: it reads with `by_part`, is i plus the number of parts of these steps. Not for a recorded step.
    follows: tuple[str, ...] = ()
    #: tables with one row for each input row; null rows stand for quarantined rows; checked at commit
    same_rows: tuple[str, ...] = ()
    #: input (of a map: any name) -> tables that share out its rows: each row is in one of them, or quarantined; checked
    #: at commit
    adds_up: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: the output depends on the outside world: it is kept until a refresh, even if the inputs change
    recorded: bool = False
    #: (table, column) of a recorded step: the stage is given this column of earlier generations, as input `previous`
    previous: tuple[str, str] | None = None
    #: files of a recorded source from before its last refresh. Each part has their paths in the column `earlier` of its
    #: rows: for each earlier part that has all of the files, a list of paths in this order.
    earlier: tuple[str, ...] = ()
    #: how many rows, or units of the column `weight`, one part of an exchange gets
    per_part: tuple[Literal["rows", "weight"], int] = ("rows", 200_000)
    #: table -> columns to count in the manifest: rows for each value, or the sum of a numeric column
    count: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    batch_rows: int = 512
    deadline_s: float = 600.0  # for one row, or for one batch if the stage does not name its rows
    memory: int = 6 << 30  # bytes of resident memory of the process that runs a part
    gpus: float = 0  # share of a GPU that one part uses, for a stage with `open`

    @property
    def is_map(self) -> bool:
        return all(i.how == "aligned" for i in self.inputs.values())

    @property
    def parents(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.after, *self.follows, *(n for i in self.inputs.values() for n in i.steps)]))


class Quarantined(NamedTuple):
    """A row, or a sub-row of it (WHOLE_ROW: none), that is left out."""

    row: int
    sub: int
    cause: str
    names: Mapping[str, Any] = {}  # what the row is called (`StageContext.lost`); empty where nothing says it


# the position of a part that is not at a sub-row
WHOLE_ROW = -1  # at this row
BATCH = -2  # somewhere in the batch that begins with this row, or anywhere in an exchange
OUTSIDE = -3  # reading, committing or loading a model: no row is at fault


@dataclass(frozen=True)
class InputFiles:
    """What one part reads of one input: files, and the record batches of each file for keyed tables."""

    how: How
    files: tuple[str, ...] = ()
    record_batches: tuple[tuple[int, ...], ...] = ()  # of each file; all of them if empty
    parts: tuple[int, ...] = ()  # with how="paths": the part that each file belongs to
    columns: tuple[str, ...] = ()  # all, if empty
    schema: pa.Schema | None = None  # that the producer declares, for an input without files


@dataclass(frozen=True)
class Task:
    """Everything that a process needs to run one part: names of files, no data but the literal rows of a source."""

    step: Step  # without its `rows`
    root: str
    folder: str
    part: int  # number in the folder
    number: int  # `ctx.part`: number among all parts of the step and of the steps that it follows
    inputs: Mapping[str, InputFiles] = field(default_factory=dict)
    rows: pa.Table | None = None
    #: table -> number of partitions of its keys (a power of two), or 0 if the key is the number of a part
    keyed: Mapping[str, int] = field(default_factory=dict)
    # what earlier attempts found out (engine.retry)
    skip: tuple[Quarantined, ...] = ()
    suspects: tuple[int, ...] = ()  # first rows of batches that must be run row by row
    tries: int = 0
    lost: int = 0

    @property
    def label(self) -> str:
        return f"{self.step.name}, part {self.number}"


def describe(value: Any) -> Any:
    """A stage as plain JSON values, for its fingerprint and its manifest: name, version and fields.

    The name is the class attribute `stage_name`, or else the bare name of the class. A class attribute `stage_version`
    above 1 follows it. A field with ``metadata={"added": True}`` was added after a stage of the class had been
    recorded; it is left out while it has its default value, so that old recordings keep their fingerprint. Raises
    TypeError for a field that has no JSON form.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        name, version = getattr(value, "stage_name", type(value).__qualname__), getattr(value, "stage_version", 1)
        fields = {
            f.name: describe(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if not (f.metadata.get("added") and getattr(value, f.name) == f.default)
        }
        return {"class": name if version == 1 else f"{name}/{version}", **fields}
    if isinstance(value, Mapping):
        return {str(k): describe(v) for k, v in sorted(value.items())}
    if isinstance(value, (list, tuple)):
        return [describe(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a stage's fields are plain values, not {type(value).__name__}: {value!r}")


def fingerprint(*things: Any) -> str:
    """Twelve hex digits that identify the output of a stage."""
    return hashlib.blake2b(json.dumps(things, sort_keys=True).encode(), digest_size=6).hexdigest()


def code_of(stage: Any) -> dict[str, str]:
    """Package -> digest of its source, for every package that defines a dataclass in `stage`, and for the manifests.

    Below `pipelines` the package is the second level (`pipelines.select`), elsewhere the first (`filters`).
    """
    return {package: source_digest(package) for package in sorted({"manifests", *_packages(stage)})}


def _packages(value: Any) -> Iterator[str]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = type(value).__module__.split(".")
        yield ".".join(names[:2]) if names[0] == "pipelines" and len(names) > 2 else names[0]
        value = [getattr(value, f.name) for f in dataclasses.fields(value)]
    if isinstance(value, (list, tuple)):
        for v in value:
            yield from _packages(v)


def versions_of(stage: Any) -> dict[str, str]:
    """Versions of Arrow, NumPy, the stage's `libraries` (a class attribute) and its `programs()` (a method)."""
    names = ("pyarrow", "numpy", *getattr(stage, "libraries", ()))
    programs = stage.programs() if hasattr(stage, "programs") else {}
    return {**{name: importlib.metadata.version(name) for name in names}, **programs}


def files_of(stage: Any) -> dict[str, str]:
    """sha256 of each file that a field of the stage names; the class attribute `files` lists those fields."""
    paths = {name: getattr(stage, name) for name in getattr(stage, "files", ())}
    return {name: sha256_of(path) for name, path in paths.items() if path and pathlib.Path(path).is_file()}


def batches(table: pa.Table, rows: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, table.num_rows, rows):
        yield from table.slice(start, rows).combine_chunks().to_batches()
