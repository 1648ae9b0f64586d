"""A loader in torch's DataLoader, in torchdata's StatefulDataLoader, and in libraries that are built on them.

    data = DataLoader(Batches(loader), batch_size=None, num_workers=3)
    for batch in data:
        ...
        save(batch.state)           # Loader.load_state_dict resumes after this batch, on any ranks and workers

Worker w of W yields the batches w, w + W, ... of its rank, and DataLoader takes turns, so the order is the loader's
own. Workers are ahead of the loop, so only `Batch.state` says what the loop has consumed: it travels with the batch.

StatefulDataLoader has a state of its own from each worker; to resume it needs the same number of workers.

With Lightning, give the trainer the `Loader` itself, with `threads`: it has the `state_dict` that Lightning saves, and
loses no batch. Lightning asks a DataLoader for one batch more than it trains on; with a DataLoader, save the last
`Batch.state` in the module's `on_save_checkpoint`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from torch.utils.data import IterableDataset

from shards.loader import Batch, Loader


class Batches(IterableDataset[Batch]):  # type: ignore[misc]
    """The batches of a loader as a dataset: DataLoader gets ``batch_size=None``, since they are batches already."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.loader)

    def state_dict(self) -> dict[str, Any]:
        return self.loader.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.loader.load_state_dict(state)
