"""Histograms that can be merged: fixed logarithmic bins with exact counts, so that a report never scans data.

Each power of two has eight bins, so a percentile from them is off by at most 2^(1/8) - 1 = 9 %. All values of zero or
less share one bin.
"""

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
    """Rows of SKETCH for named arrays of values, in their order. NaNs are not counted."""
    rows = []
    for name, values in named.items():
        values = np.asarray(values, np.float64)
        unique, times = np.unique(bins(values[~np.isnan(values)]), return_counts=True)
        rows += [{"name": name, "bin": number, "count": n} for number, n in zip(unique, times, strict=True)]
    return pa.RecordBatch.from_pylist(rows, SKETCH)


def merge(table: pa.Table) -> dict[str, dict[int, int]]:
    """The sums of any number of sketches: histograms by name, with their bins in ascending order."""
    out: dict[str, dict[int, int]] = {}
    for row in table.to_pylist():
        histogram = out.setdefault(row["name"], {})
        histogram[row["bin"]] = histogram.get(row["bin"], 0) + row["count"]
    return {name: dict(sorted(h.items())) for name, h in sorted(out.items())}


def quantile(histogram: dict[int, int], q: float) -> float:
    """The lower edge of the bin of the q-quantile (0..1); NaN for an empty histogram."""
    total = sum(histogram.values())
    if not total:
        return float("nan")
    cumulative = 0
    for number, count in sorted(histogram.items()):
        cumulative += count
        if cumulative >= q * total:
            return low(number)
    return low(max(histogram))
