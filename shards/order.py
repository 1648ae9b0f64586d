"""Which packs each batch has, and where the next begins: the walk through a mixture's sources that every rank and
worker takes alike.

Nothing is read here but the index. A place is a few numbers, and the batches behind it do not depend on how it was
reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from shards import plan
from shards.source import Block, Cursor, Source

_WINDOW = 1024  # batches scheduled at a time


class Place(NamedTuple):
    """Behind the batch `step` - 1: where each source stands."""

    step: int
    cursors: tuple[Cursor, ...]


class Planned(NamedTuple):
    """One rank's share of a global batch."""

    step: int
    source: int
    packs: list[tuple[Block, int, int]]  #: (block, pack of the block, epoch)
    behind: Place


class Order:
    """The batches of a mixture. epochs: of every source, None for ever."""

    def __init__(
        self, sources: Sequence[Source], weights: np.ndarray, seed: int, batch_sequences: int, epochs: int | None
    ) -> None:
        self._sources, self._weights, self._seed = sources, weights, seed
        self._batch_sequences, self._epochs = batch_sequences, epochs

    @property
    def start(self) -> Place:
        return Place(0, tuple(Cursor() for _ in self._sources))

    def over(self, place: Place) -> bool:
        return self._epochs is not None and all(cursor.epoch >= self._epochs for cursor in place.cursors)

    def walk(self, place: Place, rank: int, world: int) -> Iterator[Planned]:
        """The batches behind `place`, of each the sequences rank, rank + world, ..."""
        while not self.over(place):
            chosen, _ = plan.schedule(self._weights, self._seed, place.step, _WINDOW)
            for s in chosen.tolist():
                planned = self._batch(s, place, rank, world)
                place = planned.behind
                yield planned
                if self.over(place):
                    break

    def _batch(self, s: int, place: Place, rank: int, world: int) -> Planned:
        packs = []
        cursors = list(place.cursors)
        for slot, (block, pack, here, behind) in enumerate(self._sources[s].take(cursors[s])):
            if slot % world == rank:
                packs.append((block, pack, here.epoch))
            cursors[s] = behind
            if slot + 1 == self._batch_sequences or self.over(Place(place.step, tuple(cursors))):
                break
        return Planned(place.step, s, packs, Place(place.step + 1, tuple(cursors)))

    def steps(self) -> int:
        """Batches of one epoch, the first: until every source has been through."""
        wanted = [-(-source.packs_in_epoch() // self._batch_sequences) for source in self._sources]
        seen, total, window = np.zeros(len(wanted), np.int64), 0, 4096
        while True:
            chosen, _ = plan.schedule(self._weights, self._seed, total, window)
            running = seen + np.cumsum(np.eye(len(wanted), dtype=np.int64)[chosen], axis=0)
            done = np.flatnonzero(np.all(running >= np.array(wanted), axis=1))
            if len(done):
                return total + int(done[0]) + 1
            seen, total = running[-1], total + window
