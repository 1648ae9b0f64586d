"""Two processes over gloo: they have the losses of one process, and one process resumes their checkpoint."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.trainer import ranks

ROOT = Path(__file__).resolve().parents[2]


def run(out: Path, world: int, *changes: str) -> list[dict]:
    """Trains a stage on ``world`` ranks and returns its log."""
    launch = (
        ["-m", "torch.distributed.run", "--nproc-per-node", str(world), "--master-port", "0", "--standalone"]
        if world > 1
        else []
    )
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, *launch, "-m", "tests.trainer.ranks", str(out), *changes]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    process = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return [json.loads(line) for line in (out / "s" / "log.jsonl").read_text().splitlines()]


def curve(log: list[dict]) -> list[float]:
    return [line["loss"] for line in log]


@pytest.mark.slow
@pytest.mark.parametrize("backbones", ["full", "lora"])
def test_two_ranks_then_one_have_the_losses_of_one(tmp_path, backbones):
    """With adapters, the frozen weights are not in the checkpoint. The rank that resumes has larger micro-batches."""
    settings = [f"backbones={backbones}", "lora={r: 2, dropout: 0.0}"]
    complete = run(tmp_path / "complete", 1, *settings)
    two_ranks = run(tmp_path / "both", 2, *settings, "stop=4")  # one step past the checkpoint
    assert curve(two_ranks) == pytest.approx(curve(complete)[:4], abs=2e-5)
    assert [(line["tokens"], line["images"]) for line in two_ranks] == [
        (line["tokens"], line["images"]) for line in complete[:4]
    ]
    resumed = run(tmp_path / "both", 1, *settings, "micro=2")
    assert [line["step"] for line in resumed] == [1, 2, 3, 4, 5, 6]
    assert curve(resumed) == pytest.approx(curve(complete), abs=1e-4)
    ours, theirs = (torch.load(tmp_path / name / "weights.pt") for name in ("both", "complete"))
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], atol=2e-3, rtol=0, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("fusion", ["autoregressive", "cross_attention"])
def test_text_alone_on_one_rank_does_not_hang(tmp_path, fusion):
    """The first rank gets text and the second images, and both gather the same weights."""
    changes = ["steps=3", "uneven=true", f"fusion={fusion}"]
    log = run(tmp_path / "both", 2, *changes)
    assert curve(log) == pytest.approx(curve(run(tmp_path / "one", 1, *changes)), abs=2e-5)
    assert all(line["images"] > 0 for line in log)


@pytest.mark.slow
def test_bfloat16_and_checkpointing_on_two_ranks(tmp_path):
    log = run(tmp_path, 2, "dtype=bfloat16", "checkpointing=true", "steps=8", "lr=3e-3")
    assert curve(log)[-1] < 0.9 * curve(log)[0]


def test_one_process_needs_no_launcher(tmp_path):
    ranks.main(tmp_path, {"steps": 2, "checkpointing": True, "dtype": "bfloat16"})
    log = [json.loads(line) for line in (tmp_path / "s" / "log.jsonl").read_text().splitlines()]
    assert len(log) == 2 and log[0]["flops"] > 0
