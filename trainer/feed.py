"""Batches of the loader as tensors, prepared by one thread ahead of the model."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from trainer.collate import Collator, Tensors

#: steps prepared ahead
PREFETCH = 2


class Batches(Protocol):
    """What the loop needs of ``shards.loader.Loader``."""

    def __iter__(self) -> Iterator[Any]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class StepData:
    """The data of a step."""

    source: str  #: name of the source of all samples
    micro_batches: list[Tensors]
    loader_state: dict[str, Any]  #: to resume after this step


def collated(loader: Batches, collate: Collator, micro: int | None, rows: int | None = None) -> Iterator[StepData]:
    """The loader's batches as tensors.

    micro: sequences of a micro-batch; None: all of the step. rows: sequences of a step on each of several ranks; None:
    one process. A rank that gets fewer sequences (damaged samples were left out) gets empty micro-batches for the
    others, because every rank must take the same number of passes.
    """
    for batch in loader:
        if not batch.sequences and rows is None:
            continue
        size = micro or rows or len(batch.sequences)
        groups = [batch.sequences[i : i + size] for i in range(0, len(batch.sequences), size)]
        tensors = [collate(group, **batch.image, length=batch.sequence_length) for group in groups]
        tensors += [collate.empty() for _ in range(len(tensors), -(-(rows or 0) // size))]
        yield StepData(batch.source, tensors, loader.state_dict())


def prefetch(items: Callable[[], Iterable[StepData]], depth: int = PREFETCH) -> Generator[StepData, None, None]:
    """The items of `items()`, produced by one thread up to `depth` ahead. Its exception is raised here.

    Close the generator to end the thread.
    """
    line: queue.Queue[StepData | BaseException | None] = queue.Queue(maxsize=depth)
    closed = threading.Event()

    def put(item: StepData | BaseException | None) -> bool:
        while not closed.is_set():
            try:
                line.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items():
                if not put(item):
                    return
            put(None)
        except BaseException as error:  # raised in the consumer's thread
            put(error)

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        while (item := line.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        closed.set()
        thread.join()
