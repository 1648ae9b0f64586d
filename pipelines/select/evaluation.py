"""The evaluations that training data must not hold: files of questions, answers and pictures, read into hashes.

A file is what `trainer.answers` evaluates by: a JSON object a line, ``{"image": PATH, "question": TEXT, "answers":
[TEXT, ...]}``, each key but one optional, paths relative to the file. A picture that is exchanged under its name is
noticed when the file is touched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import fsspec
import pyarrow as pa

from dedup.decontaminate import EVALUATED, PICTURE, Overlap
from manifests.stage import NO_ENGINE, InputError, StageContext
from pipelines.engine.stage import Output
from pipelines.fetch.image import look

#: input rows: a file
INPUTS = pa.schema([("path", pa.string()), ("file", pa.string()), ("size", pa.int64()), ("changed", pa.string())])
MAX_PIXELS = 100e6


class EvaluationError(InputError):
    """A file that is not as it should be: one line that names the line."""


@dataclass(frozen=True)
class Evaluation:
    """Map: INPUTS -> ``evaluated`` (EVALUATED). Raises EvaluationError, FileNotFoundError."""

    overlap: Overlap = Overlap()  # noqa: RUF009 (frozen)

    libraries: ClassVar[tuple[str, ...]] = ("pillow",)

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        for row, file in enumerate(batch.to_pylist()):
            texts: list[str] = []
            items: list[str] = []
            pictured: list[bool] = []
            pictures: list[dict[str, Any]] = []
            for number, given in enumerate(_lines(file["path"]), 1):
                if not ctx(row, number):
                    raise EvaluationError(f"{file['path']}: line {number}: its picture ends the process that reads it")
                item = f"{file['file'].rpartition('/')[2]}:{number}"
                try:
                    said = [t for t in (given.get("question"), *given.get("answers", ())) if t is not None]
                    if not said and given.get("image") is None:
                        raise EvaluationError(f"{file['path']}: line {number}: neither image, question nor answers")
                    texts += map(str, said)
                    items += [item] * len(said)
                    pictured += [given.get("image") is not None] * len(said)
                    if given.get("image") is not None:
                        pictures.append(
                            {"kind": PICTURE, "hash": _picture(file["path"], number, given["image"]), "item": item}
                        )
                except (AttributeError, TypeError) as error:
                    raise EvaluationError(
                        f"{file['path']}: line {number}: an object with image, question or answers is wanted ({error})"
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


def _picture(path: str, number: int, name: str) -> int:
    """Its perceptual hash."""
    place = name if name.startswith("/") or "://" in name else "/".join([*path.split("/")[:-1], name])
    try:
        with fsspec.open(place, "rb") as f:
            found = look(f.read(), MAX_PIXELS)
    except FileNotFoundError:
        raise EvaluationError(f"{path}: line {number}: {place} is no file") from None
    if found.phash is None:
        raise EvaluationError(f"{path}: line {number}: {place} is no image that can be read ({found.status})")
    return found.phash
