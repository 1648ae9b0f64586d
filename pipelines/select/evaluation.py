"""The evaluations that training data must not hold: files of questions, answers and pictures, read into hashes.

A file is one that `trainer.answers` evaluates by: a JSON object a line, ``{"image": PATH, "question": TEXT, "answers":
[TEXT, ...], "choices": [TEXT, ...]}``. Every key is optional, but one must be there. An ``id`` is ignored. Any other
key is an error, because what it holds would not be protected. ``answers`` and ``choices`` may also be one text. A
number counts as its text. A line whose values are all null, or empty, is passed over and counted. Paths are relative to
the file. A picture that is replaced under its name is read again when the file is touched.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import fsspec
import pyarrow as pa

from dedup.decontaminate import EVALUATED, PICTURE, Overlap
from manifests.nearest import nearest
from manifests.stage import NO_ENGINE, InputError, Output, StageContext
from pipelines.fetch.image import look

#: input rows: a file
INPUTS = pa.schema([("path", pa.string()), ("file", pa.string()), ("size", pa.int64()), ("changed", pa.string())])
#: of each file: its lines, those that are passed over because they hold nothing, the hashes of texts, and pictures
READ = pa.schema([("file", pa.string()), *((n, pa.int64()) for n in ("lines", "empty", "texts", "pictures"))])
MAX_PIXELS = 100e6
TEXTS = ("question", "answers", "choices")
KEYS = ("image", *TEXTS)
IGNORED = "id"


class EvaluationError(InputError):
    """A fault of an evaluation's file: one line that names the file and, where it is in one, the line."""


@dataclass(frozen=True)
class Evaluation:
    """Map: INPUTS -> ``evaluated`` (EVALUATED) and ``read`` (READ). Raises EvaluationError, FileNotFoundError.

    A file that protects nothing is an error: one without lines, and one without pictures whose texts are all shorter
    than `Overlap` compares.
    """

    overlap: Overlap = Overlap()  # noqa: RUF009 (frozen)

    libraries: ClassVar[tuple[str, ...]] = ("pillow",)
    tables: ClassVar[Mapping[str, pa.Schema]] = {"evaluated": EVALUATED, "read": READ}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        for row, file in enumerate(batch.to_pylist()):
            texts: list[str] = []
            items: list[str] = []  # of each text, where it stands: FILE:LINE
            pictured: list[bool] = []  # of each text, whether its line has a picture
            pictures: list[dict[str, Any]] = []
            number = empty = 0
            for number, line in enumerate(_lines(file["path"]), 1):
                where = f"{file['path']}: line {number}"
                if not ctx(row, number):
                    raise EvaluationError(f"{where}: its picture ends the process that reads it")
                item = f"{file['file'].rpartition('/')[2]}:{number}"
                image, own = _read(where, line)
                empty += not own and image is None
                texts += own
                items += [item] * len(own)
                pictured += [image is not None] * len(own)
                if image is not None:
                    pictures.append({"kind": PICTURE, "hash": _picture(file["path"], where, image), "item": item})
            evaluated = self.overlap.evaluated(texts, items, pictured)
            if not evaluated.num_rows and not pictures:
                raise EvaluationError(f"{file['path']}: {self._nothing(number, empty)}")
            yield from (("evaluated", b) for b in evaluated.to_batches())
            yield "evaluated", pa.RecordBatch.from_pylist(pictures, EVALUATED)
            counts = [[v] for v in (file["file"], number, empty, evaluated.num_rows, len(pictures))]
            yield "read", pa.record_batch(counts, schema=READ)

    def _nothing(self, lines: int, empty: int) -> str:
        """Why a file protects nothing."""
        keys = f"the keys that are read are {', '.join(KEYS)}"
        if lines == empty:
            return f"no line has a question, an answer or a picture (lines: {lines}); {keys}"
        least = min(self.overlap.whole, self.overlap.words)
        found = f"(lines: {lines}, empty: {empty})"
        return f"no text has {least} words or more, so the file protects nothing {found}; {keys}"


def _read(where: str, line: Any) -> tuple[str | None, list[str]]:
    """The image (or None) and the texts of a line. Raises EvaluationError."""
    if line is None:
        return None, []
    if not isinstance(line, dict):
        raise EvaluationError(f"{where}: expected an object with {', '.join(KEYS)}, not a {type(line).__name__}")
    for key in line:
        if key not in KEYS and key != IGNORED:
            raise EvaluationError(f"{where}: no such key `{key}`{nearest(key, KEYS)}; the keys are {', '.join(KEYS)}")
    if not any(key in line for key in KEYS):
        raise EvaluationError(f"{where}: none of the keys {', '.join(KEYS)}")
    image = line.get("image")
    if image is not None and not isinstance(image, str):
        raise EvaluationError(f"{where}: image: expected a path, not a {type(image).__name__}")
    texts: list[str] = []
    for key in TEXTS:
        values = line.get(key)
        for value in values if isinstance(values, list) and key != "question" else [values]:
            if value is not None and not isinstance(value, str | int | float):
                many = "" if key == "question" else " or a list of them"
                raise EvaluationError(f"{where}: {key}: expected a text{many}, not a {type(value).__name__}")
            if value is not None and str(value).strip():
                texts.append(str(value))
    return image or None, texts


def _lines(path: str) -> Iterator[Any]:
    """The value of each line; None for a blank one."""
    with fsspec.open(path, "rb", compression="infer") as f:
        for number, line in enumerate(f, 1):
            try:
                text = line.decode("utf-8-sig")
                yield json.loads(text) if text.strip() else None
            except UnicodeDecodeError:
                raise EvaluationError(f"{path}: line {number}: not UTF-8") from None
            except (ValueError, RecursionError):
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
