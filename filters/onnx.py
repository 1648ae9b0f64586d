"""Models in ONNX files that the user names, for images and texts: loading them, and what is laid before them.

A score of an image: aesthetics, NSFW, watermark, the share of it that text covers, or anything with one number an
image.
"""

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
from manifests.stage import NO_ENGINE, StageContext

Output = tuple[str, pa.RecordBatch | bytes]
Floats = NDArray[np.float32]

BATCH = 32

#: those of OpenAI's CLIP preprocessing, which most such models kept
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class View:
    """How an image is laid before a model: 3 x side x side float32, RGB from 0 to 1, less ``mean``, by ``deviation``;
    its centre square

    (``whole`` false), or all of it, squeezed into the square.
    """

    side: int = 224
    mean: tuple[float, float, float] = MEAN
    deviation: tuple[float, float, float] = DEVIATION
    whole: bool = False

    def of(self, data: bytes) -> Floats | None:
        """None where the bytes cannot be decoded."""
        pixels = decoded(data, "RGB", 4 * self.side)
        if pixels is None:
            return None
        height, width = pixels.shape[:2]
        if not self.whole:
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            pixels = pixels[top : top + side, left : left + side]
        square = Image.fromarray(pixels).resize((self.side, self.side), Image.Resampling.BICUBIC)
        scaled = (np.asarray(square, np.float32) / 255 - np.array(self.mean, np.float32)) / np.array(
            self.deviation, np.float32
        )
        return np.ascontiguousarray(scaled.transpose(2, 0, 1), np.float32)


CLIP = View()


@dataclass(frozen=True)
class ImageModel:
    """Map: a batch with the column ``image`` (encoded bytes) -> ("scores", ``<name>`` float32), one row an image; null
    if undecodable.

    ``model``: an ONNX file whose first input takes n views (``View``) and whose first output has a row an image.
    ``column`` of the row is the score, after a softmax over it where ``softmax`` says so; or, where ``share_above`` is
    given, the share of the row above it: a text detector's map (0.3 for DBNet, arXiv 1911.08947) gives the area of
    text. Runs on a GPU where onnxruntime has a provider for one.

    Raises ValueError, one line, where the package `onnxruntime` or the file is missing, or the model is of another
    form.
    """

    name: str
    model: str
    view: View = CLIP
    column: int = 0
    softmax: bool = False
    share_above: float | None = None

    files: ClassVar[tuple[str, ...]] = ("model",)
    libraries: ClassVar[tuple[str, ...]] = ("onnxruntime", "pillow")

    def columns(self) -> pa.Schema:
        return pa.schema([(self.name, pa.float32())])

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        scores = np.full(batch.num_rows, np.nan, np.float32)
        for rows, out in answers(self.model, self.view, batch["image"], ctx):
            scores[rows] = self._score(out)
        yield "scores", pa.RecordBatch.from_arrays([pa.array(scores, mask=np.isnan(scores))], schema=self.columns())

    def check(self) -> None:
        """Asks the model of a black image. Raises ValueError as a call does."""
        self._score(asked(self.model, {None: np.zeros((1, 3, self.view.side, self.view.side), np.float32)}))

    def _score(self, out: NDArray) -> Floats:
        found = out.reshape(len(out), -1).astype(np.float64)
        if self.share_above is not None:
            share: Floats = (found > self.share_above).mean(1).astype(np.float32)
            return share
        if found.shape[1] <= self.column:
            raise ValueError(
                f"model `{self.model}`: a row of {found.shape[1]} an image; column {self.column} was asked for"
            )
        if self.softmax:
            found = np.exp(found - found.max(1, keepdims=True))
            found /= found.sum(1, keepdims=True)
        score: Floats = found[:, self.column].astype(np.float32)
        return score


def answers(
    model: str, view: View, images: pa.Array, ctx: StageContext, wanted: str | None = None
) -> Iterator[tuple[list[int], NDArray]]:
    """Rows of the images that can be decoded, and the model's output for them, some at a time."""
    rows: list[int] = []
    held: list[Floats] = []
    for row in range(len(images)):
        data = images[row].as_py()
        if data is not None and ctx(row) and (pixels := view.of(data)) is not None:
            rows.append(row)
            held.append(pixels)
        if held and (len(held) == BATCH or row == len(images) - 1):
            yield rows, asked(model, {None: np.stack(held)}, wanted)
            rows, held = [], []


def asked(path: str, inputs: dict[str | None, NDArray], wanted: str | None = None) -> NDArray:
    """A model's output: the one of the name ``wanted`` where it has one, else the first. Inputs by name, None for the
    first; those that

    the model does not have are left out. Raises ValueError, one line, where it does not take them or gives another
    number of rows.
    """
    session = load(path)
    names = [i.name for i in session.get_inputs()]
    given = {name or names[0]: value for name, value in inputs.items() if name is None or name in names}
    have = [o.name for o in session.get_outputs()]
    try:
        (out,) = session.run([wanted if wanted in have else have[0]], given)
    except Exception as error:  # onnxruntime raises its own kinds, all of them about the model or its input
        shapes = ", ".join(f"{n} {v.shape} {v.dtype}" for n, v in given.items())
        raise ValueError(f"model `{path}` does not take {shapes}: {' '.join(str(error).split())}") from error
    number = len(next(iter(inputs.values())))
    if not np.ndim(out) or len(out) != number:
        raise ValueError(f"model `{path}` gives {np.shape(out)} for {number} inputs; a row for each was asked for")
    return np.asarray(out)


@lru_cache(maxsize=4)
def load(path: str) -> Any:
    """An onnxruntime session of a file, on a GPU where there is one."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError(
            "models in ONNX files need the package onnxruntime: pip install onnxruntime (or onnxruntime-gpu)"
        ) from error
    if not Path(path).is_file():
        raise ValueError(f"model `{path}`: no such file")
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [p for p in wanted if p in onnxruntime.get_available_providers()]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # parts are many, a process each
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # as above
        raise ValueError(f"model `{path}`: {' '.join(str(error).split())}") from error
