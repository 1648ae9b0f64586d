"""Image scores from the outcomes of fetching and from the nodes of pages."""

from typing import Any

import pyarrow as pa
import pytest

from filters.image import image_columns, page_columns
from filters.rules import decide, load
from filters.scores import IMAGE_FETCHED, IMAGE_ON_PAGE
from manifests.schema import OUTCOME
from tests.filters.make import documents

SCHEMA = pa.schema([*OUTCOME, ("rendered_width", pa.int32()), ("rendered_height", pa.int32()), ("alt", pa.string())])


def outcome(**fields: Any) -> dict[str, Any]:
    return {
        "url": "http://a.example/a.jpg",
        "status": "ok",
        "format": "jpeg",
        "width": 640,
        "height": 480,
        "frames": 1,
        "bytes": 60_000,
        **fields,
    }


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def test_values_of_one_image() -> None:
    columns = image_columns(table(outcome(rendered_width=320, rendered_height=240, alt=" two  words ", optout="noai")))
    assert {name: column.to_pylist()[0] for name, column in columns.items()} == {
        "status": "ok",
        "format": "jpeg",
        "side_min": 480,
        "side_max": 640,
        "aspect": pytest.approx(4 / 3),
        "pixels": 307_200,
        "frames": 1,
        "bytes": 60_000,
        "bytes_per_pixel": pytest.approx(60_000 / 307_200),
        "optout": "noai",
        "rendered_min": 240,
        "rendered_max": 320,
        "banned_url": 0,
        "alt_words": 2,
    }
    assert set(columns) == {*IMAGE_FETCHED, *IMAGE_ON_PAGE}


def test_a_column_of_scores_in_the_table_is_used() -> None:
    with_entropy = table(outcome(), outcome()).append_column(
        "entropy", pa.chunked_array([pa.array([7.5, None], pa.float32())])
    )
    assert image_columns(with_entropy)["entropy"].to_pylist() == [7.5, None]


def test_scores_of_missing_values_are_null() -> None:
    failure = {"url": "http://a.example/a.jpg", "status": "http_404"}
    columns = image_columns(pa.Table.from_pylist([failure, outcome(width=0, height=0)], schema=OUTCOME))
    assert columns["aspect"].to_pylist() == [None, None]
    assert columns["bytes_per_pixel"].to_pylist() == [None, None]
    assert columns["side_min"].to_pylist() == [None, 0]
    assert columns["rendered_min"].to_pylist() == [None, None]
    assert columns["alt_words"].to_pylist() == [0, 0]
    assert image_columns(pa.table({"url": ["http://a.example/"]}))["status"].to_pylist() == [None]


def test_the_image_rules_of_obelics() -> None:
    images = table(
        outcome(),
        outcome(status="http_404"),
        outcome(url="http://a.example/img/site-logo.png"),
        outcome(format="gif"),
        outcome(width=149, height=200),
        outcome(width=20_001, height=11_000),
        outcome(rendered_width=100, rendered_height=400),
        outcome(width=1001, height=500),
        outcome(width=500, height=1000),
        outcome(format=None),
    )
    rules = load("obelics").image
    assert decide(rules, image_columns(images), images.num_rows).reason.to_pylist() == [
        None, "status", "banned_url_high", "format", "side_min_low", "side_max_high", "rendered_min_low", "aspect_high",
        None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "hits"),
    [
        ("http://silicon.example/lexicon/catalogo/essex-semiconductors.jpg", 0),
        ("http://a.example/sexton/iconic-plugins4/buttonhole.jpg", 1),  # the hit is `plugins4`
        ("http://a.example/logo.png", 1),
        ("http://a.example/LOGO_2.png", 1),
        ("http://a.example/img/siteLogo.png", 1),
        ("http://a.example/img/LogoSmall.png", 1),
        ("http://a.example/img/Logotherapy.png", 0),
        ("http://a.example/a-icon-b/widget?x=button", 3),
        ("http://logos.example/a.png", 1),
        ("http://a.example/photos/harbour.jpg", 0),
        (None, None),
    ],
)
def test_banned_words_are_whole_words(url: str | None, hits: int | None) -> None:
    assert image_columns(table(outcome(url=url)))["banned_url"].to_pylist() == [hits]


def test_page_columns_are_null_for_nodes_without_an_image() -> None:
    batch = documents(
        ["text", {"image": "http://a.example/icon.png", "width": 20, "height": 30, "alt": "go home"}, "---"]
    )
    columns = page_columns(batch["nodes"].flatten())
    assert {name: column.to_pylist() for name, column in columns.items()} == {
        "rendered_min": [None, 20, None],
        "rendered_max": [None, 30, None],
        "banned_url": [None, 1, None],
        "alt_words": [None, 2, None],
    }
