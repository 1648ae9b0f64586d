"""Takedown lists as a table that stages can read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from manifests.stage import NO_ENGINE, Output, StageContext
from shards.forget import LIST


@dataclass(frozen=True)
class Listed:
    """Map: entries of a list (shards.forget.LIST) -> `forgotten`, unchanged. A changed list redoes the stages that read
    it.
    """

    tables: ClassVar[Mapping[str, pa.Schema]] = {"forgotten": LIST}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        yield "forgotten", batch.select(LIST.names)
