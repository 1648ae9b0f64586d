"""The evaluations that training data must not hold: files of questions, answers and pictures, read into hashes.

A file is one that `trainer.answers` evaluates by: a JSON object a line, ``{"image": PATH, "question": TEXT, "answers":
[TEXT, ...]}``. Every key is optional, but one must be there. Paths are relative to the file. A picture that is replaced
under its name is read again when the file is touched.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import fsspec
import pyarrow as pa

from dedup.decontaminate import EVALUATED, PICTURE, Overlap
from manifests.stage import NO_ENGINE, InputError, Output, StageContext
from pipelines.fetch.image import look

#: input rows: a file
INPUTS = pa.schema([("path", pa.string()), ("file", pa.string()), ("size", pa.int64()), ("changed", pa.string())])
MAX_PIXELS = 100e6


class EvaluationError(InputError):
    """A fault of an evaluation's file: one line that names the file and the line."""


@dataclass(frozen=True)
class Evaluation:
    """Map: INPUTS -> ``evaluated`` (EVALUATED). Raises EvaluationError, FileNotFoundError."""

    overlap: Overlap = Overlap()  # noqa: RUF009 (frozen)

    libraries: ClassVar[tuple[str, ...]] = ("pillow",)
    tables: ClassVar[Mapping[str, pa.Schema]] = {"evaluated": EVALUATED}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        for row, file in enumerate(batch.to_pylist()):
            texts: list[str] = []
            items: list[str] = []  # of each text, where it stands: FILE:LINE
            pictured: list[bool] = []  # of each text, whether its line has a picture
            pictures: list[dict[str, Any]] = []
            for number, question in enumerate(_lines(file["path"]), 1):
                where = f"{file['path']}: line {number}"
                if not ctx(row, number):
                    raise EvaluationError(f"{where}: its picture ends the process that reads it")
                item = f"{file['file'].rpartition('/')[2]}:{number}"
                try:
                    image = question.get("image")
                    own = [t for t in (question.get("question"), *question.get("answers", ())) if t is not None]
                    if not own and image is None:
                        raise EvaluationError(f"{where}: neither image, question nor answers")
                    texts += map(str, own)
                    items += [item] * len(own)
                    pictured += [image is not None] * len(own)
                    if image is not None:
                        pictures.append({"kind": PICTURE, "hash": _picture(file["path"], where, image), "item": item})
                except (AttributeError, TypeError) as error:
                    raise EvaluationError(
                        f"{where}: expected an object with image, question or answers ({error})"
                    ) from None
            yield from (("evaluated", b) for b in self.overlap.evaluated(texts, items, pictured).to_batches())
            yield "evaluated", pa.RecordBatch.from_pylist(pictures, EVALUATED)


def _lines(path: str) -> Iterator[Any]:
    with fsspec.open(path, "rt", compression="infer", encoding="utf-8-sig") as f:
        for number, line in enumerate(f, 1):
            try:
                yield json.loads(line)
            except ValueError:
                raise EvaluationError(f"{path}: line {number}: not JSON") from None


def _picture(path: str, where: str, name: str) -> int:
    """The perceptual hash of a picture that a line of the file `path` names."""
    place = name if name.startswith("/") or "://" in name else "/".join([*path.split("/")[:-1], name])
    try:
        with fsspec.open(place, "rb") as f:
            facts = look(f.read(), MAX_PIXELS)
    except FileNotFoundError:
        raise EvaluationError(f"{where}: {place} is no file") from None
    if facts.phash is None:
        raise EvaluationError(f"{where}: {place} is no image that can be read ({facts.status})")
    return facts.phash
