"""Shards for training: any number of ranks, an exact mixture, packed sequences, and resume at any batch.

    loader = Loader("runs/demo", "runs/demo/mixtures/stage1.json", rank=0, world=8)
    for batch in loader:            # without end; `epochs=1` reads everything once
        for sequence in batch.sequences:
            for sample in sequence:
                for part in sample.parts():
                    ...             # a text, or the number of an image in sample.images

What is promised:

* The order of batches and of their samples is a function of the manifest, the mixture and the seed (shards/order.py).
  Rank r of W takes the sequences r, r + W, r + 2W ... of each global batch, so every rank has the same number of steps,
  and the global order does not depend on W. The global batch must be a multiple of W.
* Packing is planned from the lengths in the index, before a sample is read: by tokens and, if the mixture has a budget
  for them, by patches.
* Each source has its own epochs: every sample that fits exactly once, then again in another order. Packing continues
  from one epoch into the next, so no batch is short. A loader's epoch ends when every source has had one; smaller
  sources, and those with more weight, have started again by then. With ``epochs=N`` the last batch of a single source
  may be short: some ranks may get fewer sequences, even none.
* `Batch.state` (or `state_dict` after a batch) is all that a resume needs, on any number of ranks and workers: a few
  hundred bytes, no paths, no credentials. It is refused if shards, mixture, tokenizer or packing have changed, and the
  message says which.

With ``threads``, samples are read, and with ``decoded`` their images decoded, by threads a little ahead of the loop.
Workers of torch.utils.data.DataLoader take turns with the batches (shards/workers.py).

Needs numpy, pyarrow, pillow and fsspec; decodes faster with simplejpeg and opencv. Each sample is read with one
`pread`; on remote stores that is a ranged request, held in a bounded `cache` on the local disk if one is given.
"""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from manifests.cache import Cache
from manifests.runfiles import RunFiles
from shards import manifest, plan, tokens
from shards import mixture as mixtures
from shards.image import decode
from shards.order import Order, Position
from shards.reading import CheckedTokenizer, Reader
from shards.sample import Sample
from shards.source import BLOCK_SAMPLES, Cursor, LoaderError, SourcePacks

__all__ = ["Batch", "Loader", "LoaderError", "Sample", "decode"]


@dataclass(slots=True)
class Batch:
    step: int  #: number of the global batch, from 0
    source: str  #: name of the source of all its samples
    layout: str  #: of all its samples, a row of shards.layout.LAYOUTS
    sequence_length: int  #: tokens that a sequence may have
    image: dict[str, Any]  #: mode, longest, shortest: for `decode`
    sequences: list[list[Sample]]  #: of this rank
    state: dict[str, Any]  #: for `Loader.load_state_dict`, to resume after this batch
    counts: dict[str, int] = field(default_factory=dict)  #: for its samples, see `Loader.counts`


class Loader:
    """Batches of one run, for one rank. See the module's docstring for what it promises.

    root: the run's folder, or any URL that fsspec knows. mixture: a file, a mapping of the same shape, or a preset such
    as ``stage1``; entries that match several sources are resolved here (shards/mixture.py). batch_sequences,
    tokens_per_image, sequence_length (label of the entry -> tokens): override those of the mixture. on_error:
    ``raise``, or ``skip`` to leave a damaged sample out of its sequence and count it (a storage failure is an error in
    both cases). epochs: None for no end. tokenizer: a name, a path or a loaded one; it must be the one that the index
    was counted with, and is needed only to cut samples that are too long. decoded: give each sample its `pixels`, at
    the size that its entry asks for. threads: that read and decode ahead, 0 for none. cache: a local folder for ranges
    of a remote run, of at most `cache_bytes`. say: gets a line about sources without samples; stderr by default.

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
        self._files = RunFiles(root, None if cache is None else Cache(cache, cache_bytes))
        self.manifest = manifest.read(self._files)
        unresolved = _mixture(mixture, batch_sequences, tokens_per_image, sequence_length)
        listed = self.manifest.sources
        self.mixture = unresolved.resolve(listed, say, split)
        self.batch_sequences, self.split, self.seed = self.mixture.batch_sequences, split, seed
        self.rank, self.world, self.epochs = rank, world, epochs
        if on_error not in ("raise", "skip"):
            raise LoaderError(f"on_error is {on_error!r}: 'raise' or 'skip'")
        if not 0 <= rank < world or self.batch_sequences % world:
            needed = "the rank must be below the world size, and the batch a multiple of it"
            raise LoaderError(f"rank {rank} of {world}, batch_sequences {self.batch_sequences}: {needed}")
        if threads < 0 or (epochs is not None and epochs < 1):
            raise LoaderError(f"threads is {threads}: 0 or more; epochs is {epochs}: at least 1, or None")
        self._threads = threads
        checked = CheckedTokenizer(tokenizer, self.manifest)
        root_seed, per_image = plan.seeded(self.mixture.seed, seed), self.mixture.tokens_per_image
        self._sources = [
            SourcePacks(self._files, name, listed[name], split, entry, per_image, plan.seeded(root_seed, i))
            for i, (name, entry) in enumerate(self.mixture.sources.items(), 1)
        ]
        self._order = Order(self._sources, self.mixture.weights(), root_seed, self.batch_sequences, epochs)
        self._reader = Reader(self._files, self._sources, per_image, root_seed, checked, on_error == "skip", decoded)
        self._position = self._order.start
        self._turn: int | None = None  # of a DataLoader worker: batches that the other workers take before its next one
        #: everything that the order depends on, short enough to read
        self.fingerprint = self._fingerprint()
        #: samples by "source/outcome": skipped (damaged), chunked, windowed; and tokens lost by cuts: cut_tokens
        self.counts: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Batch]:
        """From the current position, which is after the last batch; from the start again after the last epoch."""
        number, workers = worker()
        first = number if self._turn is None else self._turn
        mine = islice(self._order.walk(self._position, self.rank, self.world), first, None, workers)
        for planned, sequences, counts in self._reader.batches(mine, self._threads):
            self.counts.update(counts)
            self._position, self._turn = planned.next, workers - 1 if workers > 1 else None
            source = self._sources[planned.source]
            length, image, state = source.entry.sequence_length, asdict(source.entry.image), self._state(self._position)
            yield Batch(planned.step, source.name, source.layout, length, image, sequences, state, dict(counts))
        self._position, self._turn = self._order.start, None

    def __len__(self) -> int:
        """Batches of the first epoch, until every source has been read through. Plans all of it: slow on large sets."""
        return self._order.steps()

    def dropped(self) -> dict[str, int]:
        """Samples of each source that every epoch leaves out because they are too long. Plans a whole epoch."""
        return {source.name: sum(block.dropped for block in source.first_epoch()) for source in self._sources}

    def shares(self, steps: int) -> dict[str, float]:
        """The share of each source among the first `steps` batches."""
        return self.mixture.shares(steps, self.seed)

    def _fingerprint(self) -> dict[str, Any]:
        shards = [(s.name, [shard.sha256 for shard in s.shards]) for s in self._sources]
        digest = hashlib.sha256(json.dumps(shards).encode()).hexdigest()[:16]
        data = {"split": self.split, "shards": digest, "tokenizer": self.manifest.tokenizer["sha256"][:16]}
        sizes = {"batch_sequences": self.batch_sequences, "tokens_per_image": self.mixture.tokens_per_image}
        entries = {f"sources.{s.name}": _order_of(s.entry) for s in self._sources}
        code = {"plan": plan.VERSION, "block": BLOCK_SAMPLES}
        return {**code, **data, "mixture_seed": self.mixture.seed, **sizes, **entries}

    def state_dict(self) -> dict[str, Any]:
        """The state after the last batch: the same on every rank, unless it is taken in a DataLoader's worker."""
        state = self._state(self._position)
        return {**state, "worker": list(worker())} if self._turn is not None else state

    def _state(self, position: Position) -> dict[str, Any]:
        cursors = {s.name: list(cursor) for s, cursor in zip(self._sources, position.cursors, strict=True)}
        epoch = min(cursor.epoch for cursor in position.cursors)
        place = {"epoch": epoch, "position": position.step, "cursors": cursors}
        return {"version": 1, "seed": self.seed, **place, "fingerprint": self.fingerprint}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resumes after the batch at which the state was taken. Raises LoaderError saying what has changed."""
        if state.get("version") != 1:
            raise LoaderError(f"loader state of version {state.get('version')!r}; this code reads 1")
        before, now = {"seed": state["seed"], **state["fingerprint"]}, {"seed": self.seed, **self.fingerprint}
        different = (key for key in dict.fromkeys([*now, *before]) if before.get(key) != now.get(key))
        if changed := [f"{key} was {before.get(key)}, is {now.get(key)}" for key in different]:
            raise LoaderError("this state is of another data order: " + "; ".join(changed))
        owner = state.get("worker")
        if owner is not None and list(owner) != list(worker()):
            remedy = "to go on with other workers, keep the `state` of the last batch"
            raise LoaderError(f"this state is of worker {owner[0]} of {owner[1]} of a DataLoader; {remedy}")
        cursors = tuple(Cursor(*state["cursors"][source.name]) for source in self._sources)
        self._position = Position(int(state["position"]), cursors)
        self._turn = None if owner is None else owner[1] - 1


def worker() -> tuple[int, int]:
    """(number, count) of this torch.utils.data.DataLoader worker; (0, 1) outside one. Does not import torch."""
    torch = sys.modules.get("torch.utils.data")
    info = None if torch is None else torch.get_worker_info()
    return (0, 1) if info is None else (info.id, info.num_workers)


def _order_of(entry: mixtures.Entry) -> list[Any]:
    """The fields of an entry that decide the order of its source."""
    fields = [entry.weight, entry.sequence_length, entry.long, *([entry.split] if entry.split else [])]
    return fields if entry.patches is None else [*fields, entry.patches, entry.patch, *asdict(entry.image).values()]


def _mixture(
    mixture: Any, batch_sequences: int | None, tokens_per_image: int | None, lengths: Mapping[str, int] | None
) -> mixtures.Mixture:
    """The mixture with the loader's own settings over it."""
    out, lengths = mixtures.load(mixture), lengths or {}
    for label in lengths:
        if label not in out.sources:
            raise LoaderError(f"sequence_length: {label!r} is no source of the mixture ({', '.join(out.sources)})")
    replaced = {label: replace(out.sources[label], sequence_length=length) for label, length in lengths.items()}
    own = {"batch_sequences": batch_sequences, "tokens_per_image": tokens_per_image}
    changes: dict[str, Any] = {key: value for key, value in own.items() if value}
    return replace(out, sources={**out.sources, **replaced}, **changes)
