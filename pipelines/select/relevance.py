"""How near each image is to the text of its document, by vectors of images and of texts (filters.vectors)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from filters.scores import IMAGE_SIMILARITY
from filters.vectors import VECTOR, ranks
from manifests.schema import IMAGE, TEXT, key64
from manifests.stage import NO_ENGINE, Output, StageContext
from pipelines.select.join import counted_schema
from pipelines.select.links import surviving_rows

#: characters of a paragraph that are read: the context of a model is about 77 tokens
MAX_CHARACTERS = 1000

#: a kept paragraph of a document with images; key: of its text
TEXTS = pa.schema([("key", pa.uint64()), ("text", pa.string()), ("part", pa.int32()), ("row", pa.int32())])

#: its vector; key: the document's part
VECTORS = pa.schema([("key", pa.uint64()), ("row", pa.int32()), *VECTOR])


@dataclass(frozen=True)
class TextsOfDocuments:
    """Exchange by part: `documents`, `decisions` and `duplicates` -> `texts` (TEXTS) of the documents that are left."""

    tables: ClassVar[Mapping[str, pa.Schema]] = {"texts": TEXTS}

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        documents, decisions = tables["documents"], tables["decisions"]
        rows: list[dict[str, object]] = []
        for row in surviving_rows(tables).tolist():
            keep = decisions["node_keep"][row].as_py()
            nodes = [n for n, kept in zip(documents["nodes"][row].as_py(), keep, strict=True) if kept]
            if any(n["kind"] == IMAGE for n in nodes):
                texts = dict.fromkeys((n["text"] or "")[:MAX_CHARACTERS] for n in nodes if n["kind"] == TEXT)
                rows += [{"key": key64(text), "text": text, "part": ctx.part, "row": row} for text in texts]
        yield "texts", pa.RecordBatch.from_pylist(rows, schema=TEXTS)


@dataclass(frozen=True)
class TextVectorsByPart:
    """Exchange by text: `texts` (TEXTS) and their `scores` (key, vector) -> `vectors` (VECTORS)."""

    tables: ClassVar[Mapping[str, pa.Schema]] = {"vectors": VECTORS}

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        texts, scores = tables["texts"], tables["scores"]
        if not texts.num_rows or not scores.num_rows:
            return
        place = pc.index_in(texts["key"], value_set=scores["key"].combine_chunks()).combine_chunks()
        vectors = scores["vector"].combine_chunks().take(place)
        columns = [texts["part"].cast(pa.uint64()).combine_chunks(), texts["row"].combine_chunks(), vectors]
        yield "vectors", pa.RecordBatch.from_arrays(columns, schema=VECTORS)


@dataclass(frozen=True)
class Relevance:
    """Exchange by part: `images` (counted, with a `vector`) and `vectors` (VECTORS) -> `counted`: the images with
    `similarity` and `relevance_rank` (filters.scores.IMAGE_SIMILARITY) instead of `vector`.

    The negatives of a document are `negatives` texts of other documents of its part, the same in every run.
    columns: of the images' scores (pipelines.select.join.Count).
    """

    columns: tuple[tuple[str, str], ...]
    negatives: int = 63

    @property
    def tables(self) -> Mapping[str, pa.Schema]:
        images = counted_schema(self.columns)
        fields = [field for field in images if field.name != "vector"]
        return {"counted": pa.schema([*fields, *((name, pa.float32()) for name in IMAGE_SIMILARITY)])}

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        images, texts = tables["images"], tables["vectors"]
        similarity = np.full(images.num_rows, np.nan, np.float32)
        rank = np.full(images.num_rows, np.nan, np.float32)
        with_vector = np.flatnonzero(images["vector"].is_valid().to_numpy())
        texts = texts.filter(texts["vector"].is_valid())
        if len(with_vector) and texts.num_rows:
            matrix, document = _matrix(texts["vector"]), texts["row"].to_numpy()
            order = np.argsort([key64(f"{i} {row}") for i, row in enumerate(document)], kind="stable")
            matrix, document = matrix[order], document[order]
            owner = images["row"].to_numpy()
            for i, vector in zip(with_vector, _matrix(images["vector"].take(pa.array(with_vector))), strict=True):
                cosine = matrix @ vector
                own = cosine[document == owner[i]]
                if not len(own):
                    continue
                similarity[i] = own.max()
                start = key64(f"negatives {owner[i]}") % len(document)
                others = np.roll(cosine, -start)[np.roll(document, -start) != owner[i]][: self.negatives]
                if len(others) == self.negatives:
                    rank[i] = ranks(own.max(keepdims=True), others[None])[0]
        counted = images.drop_columns(["vector"])
        for name, values in (("similarity", similarity), ("relevance_rank", rank)):
            counted = counted.append_column(pa.field(name, pa.float32()), pa.array(values, mask=np.isnan(values)))
        for batch in counted.combine_chunks().to_batches():
            yield "counted", batch


def _matrix(vectors: pa.ChunkedArray) -> NDArray[np.float32]:
    column = vectors.combine_chunks()
    values: NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(column), -1)
