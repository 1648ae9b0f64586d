"""The contract between a stage and the engine that runs it.

A stage is a frozen dataclass. Its fields are its parameters. The engine calls it in one of two ways:

* ``stage(batch, ctx)`` for each batch of rows of a part (`MapStage`);
* ``stage(tables, ctx)`` once for a part, with one table for each input name (`ExchangeStage`).

In both ways the stage yields outputs: ``(table name, RecordBatch)``, or ``(file name, bytes)`` to append to a raw file.

`tables` declares each table that a stage yields, with its schema. The engine writes an empty table for a declared
table without rows, so a reader always finds every declared table and its columns.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

Output = tuple[str, pa.RecordBatch | bytes]


class InputError(ValueError):
    """An input file is not what the recipe says. The message is one line and names the file; the run stops."""


class StageContext(Protocol):
    """What the engine tells a stage about the rows that it processes.

    A stage calls ``ctx(row)`` or ``ctx(row, sub)`` before native code touches that row; `sub` is a page or a record
    within the row. If the process dies or hangs there, the engine quarantines that row and runs the part again. On that
    second run the call returns False for the row, and the stage leaves the row out.
    """

    part: int  # number of the part
    first: int  # number, within the part, of the first row of the batch
    ends: dict[str, int]  # bytes that earlier batches of this part wrote to each raw file

    def __call__(self, row: int, sub: int = 0) -> bool: ...

    def lost(self, row: int, sub: int = 0, **names: Any) -> None:
        """Says what a quarantined row is called, after the call returned False for it: `id`, `url`, `file`, `offset`,
        `page`, as in `manifests.schema.DOCUMENT` and its provenance. The ledger tells the row by these names.

        A map need not say it for a row of its input whose columns have these names, as those of files and documents do.
        """


@dataclass
class DirectContext:
    """The context of a stage that is called without an engine: no row is quarantined unless `skip` names it."""

    part: int = 0
    first: int = 0
    skip: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    ends: dict[str, int] = field(default_factory=dict)

    def __call__(self, row: int, sub: int = 0) -> bool:
        return (self.first + row, sub) not in self.skip

    def lost(self, row: int, sub: int = 0, **names: Any) -> None:
        pass


NO_ENGINE = DirectContext()


class Stage(Protocol):
    @property
    def tables(self) -> Mapping[str, pa.Schema]:
        """Name and schema of each table that the stage yields."""
        ...


class MapStage(Stage, Protocol):
    """A stage whose inputs have matching rows. It is called for each batch, with the columns of all inputs."""

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]: ...


class ExchangeStage(Stage, Protocol):
    """A stage that needs complete inputs. It is called once for a part, with a table for each input name."""

    def __call__(self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE) -> Iterator[Output]: ...
