"""Duplicates and evaluations in languages that are written without blanks between words."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.sign import Sign
from dedup.text import words
from dedup.verify import Verify
from manifests.words import WORD, count_words
from tests.articles import ARTICLES
from tests.dedup.drive import Doc, chain
from tests.dedup.test_decontaminate import items_of, matches_of

LANGUAGES = sorted(ARTICLES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_near_duplicates_are_found_and_other_articles_are_not(language: str) -> None:
    paragraphs, caption = ARTICLES[language]
    edited = (*paragraphs[:4], paragraphs[4][:-2] + caption)  # the last sentence goes on
    rest = (paragraphs[0], caption)  # one paragraph of five
    docs = [
        Doc("a" * 32, paragraphs, "http://a.example/1", 3),
        Doc("b" * 32, edited, "http://b.example/1", 2),
        Doc("c" * 32, rest, "http://c.example/1", 1),
        *(Doc(f"{n}" * 32, ARTICLES[other][0], None) for n, other in enumerate(LANGUAGES) if other != language),
    ]
    rows = chain([docs[:2], docs[2:]], 4, Sign(), Verify())
    assert [(r["key"], r["row"], r["reason"]) for r in rows] == [(0, 1, "near_duplicate")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_answer_of_an_evaluation_is_found_in_the_middle_of_a_text(language: str) -> None:
    paragraphs, caption = ARTICLES[language]
    answer = paragraphs[1]
    table = items_of(answer, "an English answer of thirteen words that nobody has ever put into any text")
    texts = [paragraphs[0] + answer + paragraphs[2], answer[5:-5], paragraphs[2], caption, f"Wang: {answer} (2024)"]
    assert matches_of(texts, table) == [(0, "e.jsonl:1"), (1, "e.jsonl:1"), (4, "e.jsonl:1")]
    # the case, the marks and the punctuation do not count
    assert matches_of([answer.replace("，", " ").replace("、", "")], table)


@pytest.mark.parametrize(("language", "letters"), [("zh", 21), ("ja", 21), ("th", 42)])
def test_thirteen_words_are_so_many_letters(language: str, letters: int) -> None:
    text = "".join(ARTICLES[language][0])
    hashed = words(pa.array([text]))
    assert len(hashed.grams(13).hashes) == len(hashed.hashes) - letters + 1
    few = [text[:n] for n in range(1, len(text)) if len(words(pa.array([text[:n]])).hashes) == letters - 1]
    assert matches_of(few, items_of(text)) == []


def test_short_texts_match_as_wholes_from_eight_words_on() -> None:
    short, generic = "老船工什么时候把木船推进湖里", "图中的人在做什么"
    table = items_of(short, generic)
    assert table["kind"].to_pylist() == ["whole"]
    assert matches_of([short + "？", "请问" + short, generic], table) == [(0, "e.jsonl:1")]


TOKENS = st.lists(st.sampled_from(["a", "b", "c", "橋", "湖", "ก", "ข"]), max_size=40)


def plain_grams(tokens: list[str], size: int) -> list[tuple[str, ...]]:
    out = []
    for start in range(len(tokens)):
        total = 0
        for end in range(start, len(tokens)):
            total += round(count_words(tokens[end]) * WORD)
            if total >= size * WORD:
                out.append(tuple(tokens[start : end + 1]))
                break
    return out


@given(st.lists(TOKENS, max_size=5), st.integers(1, 4), st.booleans())
def test_runs_of_words_are_those_of_a_plain_search(texts: list[list[str]], size: int, short: bool) -> None:
    grams = words(pa.array([" ".join(t) for t in texts], pa.string())).grams(size, short)
    expected = [plain_grams(t, size) or ([tuple(t)] if short and t else []) for t in texts]
    assert grams.counts.tolist() == [len(e) for e in expected]
    alone = [h for t in texts for h in words(pa.array([" ".join(t)])).grams(size, short).hashes.tolist()]
    assert grams.hashes.tolist() == alone
    assert len(set(alone)) == len({g for e in expected for g in e})


@given(TOKENS, TOKENS, st.integers(2, 4))
def test_contamination_is_that_of_a_plain_search(question: list[str], text: list[str], size: int) -> None:
    options = {"words": size, "whole": size}
    found = matches_of(["".join(f" {t}" for t in text)], items_of(" ".join(question), **options), **options)
    assert bool(found) == bool(set(plain_grams(question, size)) & set(plain_grams(text, size)))
