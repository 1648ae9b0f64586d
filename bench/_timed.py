"""How fast a contender reads. Needs nothing but Python, so a peer in another environment is timed alike."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

REPEATS = 5


def timed(reads: Mapping[str, Callable[[], Iterator[Any]]], samples: int) -> dict[str, dict[str, float]]:
    """Of each contender by name, the best of `REPEATS` times through: samples a second, processor ms a sample (threads
    and workers
    included), seconds to the first sample. They take turns, so that other work on the machine meets all of them."""
    best: dict[str, dict[str, float]] = {}
    for _ in range(REPEATS):
        for name, read in reads.items():
            found = _once(read, samples)
            seen = best.setdefault(name, found)
            seen["samples_per_s"] = max(seen["samples_per_s"], found["samples_per_s"])
            for cost in ("cpu_ms", "ready_s"):
                seen[cost] = min(seen[cost], found[cost])
    return best


def _once(read: Callable[[], Iterator[Any]], samples: int) -> dict[str, float]:
    start, used, count, ready = time.perf_counter(), sum(os.times()[:4]), 0, 0.0
    for _ in read():
        if not count:
            ready = time.perf_counter() - start
        count += 1
    if count != samples:
        raise RuntimeError(f"{count} samples, not {samples}")
    seconds, cpu = time.perf_counter() - start, sum(os.times()[:4]) - used
    return {"samples_per_s": round(count / seconds), "cpu_ms": round(cpu / count * 1000, 3), "ready_s": round(ready, 4)}
