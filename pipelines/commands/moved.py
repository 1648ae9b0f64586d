"""`panoramix diff`: the documents that have another outcome in another run.

The ledgers are joined by Arrow, so that Python holds no row. A document is known by its source and id. A refused or
quarantined row has no id: it is known by its address and its place in its file. A source may read one document several
times, and all but one copy leave as duplicates: the outcomes of copies are compared in their order.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.ledger import DROPPED, KEPT, QUARANTINED, REFUSED
from manifests.runfiles import RunFiles

ABSENT = "absent"

#: `first`, `second`: the outcome in each run; ABSENT, or kept, dropped, refused or quarantined with the split or reason
MOVED = pa.schema({name: pa.string() for name in ("source", "id", "url", "first", "second")})

#: of a source, and of one of its splits (documents that were refused at packing)
_LEDGER = re.compile(r"ledger/([^.]+)(\.[^.]+)?-(documents|refused)-\d+\.parquet")
_QUARANTINE = "ledger/quarantine.parquet"
_ROW = pa.schema({name: pa.string() for name in ("source", "key", "id", "url", "outcome")})
_PLACE = ("file", "offset", "page")


def moved(first: RunFiles, second: RunFiles) -> pa.Table:
    """Rows of MOVED for the documents whose outcome differs between two runs, by source, outcomes and address.

    Raises FileNotFoundError where a run has no ledger.
    """
    runs = first, second
    # outcome by outcome: how often the second run has it more often than the first
    signed = [_counted(run, sign) for run, sign in zip(runs, (-1, 1), strict=True)]
    sums = pa.concat_tables(signed).group_by(["source", "key", "outcome"], use_threads=False)
    sums = sums.aggregate([("n", "sum")]).rename_columns(["source", "key", "outcome", "n"])
    sides = [_one_by_one(sums, sign, name) for sign, name in ((-1, "first"), (1, "second"))]
    rows = sides[0].join(sides[1], ["source", "key", "number"], join_type="full outer", use_threads=False)
    rows = rows.join(_names(runs, rows), ["source", "key"], use_threads=False)
    rows = _met_again(rows.select(MOVED.names))
    filled = [pc.fill_null(rows[name], ABSENT) if name in ("first", "second") else rows[name] for name in MOVED.names]
    order = [(name, "ascending") for name in ("source", "first", "second", "url", "id")]
    return pa.table(filled, schema=MOVED).sort_by(order)


def _counted(run: RunFiles, sign: int) -> pa.Table:
    """How often each document has each outcome; each number has the sign."""
    tables = [_ROW.empty_table().select(["source", "key", "outcome"])]
    tables += [rows.select(["source", "key", "outcome"]) for rows in _ledger(run)]
    counted = pa.concat_tables(tables).group_by(["source", "key", "outcome"], use_threads=False)
    counted = counted.aggregate([([], "count_all")]).rename_columns(["source", "key", "outcome", "n"])
    return counted.set_column(3, "n", pc.multiply(counted["n"], sign))


def _one_by_one(sums: pa.Table, sign: int, name: str) -> pa.Table:
    """The outcomes with a sum of this sign, as often as the sum says: source, key, number of the copy, and `name`."""
    n = sums["n"].to_numpy() * sign
    rows = np.repeat(np.arange(len(n)), np.maximum(n, 0))
    table = sums.take(pa.array(rows)).sort_by([(c, "ascending") for c in ("source", "key", "outcome")])
    numbered = table.append_column("number", pa.array(_numbers(table, ["source", "key"])))
    return numbered.select(["source", "key", "number", "outcome"]).rename_columns(["source", "key", "number", name])


def _numbers(table: pa.Table, columns: list[str]) -> np.ndarray:
    """For each row of a table that is sorted by some columns: its number among the rows that equal it there."""
    starts = np.ones(table.num_rows, bool)
    if table.num_rows:
        starts[1:] = False
    for name in columns:
        column = pc.fill_null(table[name].combine_chunks(), "")
        if table.num_rows > 1:
            starts[1:] |= np.asarray(pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False), bool)
    place = np.arange(table.num_rows)
    return np.asarray(place - np.maximum.accumulate(np.where(starts, place, 0)), np.int64)


def _names(runs: tuple[RunFiles, RunFiles], rows: pa.Table) -> pa.Table:
    """The id and the address of each key of some rows."""
    keys = pc.unique(rows["key"])
    tables = [_ROW.empty_table().select(["source", "key", "id", "url"])]
    for run in runs:
        for table in _ledger(run):
            tables.append(table.select(["source", "key", "id", "url"]).filter(pc.is_in(table["key"], value_set=keys)))
    named = pa.concat_tables(tables).group_by(["source", "key"], use_threads=False)
    named = named.aggregate([("id", "min"), ("url", "min")])
    return named.select(["source", "key", "id_min", "url_min"]).rename_columns(["source", "key", "id", "url"])


def _met_again(rows: pa.Table) -> pa.Table:
    """The rows, with a document of one run and the refused row of the same address in the other run in one row."""
    for here, there in (("first", "second"), ("second", "first")):
        alone, is_document = pc.is_null(rows[there]), pc.is_valid(rows["id"])
        documents, left = rows.filter(pc.and_(alone, is_document)), rows.filter(pc.invert(pc.and_(alone, is_document)))
        is_refused = pc.and_(pc.is_null(left[here]), pc.is_null(left["id"]))
        refused, rest = left.filter(is_refused), left.filter(pc.invert(is_refused))
        sides = []
        for table in (documents, refused):
            table = table.sort_by([(name, "ascending") for name in ("source", "url", "id")])
            sides.append(table.append_column("number", pa.array(_numbers(table, ["source", "url"]))))
        keys = ["source", "url", "number"]
        other = sides[1].select([*keys, there]).rename_columns([*keys, "other"])
        met = sides[0].join(other, keys, use_threads=False)
        met = met.set_column(met.schema.get_field_index(there), there, met["other"]).select(MOVED.names)
        unmet = sides[1].join(sides[0].select(keys), keys, join_type="left anti", use_threads=False)
        rows = pa.concat_tables([rest, met, unmet.select(MOVED.names)])
    return rows


def summary(rows: pa.Table) -> list[dict[str, Any]]:
    """How many documents moved from each outcome to each other one, most first; `url`: the address of one of them."""
    groups = rows.group_by(["source", "first", "second"], use_threads=False)
    counted = groups.aggregate([("url", "min"), ([], "count_all")])
    names = {"source": "source", "first": "first", "second": "second", "count_all": "documents", "url_min": "url"}
    out = [{new: row[old] for old, new in names.items()} for row in counted.to_pylist()]
    return sorted(out, key=lambda row: (-row["documents"], row["source"], row["first"], row["second"]))


# --- the ledger -------------------------------------------------------------------------------------------------------


def _ledger(run: RunFiles) -> Iterator[pa.Table]:
    """Rows of _ROW, file by file. Raises FileNotFoundError where there is no ledger."""
    names = run.list("ledger")
    if not names:
        raise FileNotFoundError(f"{run.root} has no ledger")
    for name in names:
        if match := _LEDGER.fullmatch(name):
            source, split, table = match.groups()
            if table == "documents":
                yield _documents(_read(run, name, ["id", "url", "keep", "split", "reason"]), source)
            else:
                yield _refused(_read(run, name, ["url", "reason", "provenance"]), source, split is not None)
        elif name == _QUARANTINE:
            table = _read(run, name)
            if "file" in table.schema.names:  # else of a run of an older version, which did not name the rows
                yield _quarantined(table.filter(pc.is_valid(table["source"])))


def _read(run: RunFiles, name: str, columns: list[str] | None = None) -> pa.Table:
    return pq.ParquetFile(pa.BufferReader(run.read(name))).read(columns, use_threads=False)


def _documents(table: pa.Table, source: str) -> pa.Table:
    kept = _outcome(KEPT, table["split"].cast(pa.string()))
    outcome = pc.if_else(table["keep"], kept, _outcome(DROPPED, table["reason"].cast(pa.string())))
    return _rows(source, table["id"], table["id"], table["url"], outcome)


def _refused(table: pa.Table, source: str, at_packing: bool) -> pa.Table:
    place = table["provenance"].combine_chunks()
    key, url = _place(table["url"], *(pc.struct_field(place, name) for name in _PLACE))
    outcome = _outcome(f"{REFUSED} at packing" if at_packing else REFUSED, table["reason"])
    return _rows(source, key, pa.nulls(table.num_rows, pa.string()), url, outcome)


def _quarantined(table: pa.Table) -> pa.Table:
    key, url = _place(table["url"], *(table[name] for name in _PLACE))
    outcome = _outcome(QUARANTINED, table["stage"])
    return _rows(table["source"], key, pa.nulls(table.num_rows, pa.string()), url, outcome)


def _outcome(outcome: str, detail: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(outcome, pc.fill_null(detail, "for no known reason"), ", ")


def _place(url: pa.ChunkedArray, file: pa.Array, offset: pa.Array, page: pa.Array) -> tuple[pa.Array, pa.Array]:
    """A key of a row, and its address, or else FILE/OFFSET."""
    parts = [pc.fill_null(part.cast(pa.string()), "") for part in (url, file, offset, page)]
    return pc.binary_join_element_wise(*parts, " "), pc.coalesce(url, pc.binary_join_element_wise(*parts[1:3], "/"))


def _rows(source: str | pa.Array, *columns: pa.Array) -> pa.Table:
    if isinstance(source, str):
        source = pa.array([source], pa.string()).take(pa.array(np.zeros(len(columns[0]), np.int64)))
    return pa.table([source, *columns], schema=_ROW)
