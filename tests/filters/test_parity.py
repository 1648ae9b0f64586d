"""Our presets give the verdicts of the datatrove classes that they are taken from, with the same split into words."""

import pytest

from bench.filters import TRUTH
from bench.parity import PRESETS, compare, documents, tokenizer

SENTENCE = "The {} ship of the harbour left in the morning, and the people went down with their friends to see it go."


def pages_for_rules() -> list[list[str]]:
    prose = [SENTENCE.format(i) for i in ("first", "second", "third", "old", "new", "last")]
    return [
        prose,
        prose[:2],
        prose * 2,
        [*prose, prose[0]],
        [" ".join([SENTENCE.format("same")] * 8)],
        [p.rstrip(".") for p in prose],
        [*prose, "This is lorem ipsum at its best, as it should be."],
        [*prose, "function() { return 1 } is no line of prose.", "and { without an end"],
        [*prose, "lorem ipsum is left out with its line"],
        [*prose[:4], "Read our privacy policy before you go on.", "Enable JavaScript to see the rest of it."],
        ["• " + p for p in prose],
        [p[:-1] + "..." for p in prose],
        [p + " #a #b #c #d" for p in prose],
        ["1 2 3 4 5 6 7 8 9 10 11 12"] * 9,
        [f"row {i}" for i in range(60)],
        ["w" * 1200 + ".", *prose],
    ]


@pytest.mark.parametrize("preset", PRESETS)
def test_documents_for_each_rule(preset: str) -> None:
    same, lines = compare(preset, pages_for_rules(), tokenizer())
    assert same == 1, lines


@pytest.mark.real
@pytest.mark.parametrize("preset", PRESETS)
def test_real_documents(preset: str) -> None:
    if not TRUTH.exists():
        pytest.skip("needs ../shared/realweb")
    texts = list(documents())
    assert len(texts) > 500
    same, lines = compare(preset, texts, tokenizer())
    assert same >= 0.995, lines
    assert not [line for line in lines if "cause: unknown" in line]
