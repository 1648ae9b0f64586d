"""Counts, sums and maxima over slices, compared with a loop."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from filters.spans import Spans


@given(
    st.lists(st.tuples(st.integers(0, 70), st.integers(0, 200)), max_size=12),
    st.integers(0, 70),
    st.integers(0, 2**32 - 1),
)
def test_spans_equal_a_loop(pieces: list[tuple[int, int]], rest: int, seed: int) -> None:
    """Slices may be empty, have gaps between them, and be longer than a word of a bitmap."""
    edges = np.cumsum([n for piece in pieces for n in piece]) if pieces else np.zeros(0, np.int64)
    spans = Spans(edges[::2].astype(np.int64), edges[1::2].astype(np.int64))
    length = int(edges[-1]) + rest if len(edges) else rest
    values = np.random.default_rng(seed).integers(0, 9, length)
    slices = [values[a:b] for a, b in zip(spans.start, spans.end, strict=True)]
    assert spans.count(values > 4).tolist() == [int((s > 4).sum()) for s in slices]
    assert spans.sum(values).tolist() == [int(s.sum()) for s in slices]
    assert spans.largest(values).tolist() == [int(s.max(initial=0)) for s in slices]
    if len(spans) and spans.start[0] == 0:
        assert spans.owner(length).tolist() == [int(np.flatnonzero(spans.start <= at)[-1]) for at in range(length)]
