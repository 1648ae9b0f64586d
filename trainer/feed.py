"""Batches of the loader as tensors, prepared by one thread a little ahead of the model."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from shards.loader import Loader
from trainer.collate import Collator, Tensors

_T = TypeVar("_T")


@dataclass(frozen=True)
class MicroBatch:
    """A part of a step: what one forward and backward pass takes. All samples are of one source."""

    source: str  #: its name
    tensors: Tensors
    places: int  #: tokens that the rows of the whole step have space for, on this rank
    samples: int  #: that the loader planned for this rank; damaged samples of a step count in its first part
    skipped: int  #: of them, left out because they are damaged
    after: dict[str, Any] | None  #: in the last part of a step: the loader's state, to resume after the step


def collated(loader: Loader, collate: Collator, micro: int | None, rows: int | None = None) -> Iterator[MicroBatch]:
    """The loader's batches as tensors, one micro-batch at a time: only its images are decoded.

    micro: sequences of a micro-batch; None: all of the step. rows: sequences of a step on each of several ranks; None:
    one process. A rank that gets fewer sequences (damaged samples were left out) gets empty micro-batches for the
    others, because every rank must take the same number of passes.
    """
    damaged = 0
    for batch in loader:
        damaged += batch.counts.get(f"{batch.source}/skipped", 0)
        if not batch.sequences and rows is None and not damaged:
            continue
        size = micro or rows or max(len(batch.sequences), 1)
        count = -(-(rows or max(len(batch.sequences), 1)) // size)
        places = (rows or max(len(batch.sequences), 1)) * batch.sequence_length
        for number in range(count):
            group = batch.sequences[number * size : (number + 1) * size]
            tensors = collate(group, **batch.image, length=batch.sequence_length) if group else collate.empty()
            samples = damaged + sum(len(sequence) for sequence in group)
            after = loader.state_dict() if number + 1 == count else None
            yield MicroBatch(batch.source, tensors, places, samples, damaged + tensors.skipped, after)
            damaged = 0


def prefetch(items: Callable[[], Iterable[_T]], depth: int = 2) -> Generator[_T, None, None]:
    """The items of `items()`, from one thread up to `depth` ahead, or its exception. Closing it ends the thread."""
    pool = ThreadPoolExecutor(1, "batches")  # one thread, so the items stay in order
    try:
        iterator = iter(items())
        queue = deque(pool.submit(next, iterator, None) for _ in range(depth))
        while (item := queue.popleft().result()) is not None:
            queue.append(pool.submit(next, iterator, None))
            yield item
    finally:
        pool.shutdown(cancel_futures=True)
