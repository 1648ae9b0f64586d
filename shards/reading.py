"""From planned batches to samples: read, cut if they are too long, decoded on request; with threads or without."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from manifests.runfiles import RunFiles
from manifests.schema import key64
from shards import long, manifest, plan, tar, tokens
from shards.image import ImageError, decode
from shards.layout import LAYOUTS
from shards.order import Planned
from shards.sample import Sample, SampleError, parse
from shards.source import Block, LoaderError, SourcePacks

#: batches that threads read ahead of the one that the loop asks for
AHEAD = 2
#: a sample, or None if it was left out, and counts
Result = tuple[Sample | None, dict[str, int]]
#: returns the result for one sample; waits for it if a thread reads it
Job = Callable[[], Result]
ReadBatch = tuple[Planned, list[list[Sample]], Counter[str]]
_Started = tuple[Planned, list[list[Job]]]


@dataclass(frozen=True)
class Reader:
    """Reads planned batches. skip: leave damaged samples out and count them. seed: for the windows of long samples."""

    files: RunFiles
    sources: Sequence[SourcePacks]
    per_image: int
    seed: int
    tokenizer: CheckedTokenizer
    skip: bool
    decoded: bool

    def batches(self, planned: Iterator[Planned], threads: int) -> Iterator[ReadBatch]:
        """Each batch with its sequences, none of them empty, and the counts of `Loader.counts` for its samples."""
        for batch, jobs in self._ahead(planned, threads) if threads else self._now(planned):
            counts: Counter[str] = Counter()
            sequences = []
            for pack in jobs:
                sequence = []
                for sample, counted in (job() for job in pack):
                    counts.update(counted)
                    sequence += [] if sample is None else [sample]
                sequences += [sequence] if sequence else []
            yield batch, sequences, counts

    def _now(self, planned: Iterator[Planned]) -> Iterator[_Started]:
        for batch in planned:
            yield batch, self._jobs(batch, lambda *item: lambda: self._sample(*item))

    def _ahead(self, planned: Iterator[Planned], threads: int) -> Iterator[_Started]:
        with ThreadPoolExecutor(threads, "shards") as pool:
            started: deque[_Started] = deque()
            futures: list[Future[Result]] = []

            def submit(*item: Any) -> Job:
                futures.append(pool.submit(self._sample, *item))
                return futures[-1].result

            try:
                for batch in planned:
                    started.append((batch, self._jobs(batch, submit)))
                    if len(started) > AHEAD:
                        yield started.popleft()
                        futures = [future for future in futures if not future.done()]
                while started:
                    yield started.popleft()
            finally:
                for future in futures:
                    future.cancel()

    def _jobs(self, planned: Planned, submit: Callable[..., Job]) -> list[list[Job]]:
        """For each sequence, the jobs that return its samples."""
        source = self.sources[planned.source]
        return [
            [submit(source, block, item, epoch) for item in range(*block.packs.start[pack : pack + 2])]
            for block, pack, epoch in planned.packs
        ]

    def _sample(self, source: SourcePacks, block: Block, item: int, epoch: int) -> Result:
        packs, counts = block.packs, dict[str, int]()
        row, pieces = int(packs.row[item]), int(packs.pieces[item])
        shard, start = source.shards[int(block.shard[row])], int(block.offset[row])
        where = f"{self.files.root}/{shard.path} at byte {start}"
        try:
            data = self.files.range(shard.path, start, start + int(block.size[row]), shard.sha256)
        except OSError as error:  # the storage fails, not the sample, so `skip` does not apply
            raise LoaderError(f"{where}: {error}") from error
        try:
            sample = parse(source.name, source.layout, data, int(block.images[row]), where)
            views = int(block.views[row])
            if pieces:
                limits = long.Limits(int(packs.length[item]) - plan.MARKS, (self.per_image + 2) * views)
                if block.patches is not None:
                    limits = limits._replace(patches=block.patches.budget, each=block.patches.of(row))
                sample, counts = self._cut(sample, source, int(packs.piece[item]), pieces, limits, epoch)
            sample.epoch, sample.views = epoch, views
            if self.decoded:
                sample.pixels = [decode(image, **asdict(source.entry.image)) for image in sample.images]
        except (tar.TarError, SampleError, ImageError) as error:
            if not self.skip:
                raise LoaderError(str(error) if where in str(error) else f"{where}: {error}") from error
            return None, {f"{source.name}/skipped": 1}
        return sample if sample.parts() else None, counts  # a piece may lose everything that it had

    def _cut(
        self, sample: Sample, source: SourcePacks, piece: int, pieces: int, limits: long.Limits, epoch: int
    ) -> tuple[Sample, dict[str, int]]:
        repeat, windowed = not LAYOUTS[sample.layout].slots, source.entry.long == "window"
        if windowed:
            chance = plan.seeded(self.seed, epoch, key64(sample.key)) / (1 << 64)
            cut = long.window(sample.parts(), chance, limits, repeat, self.tokenizer())
        else:
            cut = long.chunk(sample.parts(), piece, pieces, limits, repeat, self.tokenizer())
        counts = {f"{source.name}/{'windowed' if windowed else 'chunked'}": 1, f"{source.name}/cut_tokens": cut.lost}
        return sample.with_parts(cut.parts, (piece, pieces)), counts


class CheckedTokenizer:
    """The tokenizer that the index was counted with: loaded when it is first needed; one passed in is checked at once.

    Calling it returns the tokenizer, or raises LoaderError if it is another one.
    """

    def __init__(self, tokenizer: str | Path | tokens.Tokenizer | None, run: manifest.Manifest) -> None:
        self._listed = run.tokenizer
        self._loaded = tokens.load(tokenizer) if isinstance(tokenizer, str | Path) else tokenizer
        if self._loaded is not None:
            self()

    def __call__(self) -> tokens.Tokenizer:
        loaded = self._loaded or tokens.load(self._listed["name"])
        if loaded.sha256 != self._listed["sha256"]:
            index = f"the lengths in the index were counted with {self._listed['name']}, {self._listed['sha256'][:16]}"
            is_other = f"tokenizer {loaded.name} is {loaded.sha256[:16]}, but {index}"
            raise LoaderError(f"{is_other}; give that one, or pack again")
        self._loaded = loaded
        return loaded
