"""The user's own scores: a function or a class by import path gives one number for a text, a document or an image.

    def letters(text):                                   # level "text", the default
        return sum(c.isalpha() for c in text)

    class Words:
        level = "document"
        def __init__(self, language): self.language = language
        def __call__(self, document): return len(document.text.split()) if document.language == self.language else None

The level is the recipe's, or else an attribute ``level`` of the function or class, or else "text". The value is then a
`str`, a `Document` or an `Image`. A function gets the recipe's `arguments` as keyword arguments, a class as the
arguments of its constructor. A score that raises, or gives no number (a text that is none, an array, NaN), is null, and
its column ``<name>_failed`` is 1; a null score never drops. True and False are 1 and 0. Infinity is a number: a rule
with ``max`` drops it. A run ends with an error where a score failed for every row. What Python code prints goes to
stderr: stdout belongs to the command.
"""

import functools
import hashlib
import inspect
import io
import logging
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import PIL.Image
import pyarrow as pa

from filters.pixels import FORMATS
from manifests.code import frozen_arguments, one_line, program_digests, resolve_import
from manifests.flat import texts
from manifests.schema import IMAGE
from manifests.stage import NO_ENGINE, Output, StageContext

LEVELS = ("text", "document", "image")
MESSAGE = 200  # characters of an error that are kept
#: the errors of the user's code: the last message of each kind in a batch, and how many rows had that kind
FAILURES = pa.schema([("error", pa.string()), ("rows", pa.int64())])
Arguments = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class ImageFacts:
    """What a document says of one of its images. width, height: pixels, as the page states them."""

    url: str
    alt: str | None
    caption: str | None
    width: int | None
    height: int | None


@dataclass(frozen=True)
class Document:
    """A document. text: its text nodes, joined by blank lines; language: the one it declares; nodes: rows of NODE."""

    text: str
    url: str | None
    language: str | None
    nodes: tuple[dict[str, Any], ...]

    @property
    def images(self) -> tuple[ImageFacts, ...]:
        """The image nodes, in order."""
        fields = ("alt", "caption", "width", "height")
        nodes = (n for n in self.nodes if n["kind"] == IMAGE)
        return tuple(ImageFacts(n["image"], **{f: n[f] for f in fields}) for n in nodes)


class Image:
    """A fetched image as encoded; sizes in pixels, format in lower case. Raises OSError for a header that is broken."""

    def __init__(self, data: bytes) -> None:
        self.bytes = data
        self.picture: PIL.Image.Image = PIL.Image.open(io.BytesIO(data), formats=FORMATS)  # decodes when it is used
        self.width, self.height = self.picture.size
        self.format = (self.picture.format or "").lower()

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.bytes).hexdigest()


@dataclass(frozen=True)
class OwnScore:
    """Map: documents -> ("scores", ``<name>`` float32, ``<name>_failed`` float32 1 or 0), one row for each document;
    and ``failures`` (`FAILURES`).

    At the level "image" the input has a column ``image`` (encoded bytes) and a row for each image; both scores are null
    where Pillow cannot read it. ``path``: import path of a function or class. Raises ImportError in a process that does
    not find it: the machine is at fault then, not a row. `own_score` makes the stage and checks the path.
    """

    name: str
    path: str
    level: str = "text"
    arguments: Arguments = ()

    @property
    def tables(self) -> Mapping[str, pa.Schema]:
        scores = pa.schema([(self.name, pa.float32()), (f"{self.name}_failed", pa.float32())])
        return {"scores": scores, "failures": FAILURES}

    @property
    def count(self) -> Mapping[str, tuple[str, ...]]:
        """Columns that the engine sums (`Step.count`)."""
        return {"scores": (f"{self.name}_failed",)}

    def programs(self) -> dict[str, str]:
        return program_digests(self.path)

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        try:
            score = load(self.path, self.arguments)
        except ValueError as e:
            raise ImportError(str(e)) from e
        failures = Failures(self.path)
        scores: list[tuple[float | None, float | None]] = []
        with redirect_stdout(sys.stderr):
            for row, value in enumerate(batch["image"].to_pylist() if self.level == "image" else texts(batch)):
                scores.append(_call(score, self._value(batch, row, value), failures) if ctx(row) else (None, None))
        columns = [[pair[i] for pair in scores] for i in (0, 1)]
        yield "scores", pa.record_batch(columns, schema=self.tables["scores"])
        yield from failures.outputs()

    def _value(self, batch: pa.RecordBatch, row: int, value: Any) -> Any:
        """What the score gets for a row, from its text or its encoded image."""
        if self.level == "image":
            return _image(value)
        if self.level == "text":
            return value
        url, language, nodes = (batch[name][row].as_py() for name in ("url", "lang", "nodes"))
        return Document(value, url, language, tuple(nodes or ()))


def own_score(name: str, path: str, level: str | None = None, arguments: Mapping[str, Any] | None = None) -> OwnScore:
    """The stage of a score by import path. Raises ValueError, one line, for a wrong path, level or arguments."""
    pairs = frozen_arguments(arguments or {})
    score, target, keywords = load(path, pairs), resolve_import(path), dict(pairs)
    if isinstance(target, type):
        target, keywords = score, {}
    try:
        inspect.signature(target).bind(None, **keywords)
    except TypeError as e:
        raise ValueError(f"`{path}` cannot be called with one value: {one_line(e)}") from e
    except ValueError:  # some built-in functions do not tell their signature
        pass
    level = level or getattr(target, "level", "text")
    if level not in LEVELS:
        raise ValueError(f"`{path}`: level is text, document or image, not `{level}`")
    return OwnScore(name, path, level, pairs)


@lru_cache(maxsize=32)
def load(path: str, arguments: Arguments) -> Callable[[Any], Any]:
    """The object of an import path with its arguments. Raises ValueError, one line, where there is none to call."""
    target = resolve_import(path)
    if isinstance(target, type):
        try:
            with redirect_stdout(sys.stderr):
                target = target(**dict(arguments))
        except Exception as e:  # a constructor of the user's may raise anything
            raise ValueError(f"`{path}` cannot be constructed: {type(e).__name__}: {one_line(e)}") from e
    elif arguments:
        target = functools.partial(target, **dict(arguments)) if callable(target) else target
    if not callable(target):
        raise ValueError(f"`{path}` cannot be called")
    scored: Callable[[Any], Any] = target
    return scored


def _image(data: bytes | None) -> Image | None:
    try:
        return None if data is None else Image(data)
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError):  # Pillow's errors of a broken file
        return None


class Failures:
    """The errors of the user's code in a batch: how often each kind was raised, and its last message."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._of: dict[str, tuple[str, int]] = {}  # the kind of the last error is last

    def add(self, error: BaseException) -> None:
        kind = type(error).__name__
        _, before = self._of.pop(kind, ("", 0))
        message = _ADDRESS.sub("0x", one_line(error))[:MESSAGE]
        self._of[kind] = (f"{kind}: {message}" if message else kind), before + 1
        if (self.path, kind) not in _LOGGED:
            _LOGGED.add((self.path, kind))
            logging.getLogger(__name__).warning("`%s` failed for a row: %s", self.path, self._of[kind][0])

    def outputs(self) -> Iterator[Output]:
        rows = [{"error": error, "rows": number} for error, number in self._of.values()]
        if rows:
            yield "failures", pa.RecordBatch.from_pylist(rows, FAILURES)


def _call(score: Callable[[Any], Any], value: Any, failures: Failures) -> tuple[float | None, float | None]:
    """Score and failure (1 or 0) of a value; null, both, where there is no value."""
    if value is None:
        return None, None
    try:
        number = score(value)
        number = None if number is None else float(number)
        if number is not None and math.isnan(number):
            raise ValueError("the score is not a number (NaN)")
        return number, 0.0
    except (Exception, SystemExit) as e:  # counted in the row's own column
        failures.add(e)
        return None, 1.0


_LOGGED: set[tuple[str, str]] = set()  # the first error of each kind is logged, once in a process
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")  # of an object in memory: another one in each process
