"""The steps that read rows of files: lists, conversations, releases, texts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from pipelines.engine.plan import StepOutput
from pipelines.engine.stage import Step
from pipelines.engine.storage import Store
from pipelines.formats.pieces import INPUTS, ByteRanges, has_ranges
from pipelines.sources.base import Reading, Row, Source, reader_step, row_tables


def row_steps(
    source: Source,
    name: str,
    stage: Any,
    pieces: Sequence[Row],
    schema: pa.Schema,
    reading: Reading,
    *,
    header: Sequence[str] = (),
    **options: Any,
) -> list[Step]:
    """The step SOURCE.NAME, with one partition for each piece. Where pieces are ranges of bytes, a step before it
    finds them: SOURCE.ranges.

    pieces, schema: rows of `pipelines.formats.pieces.INPUTS` with further columns. header: names of
    the columns of tables without a header. options: of the step.
    """
    read = reader_step(source.step(name), stage, pieces, schema, reading, **options)
    divided = [piece for piece in pieces if has_ranges(piece)]
    if not divided:
        return [read]
    files = [{name: piece[name] for name in INPUTS.names} for piece in divided if piece["piece"] == 0]
    ranges = Step(source.step("ranges"), ByteRanges(tuple(header)), rows=row_tables(files, INPUTS))

    def rows(outputs: Mapping[str, StepOutput]) -> list[pa.Table]:
        found: dict[str, list[Row]] = {}  # none of a file that is quarantined: each piece keeps its share of it
        for row in outputs[ranges.name].read(Store(reading.root), "ranges").to_pylist():
            found.setdefault(row["file"], []).append(row)
        ranged = [p | found[p["file"]][p["piece"]] if p["file"] in found else p for p in pieces]
        return row_tables(ranged, schema)(outputs)

    return [ranges, replace(read, rows=rows, after=(ranges.name,))]
