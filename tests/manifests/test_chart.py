"""Charts are well-formed SVG for any input, and their numbers are those of the input."""

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.chart import WIDTH, bars, histogram, sheet
from manifests.sketch import ZERO

NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"), max_size=20)


def texts(svg: ET.Element) -> list[str]:
    return ["".join(t.itertext()) for t in svg.iter("text")]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["<script>alert(1)</script>", "a & b", "'\"", "plain"]) | NAMES, st.integers(0, 10**9)
        ),
        max_size=30,
    )
)
def test_bars_escape_their_names_and_stay_within_the_picture(rows: list[tuple[str, int]]) -> None:
    svg = bars(rows)
    assert "<script" not in svg
    names = texts(ET.fromstring(svg))
    labels = min(len(rows), 14)
    assert len(names) == 2 * labels
    assert names[0 : 2 * (labels - 1) : 2] == [name for name, _ in rows[: labels - 1]]
    assert sum(int(n.replace(",", "")) for n in names[1::2]) == sum(n for _, n in rows)
    for x, width in re.findall(r"<rect class='b' x='([\d.]+)' y='\d+' width='([\d.]+)'", svg):
        assert float(x) + float(width) <= WIDTH


def test_the_last_bar_sums_up_the_rest_and_shares_are_printed() -> None:
    svg = bars([(f"r{i:02d}", 100 - i) for i in range(20)], of=200)
    assert "7 others" in svg and "r12" in svg and "r13" not in svg
    assert "100 (50%)" in svg and f"{sum(100 - i for i in range(13, 20)):,}" in svg


@pytest.mark.parametrize(("counts", "text"), [({}, "none"), ({ZERO: 5}, "all 5 are zero")])
def test_a_histogram_without_bars_is_a_line_of_text(counts: dict[int, int], text: str) -> None:
    assert text in histogram(counts)


def test_a_histogram_of_integers_has_integer_labels() -> None:
    counts = {0: 1, 12: 8, 18: 1}  # the bins of 1, 3 (from 2.83 on) and 5 (from 4.76 on)
    assert "p50 3 " in histogram(counts, whole=True) and ">6<" in histogram(counts, whole=True)
    assert "p50 2.83 " in histogram(counts)


@settings(deadline=None)
@given(st.dictionaries(st.integers(-80, 300), st.integers(1, 10**6), min_size=1, max_size=40), st.integers(0, 9))
def test_a_histogram_has_a_column_a_bin_and_names_the_zeros(counts: dict[int, int], zeros: int) -> None:
    bins = {**counts, ZERO: zeros} if zeros else counts
    svg = histogram(bins)
    columns = re.findall(r"<rect class='b' x='([\d.]+)' y='([\d.]+)' width='([\d.]+)' height='([\d.]+)'", svg)
    assert len(columns) == len(counts)
    assert all(float(x) + float(w) <= WIDTH + 1 and float(y) >= 0 for x, y, w, _ in columns)
    assert "p5 " in svg and "p95 " in svg and (f"zero: {zeros:,}" in svg) == bool(zeros)


def test_the_tallest_column_is_the_fullest_bin() -> None:
    heights = [float(h) for h in re.findall(r"<rect class='b' [^>]* height='([\d.]+)'", histogram({0: 1, 8: 4, 16: 2}))]
    assert heights[1] == max(heights) and abs(heights[0] * 4 - heights[1]) < 0.5


def test_a_sheet_is_an_svg_file_with_each_title_and_histogram() -> None:
    rows = [[("web: <tokens>", {0: 1, 8: 4}), ("web: images", {})], [("b: tokens", {ZERO: 2})]]
    svg = sheet(rows)
    root = ET.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert [t.text for t in root.iter("{http://www.w3.org/2000/svg}text") if t.get("class") == "title"] == [
        title for row in rows for title, _ in row
    ]
    assert svg.count("class='b'") == 2 and ">none<" in svg and "all 2 are zero" in svg
    assert int(root.get("width", 0)) > 2 * WIDTH
    assert ET.fromstring(sheet([])).get("height") == "24"
