"""Texts and pictures that match an evaluation, and similar ones that do not match."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.decontaminate import (
    CONTAMINATED,
    EVALUATED,
    GRAM,
    MATCHES,
    PICTURE,
    WHOLE,
    Contaminated,
    Evaluated,
    Matches,
    Overlap,
)
from manifests.schema import DECISION, DOCUMENT
from manifests.stage import DirectContext

LONG = "how many boats lie in the harbour that the old map of the bay shows beside the mill"
SHORT = "which colour has the roof of the mill"
GENERIC = "what is the man doing"


def items_of(*texts: str, **options: int) -> pa.Table:
    return Overlap(**options).evaluated(texts, [f"e.jsonl:{n}" for n in range(1, len(texts) + 1)], [False] * len(texts))


def matches_of(texts: list[str], table: pa.Table, **options: int) -> list[tuple[int, str]]:
    index = Evaluated(table)
    text, rows = Overlap(**options).matches(pa.array(texts), index)
    return sorted(set(zip(text.tolist(), index.items(rows), strict=True)))


def test_a_run_of_thirteen_words_matches_anywhere_and_a_run_of_twelve_does_not():
    table = items_of(LONG)
    words = LONG.split()
    twelve, thirteen = " ".join(words[2:14]), " ".join(words[2:15])
    texts = [
        f"He asked, {thirteen}?",
        f"He asked {twelve}",
        thirteen.upper().replace(" ", ", "),
        " ".join(reversed(words)),
        "",
        LONG,
    ]
    assert matches_of(texts, table) == [(0, "e.jsonl:1"), (2, "e.jsonl:1"), (5, "e.jsonl:1")]
    assert matches_of([twelve], items_of(LONG, words=12), words=12) == [(0, "e.jsonl:1")]


def test_a_short_question_matches_a_whole_text_and_a_very_short_one_never_matches():
    table = items_of(SHORT, GENERIC)
    assert table["kind"].to_pylist() == [WHOLE]
    assert matches_of([f"{SHORT.capitalize()}?", f"Tell me {SHORT}", GENERIC], table) == [(0, "e.jsonl:1")]


def test_a_short_question_about_a_picture_never_matches():
    table = Overlap().evaluated([SHORT, LONG], ["e:1", "e:2"], [True, True])
    assert set(table["kind"].to_pylist()) == {GRAM} and matches_of([SHORT, LONG], table) == [(1, "e:2")]


@given(
    st.lists(st.sampled_from("abcdef"), max_size=40),
    st.lists(st.sampled_from("abcdef"), max_size=40),
    st.integers(2, 5),
)
def test_matching_runs_of_words_are_those_of_a_plain_search(question: list[str], text: list[str], size: int):
    grams = lambda words: {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}
    options = {"words": size, "whole": size}
    assert bool(matches_of([" ".join(text)], items_of(" ".join(question), **options), **options)) == bool(
        grams(question) & grams(text)
    )


def document(*texts: str) -> dict:
    return {
        "id": "0" * 32,
        "url": "u",
        "nodes": [{"kind": "image", "image": "i"}, *({"kind": "text", "text": t} for t in texts)],
    }


def tables(
    documents: list[dict], table: pa.Table, keep: list[bool] | None = None, node_keep: list[list[bool]] | None = None
) -> dict[str, pa.Table]:
    keep, node_keep = keep or [True] * len(documents), node_keep or [[True] * len(d["nodes"]) for d in documents]
    decisions = [{"keep": k, "node_keep": n} for k, n in zip(keep, node_keep, strict=True)]
    return {
        "documents": pa.Table.from_pylist(documents, DOCUMENT),
        "decisions": pa.Table.from_pylist(decisions, DECISION),
        "evaluated": table,
    }


def rows_of(parts: list[dict[str, pa.Table]], common: int = 10) -> list[dict]:
    matches = [batch for part, inputs in enumerate(parts) for _, batch in Matches()(inputs, DirectContext(part))]
    ((name, batch),) = Contaminated(common)({"matches": pa.Table.from_batches(matches, MATCHES)})
    assert name == "contaminated" and batch.schema == CONTAMINATED
    return batch.to_pylist()


def test_kept_texts_of_kept_documents_are_matched_one_by_one():
    words = LONG.split()
    halves = document(" ".join(words[:7]), " ".join(words[7:]))
    documents = [document("plain", LONG), document(LONG), document(LONG), halves, document("x", LONG, LONG)]
    node_keep = [[True] * len(d["nodes"]) for d in documents]
    node_keep[2][1] = False
    table = items_of(
        "something else of thirteen words and more, which nobody here has ever said to anyone at all", LONG
    )
    inputs = tables(documents, table, [True, False, True, True, True], node_keep)
    runs = len(words) - 12
    rows = [{"key": part, "row": row, "runs": runs, "item": "e.jsonl:2"} for part in (0, 1) for row in (0, 4)]
    assert rows_of([inputs, inputs]) == rows
    assert list(Matches()(tables([], EVALUATED.empty_table()))) == []
    assert next(Contaminated()({"matches": MATCHES.empty_table()}))[1].num_rows == 0


def test_words_that_many_documents_have_are_a_template_and_do_not_count():
    template = "look at the picture and answer the following question with a single word or phrase please"
    own = "whose mill is this and who built it there beside the old bridge of the town"
    table = items_of(f"{template} {own}")
    documents = [document(f"{template} {n}") for n in range(10)] + [document(f"{template} {own}")]
    assert [r["row"] for r in rows_of([tables(documents, table)])] == [10]
    assert len(rows_of([tables(documents, table)], 11)) == 11
    # documents are counted over all parts
    assert len(rows_of([tables(documents[:5], table), tables(documents[5:], table)])) == 1


@pytest.mark.parametrize(("bits", "nearest"), [(0, None), (2, None), (3, ("b", 3)), (64, ("b", 3))])
def test_a_picture_matches_the_nearest_hash(bits: int, nearest: tuple[str, int] | None):
    rows = [{"kind": PICTURE, "hash": h, "item": n} for h, n in ((0xFF, "a"), (1 << 63 | 0b111, "b"))]
    rows += [{"kind": GRAM, "hash": 1 << 63, "item": "c"}]
    index = Evaluated(pa.Table.from_pylist(rows, EVALUATED))
    assert index.picture(1 << 63, bits) == nearest and index.picture(None, 64) is None
    assert Evaluated(EVALUATED.empty_table()).picture(1, 64) is None
    assert index.find(GRAM, np.array([0xFF, 1 << 63], np.uint64))[0].tolist() == [1]
