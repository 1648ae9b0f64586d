"""Image and text as vectors of one space (CLIP, SigLIP), by the two halves of a model in ONNX files; and what their
cosines say.

An image's ``similarity`` is that to the nearest text of its document. Its ``relevance_rank`` counts the texts of other
documents that are as near or nearer: mOSCAR (arXiv 2406.08707) keeps what is among the first 8 against 63 such
negatives, because a rank needs no threshold that would have to be found anew for each model and language.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.onnx import BATCH, CLIP, Floats, View, answers, asked
from manifests.stage import NO_ENGINE, StageContext

Output = tuple[str, pa.RecordBatch | bytes]

VECTOR = pa.schema([("vector", pa.list_(pa.float32()))])


@dataclass(frozen=True)
class ImageVectors:
    """Map: a batch with the column ``image`` (encoded bytes) -> ("scores", VECTOR), one row an image, of length 1; null
    if undecodable.

    ``model``: an ONNX file whose first input takes n views; its output ``image_embeds``, or else its first, has a row
    an image.
    """

    model: str
    view: View = CLIP

    name: ClassVar[str] = "vectors"
    files: ClassVar[tuple[str, ...]] = ("model",)
    libraries: ClassVar[tuple[str, ...]] = ("onnxruntime", "pillow")

    def columns(self) -> pa.Schema:
        return VECTOR

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        found: list[Floats | None] = [None] * batch.num_rows
        for rows, out in answers(self.model, self.view, batch["image"], ctx, "image_embeds"):
            for row, vector in zip(rows, unit(out), strict=True):
                found[row] = vector
        yield "scores", pa.RecordBatch.from_arrays([pa.array(found, VECTOR.field("vector").type)], schema=VECTOR)

    def check(self) -> int:
        """Asks the model of a black image: how many numbers a vector has. Raises ValueError, one line."""
        blank = np.zeros((1, 3, self.view.side, self.view.side), np.float32)
        return int(unit(asked(self.model, {None: blank}, "image_embeds")).shape[1])


@dataclass(frozen=True)
class TextVectors:
    """Map: a batch with the column ``text`` -> ("scores", VECTOR), one row a text, of length 1.

    ``model``: an ONNX file with the inputs ``input_ids`` and maybe ``attention_mask``; its output ``text_embeds``, or
    else its first, has a row a text. ``tokenizer``: a tokenizer.json; texts are cut off, and filled up, at ``tokens``.
    """

    model: str
    tokenizer: str
    tokens: int = 77  # CLIP's context

    name: ClassVar[str] = "vectors"
    files: ClassVar[tuple[str, ...]] = ("model", "tokenizer")
    libraries: ClassVar[tuple[str, ...]] = ("onnxruntime", "tokenizers")

    def columns(self) -> pa.Schema:
        return VECTOR

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        texts = batch["text"].to_pylist()
        found: list[Floats | None] = [None] * len(texts)
        for first in range(0, len(texts), BATCH):
            rows = [row for row in range(first, min(first + BATCH, len(texts))) if ctx(row)]
            for row, vector in zip(rows, self.of([texts[row] or "" for row in rows]) if rows else (), strict=True):
                found[row] = vector
        yield "scores", pa.RecordBatch.from_arrays([pa.array(found, VECTOR.field("vector").type)], schema=VECTOR)

    def of(self, texts: list[str]) -> Floats:
        """texts -> texts x numbers, float32."""
        every = tokenizer(self.tokenizer, self.tokens).encode_batch(texts)
        ids, mask = (np.array([getattr(e, name) for e in every], np.int64) for name in ("ids", "attention_mask"))
        return unit(asked(self.model, {"input_ids": ids, "attention_mask": mask}, "text_embeds"))

    def check(self) -> int:
        """Asks the model of a word: how many numbers a vector has. Raises ValueError, one line."""
        return int(self.of(["word"]).shape[1])


def unit(vectors: NDArray) -> Floats:
    """Vectors of length 1, or of 0 where there is none; an output of more dimensions is laid flat."""
    flat = np.asarray(vectors, np.float32).reshape(len(vectors), -1)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    made: Floats = np.divide(flat, length, out=np.zeros_like(flat), where=length > 0)
    return made


def ranks(own: NDArray, negatives: NDArray) -> NDArray[np.int64]:
    """How many of each row's negatives are as near as its own similarity or nearer: 0 where its own is nearest, a tie
    against it.

    ``own``: n similarities; ``negatives``: n x k.
    """
    found: NDArray[np.int64] = (np.asarray(negatives) >= np.asarray(own)[:, None]).sum(axis=1, dtype=np.int64)
    return found


@lru_cache(maxsize=2)
def tokenizer(path: str, tokens: int) -> Any:
    """A tokenizer.json's, that makes every text ``tokens`` long. Raises ValueError, one line."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ValueError("text vectors need the package tokenizers: pip install tokenizers") from error
    try:
        made = Tokenizer.from_file(path)
    except Exception as error:  # the library raises bare Exception
        raise ValueError(f"tokenizer `{path}`: {' '.join(str(error).split())}") from error
    own = made.padding or {}
    made.enable_truncation(tokens)
    made.enable_padding(length=tokens, pad_id=own.get("pad_id", 0), pad_token=own.get("pad_token", "[PAD]"))
    return made
