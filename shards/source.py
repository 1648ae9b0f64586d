"""The packs of one configuration as one endless stream, planned block by block from the index."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.schema import key64
from shards import manifest, mixture, plan
from shards.fields import SLOTTED
from shards.image import patches_of
from shards.store import Store

#: samples shuffled and packed together, at least; what a rank plans at a time
BLOCK_SAMPLES = 65_536
_COLUMNS = ["offset", "size", "n_text_tokens", "n_images"]
_SIDES = ("widths", "heights")


#: of an image that is split: 4 crops, then the whole
VIEWS = 5


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
    views: np.ndarray  #: to show for each image of a row
    dropped: int
    patches: plan.Patches | None


class Source:
    """The packs of one configuration, as one endless stream."""

    def __init__(
        self,
        store: Store,
        config: str,
        spec: mixture.Source,
        shards: tuple[manifest.Shard, ...],
        per_image: int,
        seed: int,
    ) -> None:
        self.config, self.spec, self.shards = config, spec, shards
        self._store, self._per_image, self._seed = store, per_image, seed
        self._planned: dict[tuple[int, int], Block] = {}
        self._blocks: tuple[int, list[np.ndarray]] = (-1, [])

    def blocks(self, epoch: int) -> list[np.ndarray]:
        """The shards of each block of an epoch."""
        if self._blocks[0] != epoch:
            self._blocks = (
                epoch,
                plan.blocks([shard.samples for shard in self.shards], plan.seeded(self._seed, epoch), BLOCK_SAMPLES),
            )
        return self._blocks[1]

    def block(self, epoch: int, number: int) -> Block:
        if (epoch, number) not in self._planned:
            while len(self._planned) >= 2:
                self._planned.pop(next(iter(self._planned)))
            self._planned[epoch, number] = self._plan(
                self.blocks(epoch)[number], plan.seeded(self._seed, epoch, number + 1), epoch
            )
        return self._planned[epoch, number]

    def _plan(self, shards: np.ndarray, seed: int, epoch: int) -> Block:
        tables = [self._read(self.shards[number]) for number in shards.tolist()]
        joined = {name: np.concatenate([t[name].to_numpy().astype(np.int64) for t in tables]) for name in _COLUMNS}
        texts, images, spec = joined["n_text_tokens"], joined["n_images"], self.spec
        views = self._views(tables, epoch)
        patches = self._patches(tables, images, views)
        # each view is between two marks
        per_image = (self._per_image + 2) * views - 2 if spec.split else self._per_image
        items = plan.items(
            texts, images, per_image, spec.sequence_length, spec.long, self.config not in SLOTTED, patches
        )
        dropped = len(texts) - len(np.unique(items.row))
        number = np.repeat(shards, [self.shards[s].samples for s in shards.tolist()])
        packs = plan.pack(items, spec.sequence_length, seed, spec.patches)
        return Block(packs, number, joined["offset"], joined["size"], images, views, dropped, patches)

    def _read(self, shard: manifest.Shard) -> pa.Table:
        try:
            names = [
                *_COLUMNS,
                *(_SIDES if self.spec.patches is not None else ()),
                *(("id",) if self.spec.split else ()),
            ]
            table = pq.read_table(io.BytesIO(self._store.read(shard.index)), columns=names)
        except (pa.ArrowException, OSError) as error:
            raise LoaderError(f"{self._store.root}/{shard.index}: no index that can be read ({error})") from error
        if table.num_rows != shard.samples:
            raise LoaderError(
                f"{shard.index}: {table.num_rows} rows, but the manifest says {shard.samples} samples; run verify"
            )
        return table

    def _views(self, tables: list[pa.Table], epoch: int) -> np.ndarray:
        """A coin for each sample: a function of seed, epoch and id alone."""
        if not self.spec.split:
            return np.ones(sum(t.num_rows for t in tables), np.int64)
        coin = plan.seeded(self._seed, epoch)
        chances = [plan.seeded(coin, key64(name)) / (1 << 64) for t in tables for name in t["id"].to_pylist()]
        return np.where(np.array(chances) < self.spec.split, VIEWS, 1)

    def _patches(self, tables: list[pa.Table], images: np.ndarray, views: np.ndarray) -> plan.Patches | None:
        """What the images cost, where the mixture has a budget for it."""
        if self.spec.patches is None:
            return None
        width, height = (
            np.concatenate([t[name].combine_chunks().flatten().to_numpy() for t in tables]) for name in _SIDES
        )
        start = np.concatenate([[0], np.cumsum(images)]).astype(np.int64)
        if not len(width) == len(height) == start[-1]:
            raise LoaderError(
                f"{self.config}: the index has sides of {len(width)} images, not of {start[-1]}; run verify"
            )
        image = self.spec.image
        size = (image.mode, image.longest, image.shortest, self.spec.patch)
        each = patches_of(width, height, *size)
        split = np.repeat(views, images) > 1
        crops = patches_of(np.maximum(width - width // 2, 1), np.maximum(height - height // 2, 1), *size)
        return plan.Patches(np.where(split, each + (VIEWS - 1) * crops, each), start, self.spec.patches)

    def take(self, cursor: Cursor) -> Iterator[tuple[Block, int, Cursor, Cursor]]:
        """From `cursor` on: (block, pack, its place, the place behind it). Raises LoaderError where no sample fits."""
        while True:
            block = self.block(cursor.epoch, cursor.block)
            for pack in range(cursor.pack, len(block.packs)):
                here = Cursor(cursor.epoch, cursor.block, pack)
                yield (
                    block,
                    pack,
                    here,
                    here._replace(pack=pack + 1) if pack + 1 < len(block.packs) else self._behind(here),
                )
            behind = self._behind(cursor)
            if cursor == Cursor(cursor.epoch) and behind == Cursor(cursor.epoch + 1) and not len(block.packs):
                budget = f" and {self.spec.patches} patches" if self.spec.patches is not None else ""
                raise LoaderError(
                    f"{self.config}: no sample fits a sequence of {self.spec.sequence_length} tokens{budget}"
                )
            cursor = behind

    def _behind(self, cursor: Cursor) -> Cursor:
        """The next block of the epoch that has packs, else the next epoch; so an epoch is known to be over with its
        last pack.
        """
        for number in range(cursor.block + 1, len(self.blocks(cursor.epoch))):
            if len(self.block(cursor.epoch, number).packs):
                return Cursor(cursor.epoch, number)
        return Cursor(cursor.epoch + 1)

    def packs_in_epoch(self, epoch: int = 0) -> int:
        return sum(len(self.block(epoch, number).packs) for number in range(len(self.blocks(epoch))))
