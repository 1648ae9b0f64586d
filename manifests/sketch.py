"""Histograms that merge: fixed logarithmic bins with exact counts, so that a report never scans data again.

Bins are eighths of a power of two: a percentile read from them is off by at most 2^(1/8) - 1 = 9 %. Zero and below
share one bin.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

SKETCH = pa.schema([("name", pa.string()), ("bin", pa.int32()), ("count", pa.int64())])

ZERO = -(1 << 20)  # the bin of values that are not above 0


def bins(values: np.ndarray) -> np.ndarray:
    """Bin numbers (int32) of values, same shape; NaN is not allowed."""
    values = np.asarray(values, np.float64)
    out = np.full(values.shape, ZERO, np.int32)
    above = values > 0
    out[above] = np.floor(np.log2(values[above]) * 8 + 1e-9).astype(np.int32)
    return out


def low(bin_number: int) -> float:
    """Lower edge of a bin; 0 for the bin of zeros."""
    return 0.0 if bin_number == ZERO else float(2.0 ** (bin_number / 8))


def sketch(named: dict[str, np.ndarray]) -> pa.RecordBatch:
    """Rows of SKETCH for arrays of values, in the order given; NaNs are left out."""
    names: list[str] = []
    numbers: list[int] = []
    counts: list[int] = []
    for name, values in named.items():
        values = np.asarray(values, np.float64)
        found, times = np.unique(bins(values[~np.isnan(values)]), return_counts=True)
        names += [name] * len(found)
        numbers += found.tolist()
        counts += times.tolist()
    return pa.record_batch(
        [pa.array(names, pa.string()), pa.array(numbers, pa.int32()), pa.array(counts, pa.int64())], schema=SKETCH
    )


def merge(table: pa.Table) -> dict[str, dict[int, int]]:
    """Histograms by name, bins ascending, of any number of sketches put together."""
    out: dict[str, dict[int, int]] = {}
    for row in table.to_pylist():
        one = out.setdefault(row["name"], {})
        one[row["bin"]] = one.get(row["bin"], 0) + row["count"]
    return {name: dict(sorted(h.items())) for name, h in sorted(out.items())}


def quantile(histogram: dict[int, int], q: float) -> float:
    """The lower edge of the bin that holds the q-quantile (0..1); NaN of an empty histogram."""
    total = sum(histogram.values())
    if not total:
        return float("nan")
    passed = 0
    for number, count in sorted(histogram.items()):
        passed += count
        if passed >= q * total:
            return low(number)
    return low(max(histogram))
