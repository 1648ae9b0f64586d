"""Perplexity by a small model: the probability of each word is written in the test."""

from pathlib import Path

import pytest

from filters.perplexity import Perplexity, load, normalised, perplexity
from manifests.stage import DirectContext
from tests.filters.make import documents

ARPA = """\\data\\
ngram 1=5
ngram 2=1

\\1-grams:
-2.0\t<unk>\t0
0\t<s>\t0
-1.0\t</s>\t0
-0.5\tships\t0
-1.5\tsail\t0

\\2-grams:
-0.25\tships sail

\\end\\
"""


@pytest.fixture
def model(tmp_path: Path) -> str:
    pytest.importorskip("kenlm", reason="needs the optional package kenlm")
    path = tmp_path / "tiny.arpa"
    path.write_text(ARPA)
    return str(path)


def test_perplexities_equal_those_by_hand(model: str) -> None:
    batch = documents(["ships sail", "ships"], ["never seen"], [], ["refused"])
    ((_, scores),) = Perplexity(model)(batch, DirectContext(skip=frozenset({(3, 0)})))
    # the blank line is removed as control characters, which leaves `ships sailships`: the second word is unknown
    perplexities = [10 ** ((0.5 + 2 + 1) / 3), 10 ** ((2 + 2 + 1) / 3)]
    assert scores["perplexity"].to_pylist() == [
        pytest.approx(round(perplexities[0], 1)),
        pytest.approx(round(perplexities[1], 1)),
        None,
        None,
    ]
    assert perplexity(load(model), "ships sail ships") == round(10 ** ((0.5 + 0.25 + 0.5 + 1) / 4), 1)


def test_pieces_are_joined_by_blanks(model: str) -> None:
    class Pieces:
        def encode(self, text: str, out_type: type) -> list[str]:
            return text.replace("ps", "ps ").split()

    assert perplexity(load(model), "shipssail", Pieces()) == round(10 ** ((0.5 + 0.25 + 1) / 3), 1)


def test_a_missing_file_is_one_line() -> None:
    pytest.importorskip("kenlm", reason="needs the optional package kenlm")
    with pytest.raises(ValueError, match=r"perplexity model `/nowhere/en.arpa`: no such file"):
        list(Perplexity("/nowhere/en.arpa")(documents(["text"])))


def test_text_is_normalised_before_it_is_scored() -> None:
    assert normalised("\tIn 2019,\n“that”\x85 — he said… 10％ ") == 'In 0000,"that"  -  he said... 00%'
