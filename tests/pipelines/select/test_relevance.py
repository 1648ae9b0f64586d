"""Vectors of images and texts: the nearest paragraph, and its rank among the texts of other documents."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from filters.vectors import VECTOR
from manifests.schema import key64
from manifests.stage import DirectContext
from pipelines.select.relevance import VECTORS, Relevance, TextsOfDocuments, TextVectorsByPart

from .make import decision, document, image, out, tables, text

Row = dict[str, Any]


def test_texts_are_the_kept_paragraphs_of_documents_with_images() -> None:
    pages = [
        document(
            "http://a.example/",
            text("One."),
            text("Gone."),
            image("http://p.example/1.jpg"),
            text("One."),
            text("x" * 2000),
        ),
        document("http://b.example/", text("No image.")),
        document("http://c.example/", text("Its image went."), image("http://p.example/2.jpg")),
        document("http://d.example/", text("Dropped."), image("http://p.example/1.jpg")),
    ]
    node_reasons: list[dict[int, str]] = [{1: "words_low"}, {}, {1: "banned_url_high"}, {}]
    decisions = [
        decision(page, keep=page is not pages[3], node_reasons=g) for page, g in zip(pages, node_reasons, strict=True)
    ]
    rows = out(TextsOfDocuments()(tables(pages, decisions), DirectContext(7)))["texts"]
    assert [(r["part"], r["row"], r["text"][:9], len(r["text"])) for r in rows] == [
        (7, 0, "One.", 4),
        (7, 0, "xxxxxxxxx", 1000),
    ]
    assert rows[0]["key"] == key64("One.")
    assert out(TextsOfDocuments()(tables([])))["texts"] == []


def test_vectors_are_joined_with_every_place_of_their_text() -> None:
    texts = pa.table(
        {
            "key": pa.array([5, 5, 9], pa.uint64()),
            "text": ["a", "a", "b"],
            "part": pa.array([0, 3, 3], pa.int32()),
            "row": pa.array([1, 2, 2], pa.int32()),
        }
    )
    scores = pa.table(
        {"key": pa.array([5], pa.uint64()), "vector": pa.array([[1.0, 0.0]], VECTOR.field("vector").type)}
    )
    rows = out(TextVectorsByPart()({"texts": texts, "scores": scores}))["vectors"]
    assert [(r["key"], r["row"], r["vector"]) for r in rows] == [(0, 1, [1, 0]), (3, 2, [1, 0]), (3, 2, None)]
    assert out(TextVectorsByPart()({"texts": texts, "scores": scores.slice(0, 0)})) == {}


def vectors(*rows: tuple[int, list[float] | None]) -> pa.Table:
    return pa.Table.from_pylist([{"key": 0, "row": row, "vector": v} for row, v in rows], schema=VECTORS)


def counted(*places: tuple[int, list[float] | None]) -> pa.Table:
    table = [{"key": 0, "row": row, "node": i, "vector": v} for i, (row, v) in enumerate(places)]
    return pa.Table.from_pylist(
        table, schema=pa.schema([("key", pa.uint64()), ("row", pa.int32()), ("node", pa.int32()), *VECTOR])
    )


def test_the_nearest_paragraph_and_its_rank() -> None:
    texts = vectors((0, [1, 0]), (0, [0, 1]), (1, [0.6, 0.8]), (2, [1, 0]), (2, None))
    images = counted((0, [0.6, 0.8]), (1, [0, 1]), (2, [0, 1]), (3, [1, 0]), (0, None))
    rows = out(Relevance((("vector", "vector"),), negatives=2)({"images": images, "vectors": texts}))["counted"]
    assert [r["similarity"] for r in rows] == [pytest.approx(0.8), pytest.approx(0.8), 0, None, None]
    # document 0 has two texts of other documents; document 1 has three, of which two are used; document 3 has no text
    assert [r["relevance_rank"] for r in rows][::2] == [1, 2, None]
    assert rows[1]["relevance_rank"] in (0, 1) and rows[3]["relevance_rank"] is None
    assert set(rows[0]) == {"key", "row", "node", "similarity", "relevance_rank"}
    few = out(Relevance((("vector", "vector"),), negatives=9)({"images": images, "vectors": texts}))["counted"]
    assert [r["relevance_rank"] for r in few] == [None] * 5  # too few texts of other documents for a rank
    assert [
        r["similarity"]
        for r in out(Relevance((("vector", "vector"),))({"images": images, "vectors": vectors()}))["counted"]
    ] == [None] * 5
    assert list(Relevance((("vector", "vector"),))({"images": images.slice(0, 0), "vectors": vectors()})) == []


def test_negatives_are_the_same_in_each_run_and_differ_between_images() -> None:
    chance = np.random.default_rng(0)
    texts = vectors(*((row, chance.normal(size=8).tolist()) for row in range(40)))
    images = counted(*((row, chance.normal(size=8).tolist()) for row in range(40)))
    first, again = (
        out(Relevance((("vector", "vector"),), negatives=9)({"images": images, "vectors": texts}))["counted"]
        for _ in range(2)
    )
    assert first == again
    assert 2 < np.mean([r["relevance_rank"] for r in first]) < 7  # chance: 4.5
