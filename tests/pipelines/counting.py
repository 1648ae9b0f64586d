"""Every row of every source has a number: checked from the ledger and the index of a run, not from its statistics."""

import io
from collections import Counter
from typing import Any

import pyarrow.parquet as pq

from manifests.runfiles import RunFiles
from pipelines.counts import read_files
from pipelines.engine.storage import Store


def table(store: Store, folder: str, prefix: str) -> list[dict[str, Any]]:
    """Rows of the Parquet files of a folder whose names are `prefix` and a number."""
    names = [n for n in store.names(folder) if n.startswith(prefix) and n[len(prefix) :].split(".")[0].isdigit()]
    return [row for n in names for row in pq.ParquetFile(io.BytesIO(store.read(f"{folder}/{n}"))).read().to_pylist()]


def assert_every_row_is_counted(stats: dict[str, Any], root: str) -> None:
    """In = kept + dropped + refused + quarantined, for every source; and the same by input file."""
    store = Store(root)
    files = read_files(RunFiles(root)).to_pylist()
    for name, s in stats["sources"].items():
        documents = table(store, "ledger", f"{name}-documents-")
        packed = {split: {r["id"]: 1 for r in table(store, "index", f"{name}-{split}-")} for split in s["splits"]}
        ids = Counter(row["id"] for row in documents if row["keep"])
        assert s["packed"] == {split: sum(ids[id] for id in rows) for split, rows in packed.items()}, name
        dropped = Counter(row["reason"] for row in documents if not row["keep"])
        refused = Counter(row["reason"] for row in table(store, "ledger", f"{name}-refused-"))
        assert (s["documents"], s["dropped"], s["refused"]) == (len(documents), dropped, refused), name
        groups = ("packed", "dropped", "refused", "unpacked", "quarantined")
        numbers = {group: sum(s[group].values()) for group in groups}
        assert s["in"] == s["funnel"][0][1] == sum(numbers.values()), (name, numbers)
        by_outcome: Counter[str | None] = Counter()
        for row in files:
            if row["source"] == name:
                assert row["rows"] > 0 or row["outcome"] is None, row
                by_outcome[row["outcome"]] += row["rows"]
        of_files = {"kept": numbers["packed"], "dropped": numbers["dropped"], "quarantined": numbers["quarantined"]}
        of_files["refused"] = numbers["refused"] + numbers["unpacked"]
        assert +by_outcome == +Counter(of_files), name
