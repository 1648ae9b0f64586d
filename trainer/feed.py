"""Batches of the loader as tensors, prepared by one thread ahead of the model."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from shards.loader import Loader
from trainer.collate import Collator, Tensors


@dataclass(frozen=True)
class StepData:
    source: str  #: name of the source of all samples
    micro_batches: list[Tensors]
    loader_state: dict[str, Any]  #: to resume after this step
    samples: int  #: that the loader planned for this rank
    skipped: int  #: of them, left out because they are damaged


def collated(loader: Loader, collate: Collator, micro: int | None, rows: int | None = None) -> Iterator[StepData]:
    """The loader's batches as tensors.

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
        groups = [batch.sequences[i : i + size] for i in range(0, len(batch.sequences), size)]
        tensors = [collate(group, **batch.image, length=batch.sequence_length) for group in groups]
        tensors += [collate.empty() for _ in range(len(tensors), -(-(rows or 1) // size))]
        samples = damaged + sum(len(sequence) for sequence in batch.sequences)
        skipped = damaged + sum(part.skipped for part in tensors)
        yield StepData(batch.source, tensors, loader.state_dict(), samples, skipped)
        damaged = 0


def prefetch(items: Callable[[], Iterable[StepData]], depth: int = 2) -> Generator[StepData, None, None]:
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
