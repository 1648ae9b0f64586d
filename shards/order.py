"""The walk through a mixture: which packs of which source each batch has, and the position after it.

Every rank and worker walks alike. Only the index is read. A position is a few numbers, and the batches after it do not
depend on how it was reached. The pure functions that it uses (schedule, shuffle, packing) are in shards/plan.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from shards import plan
from shards.source import Block, Cursor, SourcePacks

_WINDOW = 1024  # batches scheduled at a time


class Position(NamedTuple):
    """The position before the batch `step`, with a cursor for each source."""

    step: int
    cursors: tuple[Cursor, ...]


class Planned(NamedTuple):
    """One rank's share of a global batch."""

    step: int
    source: int  #: its number in the mixture
    packs: list[tuple[Block, int, int]]  #: (block, pack of the block, epoch)
    next: Position


@dataclass(frozen=True)
class Order:
    """The batches of a mixture. weights: of the sources, (n,). epochs: of every source; None: without end."""

    sources: Sequence[SourcePacks]
    weights: np.ndarray
    seed: int
    batch_sequences: int
    epochs: int | None

    @property
    def start(self) -> Position:
        return Position(0, tuple(Cursor() for _ in self.sources))

    def _ended(self, cursors: Sequence[Cursor]) -> bool:
        return self.epochs is not None and all(cursor.epoch >= self.epochs for cursor in cursors)

    def walk(self, position: Position, rank: int, world: int) -> Iterator[Planned]:
        """The batches from `position` on; of each the sequences rank, rank + world, rank + 2 world ..."""
        while not self._ended(position.cursors):
            chosen, _ = plan.schedule(self.weights, self.seed, position.step, _WINDOW)
            for number in chosen.tolist():
                planned = self._batch(number, position, rank, world)
                position = planned.next
                yield planned
                if self._ended(position.cursors):
                    break

    def _batch(self, number: int, position: Position, rank: int, world: int) -> Planned:
        packs = []
        cursors = list(position.cursors)
        for slot, (block, pack, here, following) in enumerate(self.sources[number].take(cursors[number])):
            if slot % world == rank:
                packs.append((block, pack, here.epoch))
            cursors[number] = following
            if slot + 1 == self.batch_sequences or self._ended(cursors):
                break
        return Planned(position.step, number, packs, Position(position.step + 1, tuple(cursors)))

    def steps(self) -> int:
        """Batches of the first epoch, which ends when every source has been read through."""
        packs = np.array([sum(len(block.packs) for block in source.first_epoch()) for source in self.sources])
        needed = -(-packs // self.batch_sequences)
        before, total, window = np.zeros(len(needed), np.int64), 0, 4096
        while True:
            chosen, _ = plan.schedule(self.weights, self.seed, total, window)
            running = before + np.cumsum(np.eye(len(needed), dtype=np.int64)[chosen], axis=0)
            enough = np.flatnonzero(np.all(running >= needed, axis=1))
            if len(enough):
                return total + int(enough[0]) + 1
            before, total = running[-1], total + window
