"""How near each image is to the text of its document: vectors of texts and images meet (filters.vectors)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from filters.vectors import VECTOR, ranks
from manifests.schema import IMAGE, TEXT, key64
from manifests.stage import NO_ENGINE, StageContext
from pipelines.engine.stage import Output
from pipelines.select.links import kept_rows

#: characters of a paragraph that are read: a model's context is some 77 tokens
MOST = 1000

#: a kept paragraph of a document with images, keyed by its text
SPOKEN = pa.schema([("key", pa.uint64()), ("text", pa.string()), ("part", pa.int32()), ("row", pa.int32())])

#: its vector, on the way home: the key is the part
HEARD = pa.schema([("key", pa.uint64()), ("row", pa.int32()), *VECTOR])


@dataclass(frozen=True)
class Spoken:
    """Exchange by part: `documents`, `decisions` and the `duplicates` that came home -> `texts` (SPOKEN)."""

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        rows = kept_rows(tables)
        documents = tables["documents"]
        out: list[dict[str, object]] = []
        for row in rows.tolist() if documents.num_columns else ():
            nodes = documents["nodes"][row].as_py()
            kept = [n for n, keep in zip(nodes, tables["decisions"]["node_keep"][row].as_py(), strict=True) if keep]
            if any(n["kind"] == IMAGE for n in kept):
                texts = dict.fromkeys((n["text"] or "")[:MOST] for n in kept if n["kind"] == TEXT)
                out += [{"key": key64(t), "text": t, "part": ctx.part, "row": row} for t in texts]
        yield "texts", pa.RecordBatch.from_pylist(out, schema=SPOKEN)


@dataclass(frozen=True)
class Heard:
    """Exchange by text: `texts` (SPOKEN) and their `scores` (key, vector) -> `heard` (HEARD)."""

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        texts, scores = tables["texts"], tables["scores"]
        if not texts.num_rows or not scores.num_rows:
            yield "heard", pa.RecordBatch.from_pylist([], schema=HEARD)
            return
        vectors = (
            scores["vector"]
            .combine_chunks()
            .take(pc.index_in(texts["key"], value_set=scores["key"].combine_chunks()).combine_chunks())
        )
        columns = [texts["part"].cast(pa.uint64()).combine_chunks(), texts["row"].combine_chunks(), vectors]
        yield "heard", pa.RecordBatch.from_arrays(columns, schema=HEARD)


@dataclass(frozen=True)
class Relevance:
    """Exchange by part: `images` (counted, with their `vector`) and `heard` -> `counted`: the same with `similarity`
    and `relevance_rank`

    (filters.scores.IMAGE_SIMILARITY) in the place of `vector`. The negatives of a document are `negatives` texts of
    others of its part, the same at every run.
    """

    negatives: int = 63

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        images, heard = tables["images"], tables["heard"]
        if not images.num_columns:
            return
        similarity = np.full(images.num_rows, np.nan, np.float32)
        rank = np.full(images.num_rows, np.nan, np.float32)
        seen = np.flatnonzero(images["vector"].is_valid().to_numpy())
        heard = heard.filter(heard["vector"].is_valid()) if heard.num_rows else heard
        if len(seen) and heard.num_rows:
            texts, speaker = _matrix(heard["vector"]), heard["row"].to_numpy()
            order = np.argsort([key64(f"{i} {row}") for i, row in enumerate(speaker)], kind="stable")
            texts, speaker = texts[order], speaker[order]
            owner = images["row"].to_numpy()
            for i, vector in zip(seen, _matrix(images["vector"].take(pa.array(seen))), strict=True):
                near = texts @ vector
                own = near[speaker == owner[i]]
                if not len(own):
                    continue
                similarity[i] = own.max()
                start = key64(f"negatives {owner[i]}") % len(speaker)
                others = np.roll(near, -start)[np.roll(speaker, -start) != owner[i]][: self.negatives]
                if len(others) == self.negatives:
                    rank[i] = ranks(own.max(keepdims=True), others[None])[0]
        made = images.drop_columns(["vector"])
        for name, values in (("similarity", similarity), ("relevance_rank", rank)):
            made = made.append_column(pa.field(name, pa.float32()), pa.array(values, mask=np.isnan(values)))
        whole = made.combine_chunks()
        yield (
            "counted",
            whole.to_batches()[0] if whole.num_rows else pa.RecordBatch.from_pylist([], schema=whole.schema),
        )


def _matrix(vectors: pa.ChunkedArray) -> NDArray[np.float32]:
    column = vectors.combine_chunks()
    values: NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(column), -1)
