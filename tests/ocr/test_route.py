import pytest

from ocr import route
from ocr.route import signals, why_ocr

PROSE = ["Enough", "words", "to", "be", "a", "page"] * 20


@pytest.mark.parametrize(
    ("words", "coverage", "why"),
    [
        (PROSE, 0.0, None),
        (PROSE, 1.0, None),  # a scan with its text layer
        ([], 0.0, "no_chars"),
        (["Page", "3"], 1.0, "few_chars"),
        (["Page", "3"], 0.5, None),
        ([*PROSE, "\ufffd" * 20], 0.0, "bad_chars"),
        ([*PROSE, "\ufffd" * 5], 0.0, None),
        (["\uf0b7", "short"], 0.0, "bad_chars"),
        (["#$%&(!@", "ab", "cd"] * 10, 0.0, "punctuation"),
        (["Contents", "." * 80, "3"] * 10, 0.0, None),  # leaders of a table of contents
    ],
)
def test_the_reason_for_which_a_text_layer_is_not_used(words: list[str], coverage: float, why: str | None) -> None:
    assert why_ocr(signals(words, [], coverage)) == why


def test_signals_are_shares_of_visible_characters() -> None:
    s = signals(["ab\ufffd", "\ue000"], ["hidden"], 0.25)
    assert (s.chars, s.hidden, s.fffd, s.bad, s.coverage) == (4, 6, 0.25, 0.5, 0.25)


def test_the_limit_of_characters_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    s = signals(["Page", "3"], [], 1.0)
    monkeypatch.setattr(route, "MIN_CHARS", 5)
    assert why_ocr(s) is None
    monkeypatch.setattr(route, "MIN_CHARS", 6)
    assert why_ocr(s) == "few_chars"
