"""datatrove's filters as score columns."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa

from filters.own import FAILURES, Failures
from manifests.code import frozen_arguments, one_line, program_digests, resolve_import
from manifests.flat import texts
from manifests.stage import NO_ENGINE, Output, StageContext


@dataclass(frozen=True)
class DatatroveScore:
    """Map: documents -> ("scores", ``<name>_passes`` float32 1 or 0, ``<name>_reason`` string), one row a document.

    ``filter``: import path of a datatrove filter class, as ``datatrove.pipeline.filters:C4QualityFilter``;
    ``arguments``: its keyword arguments, as pairs. The filter gets the text nodes joined by blank lines, and url and
    language (as the page declares it) as metadata. Changes that it makes to the text are discarded. A document for
    which it raises does not pass, with the reason ``raised_<Exception>``; the errors are in ``failures``
    (`filters.own.FAILURES`). Raises ImportError in a process that does not find the class. `datatrove_score` makes the
    stage and checks the path.
    """

    name: str
    filter: str
    arguments: tuple[tuple[str, Any], ...] = ()

    @property
    def tables(self) -> Mapping[str, pa.Schema]:
        scores = pa.schema([(f"{self.name}_passes", pa.float32()), (f"{self.name}_reason", pa.string())])
        return {"scores": scores, "failures": FAILURES}

    @property
    def count(self) -> Mapping[str, tuple[str, ...]]:
        """Columns whose values the engine counts (`Step.count`), for `raised`."""
        return {"scores": (f"{self.name}_reason",)}

    def programs(self) -> dict[str, str]:
        return program_digests(self.filter)

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        from datatrove.data import Document

        try:
            filter_ = _filter(self.filter, self.arguments)
        except ValueError as e:
            raise ImportError(str(e)) from e
        failures = Failures(self.filter)
        rows: list[tuple[float | None, str | None]] = []
        columns = (batch[name].to_pylist() for name in ("id", "url", "lang"))
        with redirect_stdout(sys.stderr):
            for row, (text, id_, url, lang) in enumerate(zip(texts(batch), *columns, strict=True)):
                metadata = {key: value for key, value in (("url", url), ("language", lang)) if value is not None}
                document = Document(text=text, id=id_ or "", metadata=metadata)
                rows.append(_apply(filter_, document, failures) if ctx(row) else (None, None))
        arrays = [[row[i] for row in rows] for i in (0, 1)]
        yield "scores", pa.record_batch(arrays, schema=self.tables["scores"])
        yield from failures.outputs()


def datatrove_score(name: str, path: str, arguments: Mapping[str, Any] | None = None) -> DatatroveScore:
    """The stage of a datatrove filter class. Raises ValueError, one line, for a wrong path or wrong arguments."""
    stage = DatatroveScore(name, path, frozen_arguments(arguments or {}))
    _filter(stage.filter, stage.arguments)
    return stage


def raised(reasons: Mapping[str, int]) -> int:
    """How many documents a filter raised for, from the counts of its column ``<name>_reason``."""
    return sum(number for reason, number in reasons.items() if reason.startswith("raised_"))


def _apply(filter_: Any, document: Any, failures: Failures) -> tuple[float, str | None]:
    try:
        (result,) = filter_.filter_batch([document])
    except Exception as e:  # any filter may fail for any text: the reason says so
        failures.add(e)
        return 0.0, f"raised_{type(e).__name__}"
    passed, reason = result if isinstance(result, tuple) else (result, None)
    return float(bool(passed)), None if passed else str(reason) if reason else "filtered"


@lru_cache(maxsize=32)
def _filter(path: str, arguments: tuple[tuple[str, Any], ...]) -> Any:
    class_ = resolve_import(path)
    if not (isinstance(class_, type) and hasattr(class_, "filter_batch")):
        raise ValueError(f"`{path}` is not a datatrove filter class")
    try:
        return class_(**dict(arguments))
    except TypeError as e:
        raise ValueError(f"`{path}`: {one_line(e)}") from e
    except Exception as e:  # a constructor may need a package or a file that is missing
        raise ValueError(f"`{path}` cannot be constructed: {type(e).__name__}: {one_line(e)}") from e
