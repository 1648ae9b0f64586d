"""The packs of one source as one endless stream, planned block by block from the index."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from manifests.parquet import read_parquet
from manifests.runfiles import RunFiles
from manifests.schema import key64
from shards import plan
from shards.image import patches_of
from shards.layout import LAYOUTS
from shards.manifest import Shard, SourceShards
from shards.mixture import Entry

#: at least so many samples are shuffled and packed together; a rank plans one block at a time
BLOCK_SAMPLES = 65_536
_COLUMNS = ["offset", "size", "n_text_tokens", "n_images"]
_SIDES = ("widths", "heights")
#: images shown for an image that is split: 4 crops, then the whole image
VIEWS = 5


class LoaderError(ValueError):
    """Shards that cannot be loaded as asked; the message names the file or the argument."""


class Cursor(NamedTuple):
    """A position in a source: the epoch, the block of the epoch, the pack of the block."""

    epoch: int = 0
    block: int = 0
    pack: int = 0


class Block(NamedTuple):
    packs: plan.Packs
    shard: np.ndarray  #: number of the shard of each row; this and the next four are int64 (rows,)
    offset: np.ndarray  #: bytes
    size: np.ndarray  #: bytes
    images: np.ndarray
    views: np.ndarray  #: images to show for each image of the row
    dropped: int  #: samples that no pack has
    patches: plan.Patches | None


class SourcePacks:
    """The packs of one source as one endless stream. entry: of the mixture. per_image: tokens of an image."""

    def __init__(
        self, files: RunFiles, name: str, source: SourceShards, split: str, entry: Entry, per_image: int, seed: int
    ) -> None:
        self.name, self.layout, self.entry, self.shards = name, source.layout, entry, source.shards(split)
        self._files, self._per_image, self._seed = files, per_image, seed
        self._planned: dict[tuple[int, int], Block] = {}
        self._blocks: tuple[int, list[np.ndarray]] = (-1, [])

    def blocks(self, epoch: int) -> list[np.ndarray]:
        """The numbers of the shards of each block of an epoch."""
        if self._blocks[0] != epoch:
            samples = [shard.samples for shard in self.shards]
            self._blocks = epoch, plan.blocks(samples, plan.seeded(self._seed, epoch), BLOCK_SAMPLES)
        return self._blocks[1]

    def block(self, epoch: int, number: int) -> Block:
        """A block of an epoch. The last two planned are held in memory."""
        if (epoch, number) not in self._planned:
            while len(self._planned) >= 2:
                self._planned.pop(next(iter(self._planned)))
            seed = plan.seeded(self._seed, epoch, number + 1)
            self._planned[epoch, number] = self._plan(self.blocks(epoch)[number], seed, epoch)
        return self._planned[epoch, number]

    def _plan(self, shards: np.ndarray, seed: int, epoch: int) -> Block:
        table, entry = pa.concat_tables([self._read(self.shards[number]) for number in shards.tolist()]), self.entry
        offset, size, texts, images = (table[name].to_numpy().astype(np.int64) for name in _COLUMNS)
        views = self._views(table, epoch)
        patches = self._patches(table, images, views)
        # each view has a mark on either side
        per_image = (self._per_image + 2) * views - 2 if entry.split else self._per_image
        repeat = not LAYOUTS[self.layout].slots
        items = plan.items(texts, images, per_image, entry.sequence_length, entry.long, repeat, patches)
        dropped = len(texts) - len(np.unique(items.row))
        number = np.repeat(shards, [self.shards[s].samples for s in shards.tolist()])
        packs = plan.pack(items, entry.sequence_length, seed, entry.patches)
        return Block(packs, number, offset, size, images, views, dropped, patches)

    def _read(self, shard: Shard) -> pa.Table:
        columns = [*_COLUMNS, *(_SIDES if self.entry.patches is not None else ())]
        columns += ["id"] if self.entry.split else []
        try:
            table = read_parquet(self._files.read(shard.index), columns)
        except (pa.ArrowException, OSError) as error:
            raise LoaderError(f"{self._files.root}/{shard.index}: no index that can be read ({error})") from error
        rows = table.num_rows
        if rows != shard.samples:
            raise LoaderError(f"{shard.index}: {rows} rows, but the manifest says {shard.samples} samples; run verify")
        return table

    def _views(self, table: pa.Table, epoch: int) -> np.ndarray:
        """Images to show for each image of a sample, int64 (samples,): a function of seed, epoch and id alone."""
        if not self.entry.split:
            return np.ones(table.num_rows, np.int64)
        coin = plan.seeded(self._seed, epoch)
        chances = [plan.seeded(coin, key64(name)) / (1 << 64) for name in table["id"].to_pylist()]
        return np.where(np.array(chances) < self.entry.split, VIEWS, 1)

    def _patches(self, table: pa.Table, images: np.ndarray, views: np.ndarray) -> plan.Patches | None:
        """Patches of the images; None if the mixture has no budget for them."""
        if self.entry.patches is None:
            return None
        width, height = (table[name].combine_chunks().flatten().to_numpy() for name in _SIDES)
        start, n = np.concatenate([[0], np.cumsum(images)]).astype(np.int64), len(width)
        if not n == len(height) == start[-1]:
            raise LoaderError(f"{self.name}: the index has sides of {n} images, not of {start[-1]}; run verify")
        image = self.entry.image
        size = (image.mode, image.longest, image.shortest, self.entry.patch)
        each = patches_of(width, height, *size)
        split = np.repeat(views, images) > 1
        crops = patches_of(np.maximum(width - width // 2, 1), np.maximum(height - height // 2, 1), *size)
        return plan.Patches(np.where(split, each + (VIEWS - 1) * crops, each), start, self.entry.patches)

    def take(self, cursor: Cursor) -> Iterator[tuple[Block, int, Cursor, Cursor]]:
        """Packs from `cursor` on: (block, pack, its position, the next one). Raises LoaderError if no sample fits."""
        while True:
            block = self.block(cursor.epoch, cursor.block)
            for pack in range(cursor.pack, len(block.packs)):
                here = Cursor(cursor.epoch, cursor.block, pack)
                last = pack + 1 == len(block.packs)
                yield block, pack, here, self._next_block(here) if last else here._replace(pack=pack + 1)
            following = self._next_block(cursor)
            if cursor == Cursor(cursor.epoch) and following == Cursor(cursor.epoch + 1) and not len(block.packs):
                budget = f" and {self.entry.patches} patches" if self.entry.patches is not None else ""
                limit = f"{self.entry.sequence_length} tokens{budget}"
                raise LoaderError(f"{self.name}: no sample fits a sequence of {limit}")
            cursor = following

    def _next_block(self, cursor: Cursor) -> Cursor:
        """The start of the next block of the epoch that has packs, else of the next epoch."""
        for number in range(cursor.block + 1, len(self.blocks(cursor.epoch))):
            if len(self.block(cursor.epoch, number).packs):
                return Cursor(cursor.epoch, number)
        return Cursor(cursor.epoch + 1)

    def first_epoch(self) -> Iterator[Block]:
        return (self.block(0, number) for number in range(len(self.blocks(0))))
