"""Shards for training: any number of ranks, an exact mixture, packed sequences, and resuming at any batch.

    loader = Loader("runs/demo", "runs/demo/mixtures/stage1.json", rank=0, world=8)
    for batch in loader:            # for ever; `epochs=1` reads everything once
        for sequence in batch.sequences:
            for sample in sequence:
                for part in sample.parts():
                    ...             # a text, or the number of an image in sample.images

What is promised:

* The order of batches, and of what is in them, is a function of the manifest, the mixture and the seed (shards/plan.py). Rank r of W
  takes the sequences r, r + W, r + 2W ... of each global batch, so every rank has the same number of steps, and the global order
  does not depend on W. The global batch must be a multiple of W.
* Packing is planned from the lengths in the index, before a sample is read.
* Each source goes through its own epochs: every sample that fits exactly once, then again in another order. The packs run on from
  one epoch into the next, so no batch is short. A loader's epoch is over when every source has had one; smaller sources, or those
  with more weight, have begun again by then. With ``epochs=N`` the last batch of a single source may be short (some ranks may get
  fewer sequences, even none).
* `state_dict` after a batch is all that is needed to go on behind it, on any number of ranks: a few hundred bytes, no paths, no
  credentials. It is refused where shards, mixture, tokenizer or packing are not the same, and the message says which.

Needs numpy, pyarrow, pillow and fsspec. Samples are read with one `pread` each (a ranged request on remote stores).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from manifests.schema import key64
from shards import long, manifest, plan, tar, tokens
from shards import mixture as mixtures
from shards.image import decode
from shards.sample import Sample, SampleError, parse
from shards.source import BLOCK_SAMPLES, Block, Cursor, LoaderError, Source
from shards.store import Store

__all__ = ["Batch", "Loader", "LoaderError", "Sample", "decode"]


@dataclass(slots=True)
class Batch:
    step: int  #: number of the global batch, from 0
    source: str  #: configuration all its samples are of
    sequence_length: int  #: tokens a sequence may have
    image: dict[str, Any]  #: mode, longest, shortest: for `decode`
    sequences: list[list[Sample]]  #: this rank's


class Loader:
    """Batches of one run, for one rank. See the module's docstring for what it promises.

    root: the run's folder, or any URL fsspec knows. mixture: a file, a mapping of its shape, or ``stage1`` or ``stage2``.
    batch_sequences, tokens_per_image, sequence_length (configuration -> tokens): override the mixture's. on_error: ``raise``, or
    ``skip`` to leave a damaged sample out of its sequence and count it. epochs: None for ever. tokenizer: a name, a path, or one at
    hand; it must be the one the index was counted with (needed only to cut samples that are too long).

    Raises LoaderError, ManifestError, MixtureError.
    """

    def __init__(
        self,
        root: str | Path,
        mixture: str | Path | Mapping[str, Any] | mixtures.Mixture,
        *,
        split: str = "train",
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        batch_sequences: int | None = None,
        tokens_per_image: int | None = None,
        sequence_length: Mapping[str, int] | None = None,
        on_error: str = "raise",
        epochs: int | None = None,
        tokenizer: str | Path | tokens.Tokenizer | None = None,
        say: Callable[[str], object] | None = None,
    ) -> None:
        self._store = Store(root)
        self.manifest = manifest.read(self._store)
        self.mixture = _mixture(mixture, self.manifest, split, batch_sequences, tokens_per_image, sequence_length, say)
        self.batch_sequences, self.split, self.seed = self.mixture.batch_sequences, split, seed
        self.rank, self.world, self.epochs = rank, world, epochs
        if on_error not in ("raise", "skip"):
            raise LoaderError(f"on_error is {on_error!r}: 'raise' or 'skip'")
        if not 0 <= rank < world or self.batch_sequences % world:
            raise LoaderError(
                f"rank {rank} of {world}, batch_sequences {self.batch_sequences}: the rank must be below the world size, "
                "and the batch a multiple of it"
            )
        if epochs is not None and epochs < 1:
            raise LoaderError(f"epochs is {epochs}: at least 1, or None")
        self._skip = on_error == "skip"
        self._tokenizer = _tokenizer(tokenizer, self.manifest)
        whole = plan.seeded(self.mixture.seed, seed)
        self._schedule_seed = whole
        self._sources = [
            Source(self._store, name, spec, self.manifest.shards(name, split), self.mixture.tokens_per_image, plan.seeded(whole, i + 1))
            for i, (name, spec) in enumerate(self.mixture.sources.items())
        ]
        self._cursors = [Cursor() for _ in self._sources]
        self._position = 0
        #: what happened to samples so far, by "config/what": skipped, chunked, windowed, cut tokens
        self.counts: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Batch]:
        """From where the loader stands, which is behind the last batch it gave; from the start again once `epochs` are through."""
        while not self._finished():
            window = 1024
            chosen, _ = plan.schedule(self.mixture.weights(), self._schedule_seed, self._position, window)
            for s in chosen.tolist():
                yield self._batch(s)
                if self._finished():
                    break
        self._cursors, self._position = [Cursor() for _ in self._sources], 0

    def _finished(self) -> bool:
        return self.epochs is not None and all(cursor.epoch >= self.epochs for cursor in self._cursors)

    def _batch(self, s: int) -> Batch:
        source, cursor = self._sources[s], self._cursors[s]
        sequences: list[list[Sample]] = []
        for slot, (block, pack, here, behind) in enumerate(source.take(cursor)):
            if slot % self.world == self.rank:
                samples = list(self._samples(source, block, pack, here))
                sequences += [samples] if samples else []
            self._cursors[s] = behind
            if slot + 1 == self.batch_sequences or self._finished():
                break
        step, self._position = self._position, self._position + 1
        return Batch(step, source.config, source.spec.sequence_length, asdict(source.spec.image), sequences)

    def _samples(self, source: Source, block: Block, pack: int, here: Cursor) -> Iterator[Sample]:
        packs = block.packs
        for item in range(packs.start[pack], packs.start[pack + 1]):
            row, pieces = int(packs.row[item]), int(packs.pieces[item])
            shard, start = source.shards[int(block.shard[row])], int(block.offset[row])
            size, where = int(block.size[row]), f"{self._store.root}/{shard.path} at byte {start}"
            try:
                data = self._store.range(shard.path, start, start + size)
                sample = parse(source.config, data, int(block.images[row]), where)
            except (tar.TarError, SampleError, OSError) as error:
                if not self._skip:
                    raise LoaderError(str(error)) from error
                self.counts[f"{source.config}/skipped"] += 1
                continue
            if pieces:
                sample = self._cut(sample, source, int(packs.piece[item]), pieces, int(packs.length[item]) - plan.MARKS, here.epoch)
            if sample.parts():  # nothing is left of a piece that had to lose all it held
                yield sample

    def _cut(self, sample: Sample, source: Source, piece: int, pieces: int, budget: int, epoch: int) -> Sample:
        config, image, repeat = sample.config, self.mixture.tokens_per_image + 2, sample.config != "interleaved"
        if source.spec.long == "window":
            chance = plan.seeded(self._schedule_seed, epoch, key64(sample.key)) / (1 << 64)
            cut = long.window(sample.parts(), chance, budget, image, repeat, self._tokenizer())
        else:
            cut = long.chunk(sample.parts(), piece, pieces, budget, image, repeat, self._tokenizer())
        self.counts[f"{config}/{'windowed' if source.spec.long == 'window' else 'chunked'}"] += 1
        self.counts[f"{config}/cut_tokens"] += cut.lost
        return sample.with_parts(cut.parts, (piece, pieces))

    def __len__(self) -> int:
        """Batches of one epoch, the first: until every source has been through. Plans all of it, so it takes a moment on large sets."""
        wanted = [-(-source.packs_in_epoch() // self.batch_sequences) for source in self._sources]
        seen, total, window = np.zeros(len(wanted), np.int64), 0, 4096
        while True:
            chosen, _ = plan.schedule(self.mixture.weights(), self._schedule_seed, total, window)
            running = seen + np.cumsum(np.eye(len(wanted), dtype=np.int64)[chosen], axis=0)
            done = np.flatnonzero(np.all(running >= np.array(wanted), axis=1))
            if len(done):
                return total + int(done[0]) + 1
            seen, total = running[-1], total + window

    def dropped(self) -> dict[str, int]:
        """How many samples of each source are left out of every epoch, being too long. Plans a whole epoch."""
        return {s.config: sum(s.block(0, b).dropped for b in range(len(s.blocks(0)))) for s in self._sources}

    def realised(self, steps: int) -> dict[str, float]:
        """The share of each source among the first `steps` batches."""
        return mixtures.realised(self.mixture, steps, self.seed)

    def fingerprint(self) -> dict[str, Any]:
        """Everything the order depends on, short enough to read."""
        listed = [(s.config, [shard.sha256 for shard in s.shards]) for s in self._sources]
        return {
            "plan": plan.VERSION,
            "block": BLOCK_SAMPLES,
            "split": self.split,
            "shards": hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:16],
            "tokenizer": self.manifest.tokenizer["sha256"][:16],
            "mixture_seed": self.mixture.seed,
            "batch_sequences": self.batch_sequences,
            "tokens_per_image": self.mixture.tokens_per_image,
            **{f"sources.{s.config}": [s.spec.weight, s.spec.sequence_length, s.spec.long] for s in self._sources},
        }

    def state_dict(self) -> dict[str, Any]:
        """Where to go on: behind the last batch given. The same on every rank."""
        return {
            "version": 1,
            "seed": self.seed,
            "epoch": min(cursor.epoch for cursor in self._cursors),
            "position": self._position,
            "cursors": {s.config: list(cursor) for s, cursor in zip(self._sources, self._cursors, strict=True)},
            "fingerprint": self.fingerprint(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on behind the batch the state was taken at. Raises LoaderError saying what is not as it was."""
        if state.get("version") != 1:
            raise LoaderError(f"loader state of version {state.get('version')!r}; this code reads 1")
        before, now = {"seed": state["seed"], **state["fingerprint"]}, {"seed": self.seed, **self.fingerprint()}
        changed = [f"{k} was {before.get(k)}, is {now.get(k)}" for k in (*now, *(k for k in before if k not in now)) if before.get(k) != now.get(k)]
        if changed:
            raise LoaderError("this state is of another data order: " + "; ".join(changed))
        self._cursors = [Cursor(*state["cursors"][source.config]) for source in self._sources]
        self._position = int(state["position"])


def _mixture(
    given: Any,
    listed: manifest.Manifest,
    split: str,
    batch_sequences: int | None,
    tokens_per_image: int | None,
    lengths: Mapping[str, int] | None,
    say: Callable[[str], object] | None,
) -> mixtures.Mixture:
    out = mixtures.load(given)
    unknown = [name for name in lengths or {} if name not in out.sources]
    if unknown:
        raise LoaderError(f"sequence_length: {unknown[0]!r} is no source of the mixture ({', '.join(out.sources)})")
    out = out.available([name for name in out.sources if listed.shards(name, split)], say)
    sources = {name: replace(s, sequence_length=(lengths or {}).get(name, s.sequence_length)) for name, s in out.sources.items()}
    return replace(
        out,
        sources=sources,
        batch_sequences=batch_sequences or out.batch_sequences,
        tokens_per_image=tokens_per_image or out.tokens_per_image,
    )


def _tokenizer(given: Any, listed: manifest.Manifest) -> Callable[[], tokens.Tokenizer]:
    """The tokenizer when it is needed; one that is given is checked at once."""
    want = listed.tokenizer

    def checked(tokenizer: tokens.Tokenizer) -> tokens.Tokenizer:
        if tokenizer.sha256 != want["sha256"]:
            raise LoaderError(
                f"tokenizer {tokenizer.name} is {tokenizer.sha256[:16]}, but the lengths in the index were counted with "
                f"{want['name']}, {want['sha256'][:16]}; give that one, or pack again"
            )
        return tokenizer

    if given is not None:
        ready = checked(given if hasattr(given, "encode") else tokens.load(given))
        return lambda: ready
    return lambda: checked(tokens.load(want["name"]))
