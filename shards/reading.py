"""From planned batches to samples: read, cut where they are too long, decoded where that is asked for; by threads, or
without.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from manifests.schema import key64
from shards import long, manifest, plan, tar, tokens
from shards.fields import SLOTTED
from shards.image import ImageError, decode
from shards.order import Planned
from shards.sample import Sample, SampleError, parse
from shards.source import Block, LoaderError, Source
from shards.store import Store

#: batches that threads make ahead of the one that is wanted
AHEAD = 2
#: what one sample came to: itself, or None where it was left out, and what to count
Read = tuple[Sample | None, dict[str, int]]
#: gives a sample once it is there
Job = Callable[[], Read]
_Begun = tuple[Planned, list[list[Job]]]


class Reader:
    """Reads what is planned. skip: leave damaged samples out and count them. seed: decides the windows shown of long
    samples.
    """

    def __init__(
        self,
        store: Store,
        sources: Sequence[Source],
        per_image: int,
        seed: int,
        tokenizer: Checked,
        skip: bool,
        decoded: bool,
    ) -> None:
        self._store, self._sources, self._per_image, self._seed = store, sources, per_image, seed
        self._tokenizer, self._skip, self._decoded = tokenizer, skip, decoded

    def batches(
        self, planned: Iterator[Planned], threads: int
    ) -> Iterator[tuple[Planned, list[list[Sample]], Counter[str]]]:
        """Each batch with its sequences, none of them empty, and what became of its samples, by "config/what"."""
        for one, jobs in self._ahead(planned, threads) if threads else self._now(planned):
            counts: Counter[str] = Counter()
            sequences = []
            for pack in jobs:
                read = [job() for job in pack]
                for _, counted in read:
                    counts.update(counted)
                sequence = [sample for sample, _ in read if sample is not None]
                sequences += [sequence] if sequence else []
            yield one, sequences, counts

    def _now(self, planned: Iterator[Planned]) -> Iterator[_Begun]:
        for one in planned:
            yield one, self._jobs(one, lambda *what: lambda: self._sample(*what))

    def _ahead(self, planned: Iterator[Planned], threads: int) -> Iterator[_Begun]:
        with ThreadPoolExecutor(threads, "shards") as pool:
            begun: deque[_Begun] = deque()
            futures: list[Future[Read]] = []

            def submit(*what: Any) -> Job:
                futures.append(pool.submit(self._sample, *what))
                return futures[-1].result

            try:
                for one in planned:
                    begun.append((one, self._jobs(one, submit)))
                    if len(begun) > AHEAD:
                        yield begun.popleft()
                        futures = [future for future in futures if not future.done()]
                while begun:
                    yield begun.popleft()
            finally:
                for future in futures:
                    future.cancel()

    def _jobs(self, planned: Planned, submit: Callable[..., Job]) -> list[list[Job]]:
        """For each sequence, what gives its samples."""
        source, out = self._sources[planned.source], []
        for block, pack, epoch in planned.packs:
            items = range(block.packs.start[pack], block.packs.start[pack + 1])
            out.append([submit(source, block, item, epoch) for item in items])
        return out

    def _sample(self, source: Source, block: Block, item: int, epoch: int) -> Read:
        packs, counts = block.packs, dict[str, int]()
        row, pieces = int(packs.row[item]), int(packs.pieces[item])
        shard, start = source.shards[int(block.shard[row])], int(block.offset[row])
        size, where = int(block.size[row]), f"{self._store.root}/{shard.path} at byte {start}"
        try:
            data = self._store.range(shard.path, start, start + size, shard.sha256)
        except OSError as error:  # the storage is at fault, not the sample: nothing is skipped for it
            raise LoaderError(f"{where}: {error}") from error
        try:
            sample = parse(source.config, data, int(block.images[row]), where)
            views = int(block.views[row])
            if pieces:
                allowed = long.Room(int(packs.length[item]) - plan.MARKS, (self._per_image + 2) * views)
                if block.patches is not None:
                    allowed = allowed._replace(patches=block.patches.budget, each=block.patches.of(row))
                sample, counts = self._cut(sample, source, int(packs.piece[item]), pieces, allowed, epoch)
            sample.epoch, sample.views = epoch, views
            if self._decoded:
                sample.pixels = [decode(image, **asdict(source.spec.image)) for image in sample.images]
        except (tar.TarError, SampleError, ImageError) as error:
            if not self._skip:
                raise LoaderError(str(error) if where in str(error) else f"{where}: {error}") from error
            return None, {f"{source.config}/skipped": 1}
        return sample if sample.parts() else None, counts  # nothing is left of a piece that had to lose all it held

    def _cut(
        self, sample: Sample, source: Source, piece: int, pieces: int, room: long.Room, epoch: int
    ) -> tuple[Sample, dict[str, int]]:
        config, repeat = sample.config, sample.config not in SLOTTED
        if source.spec.long == "window":
            chance = plan.seeded(self._seed, epoch, key64(sample.key)) / (1 << 64)
            cut = long.window(sample.parts(), chance, room, repeat, self._tokenizer())
        else:
            cut = long.chunk(sample.parts(), piece, pieces, room, repeat, self._tokenizer())
        what = "windowed" if source.spec.long == "window" else "chunked"
        return sample.with_parts(cut.parts, (piece, pieces)), {f"{config}/{what}": 1, f"{config}/cut_tokens": cut.lost}


class Checked:
    """The tokenizer when it is needed; one that is given is checked at once."""

    def __init__(self, given: str | Path | tokens.Tokenizer | None, listed: manifest.Manifest) -> None:
        self._want, self._ready = (
            listed.tokenizer,
            None if given is None else given if hasattr(given, "encode") else tokens.load(given),
        )  # type: ignore[arg-type]
        if self._ready is not None:
            self()

    def __call__(self) -> tokens.Tokenizer:
        found: Any = self._ready or tokens.load(self._want["name"])
        if found.sha256 != self._want["sha256"]:
            raise LoaderError(
                f"tokenizer {found.name} is {found.sha256[:16]}, but the lengths in the index were counted with "
                f"{self._want['name']}, {self._want['sha256'][:16]}; give that one, or pack again"
            )
        self._ready = found
        return found  # type: ignore[no-any-return]
