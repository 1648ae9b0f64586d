"""With threads, with DataLoader workers and after kill -9, the samples have the order of one plain loop."""

import json
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shards.loader import Batch, Loader, LoaderError
from tests.shards import made

ROOT = Path(__file__).resolve().parents[2]
IMAGE = {"mode": "native", "longest": 64, "shortest": 16}
SOURCES = {"interleaved": (0.5, 512, "chunk"), "pairs": (0.3, 256, "drop"), "ocr": (0.2, 256, "drop")}
ALL = {
    "batch_sequences": 8,
    "tokens_per_image": 4,
    "sources": {
        n: {"weight": w, "sequence_length": s, "long": long, "image": IMAGE} for n, (w, s, long) in SOURCES.items()
    },
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.run(tmp_path_factory.mktemp("run"), {"interleaved": [15, 9], "pairs": [20, 11], "ocr": [13]}, words=40)


def same(a: list[Batch], b: list[Batch]) -> bool:
    """Whether the batches have the same samples with the same content."""
    return [(x.step, x.source, x.sequences, x.counts) for x in a] == [
        (x.step, x.source, x.sequences, x.counts) for x in b
    ]


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_no_batch(run: Path, threads: int) -> None:
    plain, threaded = Loader(run, ALL), Loader(run, ALL, threads=threads)
    expected, result = list(islice(plain, 40)), list(islice(threaded, 40))
    assert same(result, expected)
    assert threaded.counts == plain.counts
    assert threaded.counts["interleaved/chunked"] > 0
    assert threaded.state_dict() == plain.state_dict() == result[-1].state
    assert same(list(islice(threaded, 3)), list(islice(plain, 3)))  # samples that were read ahead are read again
    assert same(list(Loader(run, ALL, threads=threads, epochs=1)), list(Loader(run, ALL, epochs=1)))


@pytest.mark.parametrize("threads", [0, 2])
def test_decoded_samples_have_pixels_of_the_size_of_their_source(run: Path, threads: int) -> None:
    for batch in islice(Loader(run, ALL, decoded=True, threads=threads), 12):
        for sample in (sample for sequence in batch.sequences for sample in sequence):
            assert sample.pixels is not None
            assert len(sample.pixels) == len(sample.images)
            assert all(16 <= max(pixels.shape[:2]) <= 64 and pixels.dtype == np.uint8 for pixels in sample.pixels)


@pytest.mark.parametrize("threads", [0, 2])
def test_a_picture_that_cannot_be_decoded_is_an_error_that_names_it_or_is_counted(tmp_path: Path, threads: int) -> None:
    folder = made.run(tmp_path, {"pairs": [10]})
    shard = folder / "shards/pairs/train-000000.tar"
    data = bytearray(shard.read_bytes())
    at = data.index(b"000000000004.jpg") + 512
    data[at : at + 300] = bytes(300)
    shard.write_bytes(data)
    pairs = {**ALL, "sources": {"pairs": ALL["sources"]["pairs"]}}  # type: ignore[index]
    with pytest.raises(LoaderError, match=r"train-000000\.tar at byte \d+: no image of a known kind"):
        list(Loader(folder, pairs, epochs=1, decoded=True, threads=threads))
    loader = Loader(folder, pairs, epochs=1, decoded=True, threads=threads, on_error="skip")
    batches = list(loader)
    assert sum(len(q) for b in batches for q in b.sequences) == 9
    assert loader.counts["pairs/skipped"] == sum(b.counts.get("pairs/skipped", 0) for b in batches) == 1


def workers(
    run: Path, number: int, state: dict[str, Any] | None = None, rank: int = 0, world: int = 1, **options: Any
) -> Any:
    from torch.utils.data import DataLoader

    from shards.workers import Batches

    loader = Loader(
        run, ALL, rank=rank, world=world, **{k: v for k, v in options.items() if k in ("epochs", "threads")}
    )
    if state is not None:
        loader.load_state_dict(state)
    options_ = {"multiprocessing_context": options["context"]} if "context" in options else {}
    return DataLoader(Batches(loader), batch_size=None, num_workers=number, **options_)


@pytest.mark.slow
def test_workers_resume_on_any_number_of_ranks_and_workers(run: Path) -> None:
    pytest.importorskip("torch")
    full = [[s for q in b.sequences for s in q] for b in islice(Loader(run, ALL), 50)]
    saved = [list(islice(workers(run, 3, rank=r, world=4), 20)) for r in range(4)]
    assert all(len({json.dumps(b.state) for b in ranks}) == 1 for ranks in zip(*saved, strict=True))
    state = json.loads(json.dumps(saved[0][-1].state))
    for world, number in ((1, 0), (1, 2), (2, 3), (8, 1)):
        ranks = [list(islice(workers(run, number, state, r, world), 30)) for r in range(world)]
        for step, shares in enumerate(zip(*ranks, strict=True), 20):
            depth = max(len(b.sequences) for b in shares)
            samples = [s for i in range(depth) for b in shares if i < len(b.sequences) for s in b.sequences[i]]
            assert samples == full[step]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"epochs": 1}, {"epochs": 1, "threads": 2}, {"epochs": 1, "context": "spawn"}])
def test_workers_end_together_and_give_all_samples(run: Path, options: dict[str, Any]) -> None:
    pytest.importorskip("torch")
    assert same(list(workers(run, 3, **options)), list(Loader(run, ALL, epochs=1)))


@pytest.mark.slow
def test_the_stateful_loader_of_torchdata_resumes(run: Path) -> None:
    from torchdata import stateful_dataloader as stateful

    from shards.workers import Batches

    full = list(islice(Loader(run, ALL), 40))
    for number in (0, 2, 3):
        for at in (1, 6, 17):
            loader = stateful.StatefulDataLoader(Batches(Loader(run, ALL)), batch_size=None, num_workers=number)
            assert same(list(islice(loader, at)), full[:at])
            state = loader.state_dict()
            again = stateful.StatefulDataLoader(Batches(Loader(run, ALL)), batch_size=None, num_workers=number)
            again.load_state_dict(state)
            assert same(list(islice(again, 40 - at)), full[at:])


def test_a_state_from_inside_a_worker_is_refused_elsewhere(run: Path) -> None:
    loader = Loader(run, ALL)
    with pytest.raises(
        LoaderError, match="of worker 1 of 3 of a DataLoader; to go on with other workers, keep the `state`"
    ):
        loader.load_state_dict({**loader.state_dict(), "worker": [1, 3]})


TRAIN = """
import json, os, signal, sys
from shards.loader import Loader
run, folder, mixture = *sys.argv[1:3], json.loads(sys.argv[3])
rank, world, steps, die = map(int, sys.argv[4:8])
loader = Loader(run, mixture, rank=rank, world=world, threads=2)
if os.path.exists(f"{folder}/state"):
    loader.load_state_dict(json.load(open(f"{folder}/state")))
with open(f"{folder}/log-{rank}", "a") as log:
    for batch in loader:
        if batch.step >= steps:
            break
        log.write(json.dumps([batch.step, [[s.key for s in q] for q in batch.sequences]]) + "\\n")
        log.flush()
        if batch.step == die:  # trained on, and not in a checkpoint yet
            os.kill(os.getpid(), signal.SIGKILL)
        if rank == 0:  # the checkpoint, written atomically
            json.dump(batch.state, open(f"{folder}/state.new", "w"))
            os.replace(f"{folder}/state.new", f"{folder}/state")
"""


@pytest.mark.slow
def test_after_kill_9_training_resumes_from_the_last_state_on_another_number_of_ranks(
    run: Path, tmp_path: Path
) -> None:
    steps, die = 90, 40

    def train(rank: int, world: int, die: int = -1) -> int:
        arguments = [str(run), str(tmp_path), json.dumps(ALL), str(rank), str(world), str(steps), str(die)]
        return subprocess.run([sys.executable, "-c", TRAIN, *arguments], cwd=ROOT).returncode

    assert train(0, 1, die) == -signal.SIGKILL
    assert json.loads((tmp_path / "state").read_text())["position"] == die
    (tmp_path / "log-0").rename(tmp_path / "killed")
    for rank in (1, 0):  # one rank after the other, since rank 0 replaces the state
        assert train(rank, 2) == 0
    lines = [
        [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        for name in ("killed", "log-0", "log-1")
    ]
    # steps that were logged after the saved state are repeated
    killed = dict(line for line in lines[0] if line[0] < die)
    result = {
        **killed,
        **{
            a[0]: [q for pair in zip(a[1], b[1], strict=True) for q in pair]
            for a, b in zip(lines[1], lines[2], strict=True)
        },
    }
    full = {b.step: [[s.key for s in q] for q in b.sequences] for b in islice(Loader(run, ALL), steps)}
    assert result == full


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 7])
def test_a_torch_checkpoint_can_contain_a_loader(run: Path, tmp_path: Path, at: int) -> None:
    """As in torchtitan, which saves every Stateful object, such as a loader, in torch.distributed.checkpoint."""
    from torch.distributed import checkpoint
    from torch.distributed.checkpoint.stateful import Stateful

    full = list(islice(Loader(run, ALL), 20))
    loader = Loader(run, ALL)
    assert isinstance(loader, Stateful)
    assert same(list(islice(loader, at)), full[:at])
    checkpoint.save({"dataloader": loader}, checkpoint_id=tmp_path, no_dist=True)
    again = Loader(run, ALL)
    checkpoint.load({"dataloader": again}, checkpoint_id=tmp_path, no_dist=True)
    assert same(list(islice(again, 20 - at)), full[at:])
