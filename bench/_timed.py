"""How fast a contender reads. Needs nothing but Python, so a peer in another environment is timed alike."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

REPEATS = 3


def timed(read: Callable[[], Iterator[Any]], samples: int) -> dict[str, float]:
    """The best of three times through: samples a second, processor ms a sample with all threads and workers, s to the first sample."""
    rates, ready, cpu = [], [], []
    for _ in range(REPEATS):
        start, used, count = time.perf_counter(), sum(os.times()[:4]), 0
        for _ in read():
            if not count:
                ready.append(time.perf_counter() - start)
            count += 1
        if count != samples:
            raise RuntimeError(f"{count} samples, not {samples}")
        rates.append(count / (time.perf_counter() - start))
        cpu.append((sum(os.times()[:4]) - used) / count * 1000)
    return {"samples_per_s": round(max(rates)), "cpu_ms": round(min(cpu), 3), "ready_s": round(min(ready), 4)}
