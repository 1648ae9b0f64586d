"""Other people's filters, and functions of one's own, as score columns.

Both call Python a document at a time, and are as fast as what they call. They stand on each row before they touch it,
so that a filter that crashes costs one document: its row is null.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import TEXT
from manifests.stage import NO_ENGINE, StageContext

Output = tuple[str, pa.RecordBatch | bytes]


@dataclass(frozen=True)
class DatatroveFilter:
    """Map: documents -> ("scores", ``<name>_passes`` float32 1 or 0, ``<name>_reason`` string), one row a document.

    ``filter``: import path of a datatrove filter class, as ``datatrove.pipeline.filters:C4QualityFilter``;
    ``arguments``: its keyword arguments, as pairs. It is given the text nodes joined by blank lines, and url and
    language (as the page declares it) as metadata. A filter that raises on a document does not pass it, for the reason
    ``raised_<Exception>``; what a filter does to the text is not taken over. Rules name the column among their own:
    ``{own: [c4_passes], document: {c4_passes: {min: 1}}}``.

    Raises ValueError, one line, when made with a path that leads nowhere or arguments that the class does not take.
    """

    name: str
    filter: str
    arguments: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        _filter(self.filter, self.arguments)

    def schema(self) -> pa.Schema:
        return pa.schema([(f"{self.name}_passes", pa.float32()), (f"{self.name}_reason", pa.string())])

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        from datatrove.data import Document

        filter_ = _filter(self.filter, self.arguments)
        passes: list[float | None] = []
        why: list[str | None] = []
        for row, (text, id_, url, lang) in enumerate(
            zip(joined_text(batch), *(batch[c].to_pylist() for c in ("id", "url", "lang")), strict=True)
        ):
            if not ctx(row):
                passes.append(None)
                why.append(None)
                continue
            metadata = {key: value for key, value in (("url", url), ("language", lang)) if value is not None}
            passed, reason = _ask(filter_, Document(text=text, id=id_ or "", metadata=metadata))
            passes.append(float(passed))
            why.append(reason)
        yield (
            "scores",
            pa.RecordBatch.from_arrays(
                [pa.array(passes, pa.float32()), pa.array(why, pa.string())], schema=self.schema()
            ),
        )


def _ask(filter_: Any, document: Any) -> tuple[bool, str | None]:
    try:
        (result,) = filter_.filter_batch([document])
    except Exception as error:  # a row of its own, with its reason: any filter may fail on any text
        return False, f"raised_{type(error).__name__}"
    passed, reason = result if isinstance(result, tuple) else (result, None)
    return bool(passed), None if passed else str(reason) if reason else "filtered"


@lru_cache(maxsize=32)
def _filter(path: str, arguments: tuple[tuple[str, Any], ...]) -> Any:
    made = resolve(path)
    if not (isinstance(made, type) and hasattr(made, "filter_batch")):
        raise ValueError(f"`{path}` is not a datatrove filter class")
    try:
        return made(**dict(arguments))
    except TypeError as error:
        raise ValueError(f"`{path}`: {error}") from error


@dataclass(frozen=True)
class Function:
    """Map: documents -> ("scores", ``<name>`` float32, ``<name>_failed`` float32 1 or 0), one row a document.

    ``function``: ``module:function``, called with a document's text (its text nodes joined by blank lines), returns a
    number, or None for a null score. Where it raises, or returns no number, the score is null and ``<name>_failed`` is
    1.
    """

    name: str
    function: str

    def __post_init__(self) -> None:
        if not callable(resolve(self.function)):
            raise ValueError(f"`{self.function}` cannot be called")

    def schema(self) -> pa.Schema:
        return pa.schema([(self.name, pa.float32()), (f"{self.name}_failed", pa.float32())])

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        function = resolve(self.function)
        values: list[float | None] = []
        failed: list[float | None] = []
        for row, text in enumerate(joined_text(batch)):
            value, failure = _call(function, text) if ctx(row) else (None, None)
            values.append(value)
            failed.append(failure)
        yield (
            "scores",
            pa.RecordBatch.from_arrays(
                [pa.array(values, pa.float32()), pa.array(failed, pa.float32())], schema=self.schema()
            ),
        )


def _call(function: Callable[[str], Any], text: str) -> tuple[float | None, float]:
    try:
        value = function(text)
        number = None if value is None else float(value)
    except Exception:  # recorded in the row's own column
        return None, 1.0
    return (None, 1.0) if number is not None and math.isnan(number) else (number, 0.0)


def resolve(path: str) -> Any:
    """What an import path (``module:name`` or ``module.name``) names. Raises ValueError, one line, where it leads
    nowhere.
    """
    module, _, name = path.partition(":") if ":" in path else path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"`{path}` cannot be imported: {error}") from error


def joined_text(batch: pa.RecordBatch) -> list[str]:
    """Each document's text nodes joined by blank lines."""
    nodes = batch["nodes"]
    sizes = np.asarray(pc.fill_null(pc.list_value_length(nodes), 0).to_numpy(zero_copy_only=False), np.int64)
    flat = nodes.flatten()
    is_text = pc.fill_null(pc.equal(pc.struct_field(flat, "kind"), TEXT), False)
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(is_text.to_numpy(zero_copy_only=False))])
    offsets = before[np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])]
    texts = pc.fill_null(pc.struct_field(flat, "text").filter(is_text), "")
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), texts)
    joined: list[str] = pc.binary_join(lists, "\n\n").to_pylist()
    return joined
