"""Lightning's trainer on our batches, interrupted and resumed: it gets every batch once, in order."""

import json
from pathlib import Path
from typing import Any

import pytest

from shards.loader import Loader
from tests.shards import made

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SOURCE = {"weight": 1, "sequence_length": 512, "long": "chunk"}
MIXTURE = {"sources": dict.fromkeys(("interleaved", "pairs", "ocr"), SOURCE), "batch_sequences": 2}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.run(tmp_path_factory.mktemp("run"), {"interleaved": [15, 9], "pairs": [20, 11], "ocr": [13]}, words=40)


def train(data: Any, steps: int, checkpoint: Path, go_on: bool) -> tuple[list[int], dict[str, Any]]:
    """Trains up to `steps` steps in all. Returns the numbers of the batches and the saved state of the module."""
    import pytorch_lightning
    import torch

    class Module(pytorch_lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.numbers: list[int] = []

        def training_step(self, batch: Any, number: int) -> Any:
            self.numbers.append(batch.step)
            self.state = batch.state
            return (self.weight**2).sum()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

        def transfer_batch_to_device(self, batch: Any, device: Any, number: int) -> Any:
            return batch

        def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            checkpoint["batch_state"] = json.dumps(self.state)

    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    module, trainer = Module(), pytorch_lightning.Trainer(max_steps=steps, accelerator="cpu", **quiet)
    trainer.fit(module, data, ckpt_path=checkpoint if go_on else None, weights_only=False)
    trainer.save_checkpoint(checkpoint)
    return module.numbers, json.loads(torch.load(checkpoint, weights_only=False)["batch_state"])


def test_a_loader_resumes_and_goes_on_over_its_epochs(run: Path, tmp_path: Path) -> None:
    epoch = len(Loader(run, MIXTURE))
    numbers, _ = train(Loader(run, MIXTURE, threads=2), epoch + 3, tmp_path / "a", False)
    more, _ = train(Loader(run, MIXTURE, threads=2), 2 * epoch + 5, tmp_path / "a", True)
    assert numbers + more == list(range(2 * epoch + 5))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_dataloader_resumes_from_the_state_of_the_last_batch(run: Path, tmp_path: Path, workers: int) -> None:
    from torch.utils.data import DataLoader

    from shards.workers import Batches

    loader, numbers = Loader(run, MIXTURE), list[int]()
    for steps in (5, 11):
        one, state = train(
            DataLoader(Batches(loader), batch_size=None, num_workers=workers), steps, tmp_path / "a", bool(numbers)
        )
        numbers += one
        loader = Loader(run, MIXTURE)
        loader.load_state_dict(state)
    assert numbers == list(range(11))
