"""Training on workers of Ray Train has the losses of one process."""

import json
from pathlib import Path

import pytest

import trainer
from tests.trainer import made

SETTINGS = {"train.steps": 3, "train.warmup": 1, "evaluate.pairs": 0, "tensorboard": False}


@pytest.mark.slow
def test_two_workers_train_as_one_process_does(tmp_path):
    import ray

    from trainer.on_ray import train

    data = made.run(tmp_path / "run", {"pairs": {"train": 12}, "interleaved": {"train": 6}})
    expected = trainer.train("stage1", data, tmp_path / "alone", overrides=SETTINGS)
    root = str(Path(__file__).resolve().parents[2])
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": root, "GLOO_SOCKET_IFNAME": "lo"}},
    )
    try:
        result = train("stage1", data, tmp_path / "both", workers=2, overrides=SETTINGS)
    finally:
        ray.shutdown()
    assert result["last_loss"] == pytest.approx(expected["last_loss"], abs=1e-4)
    logs = [
        [json.loads(line)["loss"] for line in (tmp_path / n / "stage1" / "log.jsonl").read_text().splitlines()]
        for n in ("alone", "both")
    ]
    assert logs[0] == pytest.approx(logs[1], abs=1e-4)
    assert (tmp_path / "both" / "stage1" / "model" / "config.json").is_file()
