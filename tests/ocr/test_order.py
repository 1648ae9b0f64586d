import random

from hypothesis import given, settings
from hypothesis import strategies as st

from ocr.order import Piece, rows


def read(pieces: list[Piece]) -> list[int]:
    return [p.index for row in rows(pieces) for p in row.pieces]


def line(index: int, x: float, y: float, width: float = 100, words: int = 6) -> Piece:
    return Piece(x, y, x + width, y + 12, words, index)


def test_two_columns_are_read_one_after_the_other_even_with_aligned_gaps() -> None:
    ys = [0, 14, 28, 60, 74, 88]
    pieces = [line(2 * i + side, 120 * side, y) for i, y in enumerate(ys) for side in (0, 1)]
    assert read(pieces) == [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]


def test_a_line_across_the_columns_splits_them_into_bands() -> None:
    top = [line(i, 120 * (i % 2), 14 * (i // 2)) for i in range(8)]
    middle = [line(8, 0, 60, width=220)]
    bottom = [line(9 + i, 120 * (i % 2), 80 + 14 * (i // 2)) for i in range(8)]
    assert read(top + middle + bottom) == [0, 2, 4, 6, 1, 3, 5, 7, 8, 9, 11, 13, 15, 10, 12, 14, 16]


def test_a_table_is_read_by_rows() -> None:
    pieces = [line(3 * r + c, 80 * c, 16 * r, width=30, words=1) for r in range(5) for c in range(3)]
    assert read(pieces) == list(range(15))


def test_bullets_are_read_with_their_items() -> None:
    pieces = [
        p for r in range(5) for p in (line(2 * r, 0, 16 * r + 1.5, width=5, words=1), line(2 * r + 1, 20, 16 * r))
    ]
    assert read(pieces) == list(range(10))


def test_a_cell_of_several_lines_is_read_before_the_next_cell() -> None:
    left = line(0, 0, 14, width=60, words=2)  # beside the middle of three lines
    right = [line(1 + i, 100, 14 * i + 1, width=60, words=2) for i in range(3)]
    assert read([left, *right]) in ([0, 1, 2, 3], [1, 0, 2, 3])


def test_a_running_head_comes_first_and_a_page_number_last() -> None:
    pieces = [line(0, 0, 0, width=40, words=2), line(1, 200, 0, width=10, words=1)]
    pieces += [line(2 + i, 120 * (i % 2), 50 + 14 * (i // 2)) for i in range(8)]
    pieces += [line(10, 150, 140, width=10, words=1)]
    assert read(pieces) == [0, 1, 2, 4, 6, 8, 3, 5, 7, 9, 10]


BOXES = st.tuples(st.integers(0, 400), st.integers(0, 600), st.integers(1, 300), st.integers(1, 40), st.integers(1, 12))


@settings(max_examples=200, deadline=None)
@given(st.lists(BOXES, max_size=60, unique_by=lambda b: b[:2]), st.randoms(use_true_random=False))
def test_every_piece_is_read_once_for_any_order_in_the_file(boxes: list[tuple[int, ...]], rng: random.Random) -> None:
    pieces = [Piece(x, y, x + w, y + h, n, i) for i, (x, y, w, h, n) in enumerate(boxes)]
    order = read(pieces)
    assert sorted(order) == list(range(len(pieces)))
    shuffled = pieces[:]
    rng.shuffle(shuffled)
    assert read(shuffled) == order


def test_a_page_without_pieces_has_no_rows() -> None:
    assert rows([]) == []
