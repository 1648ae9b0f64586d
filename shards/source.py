"""The packs of one configuration as one endless stream, planned block by block from the index."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shards import manifest, mixture, plan
from shards.store import Store

#: samples shuffled and packed together, at least; what a rank plans at a time
BLOCK_SAMPLES = 65_536
_COLUMNS = ["offset", "size", "n_text_tokens", "n_images"]


class LoaderError(ValueError):
    """Something that cannot be loaded as asked; the message names the file or the argument."""


class Cursor(NamedTuple):
    """Where a source stands: its epoch, the block of the epoch, the pack of the block."""

    epoch: int = 0
    block: int = 0
    pack: int = 0


class Block(NamedTuple):
    packs: plan.Packs
    shard: np.ndarray  #: of each row, a number into the source's shards
    offset: np.ndarray
    size: np.ndarray
    images: np.ndarray
    dropped: int


class Source:
    """The packs of one configuration, as one endless stream."""

    def __init__(self, store: Store, config: str, spec: mixture.Source, shards: tuple[manifest.Shard, ...], per_image: int, seed: int) -> None:
        self.config, self.spec, self.shards = config, spec, shards
        self._store, self._per_image, self._seed = store, per_image, seed
        self._planned: dict[tuple[int, int], Block] = {}
        self._blocks: tuple[int, list[np.ndarray]] = (-1, [])

    def blocks(self, epoch: int) -> list[np.ndarray]:
        """The shards of each block of an epoch."""
        if self._blocks[0] != epoch:
            self._blocks = epoch, plan.blocks([shard.samples for shard in self.shards], plan.seeded(self._seed, epoch), BLOCK_SAMPLES)
        return self._blocks[1]

    def block(self, epoch: int, number: int) -> Block:
        if (epoch, number) not in self._planned:
            while len(self._planned) >= 2:
                self._planned.pop(next(iter(self._planned)))
            self._planned[epoch, number] = self._plan(self.blocks(epoch)[number], plan.seeded(self._seed, epoch, number + 1))
        return self._planned[epoch, number]

    def _plan(self, shards: np.ndarray, seed: int) -> Block:
        columns: dict[str, list[np.ndarray]] = {name: [] for name in _COLUMNS}
        for number in shards.tolist():
            shard = self.shards[number]
            try:
                table = pq.read_table(io.BytesIO(self._store.read(shard.index)), columns=_COLUMNS)
            except (pa.ArrowException, OSError) as error:
                raise LoaderError(f"{self._store.root}/{shard.index}: no index that can be read ({error})") from error
            if table.num_rows != shard.samples:
                raise LoaderError(f"{shard.index}: {table.num_rows} rows, but the manifest says {shard.samples} samples; run verify")
            for name in _COLUMNS:
                columns[name].append(table[name].to_numpy().astype(np.int64))
        joined = {name: np.concatenate(arrays) for name, arrays in columns.items()}
        texts, images, length = joined["n_text_tokens"], joined["n_images"], self.spec.sequence_length
        items = plan.items(texts, images, self._per_image, length, self.spec.long, self.config != "interleaved")
        dropped = len(texts) - len(np.unique(items.row))
        number = np.repeat(shards, [self.shards[s].samples for s in shards.tolist()])
        return Block(plan.pack(items, length, seed), number, joined["offset"], joined["size"], images, dropped)

    def take(self, cursor: Cursor) -> Iterator[tuple[Block, int, Cursor, Cursor]]:
        """From `cursor` on: (block, pack, its place, the place behind it). Raises LoaderError where no sample fits."""
        while True:
            block = self.block(cursor.epoch, cursor.block)
            for pack in range(cursor.pack, len(block.packs)):
                here = Cursor(cursor.epoch, cursor.block, pack)
                yield block, pack, here, here._replace(pack=pack + 1) if pack + 1 < len(block.packs) else self._behind(here)
            behind = self._behind(cursor)
            if cursor == Cursor(cursor.epoch) and behind == Cursor(cursor.epoch + 1) and not len(block.packs):
                raise LoaderError(f"{self.config}: no sample fits a sequence of {self.spec.sequence_length} tokens")
            cursor = behind

    def _behind(self, cursor: Cursor) -> Cursor:
        """The next block of the epoch that has packs, else the next epoch; so an epoch is known to be over with its last pack."""
        for number in range(cursor.block + 1, len(self.blocks(cursor.epoch))):
            if len(self.block(cursor.epoch, number).packs):
                return Cursor(cursor.epoch, number)
        return Cursor(cursor.epoch + 1)

    def packs_in_epoch(self, epoch: int = 0) -> int:
        return sum(len(self.block(epoch, number).packs) for number in range(len(self.blocks(epoch))))
