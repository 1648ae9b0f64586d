"""Training as workers of Ray Train, on one machine or a cluster. Each worker is a rank of the same loop.

    from trainer.on_ray import train
    train("stage2", "s3://bucket/run", "/shared/train", workers=8, gpu=True)

`out` must be a folder that every worker can reach. If a worker dies, Ray starts all again from the last checkpoint.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig, report
from ray.train.torch import TorchTrainer

import trainer
from manifests import ray_cluster


def train(
    recipe: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    workers: int,
    gpu: bool = False,
    failures: int = 3,
    overrides: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Trains as ``trainer.run.train`` does, and returns its result.

    workers: ranks, each with an accelerator if `gpu`; the recipe's sequences of a step must be a multiple of them.
    failures: restarts before it gives up. Unless Ray is connected already, this connects to RAY_ADDRESS or to the
    cluster that `ray start` started here, or starts Ray. Raises ClusterError where the cluster lets no driver connect.
    """
    if not ray.is_initialized():
        _connect()
    job: dict[str, Any] = {"recipe": str(recipe), "data": str(data), "out": str(Path(out).absolute())}
    job["overrides"] = dict(overrides or {})
    scaling, failing = ScalingConfig(num_workers=workers, use_gpu=gpu), FailureConfig(max_failures=failures)
    settings = RunConfig(name="ray", storage_path=job["out"], failure_config=failing)
    TorchTrainer(work, train_loop_config=job, scaling_config=scaling, run_config=settings).fit()
    # every stage is finished, so this only reads the results
    return trainer.train(job["recipe"], data, job["out"], overrides=overrides)


def _connect() -> None:
    address = ray_cluster.usual_address()
    if address and (mode := ray_cluster.auth_mode(address)):
        os.environ[ray_cluster.MODE] = mode
        ray._raylet.Config.initialize("")  # Ray has read the mode when it was imported
    ray.init(address or "local", log_to_driver=True)


def work(job: dict[str, Any]) -> None:
    """One worker. Ray has set RANK, WORLD_SIZE and LOCAL_RANK and started the process group, which the loop uses."""
    result = trainer.train(job["recipe"], job["data"], job["out"], overrides=job["overrides"])
    report({"last_loss": result["last_loss"]})
