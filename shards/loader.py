"""Shards for training: any number of ranks, an exact mixture, packed sequences, and resuming at any batch.

    loader = Loader("runs/demo", "runs/demo/mixtures/stage1.json", rank=0, world=8)
    for batch in loader:            # for ever; `epochs=1` reads everything once
        for sequence in batch.sequences:
            for sample in sequence:
                for part in sample.parts():
                    ...             # a text, or the number of an image in sample.images

What is promised:

* The order of batches, and of what is in them, is a function of the manifest, the mixture and the seed
  (shards/plan.py). Rank r of W takes the sequences r, r + W, r + 2W ... of each global batch, so every rank has the
  same number of steps, and the global order does not depend on W. The global batch must be a multiple of W.
* Packing is planned from the lengths in the index, before a sample is read: on tokens and, where the mixture says so,
  on patches.
* Each source goes through its own epochs: every sample that fits exactly once, then again in another order. The packs
  run on from one epoch into the next, so no batch is short. A loader's epoch is over when every source has had one;
  smaller sources, or those with more weight, have begun again by then. With ``epochs=N`` the last batch of a single
  source may be short (some ranks may get fewer sequences, even none).
* `Batch.state` (or `state_dict` after a batch) is all that is needed to go on behind it, on any number of ranks and
  workers: a few hundred bytes, no paths, no credentials. It is refused where shards, mixture, tokenizer or packing are
  not the same, and the message says which.

With ``threads``, samples are read, and with ``decoded`` their images decoded, by threads a little ahead of the loop.
Workers of torch.utils.data.DataLoader take turns with the batches (shards/workers.py).

Needs numpy, pyarrow, pillow and fsspec; decodes faster with simplejpeg and opencv. Samples are read with one `pread`
each (a ranged request on remote stores, kept in a bounded `cache` on the local disk if one is given).
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from shards import manifest, plan, tokens
from shards import mixture as mixtures
from shards.cache import Cache
from shards.image import decode
from shards.order import Order, Place
from shards.reading import Checked, Reader
from shards.sample import Sample
from shards.source import BLOCK_SAMPLES, Cursor, LoaderError, Source
from shards.store import Store

__all__ = ["Batch", "Loader", "LoaderError", "Sample", "decode"]


@dataclass(slots=True)
class Batch:
    step: int  #: number of the global batch, from 0
    source: str  #: configuration all its samples are of
    sequence_length: int  #: tokens a sequence may have
    image: dict[str, Any]  #: mode, longest, shortest: for `decode`
    sequences: list[list[Sample]]  #: this rank's
    state: dict[str, Any]  #: for `Loader.load_state_dict`, to go on behind this batch
    # : what became of its samples, by "config/what": see `Loader.counts`
    counts: dict[str, int] = field(default_factory=dict)


class Loader:
    """Batches of one run, for one rank. See the module's docstring for what it promises.

    root: the run's folder, or any URL fsspec knows. mixture: a file, a mapping of its shape, or ``stage1`` or
    ``stage2``. batch_sequences, tokens_per_image, sequence_length (configuration -> tokens): override the mixture's.
    on_error: ``raise``, or
    ``skip`` to leave a damaged sample out of its sequence and count it (storage that fails is an error either way).
    epochs: None for ever. tokenizer: a name, a path, or one at hand; it must be the one the index was counted with
    (needed only to cut samples that are too long). decoded: give each sample its `pixels`, at the size its source
    wants. threads: that read and decode ahead, 0 for none.
    cache: a local folder for ranges of a remote run, of at most `cache_bytes`.

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
        decoded: bool = False,
        threads: int = 0,
        cache: str | Path | None = None,
        cache_bytes: int = 20 * 10**9,
        say: Callable[[str], object] | None = None,
    ) -> None:
        self._store = Store(root, None if cache is None else Cache(cache, cache_bytes))
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
        if threads < 0:
            raise LoaderError(f"threads is {threads}: 0 or more")
        self._threads = threads
        checked = Checked(tokenizer, self.manifest)
        whole = plan.seeded(self.mixture.seed, seed)
        self._sources = [
            Source(
                self._store,
                name,
                spec,
                self.manifest.shards(name, split),
                self.mixture.tokens_per_image,
                plan.seeded(whole, i + 1),
            )
            for i, (name, spec) in enumerate(self.mixture.sources.items())
        ]
        self._order = Order(self._sources, self.mixture.weights(), whole, self.batch_sequences, epochs)
        self._reader = Reader(
            self._store, self._sources, self.mixture.tokens_per_image, whole, checked, on_error == "skip", decoded
        )
        self._place = self._order.start
        self._turn: int | None = None  # of a DataLoader worker: how many batches the others take before its next
        #: everything the order depends on, short enough to read
        self.fingerprint = self._fingerprint()
        #: what happened to samples so far, by "config/what": skipped (damaged), chunked, windowed, cut_tokens
        self.counts: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Batch]:
        """From where the loader stands, which is behind the last batch it gave; from the start again once `epochs` are
        through.
        """
        number, workers = worker()
        mine = islice(
            self._order.walk(self._place, self.rank, self.world),
            number if self._turn is None else self._turn,
            None,
            workers,
        )
        for planned, sequences, counts in self._reader.batches(mine, self._threads):
            self.counts.update(counts)
            self._place, self._turn = planned.behind, workers - 1 if workers > 1 else None
            source = self._sources[planned.source]
            image = asdict(source.spec.image)
            yield Batch(
                planned.step,
                source.config,
                source.spec.sequence_length,
                image,
                sequences,
                self._state(self._place),
                dict(counts),
            )
        self._place, self._turn = self._order.start, None

    def __len__(self) -> int:
        """Batches of one epoch, the first: until every source has been through. Plans all of it, so it takes a moment
        on large sets.
        """
        return self._order.steps()

    def dropped(self) -> dict[str, int]:
        """How many samples of each source are left out of every epoch, being too long. Plans a whole epoch."""
        return {s.config: sum(s.block(0, b).dropped for b in range(len(s.blocks(0)))) for s in self._sources}

    def realised(self, steps: int) -> dict[str, float]:
        """The share of each source among the first `steps` batches."""
        return mixtures.realised(self.mixture, steps, self.seed)

    def _fingerprint(self) -> dict[str, Any]:
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
            **{f"sources.{s.config}": _spec(s.spec) for s in self._sources},
        }

    def state_dict(self) -> dict[str, Any]:
        """Where to go on: behind the last batch given. The same on every rank, unless it is taken in a DataLoader's
        worker.
        """
        number, workers = worker()
        state = self._state(self._place)
        return {**state, "worker": [number, workers]} if self._turn is not None else state

    def _state(self, place: Place) -> dict[str, Any]:
        cursors = {s.config: list(cursor) for s, cursor in zip(self._sources, place.cursors, strict=True)}
        epoch = min(cursor.epoch for cursor in place.cursors)
        return {
            "version": 1,
            "seed": self.seed,
            "epoch": epoch,
            "position": place.step,
            "cursors": cursors,
            "fingerprint": self.fingerprint,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on behind the batch the state was taken at. Raises LoaderError saying what is not as it was."""
        if state.get("version") != 1:
            raise LoaderError(f"loader state of version {state.get('version')!r}; this code reads 1")
        before, now = {"seed": state["seed"], **state["fingerprint"]}, {"seed": self.seed, **self.fingerprint}
        changed = [
            f"{k} was {before.get(k)}, is {now.get(k)}"
            for k in (*now, *(k for k in before if k not in now))
            if before.get(k) != now.get(k)
        ]
        if changed:
            raise LoaderError("this state is of another data order: " + "; ".join(changed))
        taken = state.get("worker")
        if taken is not None and list(taken) != list(worker()):
            raise LoaderError(
                f"this state is of worker {taken[0]} of {taken[1]} of a DataLoader; to go on with other workers, keep the `state` of the last batch"
            )
        self._place = Place(
            int(state["position"]), tuple(Cursor(*state["cursors"][source.config]) for source in self._sources)
        )
        self._turn = None if taken is None else taken[1] - 1


def worker() -> tuple[int, int]:
    """(number, of how many) of the torch.utils.data.DataLoader worker this is; (0, 1) outside one. Does not import
    torch.
    """
    torch = sys.modules.get("torch.utils.data")
    info = None if torch is None else torch.get_worker_info()
    return (0, 1) if info is None else (info.id, info.num_workers)


def _spec(spec: mixtures.Source) -> list[Any]:
    """What of a source's entry decides its order."""
    own = [spec.weight, spec.sequence_length, spec.long, *([spec.split] if spec.split else [])]
    return own if spec.patches is None else [*own, spec.patches, spec.patch, *asdict(spec.image).values()]


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
    sources = {
        name: replace(s, sequence_length=(lengths or {}).get(name, s.sequence_length))
        for name, s in out.sources.items()
    }
    return replace(
        out,
        sources=sources,
        batch_sequences=batch_sequences or out.batch_sequences,
        tokens_per_image=tokens_per_image or out.tokens_per_image,
    )
