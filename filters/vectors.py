"""Images and texts as vectors of one space (CLIP, SigLIP), by the two encoders of a model in ONNX files.

The score ``similarity`` of an image is its cosine with the nearest text of its document. ``relevance_rank`` is the
number of texts of other documents that are as near or nearer. mOSCAR (arXiv 2406.08707) keeps an image that is among
the first 8 against 63 such texts, because a rank, unlike a threshold, needs no tuning for each model and language.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.needs import package
from filters.onnx import BATCH, CLIP, Floats, View, infer, outputs
from manifests.code import one_line
from manifests.stage import NO_ENGINE, Output, StageContext

VECTOR = pa.schema([("vector", pa.list_(pa.float32()))])


@dataclass(frozen=True)
class ImageVectors:
    """Map: a batch with the column ``image`` (encoded bytes) -> ("scores", VECTOR): a vector of length 1 for each
    image, null where it cannot be decoded.

    ``model``: an ONNX file whose first input is n images (`View`). Its output ``image_embeds``, or else its first
    output, has a row for each image.
    """

    model: str
    view: View = CLIP

    stage_name: ClassVar[str] = "filters.vectors:ImageVectors"
    tables: ClassVar[Mapping[str, pa.Schema]] = {"scores": VECTOR}
    name: ClassVar[str] = "vectors"
    files: ClassVar[tuple[str, ...]] = ("model",)
    libraries: ClassVar[tuple[str, ...]] = ("onnxruntime", "pillow")

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        vectors: list[Floats | None] = [None] * batch.num_rows
        for rows, out in outputs(self.model, self.view, batch["image"], ctx, "image_embeds"):
            for row, vector in zip(rows, unit(out), strict=True):
                vectors[row] = vector
        yield "scores", pa.RecordBatch.from_arrays([pa.array(vectors, VECTOR.field("vector").type)], schema=VECTOR)

    def check(self) -> int:
        """The number of dimensions, from a run on a black image. Raises ValueError, one line."""
        blank = np.zeros((1, 3, self.view.side, self.view.side), np.float32)
        return int(unit(infer(self.model, {None: blank}, "image_embeds")).shape[1])


@dataclass(frozen=True)
class TextVectors:
    """Map: a batch with the column ``text`` -> ("scores", VECTOR), a vector of length 1 for each text.

    ``model``: an ONNX file with the input ``input_ids`` and optionally ``attention_mask``. Its output ``text_embeds``,
    or else its first output, has a row for each text. ``tokenizer``: a tokenizer.json; texts are truncated or padded to
    ``tokens``.
    """

    model: str
    tokenizer: str
    tokens: int = 77  # CLIP's context

    stage_name: ClassVar[str] = "filters.vectors:TextVectors"
    tables: ClassVar[Mapping[str, pa.Schema]] = {"scores": VECTOR}
    name: ClassVar[str] = "vectors"
    files: ClassVar[tuple[str, ...]] = ("model", "tokenizer")
    libraries: ClassVar[tuple[str, ...]] = ("onnxruntime", "tokenizers")

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        texts = batch["text"].to_pylist()
        vectors: list[Floats | None] = [None] * len(texts)
        for first in range(0, len(texts), BATCH):
            rows = [row for row in range(first, min(first + BATCH, len(texts))) if ctx(row)]
            for row, vector in zip(rows, self.of([texts[row] or "" for row in rows]) if rows else (), strict=True):
                vectors[row] = vector
        yield "scores", pa.RecordBatch.from_arrays([pa.array(vectors, VECTOR.field("vector").type)], schema=VECTOR)

    def of(self, texts: list[str]) -> Floats:
        """Vectors of texts: (texts, dimensions) float32."""
        encodings = tokenizer(self.tokenizer, self.tokens).encode_batch(texts)
        ids, mask = (np.array([getattr(e, name) for e in encodings], np.int64) for name in ("ids", "attention_mask"))
        return unit(infer(self.model, {"input_ids": ids, "attention_mask": mask}, "text_embeds"))

    def check(self) -> int:
        """The number of dimensions, from a run on a word. Raises ValueError, one line."""
        return int(self.of(["word"]).shape[1])


def unit(vectors: NDArray) -> Floats:
    """Vectors scaled to length 1 (a vector of zeros stays); a row of more dimensions is flattened."""
    flat = np.asarray(vectors, np.float32).reshape(len(vectors), -1)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(np.divide(flat, length, out=np.zeros_like(flat), where=length > 0))


def ranks(own: NDArray, negatives: NDArray) -> NDArray[np.int64]:
    """How many of each row's negatives (n x k) have the row's own similarity (n) or a higher one; 0 for the nearest."""
    return np.asarray((np.asarray(negatives) >= np.asarray(own)[:, None]).sum(axis=1), np.int64)


@lru_cache(maxsize=2)
def tokenizer(path: str, tokens: int) -> Any:
    """The tokenizer of a file, which gives ``tokens`` tokens for every text. Raises ValueError, one line."""
    tokenizers = package("tokenizers", "text vectors need")
    try:
        loaded = tokenizers.Tokenizer.from_file(path)
    except Exception as error:  # the library raises bare Exception
        raise ValueError(f"tokenizer `{path}`: {one_line(error)}") from error
    own = loaded.padding or {}
    loaded.enable_truncation(tokens)
    loaded.enable_padding(length=tokens, pad_id=own.get("pad_id", 0), pad_token=own.get("pad_token", "[PAD]"))
    return loaded
