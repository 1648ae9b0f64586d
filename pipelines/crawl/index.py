"""Common Crawl's columnar index: the pages of a crawl are chosen here, before a byte of them is fetched.

The index is Parquet, one row for each capture, in
``cc-index/table/cc-main/warc/crawl=CC-MAIN-2024-10/subset=warc/*.parquet``; ``crawl`` and ``subset`` are in the path
alone. The columns are those of commoncrawl/cc-index-table (``cc-index-schema-flat.json``).
"""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import unquote

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from manifests.schema import key64
from manifests.stage import NO_ENGINE, Output, StageContext

TEXT_COLUMNS = (
    "url_surtkey", "url", "url_host_name", "url_host_tld", "url_host_2nd_last_part", "url_host_3rd_last_part",
    "url_host_4th_last_part", "url_host_5th_last_part", "url_host_registry_suffix", "url_host_registered_domain",
    "url_host_private_suffix", "url_host_private_domain", "url_host_name_reversed", "url_protocol", "url_path",
    "url_query", "fetch_redirect", "content_digest", "content_mime_type", "content_mime_detected", "content_charset",
    "content_languages", "content_truncated", "warc_filename", "warc_segment",
)  # fmt: skip
NUMBER_COLUMNS = ("url_port", "fetch_time", "fetch_status", "warc_record_offset", "warc_record_length")
PATH_COLUMNS = ("crawl", "subset")
COLUMNS = (*TEXT_COLUMNS, *NUMBER_COLUMNS, *PATH_COLUMNS)

_HTML = ["text/html", "application/xhtml+xml"]
#: the conditions where a recipe has none: successful pages of HTML
DEFAULTS: dict[str, Any] = {"fetch_status": 200, "content_mime_detected": _HTML, "subset": "warc"}

#: input rows: an index file, with its size in bytes and its time of change or ETag
INDEX = pa.schema([("path", pa.string()), ("file", pa.string()), ("size", pa.int64()), ("changed", pa.string())])

#: one row for each chosen capture. `file`: as the index names it, below the prefix. `key`: of the file, so that one
#: partition has all captures of a file
CAPTURE = {"url": pa.string(), "file": pa.string(), "offset": pa.int64(), "length": pa.int64()}
CHOSEN = pa.schema({"key": pa.uint64(), **CAPTURE})

_READ = ("url", "warc_filename", "warc_record_offset", "warc_record_length")
BATCH = 65_536


class ChoiceError(ValueError):
    """A condition or a file that does not fit the index. The message is one line that says what to do."""


def where(conditions: Mapping[str, Any]) -> dict[str, Any]:
    """The conditions of a recipe, checked, over DEFAULTS: column -> value, list of values, ``{min, max}``, or None for
    "not set".

    ``content_languages: eng`` means pages whose first language is eng: the column lists up to three, the one with most
    text first (``eng,deu``). Raises ChoiceError.
    """
    for column, value in conditions.items():
        if column not in COLUMNS:
            near = difflib.get_close_matches(column, COLUMNS, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(COLUMNS)}"
            raise ChoiceError(f"{column}: no column of the index; {hint}")
        is_range = isinstance(value, Mapping)
        if is_range and (not value or not set(value) <= {"min", "max"} or column not in NUMBER_COLUMNS):
            form = "a value, a list of values, or for numbers and times {min: ..., max: ...}"
            raise ChoiceError(f"{column}: {form}, not {dict(value)!r}")
        if value == []:
            raise ChoiceError(f"{column}: an empty list chooses nothing")
    return {**DEFAULTS, **{column: _checked(column, value) for column, value in conditions.items()}}


def _checked(column: str, value: Any) -> Any:
    """The value; times as ISO 8601 text (YAML reads some as dates)."""
    if isinstance(value, Mapping):
        return {bound: _checked(column, v) for bound, v in value.items()}
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
    """A condition on a column of type ``kind``. An equality or a range can be decided by row-group statistics."""
    field = pc.field(column)
    if value is None:
        return field.is_null()
    if isinstance(value, Mapping):
        bounds = [field >= _typed(value["min"], kind)] if "min" in value else []
        bounds += [field <= _typed(value["max"], kind)] if "max" in value else []
        return bounds[0] if len(bounds) == 1 else bounds[0] & bounds[1]
    values = value if isinstance(value, list) else [value]
    if column == "content_languages":
        return pc.match_substring_regex(field, f"^({'|'.join(re.escape(str(v)) for v in values)})(,|$)")
    typed = [_typed(v, kind) for v in values]
    return field == typed[0] if len(typed) == 1 else field.isin(pa.array([t.as_py() for t in typed], kind))


def _typed(value: Any, kind: pa.DataType) -> pa.Scalar:
    if pa.types.is_timestamp(kind):
        time = datetime.fromisoformat(str(value))
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        return pa.scalar(time if kind.tz else time.replace(tzinfo=None), kind)
    return pa.scalar(value if pa.types.is_integer(kind) else str(value), kind)


def wanted(path: str, conditions: Mapping[str, Any]) -> bool:
    """Whether a file can hold chosen captures, by its path alone: ``.../crawl=CC-MAIN-2024-10/subset=warc/...``.

    A path without these columns can."""
    for column, value in re.findall(r"(?:^|/)(crawl|subset)=([^/]+)", path):
        allowed = conditions.get(column, unquote(value))
        if unquote(value) not in (allowed if isinstance(allowed, list) else [allowed]):
            return False
    return True


@dataclass(frozen=True)
class Choose:
    """Map. INDEX rows -> "chosen" (CHOSEN), in the order of the index.

    where: conditions as `field_of` writes them. limit: of the captures of each file. Raises ChoiceError for a file that
    lacks a column.
    """

    where: str
    limit: int | None = None

    tables: ClassVar[Mapping[str, pa.Schema]] = {"chosen": CHOSEN}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        conditions = json.loads(self.where)
        for row, file in enumerate(batch.to_pylist()):
            if not ctx(row) or not wanted(file["path"], conditions):
                continue
            left = self.limit
            for rows in self._read(file["path"], {c: v for c, v in conditions.items() if c not in PATH_COLUMNS}):
                ctx(row)
                yield "chosen", rows if left is None else rows.slice(0, left)
                if left is not None and (left := left - rows.num_rows) <= 0:
                    break

    def _read(self, path: str, conditions: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
        fs, name = fsspec.core.url_to_fs(path)
        dataset = ds.dataset(name, filesystem=fs, format="parquet")
        if missing := [column for column in (*_READ, *conditions) if column not in dataset.schema.names]:
            raise ChoiceError(f"{path}: no column {missing[0]!r}; it is no file of Common Crawl's columnar index")
        keep = None
        for column, value in conditions.items():
            one = condition(column, value, dataset.schema.field(column).type)
            keep = one if keep is None else keep & one
        for rows in dataset.to_batches(columns=list(_READ), filter=keep, batch_size=BATCH, use_threads=False):
            if rows.num_rows:
                files = pc.dictionary_encode(rows["warc_filename"])
                keys = pa.array([key64(file) for file in files.dictionary.to_pylist()], pa.uint64())
                columns = [keys.take(files.indices), *(rows[column] for column in _READ)]
                columns = [c.cast(f.type) for c, f in zip(columns, CHOSEN, strict=True)]
                yield pa.RecordBatch.from_arrays(columns, schema=CHOSEN)


def field_of(conditions: Mapping[str, Any]) -> str:
    """Conditions as the field of `Choose`: JSON, so that equal conditions make equal stages."""
    return json.dumps(conditions, sort_keys=True)
