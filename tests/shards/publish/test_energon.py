"""Megatron-Energon reads the shards without `energon prepare`: its checks, every field, and a saved state."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shards import tar
from shards.layout import LAYOUTS
from tests.shards import made
from tests.shards.publish.run import with_readers

pytestmark = pytest.mark.slow

#: for each source its layout and the samples of its shards
SOURCES = {"web": "interleaved", "pairs": "pairs", "papers": "ocr", "docvqa": "conversations", "notes": "text"}
COUNTS = {"web": [15, 9], "pairs": [20, 11], "papers": [13], "docvqa": [7], "notes": [6]}


@pytest.fixture(scope="module")
def energon() -> Any:
    from megatron import energon  # takes seconds

    return energon


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_readers(made.run(tmp_path_factory.mktemp("run"), COUNTS, layouts=SOURCES))


def ours(run: Path, source: str) -> dict[str, dict[str, bytes]]:
    out = {}
    for path in sorted((run / "shards" / source).glob("*.tar")):
        data = path.read_bytes()
        for key, members in tar.groups(tar.scan(io.BytesIO(data), str(path)), str(path)):
            out[key] = {m.name.partition(".")[2]: data[m.offset : m.offset + m.size] for m in members}
    return out


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("command", ["info", "lint"])
def test_the_checks_of_energon_pass(run: Path, source: str, command: str) -> None:
    code = "import sys; from megatron.energon.cli.main import main; main()"
    process = subprocess.run(
        [sys.executable, "-c", code, command, str(run / "shards" / source)], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr[-2000:]
    assert "Traceback" not in process.stdout + process.stderr
    if command == "info":
        assert f"{sum(COUNTS[source])} samples" in process.stdout


def dataset(energon: Any, run: Path, source: str, workers: int = 0) -> Any:
    worker = energon.WorkerConfig(rank=0, world_size=1, num_workers=workers)
    options = {"worker_config": worker, "batch_size": None, "shuffle_buffer_size": 8, "max_samples_per_sequence": 5}
    return energon.get_train_dataset(run / "shards" / source, **options)


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def equal(image: Any, data: bytes) -> bool:
    """Energon gives tensors (3, height, width) in [0, 1]."""
    return np.array_equal(np.rint(np.asarray(image).transpose(1, 2, 0) * 255).astype(np.uint8), pixels(data))


@pytest.mark.parametrize("source", SOURCES)
def test_every_field_of_every_sample_is_as_in_the_shard(energon: Any, run: Path, source: str) -> None:
    expected = ours(run, source)
    keys = set()
    for _, sample in zip(range(3 * len(expected)), energon.get_loader(dataset(energon, run, source)), strict=False):
        key = sample.__key__.rpartition("/")[2]
        keys.add(key)
        parts = expected[key]
        fields = json.loads(parts["json"])
        if LAYOUTS[SOURCES[source]].slots:
            assert len(sample.sequence) == len(fields["texts"])
            for item, text, image in zip(sample.sequence, fields["texts"], fields["images"], strict=True):
                assert item == text if image is None else equal(item, parts[image])
        else:
            assert equal(sample.image, parts["jpg"])
            assert (sample.caption if source == "pairs" else sample.text) == parts["txt"].decode()
    assert keys == set(expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_second_loader_continues_from_a_saved_state(energon: Any, run: Path, workers: int) -> None:
    loader = energon.get_savable_loader(dataset(energon, run, "pairs", workers))
    feed = iter(loader)
    for _ in range(7):
        next(feed)
    state = loader.save_state_rank()
    rest = [next(feed).__key__ for _ in range(12)]
    second = energon.get_savable_loader(dataset(energon, run, "pairs", workers))
    second.restore_state_rank(state)
    feed = iter(second)
    assert [next(feed).__key__ for _ in range(12)] == rest
