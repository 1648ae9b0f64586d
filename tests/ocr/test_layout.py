import pytest

from ocr.layout import DOWN, LEFT, RIGHT, UP, Segment, Word, layout, paragraph, turned


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ([["two", "lines"], ["of", "text"]], "two lines of text"),
        ([["a", "hyphen-"], ["ated", "word"]], "a hyphenated word"),
        ([["state-of-the-"], ["art"]], "state-of-the- art"),
        ([["pages", "12-"], ["14"]], "pages 12- 14"),
        ([["Jean-"], ["Paul"]], "Jean- Paul"),
        ([["日本語の"], ["文章"]], "日本語の文章"),
        ([["日", "本", "語"]], "日本語"),
        ([["한국어", "문장"], ["입니다"]], "한국어 문장 입니다"),
        ([], ""),
    ],
)
def test_lines_become_a_paragraph(lines: list[list[str]], text: str) -> None:
    assert paragraph(lines) == text


def test_boxes_turn_with_the_page() -> None:
    box = (10.0, 20.0, 30.0, 60.0)  # on a page of 100 x 200
    assert turned(box, RIGHT, 100, 200) == box
    assert turned(box, DOWN, 100, 200) == (20.0, 70.0, 60.0, 90.0)
    assert turned(box, LEFT, 100, 200) == (70.0, 140.0, 90.0, 180.0)
    assert turned(box, UP, 100, 200) == (140.0, 10.0, 180.0, 30.0)


def line(text: str, x: float, y: float, size: float = 10, bold: bool = False, step: float = 30) -> Segment:
    words = tuple(
        Word(w, (x + i * step, y, x + i * step + step - 3, y + size * 1.3)) for i, w in enumerate(text.split())
    )
    return Segment(words, RIGHT, size, bold)


def blocks(segments: list[Segment]) -> list[tuple[str, str]]:
    return [(b.role, b.text) for b in layout(segments, 600, 800).blocks]


def test_each_item_of_a_list_is_a_block() -> None:
    items = [line("1. one thing and", 50, 114), line("more of it", 80, 128), line("2. another", 50, 142)]
    result = blocks([line("Some words first", 50, 100), *items])
    assert result == [
        ("paragraph", "Some words first"),
        ("item", "1. one thing and more of it"),
        ("item", "2. another"),
    ]


@pytest.mark.parametrize("bullet", ["•", "-", "*", "\ufffd", "(a)", "[3]", "iv."])
def test_bullets_and_numbers_begin_an_item(bullet: str) -> None:
    result = blocks([line("Some words first", 50, 100), line(bullet + " one", 50, 114), line(bullet + " two", 50, 128)])
    assert result == [("paragraph", "Some words first"), ("item", bullet + " one"), ("item", bullet + " two")]


def test_headings_are_larger_or_bold() -> None:
    text = [line("plain words that fill a whole line", 50, 160 + 14 * i) for i in range(4)]
    result = blocks(
        [line("A large title", 50, 100, size=18, step=60), line("A bold heading", 50, 140, bold=True), *text]
    )
    assert [role for role, _ in result] == ["heading", "heading", "paragraph"]
    assert blocks([line("3 4 5", 50, 100, size=18), *text])[0][0] == "paragraph"  # a line of digits is not a heading


def test_an_indented_line_after_a_sentence_begins_a_paragraph() -> None:
    result = blocks(
        [line("the end of one.", 50, 100), line("Then comes the next", 65, 114), line("and goes on", 50, 128)]
    )
    assert [t for _, t in result] == ["the end of one.", "Then comes the next and goes on"]


def test_arabic_columns_are_read_from_the_right() -> None:
    right_lines = [line("كلمة أخرى هنا الآن", 330, 100 + 14 * i) for i in range(4)]
    left_lines = [line("نص ثان في اليسار", 50, 100 + 14 * i) for i in range(4)]
    assert [t.split()[0] for _, t in blocks(left_lines + right_lines)] == ["كلمة", "نص"]


def test_a_line_that_crosses_the_columns_is_split() -> None:
    lines = []
    for i in range(4):
        a, b = line("left words of a row", 50, 100 + 14 * i), line("right words of a row", 330, 100 + 14 * i)
        lines.append(Segment(a.words + b.words, RIGHT, 10, False))
    assert [t for _, t in blocks(lines)] == [
        " ".join(["left words of a row"] * 4),
        " ".join(["right words of a row"] * 4),
    ]


def test_each_word_is_in_one_line_and_each_line_in_one_block() -> None:
    page = layout([line("Some words first", 50, 100), line("1. one thing", 50, 114), line("far", 500, 114)], 600, 800)
    assert page.lines[0].start == 0
    assert [x.end for x in page.lines[:-1]] == [x.start for x in page.lines[1:]]
    assert page.lines[-1].end == len(page.words) == 7
    assert [b.end for b in page.blocks[:-1]] == [b.start for b in page.blocks[1:]]
    assert page.blocks[-1].end == len(page.lines)
