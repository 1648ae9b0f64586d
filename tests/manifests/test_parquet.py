"""Reading Parquet files that Python holds."""

import io
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.parquet import read_parquet


def data(rows: int = 3) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": range(rows), "b": [str(n) for n in range(rows)]}), sink, row_group_size=20)
    return sink.getvalue()


def test_columns_come_in_the_order_asked_for() -> None:
    for source in (data(), io.BytesIO(data())):
        assert read_parquet(source, ["b", "a"]).to_pylist()[1] == {"b": "1", "a": 1}
    assert read_parquet(data()).column_names == ["a", "b"]


def test_a_missing_column_is_an_error() -> None:
    with pytest.raises(KeyError, match="c"):
        read_parquet(data(), ["a", "c"])


def test_the_process_has_no_more_threads_than_before() -> None:
    """A thread of Arrow's that drops the last reference while Python ends aborts the process."""
    code = """
import os, sys
from manifests.parquet import read_parquet
data = sys.stdin.buffer.read()
before = len(os.listdir("/proc/self/task"))
read_parquet(data)
print(len(os.listdir("/proc/self/task")) - before)
"""
    out = subprocess.run([sys.executable, "-c", code], input=data(200), capture_output=True, check=True)
    assert out.stdout.strip() == b"0"
