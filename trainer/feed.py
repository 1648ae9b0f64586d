"""Batches as tensors, made by one thread ahead of the model."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from trainer.collate import Collator, Tensors

#: batches made ahead
AHEAD = 2


class Batches(Protocol):
    """What the loop needs of ``shards.loader.Loader``."""

    def __iter__(self) -> Iterator[Any]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class Ready:
    """A step's data. parts: its sequences in micro-batches. after: the loader's state once this batch is consumed."""

    source: str
    parts: list[Tensors]
    after: dict[str, Any]


def prepared(loader: Batches, collate: Collator, micro: int | None, rows: int | None = None) -> Iterator[Ready]:
    """rows: sequences of a step; where fewer came (damaged samples were left out), empty micro-batches stand for them,
    so that every
    rank takes as many passes. None: one process, which needs none."""
    for batch in loader:
        if not batch.sequences and rows is None:
            continue
        size = micro or rows or len(batch.sequences)
        groups = [batch.sequences[i : i + size] for i in range(0, len(batch.sequences), size)]
        image = batch.image
        parts = [
            collate(group, image["mode"], image["longest"], image["shortest"], batch.sequence_length)
            for group in groups
        ]
        parts += [collate.nothing() for _ in range(len(parts), -(-(rows or 0) // size))]
        yield Ready(batch.source, parts, loader.state_dict())


def ahead(make: Callable[[], Iterable[Ready]], depth: int = AHEAD) -> Generator[Ready, None, None]:
    """The items of `make()`, made by one thread up to `depth` ahead; its exception is raised here. Close the iterator
    to end the thread.
    """
    line: queue.Queue[Ready | BaseException | None] = queue.Queue(maxsize=depth)
    over = threading.Event()

    def put(item: Ready | BaseException | None) -> bool:
        while not over.is_set():
            try:
                line.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in make():
                if not put(item):
                    return
            put(None)
        except BaseException as error:  # handed over, not swallowed
            put(error)

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        while (item := line.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        over.set()
        thread.join()
