"""A sweep gives the counts that decisions give at each threshold."""

import math
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from filters.decide import Decide
from filters.rules import Rule, RuleError, Rules, load
from filters.sweep import Sweep, of_fetched, parse, sweep, sweep_images
from filters.text import TextScores
from tests.filters.make import documents, zipped
from tests.filters.test_image import outcome, table

PROSE = "The ships left in the morning, and the people of the town went down to the harbour to see them go."
PICTURE = {"image": "http://a.example/photos/harbour.png", "width": 200, "height": 150}
RULES = load("obelics")


def pages(first: int) -> pa.RecordBatch:
    rows: list[list[Any]] = [
        [*[PROSE] * (i % 4), *[PICTURE] * (i % 3), " ".join(["and the"] * i), "Home News"]
        for i in range(first, first + 12)
    ]
    batch = documents(*rows, [])
    ((_, scores),) = TextScores()(batch)
    nulls = pa.RecordBatch.from_pylist([{}], schema=scores.schema)  # a quarantined row
    with_nulls = pa.Table.from_batches([nulls, scores.slice(1)]).combine_chunks().to_batches()[0]
    return zipped(batch, with_nulls)


def counts_at(rules: Rules, swept: Sweep, threshold: float) -> list[int]:
    """Numbers of kept documents and of their kept paragraphs and images, by a new decision."""
    new_rules = tuple(
        replace(r, **{swept.limit: threshold}) if r.score == swept.score else r for r in getattr(rules, swept.level)
    )
    counts = [0, 0, 0]
    for batch in (pages(0), pages(7)):
        ((_, decisions),) = Decide(replace(rules, **{swept.level: new_rules}))(batch)
        for document, row in zip(batch.to_pylist(), decisions.to_pylist(), strict=True):
            if row["keep"]:
                kinds = [n["kind"] for n, keep in zip(document["nodes"], row["node_keep"], strict=True) if keep]
                counts = [counts[0] + 1, counts[1] + kinds.count("text"), counts[2] + kinds.count("image")]
    return counts


@pytest.mark.parametrize(
    "text",
    [
        "words.min=0..80:8", "document.words.max=10..120:10", "images.min=0..3", "node.words.min=1..20:4",
        "punctuation=0..0.2:0.02",
        "special_characters=0.1..0.3", "node.stop_words=0..1:0.25", "rendered_min=100..200:25",
        "language_score=0.5..1:0.1", "words.min=5..5",
    ],
)  # fmt: skip
def test_counts_equal_those_of_decisions_at_each_threshold(text: str) -> None:
    swept = parse(text, RULES)
    assert not of_fetched(swept)
    rows = sweep(RULES, swept, iter([pages(0), pages(7)]))
    assert [r["threshold"] for r in rows] == list(swept.thresholds)
    assert {r["documents"] for r in rows} == {26}
    assert [[r["kept"], r["paragraphs"], r["images"]] for r in rows] == [
        counts_at(RULES, swept, t) for t in swept.thresholds
    ]


def test_a_sweep_does_not_read_texts() -> None:
    batch = pages(0)
    nodes = batch["nodes"]
    flat = nodes.flatten()
    fields = ["kind", "role", "image", "alt", "width", "height"]
    nodes_without_text = pa.ListArray.from_arrays(
        nodes.offsets, pa.StructArray.from_arrays([pc.struct_field(flat, f) for f in fields], fields)
    )
    batch_without_text = batch.set_column(batch.schema.get_field_index("nodes"), "nodes", nodes_without_text)
    swept = parse("words.min=0..80", RULES)
    assert sweep(RULES, swept, [batch_without_text]) == sweep(RULES, swept, [batch])


def test_a_sweep_over_fetched_images() -> None:
    images = table(
        outcome(),
        outcome(width=160, height=155),
        outcome(status="dns", format=None, width=None, height=None),
        outcome(width=151, height=400),
    )
    swept = parse("side_min=100..500:50", RULES)
    assert of_fetched(swept)
    assert swept.current(RULES) == 150
    assert [r["kept_images"] for r in sweep_images(RULES, swept, [images, images])] == [4, 4, 2, 2, 2, 2, 2, 2, 0]


def test_a_sweep_of_a_rule_that_the_table_does_not_have() -> None:
    swept = parse("document.uppercase.max=0..0.1:0.01", RULES)
    assert swept.current(RULES) is None
    batches = [pages(0), pages(7)]
    tables = [replace(RULES, document=(*RULES.document, Rule("uppercase", max=t))) for t in swept.thresholds]
    assert [r["kept"] for r in sweep(RULES, swept, batches)] == [
        counts_at(rules, swept, t)[0] for rules, t in zip(tables, swept.thresholds, strict=True)
    ]
    images = table(outcome(bytes=9), outcome())
    assert [r["kept_images"] for r in sweep_images(RULES, parse("image.bytes.min=5..15:5", RULES), [images])] == [
        2,
        1,
        1,
    ]


def test_thresholds_of_a_range() -> None:
    assert parse("words.min=10..50", RULES).thresholds == (10, 14, 18, 22, 26, 30, 34, 38, 42, 46, 50)
    assert parse("node.words.min=2..8", RULES).thresholds == (2, 3, 4, 5, 6, 7, 8)
    assert parse("punctuation = 0..0.1", RULES).thresholds[:3] == (0, 0.01, 0.02)
    assert parse("punctuation=0.1..0.3:0.1", RULES).thresholds == (0.1, 0.2, 0.3)


@pytest.mark.parametrize(
    ("text", "thresholds"),
    [
        ("punctuation.min=0.1..0.3:0.1", (0.03, 0.1, 0.2, 0.3)),
        ("punctuation.min=0.01..0.05:0.02", (0.01, 0.03, 0.05)),  # on the grid
        ("punctuation.max=0.1..0.3:0.1", (0.1, 0.2, 0.3, math.inf)),
        ("document.uppercase.min=0..1:1", (-math.inf, 0, 1)),
    ],
)
def test_the_present_limit_is_among_the_thresholds(text: str, thresholds: tuple[float, ...]) -> None:
    rules = Rules(document=(Rule("punctuation", min=0.03),))
    assert parse(text, rules).with_current(rules).thresholds == thresholds


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("words", "sweep `words`: expected rule=from..to"),
        ("wrods=1..2", "sweep `wrods=1..2`: no rule on `wrods`; did you mean `words`?"),
        ("words=1..2", "sweep `words=1..2`: the rule on `words` has a min and a max; say words.min or words.max"),
        ("language=1..2", "sweep `language=1..2`: `language` is a string"),
        ("punctuation=a..b", "sweep `punctuation=a..b`: from, to and step are numbers"),
        ("punctuation=2..1", "sweep `punctuation=2..1`: from is at most to"),
        ("punctuation=0..1:0", "sweep `punctuation=0..1:0`: from is at most to, and the step above 0"),
        ("punctuation=0..1:0.0001", "sweep `punctuation=0..1:0.0001`: more than 1000 steps"),
        (
            "uppercase=0..1",
            "sweep `uppercase=0..1`: no rule on `uppercase`; to try one, say document.uppercase.min or .max",
        ),
        ("image.words=1..2", "sweep `image.words=1..2`: no rule on `words`"),
    ],
)
def test_a_wrong_sweep_is_one_line(text: str, line: str) -> None:
    with pytest.raises(RuleError) as error:
        parse(text, RULES)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)
