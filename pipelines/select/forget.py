"""Takedowns on their way to the stages that keep to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from manifests.stage import NO_ENGINE, StageContext
from pipelines.engine.stage import Output
from shards.forget import LIST


@dataclass(frozen=True)
class Listed:
    """Map: entries of a list (shards.forget.LIST) -> `forgotten`, the same; what reads it is made again when the list
    changes.
    """

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        yield "forgotten", batch.select(LIST.names)
