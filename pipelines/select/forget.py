"""Takedowns on their way to the stages that keep to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from manifests.at import At, anywhere
from pipelines.engine.stage import Output
from shards.forget import LIST


@dataclass(frozen=True)
class Listed:
    """Map: entries of a list (shards.forget.LIST) -> `forgotten`, the same; what reads it is made again when the list changes."""

    def __call__(self, batch: pa.RecordBatch, at: At = anywhere) -> Iterator[Output]:
        yield "forgotten", batch.select(LIST.names)
