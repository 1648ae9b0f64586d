"""The shards in Megatron-Energon, without `energon prepare`: its own checks, every field, and going on from a saved
state.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shards import manifest, tar
from shards.fields import SLOTTED
from shards.publish import readers
from shards.store import Store
from tests.shards import made

pytestmark = pytest.mark.slow

CONFIGS = ["interleaved", "pairs", "ocr", "conversations"]
COUNTS = {"interleaved": [15, 9], "pairs": [20, 11], "ocr": [13], "conversations": [7]}


@pytest.fixture(scope="module")
def energon() -> Any:
    from megatron import energon  # takes seconds

    return energon


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = made.run(tmp_path_factory.mktemp("run"), COUNTS)
    store = Store(folder)
    for path, content in readers.files(store, manifest.read(store), "me/demo").items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def ours(run: Path, config: str) -> dict[str, dict[str, bytes]]:
    out = {}
    for path in sorted((run / "shards" / config).glob("*.tar")):
        data = path.read_bytes()
        for key, members in tar.groups(tar.scan(io.BytesIO(data), str(path)), str(path)):
            out[key] = {m.name.partition(".")[2]: data[m.offset : m.offset + m.size] for m in members}
    return out


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("command", ["info", "lint"])
def test_its_own_checks_pass(run: Path, config: str, command: str) -> None:
    code = "import sys; from megatron.energon.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, command, str(run / "shards" / config)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stdout + done.stderr
    if command == "info":
        assert f"{sum(COUNTS[config])} samples" in done.stdout


def dataset(energon: Any, run: Path, config: str, workers: int = 0) -> Any:
    worker = energon.WorkerConfig(rank=0, world_size=1, num_workers=workers)
    options = {"worker_config": worker, "batch_size": None, "shuffle_buffer_size": 8, "max_samples_per_sequence": 5}
    return energon.get_train_dataset(run / "shards" / config, **options)


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def equal(image: Any, data: bytes) -> bool:
    """Energon gives tensors (3, height, width) in [0, 1]."""
    return np.array_equal(np.rint(np.asarray(image).transpose(1, 2, 0) * 255).astype(np.uint8), pixels(data))


@pytest.mark.parametrize("config", CONFIGS)
def test_every_field_of_every_sample_is_as_we_wrote_it(energon: Any, run: Path, config: str) -> None:
    expected = ours(run, config)
    seen = set()
    for _, sample in zip(range(3 * len(expected)), energon.get_loader(dataset(energon, run, config)), strict=False):
        key = sample.__key__.rpartition("/")[2]
        seen.add(key)
        parts = expected[key]
        fields = json.loads(parts["json"])
        if config in SLOTTED:
            assert len(sample.sequence) == len(fields["texts"])
            for item, text, image in zip(sample.sequence, fields["texts"], fields["images"], strict=True):
                assert item == text if image is None else equal(item, parts[image])
        else:
            assert equal(sample.image, parts["jpg"])
            assert (sample.caption if config == "pairs" else sample.text) == parts["txt"].decode()
    assert seen == set(expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_it_goes_on_from_a_saved_state(energon: Any, run: Path, workers: int) -> None:
    loader = energon.get_savable_loader(dataset(energon, run, "pairs", workers))
    feed = iter(loader)
    for _ in range(7):
        next(feed)
    state = loader.save_state_rank()
    wanted = [next(feed).__key__ for _ in range(12)]
    again = energon.get_savable_loader(dataset(energon, run, "pairs", workers))
    again.restore_state_rank(state)
    feed = iter(again)
    assert [next(feed).__key__ for _ in range(12)] == wanted
