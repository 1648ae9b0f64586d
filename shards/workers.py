"""A loader in torch's DataLoader: plain, torchdata's StatefulDataLoader, and loops that are built on them.

    data = DataLoader(Batches(loader), batch_size=None, num_workers=3)
    for batch in data:
        ...
        save(batch.state)           # Loader.load_state_dict goes on behind this batch, with any number of ranks and
        workers

Worker w of W gives the batches w, w + W, ... of its rank, and DataLoader takes turns, so the order is that of the
loader alone. Workers are ahead of the loop: what has been consumed is known to `Batch.state` alone, which is why it
travels with the batch.

StatefulDataLoader keeps a state of its own, from each worker; it wants the same number of workers again.

In Lightning give the trainer the `Loader` itself, with `threads`: it has the `state_dict` that Lightning keeps, and
loses no batch. A DataLoader is asked for one batch more than was trained on; under one, keep the last `Batch.state` in
the module's `on_save_checkpoint`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch.utils.data import IterableDataset

from shards.loader import Batch, Loader


class Batches(IterableDataset[Batch]):  # type: ignore[misc]
    """The batches of a loader, already made: give DataLoader ``batch_size=None``."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.loader)

    def state_dict(self) -> dict[str, Any]:
        return self.loader.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.loader.load_state_dict(state)
