"""Backend: parts run as Ray core tasks, each behind a fence in its Ray worker. The one module that imports ray.

Ray's own retries are off: what failed, and what to do about it, is decided in one place, the driver. The project's
packages travel as `py_modules`; a worker compares their digest with the driver's, so that other code of the same name
cannot stand in for ours.

A stage with `open` (a model) runs in a pool of actors, one for each share of a GPU it asks for (one for each core if it
asks for none): an actor lives as long as the stage is at work, and the process behind its fence holds the model.
"""

from __future__ import annotations

import importlib
import logging
import os
import pathlib
import socket
import time
from typing import Any

import ray

from pipelines.engine.fence import Child, sweep
from pipelines.engine.part import Task
from pipelines.engine.retry import Kind, PartResult, RunError
from pipelines.engine.stage import source_digest

ROOMS = ("pipelines", "filters", "ocr", "dedup", "manifests", "shards")
# parts in flight for each core: the cluster never waits for the driver, and one that scales by itself sees the demand
WINDOW = 2

_child: Child | None = None  # one a Ray worker process


class OnRay:
    """The same calls as the local backend, over a Ray cluster (`address`: host:port, ray://host:port, auto; None starts
    one here).

    `slots`: parts in flight; if not given, twice the cores the cluster has at the moment.
    """

    def __init__(self, address: str | None = None, slots: int | None = None):
        if address not in (None, "auto"):
            _reach(address)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        modules = [str(pathlib.Path(next(iter(importlib.import_module(room).__path__)))) for room in ROOMS]
        own = {} if address else {"num_cpus": slots, "include_dashboard": False, "object_store_memory": 200 << 20}
        passed = {
            k: v
            for k, v in os.environ.items()
            if k.lower() in _PASSED or k.startswith(("AWS_", "FSSPEC_", "HF_", "OMP_"))
        }
        env = {"py_modules": modules, "env_vars": passed}
        ray.init(address=address, runtime_env=env, logging_level=logging.ERROR, log_to_driver=False, **own)
        self.wanted = slots
        self.task = ray.remote(num_cpus=1, max_retries=0)(_run)
        self.code = {room: source_digest(room) for room in ROOMS}
        self.busy: dict[Any, tuple[Task, Any]] = {}  # -> the part, and the actor it runs in
        self.pool: dict[Any, int] = {}  # actor -> parts it has to do
        self.shape: tuple[Any, ...] = ()  # what the pool's actors are for
        self.looked = -1e9
        self.there: dict[str, float] = {}

    @property
    def slots(self) -> int:
        return self.wanted or max(2, WINDOW * int(self._resources().get("CPU", 1)))

    def _resources(self) -> dict[str, float]:
        if time.monotonic() - self.looked > 5:  # a cluster grows and shrinks
            self.looked, self.there = time.monotonic(), ray.cluster_resources()
        return self.there

    def at_once(self, gpus: float) -> int:
        return WINDOW * self._actors(gpus) if gpus else self.slots

    def _actors(self, gpus: float) -> int:
        """As many as the cluster has room for; as if there were no GPUs where there are none."""
        have = self._resources().get("GPU", 0)
        return (
            max(1, int(have / gpus)) if gpus and have else self.wanted or max(1, int(self._resources().get("CPU", 1)))
        )

    def submit(self, work: Task) -> None:
        actor = self._actor(work) if hasattr(work.stage, "open") else None
        ref = actor.run.remote(work, self.code) if actor else self.task.remote(work, self.code)
        if actor:
            self.pool[actor] += 1
        self.busy[ref] = (work, actor)

    def _actor(self, work: Task) -> Any:
        """The least busy actor of the pool, which holds one stage's models at a time."""
        if self.shape != (work.stage, work.gpus):
            for old in [a for a, parts in self.pool.items() if not parts]:
                ray.kill(old)
                del self.pool[old]
            if not self.pool:
                self.shape = (work.stage, work.gpus)
        idle = min(self.pool, key=lambda a: self.pool[a], default=None)
        if idle is None or (self.pool[idle] and len(self.pool) < self._actors(work.gpus)):
            gpus = work.gpus if self._resources().get("GPU", 0) else 0
            # no core is held: an idle actor must not keep the tasks of other stages waiting
            options = {
                "num_cpus": 0,
                "num_gpus": gpus,
                "max_restarts": 0,
                "max_task_retries": 0,
                "scheduling_strategy": "SPREAD",
            }
            idle = ray.remote(**options)(_Holder).remote()
            self.pool[idle] = 0
        return idle

    def wait(self, seconds: float) -> list[tuple[Task, PartResult]]:
        if not self.busy:
            return []
        done, _ = ray.wait(list(self.busy), num_returns=1, timeout=seconds)
        if done:  # and whatever else has ended by now
            done, _ = ray.wait(list(self.busy), num_returns=len(self.busy), timeout=0)
        ended = []
        for ref in done:
            work, actor = self.busy.pop(ref)
            if actor in self.pool:
                self.pool[actor] -= 1
            try:
                ended.append((work, ray.get(ref)))
            except ray.exceptions.RayError as e:
                if actor is not None and not isinstance(e, ray.exceptions.RayTaskError):
                    self.pool.pop(actor, None)
                ended.append((work, PartResult(None, kind=_kind(e), cause=f"lost: {type(e).__name__}", detail=str(e))))
        return ended

    def close(self) -> None:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raises RunError where nothing listens: Ray itself waits for minutes, then ends the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as e:
        raise RunError(
            f"--on {address}: no Ray cluster answers there ({e}); start one with `ray start --head`, or use `--on local`"
        ) from None


_PASSED = ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "ssl_cert_file", "ssl_cert_dir")


def _kind(e: Exception) -> Kind:
    """A worker that is gone says nothing of a row; one that Ray killed for memory, or whose code is not ours, says
    something.
    """
    if isinstance(e, ray.exceptions.OutOfMemoryError):
        return "memory"
    broken = (ray.exceptions.RayTaskError, ray.exceptions.RuntimeEnvSetupError)
    return "fatal" if isinstance(e, broken) else "lost"


class _Holder:
    """An actor with one child, which keeps the stage it has opened."""

    def run(self, work: Task, code: dict[str, str]) -> PartResult:
        return _run(work, code)


def _run(work: Task, code: dict[str, str]) -> PartResult:
    global _child
    for room, digest in code.items():
        if source_digest(room) != digest:
            raise RuntimeError(
                f"this worker's package {room!r} is not the driver's: another folder of that name comes first on its path"
            )
    if _child is None:
        sweep()
        _child = Child()
    _child.start(work)
    while True:
        ended = _child.poll()
        if ended is not None:
            return ended
        _child.pipe.poll(0.05)
