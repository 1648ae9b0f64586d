"""Backend: parts run as Ray core tasks, each behind a fence in its Ray worker. The one module that imports ray.

Ray's own retries are off: what failed, and what to do about it, is decided in one place, the driver. The project's packages travel as
`py_modules`; a worker compares their digest with the driver's, so that other code of the same name cannot stand in for ours.
"""

from __future__ import annotations

import importlib
import logging
import os
import pathlib
from typing import Any

import ray

from pipelines.engine.fence import Child, Ended
from pipelines.engine.part import Work
from pipelines.engine.stage import source_digest

ROOMS = ("pipelines", "filters", "ocr", "dedup", "manifests", "shards")

_child: Child | None = None  # one a Ray worker process


class OnRay:
    """The same three calls as the local backend, over a Ray cluster (`address`: host:port, ray://host:port, auto; None starts one here)."""

    def __init__(self, address: str | None = None, slots: int | None = None):
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        modules = [str(pathlib.Path(next(iter(importlib.import_module(room).__path__)))) for room in ROOMS]
        own = {} if address else {"num_cpus": slots, "include_dashboard": False, "object_store_memory": 200 << 20}
        passed = {k: v for k, v in os.environ.items() if k.lower() in ("http_proxy", "https_proxy", "no_proxy", "ssl_cert_file")}
        env = {"py_modules": modules, "env_vars": passed}
        ray.init(address=address, runtime_env=env, logging_level=logging.ERROR, log_to_driver=False, **own)
        self.slots = slots or int(ray.cluster_resources().get("CPU", 1))
        self.task = ray.remote(num_cpus=1, max_retries=0)(_run)
        self.code = {room: source_digest(room) for room in ROOMS}
        self.busy: dict[Any, Work] = {}

    def submit(self, work: Work) -> None:
        self.busy[self.task.remote(work, self.code)] = work

    def wait(self, seconds: float) -> list[tuple[Work, Ended]]:
        if not self.busy:
            return []
        done, _ = ray.wait(list(self.busy), num_returns=1, timeout=seconds)
        ended = []
        for ref in done:
            work = self.busy.pop(ref)
            try:
                ended.append((work, ray.get(ref)))
            except ray.exceptions.RayError as e:  # the worker or its node is gone: nothing is known of the row
                ended.append((work, Ended(None, cause=f"lost: {type(e).__name__}", detail=str(e))))
        return ended

    def close(self) -> None:
        ray.shutdown()


def _run(work: Work, code: dict[str, str]) -> Ended:
    global _child
    for room, digest in code.items():
        if source_digest(room) != digest:
            raise RuntimeError(f"this worker's package {room!r} is not the driver's: another folder of that name comes first on its path")
    if _child is None:
        _child = Child()
    _child.start(work)
    while True:
        if _child.pipe.incoming.poll(0.2):
            pass
        ended = _child.poll()
        if ended is not None:
            return ended
