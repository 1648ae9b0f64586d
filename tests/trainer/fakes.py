"""Samples and a loader with the interface of ``shards.loader``, for tests without shards."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Sample:
    key: str
    layout: str
    content: list[str | int]
    images: list[bytes] = field(default_factory=list)
    source: str = "mine"
    epoch: int = 0
    views: int = 1
    piece: tuple[int, int] | None = None

    def parts(self) -> list[str | int]:
        return self.content


@dataclass
class Batch:
    step: int
    source: str
    sequence_length: int
    image: dict[str, Any]
    sequences: list[list[Sample]]
    counts: dict[str, int] = field(default_factory=dict)


class Loader:
    """Batches of one source each, drawn by weight; rows are filled greedily. The state is the next batch's number."""

    def __init__(
        self,
        samples: dict[str, list[Sample]],
        weights: dict[str, float],
        rows: int,
        length: int,
        latents: int,
        seed: int = 0,
    ) -> None:
        self.samples, self.weights, self.rows, self.seed = samples, weights, rows, seed
        self.length, self.latents = length, latents
        self.step = 0

    def size(self, sample: Sample) -> int:
        return 2 + sum(len(p.encode()) + 2 if isinstance(p, str) else self.latents + 2 for p in sample.content)

    def __iter__(self) -> Iterator[Batch]:
        while True:
            rng = random.Random(f"{self.seed} {self.step}")
            source = rng.choices(list(self.weights), list(self.weights.values()))[0]
            sequences = []
            for _ in range(self.rows):
                row, space = [], self.length
                while True:
                    sample = rng.choice(self.samples[source])
                    if row and self.size(sample) > space:
                        break
                    row.append(sample)
                    space -= self.size(sample)
                sequences.append(row)
            self.step += 1
            yield Batch(
                self.step - 1, source, self.length, {"mode": "square", "longest": 56, "shortest": 56}, sequences
            )

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
