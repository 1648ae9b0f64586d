"""datatrove's filters and functions of one's own as stages of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from filters.adapters import DatatroveFilter, Function
from manifests.stage import NO_ENGINE, StageContext
from pipelines.adapted.code import found, frozen, one_line, programs
from pipelines.engine.stage import Output


@dataclass(frozen=True)
class Scores:
    """Map: documents -> ("scores", one row a document), by a filter or function that is found by its import path.

    Raises ImportError, with that path, in a process that does not find it: a fault of the machine, not of a row.
    """

    stage: DatatroveFilter | Function

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def path(self) -> str:
        return self.stage.filter if isinstance(self.stage, DatatroveFilter) else self.stage.function

    def columns(self) -> pa.Schema:
        return self.stage.schema()

    def programs(self) -> dict[str, str]:
        return programs(self.path)

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        try:
            found(self.path)
        except ValueError as e:
            raise ImportError(str(e)) from e
        yield from self.stage(batch, ctx)


def by_filter(name: str, path: str, arguments: Mapping[str, Any]) -> Scores:
    """Columns ``<name>_passes`` and ``<name>_reason`` by a datatrove filter class.

    Raises ValueError, one line, where the path leads nowhere or the class does not take the arguments.
    """
    found(path)
    try:
        return Scores(DatatroveFilter(name, path, frozen(arguments)))
    except ValueError:
        raise
    except Exception as e:  # a constructor of other people's, which may ask for a package or a file
        raise ValueError(f"`{path}` cannot be made: {type(e).__name__}: {one_line(e)}") from e


def by_function(name: str, path: str) -> Scores:
    """Columns ``<name>`` and ``<name>_failed`` by a function of a text. Raises ValueError, one line, where there is
    none.
    """
    found(path)
    return Scores(Function(name, path))
