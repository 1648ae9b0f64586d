"""Where a stage stands: the callback the engine hands to every stage.

A stage calls ``at(row)`` (or ``at(row, sub)``, a page or a record within the row) before native code touches that row.
If the process dies or hangs there, the engine knows which row it was, quarantines it, runs the part again, and on that run
``at`` answers False for it: the stage leaves the row out and goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class InputError(ValueError):
    """An input that is not what the recipe takes it for: one line that names it. The run stops, since nobody must go without it unseen."""


class At(Protocol):
    part: int  # number of the part being made
    first: int  # row number, within the part, of the first row of the batch
    ends: dict[str, int]  # bytes that earlier batches of this part have put into each raw file: where the next ones begin

    def __call__(self, row: int, sub: int = 0) -> bool: ...


@dataclass
class Anywhere:
    """The callback outside an engine: every row goes."""

    part: int = 0
    first: int = 0
    skip: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    ends: dict[str, int] = field(default_factory=dict)

    def __call__(self, row: int, sub: int = 0) -> bool:
        return (self.first + row, sub) not in self.skip


anywhere = Anywhere()
