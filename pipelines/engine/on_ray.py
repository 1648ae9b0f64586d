"""The Ray backend: parts run as Ray core tasks, each in a child process of its worker. Only this module imports ray.

Ray's own retries are off, because only the driver decides what follows a failure. The project's packages travel as
`py_modules`. A worker compares their digests with those of the driver, so that other code of the same name is noticed.

A stage with `open` (a model) runs in a pool of actors, one for each share of a GPU that it needs, or one for each core
if it needs none. The child process of an actor holds the model.
"""

import importlib
import logging
import os
import pathlib
import socket
import time
from typing import Any

import ray

from manifests import ray_cluster
from manifests.code import source_digest
from pipelines.engine.isolate import Child, remove_stale_folders
from pipelines.engine.lock import LOCK
from pipelines.engine.retry import Kind, PartResult, RunError
from pipelines.engine.stage import Task
from pipelines.engine.storage import Store

PACKAGES = ("pipelines", "filters", "ocr", "dedup", "manifests", "shards")
# Parts in flight for each core. The cluster never waits for the driver, and a cluster that scales sees the demand.
PARTS_PER_CORE = 2
RESOURCES_S = 5.0  # how often the size of the cluster is asked for
# environment variables that workers get: these, and those with these prefixes
_PASSED = ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "ssl_cert_file", "ssl_cert_dir")
_PASSED_PREFIXES = ("AWS_", "FSSPEC_", "HF_", "OMP_")

_child: Child | None = None  # of this Ray worker process


class OnRay:
    """Runs parts on a Ray cluster at `address` (host:port or ray://host:port); None starts one here.

    `slots`: parts in flight; by default twice the number of cores that the cluster has at the moment. Raises RunError
    if the cluster does not let this driver connect.
    """

    def __init__(self, address: str | None = None, slots: int | None = None):
        self.folder = os.getcwd()  # Ray may remove that of a submitted job
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        modules = [str(pathlib.Path(next(iter(importlib.import_module(p).__path__)))) for p in PACKAGES]
        own = {} if address else {"num_cpus": slots, "include_dashboard": False, "object_store_memory": 200 << 20}
        variables = {k: v for k, v in os.environ.items() if k.lower() in _PASSED or k.startswith(_PASSED_PREFIXES)}
        env = {"py_modules": modules, "env_vars": variables}
        options = {"runtime_env": env, "logging_level": logging.ERROR, "log_to_driver": False, **own}
        try:
            if address and (mode := ray_cluster.auth_mode(address)):
                os.environ[ray_cluster.MODE] = mode
                ray._raylet.Config.initialize("")  # Ray has read the mode when it was imported
            ray.init(address=address or "local", **options)
        except ray_cluster.ClusterError as e:
            raise RunError(f"--on {e}") from None
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as e:
            raise RunError(f"--on {address or 'ray'}: Ray does not start: {' '.join(str(e).split())}") from e
        self.fixed_slots = slots
        self.remote = ray.remote(num_cpus=1, max_retries=0)(_run)
        self.digests = {package: source_digest(package) for package in PACKAGES}
        self.busy: dict[Any, tuple[Task, Any]] = {}  # reference -> the part, and the actor that runs it
        self.pool: dict[Any, int] = {}  # actor -> its parts in flight
        self.pool_key: tuple[Any, ...] = ()  # stage and share of a GPU of the pool's actors
        self.resources_at = -1e9
        self.cached_resources: dict[str, float] = {}

    @property
    def slots(self) -> int:
        return self.fixed_slots or max(2, PARTS_PER_CORE * int(self._resources().get("CPU", 1)))

    def _resources(self) -> dict[str, float]:
        if time.monotonic() - self.resources_at > RESOURCES_S:  # a cluster grows and shrinks
            self.resources_at, self.cached_resources = time.monotonic(), ray.cluster_resources()
        return self.cached_resources

    def at_once(self, gpus: float) -> int:
        return PARTS_PER_CORE * self._actors(gpus) if gpus else self.slots

    def _actors(self, gpus: float) -> int:
        """The size of the pool. On a cluster without GPUs it is as if the stage needed none."""
        resources = self._resources()
        if gpus and resources.get("GPU", 0):
            return max(1, int(resources["GPU"] / gpus))
        return self.fixed_slots or max(1, int(resources.get("CPU", 1)))

    def submit(self, task: Task) -> None:
        actor = self._actor(task) if hasattr(task.step.stage, "open") else None
        if actor is not None:
            self.pool[actor] += 1
        run = self.remote if actor is None else actor.run
        self.busy[run.remote(task, self.digests, self.folder)] = (task, actor)

    def _actor(self, task: Task) -> Any:
        """The least busy actor of the pool. The pool holds the models of one stage at a time."""
        key, gpus = (task.step.stage, task.step.gpus), task.step.gpus
        for old in [a for a, parts in self.pool.items() if self.pool_key != key and not parts]:
            ray.kill(old)
            del self.pool[old]
        if not self.pool:
            self.pool_key = key
        actor = min(self.pool, key=lambda a: self.pool[a], default=None)
        if actor is None or (self.pool[actor] and len(self.pool) < self._actors(gpus)):
            # no core is reserved: an idle actor must not keep the tasks of other stages waiting
            options: dict[str, Any] = {"num_cpus": 0, "num_gpus": gpus if self._resources().get("GPU", 0) else 0}
            options |= {"max_restarts": 0, "max_task_retries": 0, "scheduling_strategy": "SPREAD"}
            actor = ray.remote(**options)(_ModelActor).remote()
            self.pool[actor] = 0
        return actor

    def wait(self, seconds: float) -> list[tuple[Task, PartResult]]:
        if not self.busy:
            return []
        ray.wait(list(self.busy), num_returns=1, timeout=seconds)
        done, _ = ray.wait(list(self.busy), num_returns=len(self.busy), timeout=0)  # everything that has ended by now
        results = []
        for ref in done:
            task, actor = self.busy.pop(ref)
            if actor in self.pool:
                self.pool[actor] -= 1
            try:
                results.append((task, ray.get(ref)))
            except ray.exceptions.RayError as e:
                if not isinstance(e, ray.exceptions.RayTaskError):
                    self.pool.pop(actor, None)
                # lost with its worker, but not if Ray killed the worker for its memory, or if its code is not ours
                broken = isinstance(e, (ray.exceptions.RayTaskError, ray.exceptions.RuntimeEnvSetupError))
                memory = isinstance(e, ray.exceptions.OutOfMemoryError)
                kind: Kind = "memory" if memory else "fatal" if broken else "lost"
                results.append((task, PartResult(None, kind=kind, cause=f"lost: {type(e).__name__}", detail=str(e))))
        return results

    def close(self) -> None:
        ray.shutdown()


class _ModelActor:
    """An actor with one child process, which keeps the model that it has opened."""

    def run(self, task: Task, digests: dict[str, str], folder: str) -> PartResult:
        return _run(task, digests, folder)


def _run(task: Task, digests: dict[str, str], folder: str) -> PartResult:
    """Run a part in the child process. folder: the driver's current one, which relative paths start from."""
    global _child
    for package, digest in digests.items():
        if source_digest(package) != digest:
            reason = "its path has another folder of that name first"
            raise RuntimeError(f"this worker's package {package!r} is not the driver's: {reason}")
    if os.path.isdir(folder):
        os.chdir(folder)
    store = Store(task.root)
    if store.local and not os.path.exists(store.path(LOCK)):
        remedy = "give --out a URL (s3://...) or a folder that all nodes share, as an absolute path"
        return PartResult(None, kind="fatal", cause=f"{socket.gethostname()} has no folder {task.root}; {remedy}")
    if _child is None:
        remove_stale_folders()
        _child = Child()
    _child.start(task)
    while (result := _child.poll()) is None:
        _child.pipe.poll(0.05)
    return result
