"""Models in ONNX files of the user, for images and texts: how they are loaded, and the input that they get.

An image model gives one number for an image: aesthetics, NSFW, watermark, the share of the area with text, or another.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from filters.needs import package
from filters.pixels import decoded
from manifests.code import one_line
from manifests.stage import NO_ENGINE, Output, StageContext

Floats = NDArray[np.float32]

BATCH = 32

#: of OpenAI's CLIP preprocessing, which most such models use
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class View:
    """The input of a model for an image: 3 x side x side float32, RGB from 0 to 1, minus ``mean``, over ``deviation``.

    ``whole``: the whole image, scaled to the square; otherwise its centre square.
    """

    side: int = 224
    mean: tuple[float, float, float] = MEAN
    deviation: tuple[float, float, float] = DEVIATION
    whole: bool = False

    stage_name: ClassVar[str] = "filters.onnx:View"

    def of(self, data: bytes) -> Floats | None:
        """The input for an encoded image; None where it cannot be decoded."""
        pixels = decoded(data, "RGB", 4 * self.side)
        if pixels is None:
            return None
        height, width = pixels.shape[:2]
        if not self.whole:
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            pixels = pixels[top : top + side, left : left + side]
        square = Image.fromarray(pixels).resize((self.side, self.side), Image.Resampling.BICUBIC)
        mean, deviation = np.array(self.mean, np.float32), np.array(self.deviation, np.float32)
        scaled = (np.asarray(square, np.float32) / 255 - mean) / deviation
        return np.ascontiguousarray(scaled.transpose(2, 0, 1), np.float32)


CLIP = View()


@dataclass(frozen=True)
class ImageModel:
    """Map: a batch with the column ``image`` (encoded bytes) -> ("scores", ``<name>`` float32), one row for each image,
    null where it cannot be decoded.

    ``model``: an ONNX file whose first input is n images (`View`) and whose first output has a row for each image. The
    score is ``column`` of that row, after a softmax over the row if ``softmax``. With ``share_above``, the score is the
    share of the row's values above it: of a text detector's map (0.3 for DBNet, arXiv 1911.08947), the area of text.
    The model runs on a GPU where onnxruntime has a provider for one.

    Raises ValueError, one line, where the package `onnxruntime` or the file is missing, or the model has another form.
    """

    name: str
    model: str
    view: View = CLIP
    column: int = 0
    softmax: bool = False
    share_above: float | None = None

    stage_name: ClassVar[str] = "filters.onnx:ImageModel"
    files: ClassVar[tuple[str, ...]] = ("model",)
    libraries: ClassVar[tuple[str, ...]] = ("onnxruntime", "pillow")

    @property
    def tables(self) -> Mapping[str, pa.Schema]:
        return {"scores": pa.schema([(self.name, pa.float32())])}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        scores = np.full(batch.num_rows, np.nan, np.float32)
        for rows, out in outputs(self.model, self.view, batch["image"], ctx):
            scores[rows] = self._score(out)
        yield (
            "scores",
            pa.RecordBatch.from_arrays([pa.array(scores, mask=np.isnan(scores))], schema=self.tables["scores"]),
        )

    def check(self) -> None:
        """Runs the model on a black image. Raises ValueError as a call does."""
        self._score(infer(self.model, {None: np.zeros((1, 3, self.view.side, self.view.side), np.float32)}))

    def _score(self, out: NDArray) -> Floats:
        rows = out.reshape(len(out), -1).astype(np.float64)
        if self.share_above is not None:
            return np.asarray((rows > self.share_above).mean(1), np.float32)
        if rows.shape[1] <= self.column:
            found = f"a row of {rows.shape[1]} an image; column {self.column} was asked for"
            raise ValueError(f"model `{self.model}`: {found}")
        if self.softmax:
            rows = np.exp(rows - rows.max(1, keepdims=True))
            rows /= rows.sum(1, keepdims=True)
        return np.asarray(rows[:, self.column], np.float32)


def outputs(
    model: str, view: View, images: pa.Array, ctx: StageContext, output: str | None = None
) -> Iterator[tuple[list[int], NDArray]]:
    """Rows of the images that can be decoded, with the model's output for them, in batches."""
    rows: list[int] = []
    held: list[Floats] = []
    for row, image in enumerate(images):
        data = image.as_py()
        if data is not None and ctx(row) and (pixels := view.of(data)) is not None:
            rows.append(row)
            held.append(pixels)
        if held and (len(held) == BATCH or row == len(images) - 1):
            yield rows, infer(model, {None: np.stack(held)}, output)
            rows, held = [], []


def infer(path: str, inputs: dict[str | None, NDArray], output: str | None = None) -> NDArray:
    """The output of a model with the name ``output``, or the first one if it has none of that name.

    ``inputs``: by name, None for the first one; the model does not get those that it does not have. Raises ValueError,
    one line, where the model does not accept them or gives another number of rows.
    """
    session = load(path)
    names = [i.name for i in session.get_inputs()]
    used = {name or names[0]: value for name, value in inputs.items() if name is None or name in names}
    have = [o.name for o in session.get_outputs()]
    try:
        (out,) = session.run([output if output in have else have[0]], used)
    except Exception as error:  # onnxruntime has its own classes, all about the model or its input
        shapes = ", ".join(f"{n} {v.shape} {v.dtype}" for n, v in used.items())
        raise ValueError(f"model `{path}` does not take {shapes}: {one_line(error)}") from error
    number = len(next(iter(inputs.values())))
    if not np.ndim(out) or len(out) != number:
        raise ValueError(f"model `{path}` gives {np.shape(out)} for {number} inputs; a row for each was asked for")
    return np.asarray(out)


@lru_cache(maxsize=4)
def load(path: str) -> Any:
    """An onnxruntime session of a file, on a GPU where there is one."""
    onnxruntime = package("onnxruntime", "models in ONNX files need", "onnxruntime (or onnxruntime-gpu)")
    if not Path(path).is_file():
        raise ValueError(f"model `{path}`: no such file")
    preferred = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [p for p in preferred if p in onnxruntime.get_available_providers()]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # each partition has a process of its own
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # as above
        raise ValueError(f"model `{path}`: {one_line(error)}") from error
