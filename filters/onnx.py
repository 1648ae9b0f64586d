"""Scores of images by a model in an ONNX file that the user names: aesthetics, NSFW, watermark, or anything with one number an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from filters.pixels import decoded
from manifests.at import At, anywhere

Output = tuple[str, pa.RecordBatch | bytes]

#: those of OpenAI's CLIP preprocessing, which most such models kept
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class OnnxImageScore:
    """Map: a batch with the column ``image`` (encoded bytes) -> ("scores", ``<name>`` float32), one row an image; null if undecodable.

    ``model``: an ONNX file whose first input takes n x 3 x side x side float32 (RGB, 0 to 1, less ``mean``, by ``deviation``; the centre
    square, scaled) and whose first output has a row an image; ``column`` of it is the score, after a softmax over the row where
    ``softmax`` says so. Runs on a GPU where onnxruntime has a provider for one, ``batch`` images at a time.

    Raises ValueError, one line, where the package `onnxruntime` or the file is missing, or the model is of another form.
    """

    name: str
    model: str
    side: int = 224
    mean: tuple[float, float, float] = MEAN
    deviation: tuple[float, float, float] = DEVIATION
    column: int = 0
    softmax: bool = False
    batch: int = 32

    files: ClassVar[tuple[str, ...]] = ("model",)
    libraries: ClassVar[tuple[str, ...]] = ("onnxruntime",)

    def columns(self) -> pa.Schema:
        return pa.schema([(self.name, pa.float32())])

    def __call__(self, batch: pa.RecordBatch, at: At = anywhere) -> Iterator[Output]:
        session = load(self.model)
        scores = np.full(batch.num_rows, np.nan, np.float32)
        rows: list[int] = []
        held: list[NDArray[np.float32]] = []
        for row in range(batch.num_rows):
            data = batch["image"][row].as_py()
            if data is not None and at(row) and (pixels := self._pixels(data)) is not None:
                rows.append(row)
                held.append(pixels)
            if held and (len(held) == self.batch or row == batch.num_rows - 1):
                scores[rows] = self._scores(session, np.stack(held))
                rows, held = [], []
        yield "scores", pa.RecordBatch.from_arrays([pa.array(scores, mask=np.isnan(scores))], schema=self.columns())

    def _pixels(self, data: bytes) -> NDArray[np.float32] | None:
        pixels = decoded(data, "RGB", 4 * self.side)
        if pixels is None:
            return None
        height, width = pixels.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = Image.fromarray(pixels[top : top + side, left : left + side]).resize((self.side, self.side), Image.Resampling.BICUBIC)
        scaled = (np.asarray(square, np.float32) / 255 - np.array(self.mean, np.float32)) / np.array(self.deviation, np.float32)
        return np.ascontiguousarray(scaled.transpose(2, 0, 1), np.float32)

    def _scores(self, session: Any, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            (out, *_) = session.run(None, {session.get_inputs()[0].name: pixels})
        except Exception as error:  # onnxruntime raises its own kinds, all of them about the model or its input
            raise ValueError(f"`{self.model}` does not take {pixels.shape} float32: {' '.join(str(error).split())}") from error
        found = np.asarray(out, np.float64).reshape(len(out), -1)
        if len(found) != len(pixels) or found.shape[1] <= self.column:
            raise ValueError(f"`{self.model}` gives {np.shape(out)} for {len(pixels)} images; column {self.column} of a row for each was asked for")
        if self.softmax:
            found = np.exp(found - found.max(1, keepdims=True))
            found /= found.sum(1, keepdims=True)
        return found[:, self.column].astype(np.float32)


@lru_cache(maxsize=4)
def load(path: str) -> Any:
    """An onnxruntime session of a file, on a GPU where there is one."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError("image scores by a model need the package onnxruntime: pip install onnxruntime (or onnxruntime-gpu)") from error
    if not Path(path).is_file():
        raise ValueError(f"image model `{path}`: no such file")
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [p for p in wanted if p in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(path, providers=providers)
    except Exception as error:  # as above
        raise ValueError(f"image model `{path}`: {' '.join(str(error).split())}") from error
