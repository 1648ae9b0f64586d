"""Rows of a run that are in quarantine: which of them a query means, and a line about each."""

from collections.abc import Collection
from typing import Any

import pyarrow as pa

Row = dict[str, Any]


def about(table: pa.Table, spellings: Collection[str], ids: Collection[str] = ()) -> list[Row]:
    """The rows of an id, an address, a file, or FILE/ROW, with or without ``SCHEME:`` before it.

    table: manifests.ledger.QUARANTINE. spellings: what is asked for, in any form. ids: of documents that are meant too.
    Each row has a line to read, `says`.
    """
    if "file" not in table.schema.names:  # a run of an older version, which did not name the rows
        return []
    names = {name for text in spellings for name in (text, text.partition(":")[2])} - {""}
    rows = []
    for row in table.to_pylist():
        place = None if row["file"] is None or row["offset"] is None else f"{row['file']}/{row['offset']}"
        if row["id"] in ids or names & {row["id"], row["url"], row["file"], place} - {None}:
            name = row["url"] or place or row["file"]
            rows.append({**row, "says": f"{name}: quarantined in {row['stage']}, {row['cause']}"})
    return rows
