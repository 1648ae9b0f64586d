"""Merged histograms of pieces equal the histogram of all values. Percentiles are exact to the width of a bin."""

import math

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.sketch import SKETCH, ZERO, bins, low, merge, quantile, sketch

values = st.floats(min_value=1e-6, max_value=1e12, allow_nan=False)
value_lists = st.lists(values, min_size=1, max_size=60)
WIDTH = 2 ** (1 / 8)


def merged_sketch(*pieces: list[float]) -> dict[int, int]:
    table = pa.Table.from_batches([sketch({"x": np.array(p)}) for p in pieces], schema=SKETCH)
    return merge(table).get("x", {})


@settings(deadline=None)
@given(value_lists, st.data())
def test_merged_sketches_of_pieces_equal_the_sketch_of_all_values(xs: list[float], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(xs)))
    assert merged_sketch(xs[:place], xs[place:]) == merged_sketch(xs[place:], xs[:place]) == merged_sketch(xs)
    assert sum(merged_sketch(xs).values()) == len(xs)


@settings(deadline=None)
@given(value_lists, st.floats(0, 1))
def test_a_quantile_is_at_most_a_bin_below_the_true_one(xs: list[float], q: float) -> None:
    exact = sorted(xs)[max(0, math.ceil(q * len(xs)) - 1)]
    value = quantile(merged_sketch(xs), q)
    assert exact / WIDTH * (1 - 1e-6) <= value <= exact * (1 + 1e-6)


@settings(deadline=None)
@given(value_lists)
def test_quantiles_ascend(xs: list[float]) -> None:
    values = [quantile(merged_sketch(xs), q / 10) for q in range(11)]
    assert values == sorted(values)


@settings(deadline=None)
@given(values)
def test_a_value_lies_in_its_bin(x: float) -> None:
    (b,) = bins(np.array([x])).tolist()
    assert low(b) * (1 - 1e-6) <= x < low(b + 1) * (1 + 1e-6)


def test_powers_of_two_are_the_lower_edges_of_bins() -> None:
    assert [low(b) for b in bins(np.array([1, 2, 4, 1024])).tolist()] == [1, 2, 4, 1024]


def test_zero_and_negative_values_share_a_bin_and_nan_is_left_out() -> None:
    assert merged_sketch([0.0, -3.0, float("nan"), 1.0]) == {ZERO: 2, 0: 1}
    assert low(ZERO) == 0 and quantile({ZERO: 2, 0: 1}, 0.5) == 0
    assert math.isnan(quantile({}, 0.5))
    assert merge(SKETCH.empty_table()) == {}
    assert sketch({}).num_rows == 0 and sketch({"x": np.array([])}).num_rows == 0


def test_names_have_their_own_bins_and_are_sorted() -> None:
    table = pa.Table.from_batches(
        [sketch({"b": np.array([1.0]), "a": np.array([2.0, 2.0])}), sketch({"b": np.array([8.0])})]
    )
    assert merge(table) == {"a": {8: 2}, "b": {0: 1, 24: 1}}
    assert list(merge(table)) == ["a", "b"]
