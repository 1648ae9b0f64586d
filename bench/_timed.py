"""Measurements in interleaved rounds. It needs only Python, so that peers in other environments can use it too."""

import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

ROUNDS = 5

T = TypeVar("T")


def interleaved(contenders: Mapping[str, Callable[[], T]], rounds: int = ROUNDS) -> dict[str, list[T]]:
    """The results of each contender, one a round; all run in every round, so load slows all alike. Compare medians."""
    results: dict[str, list[T]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            results[name].append(run())
    return results


def in_new_process(work: Callable[..., T], *arguments: Any) -> T:
    """The result of a call in a process of its own, so that its peak memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def peak_mb() -> float:
    """The largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(reads: Mapping[str, Callable[[], Iterator[Any]]], samples: int) -> dict[str, dict[str, float]]:
    """Medians of each reader by name: samples a second, processor ms a sample, and seconds to the first sample.

    Processor time includes threads and worker processes. samples: that each must yield, or RuntimeError.
    """

    def processor_seconds() -> float:
        return time.process_time() + sum(os.times()[2:4])  # the second: of child processes that have ended

    def once(read: Callable[[], Iterator[Any]]) -> dict[str, float]:
        start, cpu_start, count, ready = time.perf_counter(), processor_seconds(), 0, 0.0
        for _ in read():
            if not count:
                ready = time.perf_counter() - start
            count += 1
        if count != samples:
            raise RuntimeError(f"{count} samples, not {samples}")
        seconds, cpu = time.perf_counter() - start, processor_seconds() - cpu_start
        return {"samples_per_s": count / seconds, "cpu_ms": cpu / count * 1000, "ready_s": ready}

    results = interleaved({name: lambda read=read: once(read) for name, read in reads.items()})  # type: ignore[misc]
    digits = {"samples_per_s": None, "cpu_ms": 3, "ready_s": 4}
    return {
        name: {key: round(statistics.median(row[key] for row in rows), n) for key, n in digits.items()}
        for name, rows in results.items()
    }
