"""Common Crawl's columnar index: which pages are wanted is chosen here, before a byte of them is fetched.

The index is Parquet, one row a capture, under
``cc-index/table/cc-main/warc/crawl=CC-MAIN-2024-10/subset=warc/*.parquet``; ``crawl`` and
``subset`` stand in the path alone. The columns are those of commoncrawl/cc-index-table (``cc-index-schema-flat.json``).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from manifests.schema import key64
from manifests.stage import NO_ENGINE, StageContext

Output = tuple[str, "pa.RecordBatch | bytes"]

#: columns of the index, and whether they hold numbers (or times)
TEXT_COLUMNS = (
    "url_surtkey", "url", "url_host_name", "url_host_tld", "url_host_2nd_last_part", "url_host_3rd_last_part", "url_host_4th_last_part",
    "url_host_5th_last_part", "url_host_registry_suffix", "url_host_registered_domain", "url_host_private_suffix", "url_host_private_domain",
    "url_host_name_reversed", "url_protocol", "url_path", "url_query", "fetch_redirect", "content_digest", "content_mime_type",
    "content_mime_detected", "content_charset", "content_languages", "content_truncated", "warc_filename", "warc_segment",
)  # fmt: skip
NUMBER_COLUMNS = ("url_port", "fetch_time", "fetch_status", "warc_record_offset", "warc_record_length")
PATH_COLUMNS = ("crawl", "subset")
COLUMNS = (*TEXT_COLUMNS, *NUMBER_COLUMNS, *PATH_COLUMNS)

#: what is chosen where a recipe does not say: successful pages of HTML
DEFAULTS: dict[str, Any] = {
    "fetch_status": 200,
    "content_mime_detected": ["text/html", "application/xhtml+xml"],
    "subset": "warc",
}

#: input rows: an index file (as `manifests`' raw inputs are known: name, size, time of change or ETag)
INDEX = pa.schema([("path", pa.string()), ("file", pa.string()), ("size", pa.int64()), ("changed", pa.string())])

#: one row a capture that is wanted. `key`: of the WARC file, so that the captures of one file come to one part
CHOSEN = pa.schema(
    [
        ("key", pa.uint64()),
        ("url", pa.string()),
        ("file", pa.string()),  # as the index names it, below the prefix
        ("offset", pa.int64()),
        ("length", pa.int64()),
    ]
)

_READ = {"url": "url", "warc_filename": "file", "warc_record_offset": "offset", "warc_record_length": "length"}
BATCH = 65_536


class ChoiceError(ValueError):
    """A condition or a file that is none of the index's: one line that says what to do."""


def where(given: Mapping[str, Any]) -> dict[str, Any]:
    """The conditions of a recipe over DEFAULTS, checked: column -> value, list of values, ``{min, max}``, or None for
    "not set".

    ``content_languages: eng`` means pages whose first language is eng: the column lists up to three, most text first
    (``eng,deu``). Raises ChoiceError.
    """
    for column, value in given.items():
        if column not in COLUMNS:
            near = difflib.get_close_matches(column, COLUMNS, 1, 0.5)
            raise ChoiceError(
                f"{column}: no column of the index"
                + (f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(COLUMNS)}")
            )
        if isinstance(value, Mapping) and (
            not value or not set(value) <= {"min", "max"} or column in TEXT_COLUMNS + PATH_COLUMNS
        ):
            raise ChoiceError(
                f"{column}: a value, a list of values, or for numbers and times {{min: ..., max: ...}}, not {dict(value)!r}"
            )
        if isinstance(value, list) and not value:
            raise ChoiceError(f"{column}: an empty list chooses nothing")
    return {**DEFAULTS, **{c: _checked(c, v) for c, v in given.items()}}


def _checked(column: str, value: Any) -> Any:
    """The value, times as ISO 8601 (YAML reads some as dates)."""
    if isinstance(value, Mapping):
        return {k: _checked(column, v) for k, v in value.items()}
    if isinstance(value, list):
        return [_checked(column, v) for v in value]
    if value is None or column not in NUMBER_COLUMNS:
        return value
    if column == "fetch_time":
        try:
            return datetime.fromisoformat(str(value)).isoformat()
        except ValueError:
            raise ChoiceError(f"fetch_time: {value!r} is no time such as 2024-03-01T00:00:00Z") from None
    if type(value) is not int:
        raise ChoiceError(f"{column}: {value!r} is no whole number")
    return value


def condition(column: str, value: Any, kind: pa.DataType) -> pc.Expression:
    """One condition on a column of type ``kind``, as a filter that row-group statistics can answer where it is an
    equality or a range.
    """
    field = pc.field(column)
    if value is None:
        return field.is_null()
    if isinstance(value, Mapping):
        both = [field >= _typed(value["min"], kind)] if "min" in value else []
        both += [field <= _typed(value["max"], kind)] if "max" in value else []
        return both[0] if len(both) == 1 else both[0] & both[1]
    values = value if isinstance(value, list) else [value]
    if column == "content_languages":
        return pc.match_substring_regex(field, f"^({'|'.join(re.escape(str(v)) for v in values)})(,|$)")
    typed = [_typed(v, kind) for v in values]
    return field == typed[0] if len(typed) == 1 else field.isin(pa.array([t.as_py() for t in typed], kind))


def _typed(value: Any, kind: pa.DataType) -> pa.Scalar:
    if pa.types.is_timestamp(kind):
        when = datetime.fromisoformat(str(value))
        when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
        return pa.scalar(when if kind.tz else when.replace(tzinfo=None), kind)
    return pa.scalar(value if pa.types.is_integer(kind) else str(value), kind)


def in_path(path: str) -> dict[str, str]:
    """What a path says of the rows in it: ``.../crawl=CC-MAIN-2024-10/subset=warc/...``."""
    return {k: unquote(v) for k, v in re.findall(r"(?:^|/)(crawl|subset)=([^/]+)", path)}


def wanted(path: str, conditions: Mapping[str, Any]) -> bool:
    """Whether a file may hold what is wanted, by its path alone. A path that says nothing may."""
    said = in_path(path)
    return all(c not in conditions or said[c] in _values(conditions[c]) for c in said)


def _values(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


@dataclass(frozen=True)
class Choose:
    """Map. INDEX rows -> "chosen" (CHOSEN), in the order of the index.

    ``where``: (column, value) pairs, as `where` checks them; a list of values is a tuple, a range a tuple of ("min" or
    "max", value) pairs.
    ``limit``: no more than so many of a file. Raises ChoiceError for a file that lacks a column.
    """

    where: tuple[tuple[str, Any], ...]
    limit: int | None = None

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        conditions = {c: _given(v) for c, v in self.where}
        for row, part in enumerate(batch.to_pylist()):
            if not ctx(row) or not wanted(part["path"], conditions):
                continue
            left = self.limit
            for found in self._read(part["path"], {c: v for c, v in conditions.items() if c not in PATH_COLUMNS}):
                ctx(row)
                rows = found if left is None else found.slice(0, left)
                if rows.num_rows:
                    yield "chosen", rows
                if left is not None and (left := left - rows.num_rows) <= 0:
                    break

    def _read(self, path: str, conditions: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
        fs, name = fsspec.core.url_to_fs(path)
        dataset = ds.dataset(name, filesystem=fs, format="parquet")
        missing = [c for c in (*_READ, *conditions) if c not in dataset.schema.names]
        if missing:
            raise ChoiceError(f"{path}: no column {missing[0]!r}; it is no file of Common Crawl's columnar index")
        keep = None
        for column, value in conditions.items():
            one = condition(column, value, dataset.schema.field(column).type)
            keep = one if keep is None else keep & one
        for found in dataset.to_batches(columns=list(_READ), filter=keep, batch_size=BATCH, use_threads=False):
            if found.num_rows:
                yield _chosen(found)


def _chosen(found: pa.RecordBatch) -> pa.RecordBatch:
    files = pc.dictionary_encode(found["warc_filename"])
    keys = pa.array([key64(f) for f in files.dictionary.to_pylist()], pa.uint64())
    columns = [keys.take(files.indices), *(found[c] for c in _READ)]
    return pa.RecordBatch.from_arrays([c.cast(f.type) for c, f in zip(columns, CHOSEN, strict=True)], schema=CHOSEN)


def _given(value: Any) -> Any:
    """A condition as a stage's field holds it, as `condition` takes it."""
    if isinstance(value, tuple) and value and all(isinstance(v, tuple) for v in value):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def field_of(conditions: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Conditions as the field of `Choose`: plain values, in the order of their columns' names."""
    plain = {
        c: tuple(sorted(v.items())) if isinstance(v, Mapping) else tuple(v) if isinstance(v, list) else v
        for c, v in sorted(conditions.items())
    }
    return tuple(plain.items())
