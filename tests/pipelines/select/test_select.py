"""The last selection: images are dropped for their reasons, documents for too few or too many images left.

The ledger has a row for each of them.
"""

from typing import Any

import pyarrow as pa
import pytest

from filters.rules import Rule, Rules
from manifests.ledger import DOCUMENTS, IMAGES, TEXTS
from manifests.schema import SELECTED
from pipelines.select.join import Count, counted_schema
from pipelines.select.select import Select

from .make import decision, document, image, join_outcomes, out, outcome, tables, text

Row = dict[str, Any]
RULES = Rules(image=(Rule("status", any_of=("ok",)), Rule("format", any_of=("jpeg", "png")), Rule("side_min", min=150),
                     Rule("aspect", max=2), Rule("rendered_min", min=100)))  # fmt: skip
WEB = Select("web", RULES, images=(1, 3), validation=0.0)


def at(name: object) -> str:
    return f"http://p.example/{name}.jpg"


def run_select(
    stage: Select, documents: list[Row], outcomes: list[Row], decisions: list[Row] | None = None, **more: Any
) -> dict[str, list[Row]]:
    """The output of the stage for one part, with its images counted as in a run."""
    inputs = tables(documents, decisions, more.pop("duplicates", ()))
    counted = [batch for _, batch in Count()({"images": join_outcomes(inputs, stage.rules, outcomes)})]
    return out(stage({**inputs, "images": pa.Table.from_batches(counted, schema=counted_schema(())), **more}))


def reasons(output: dict[str, list[Row]], table: str = "documents") -> list[str | None]:
    return [r["reason"] for r in output[table]]


def test_a_document_with_good_images_is_kept_complete() -> None:
    d = document("http://a.example/", text("One."), image(at(1), alt="a mill"), {"kind": "break"}, text("Two words."))
    output = run_select(WEB, [d], [outcome(at(1), offset=70)])
    (row,) = output["train"]
    assert [n["kind"] for n in row["nodes"]] == ["text", "image", "break", "text"]
    (picture,) = row["images"]
    assert (picture["node"], picture["url"]) == (1, at(1))
    assert (picture["part"], picture["offset"], picture["length"]) == (3, 70, 9000)
    assert (row["tokens"], row["weight"]) == (14, 512 + 9000 + 14)  # bytes are tokens here
    (entry,) = output["documents"]
    assert (entry["keep"], entry["split"], entry["images"], entry["tokens"]) == (True, "train", 1, 14)
    assert entry["reason"] is None
    assert output["texts"] == output["images"] == output["validation"] == []


def test_each_image_is_dropped_for_its_first_reason() -> None:
    """Rules on the page come first (such an image is never requested), then the fetch, then rules on pixels."""
    cases = {
        "ok": (image(at("ok")), outcome(at("ok")), None),
        "stated small": (image(at("s"), width=60, height=60), None, ("rendered_min_low", 60.0, 100.0)),
        "stated small, met elsewhere": (
            image(at("t"), width=60, height=60),
            outcome(at("t")),
            ("rendered_min_low", 60.0, 100.0),
        ),
        "dead": (image(at("d")), outcome(at("d"), "http_404"), ("http_404", None, None)),
        "never asked": (image(at("n")), None, ("not_fetched", None, None)),
        "gif": (image(at("g")), outcome(at("g"), format="gif", width=9), ("format", None, None)),
        "small": (image(at("p")), outcome(at("p"), width=149), ("side_min_low", 149.0, 150.0)),
        "banner": (image(at("b")), outcome(at("b"), width=1500, height=200), ("aspect_high", 7.5, 2.0)),
    }
    output = run_select(
        WEB,
        [document("http://a.example/", text(), *(case[0] for case in cases.values()))],
        [case[1] for case in cases.values() if case[1]],
    )
    dropped = {r["node"]: (r["reason"], r["score"], r["threshold"]) for r in output["images"]}
    assert dropped == {n: case[2] for n, case in enumerate(cases.values(), 1) if case[2]}
    assert [r["image"] for r in output["images"]] == [case[0]["image"] for case in cases.values() if case[2]]
    assert output["documents"][0]["images"] == 1


@pytest.mark.parametrize(
    ("bad", "reason", "score", "limit"), [(3, "images_low", 0, 1), (2, None, None, None), (0, None, None, None)]
)
def test_images_are_counted_after_bad_ones_are_dropped(
    bad: int, reason: str | None, score: float | None, limit: float | None
) -> None:
    d = document("http://a.example/", text(), *(image(at(i)) for i in range(3)))
    output = run_select(WEB, [d], [outcome(at(i), "http_404" if i < bad else "ok") for i in range(3)])
    (entry,) = output["documents"]
    assert (entry["reason"], entry["score"], entry["threshold"]) == (reason, score, limit)
    assert entry["keep"] == (reason is None)
    assert len(output["train"]) == (reason is None) and len(output["images"]) == bad


@pytest.mark.parametrize(
    ("rule", "outcomes", "expected"),
    [
        (
            Rule("aspect", max=2, drops_document=True),
            [outcome(at(0)), outcome(at(1), width=1500, height=200)],
            ("aspect_high", 7.5, 2.0),
        ),
        (Rule("aspect", max=2), [outcome(at(0)), outcome(at(1), width=1500, height=200)], (None, None, None)),
        (
            Rule("status", any_of=("ok",), drops_document=True),
            [outcome(at(0)), outcome(at(1), "http_404")],
            ("http_404", None, None),
        ),
    ],
)
def test_an_image_drops_its_document_if_the_rule_says_so(
    rule: Rule, outcomes: list[Row], expected: tuple[object, ...]
) -> None:
    d = document("http://a.example/", text(), image(at(0)), image(at(1)))
    output = run_select(
        Select("web", Rules(image=(rule,)), images=(1, 3), validation=0),
        [d, document("http://b.example/", text(), image(at(0)))],
        outcomes,
    )
    entry, other = output["documents"]
    assert (entry["reason"], entry["score"], entry["threshold"]) == expected
    assert len(output["images"]) == 1 and other["keep"]


def test_only_good_images_count_as_too_many() -> None:
    d = document("http://a.example/", text(), *(image(at(i)) for i in range(5)))
    assert reasons(run_select(WEB, [d], [outcome(at(i)) for i in range(5)])) == ["images_high"]
    assert reasons(run_select(WEB, [d], [outcome(at(i), "ok" if i else "empty") for i in range(4)])) == [None]


def test_a_repeated_image_is_kept_once_in_a_document() -> None:
    """The same bytes, at the same address or another."""
    d = document("http://a.example/", text(), image(at(1)), image(at(1)), image(at(2)))
    output = run_select(
        WEB,
        [d, document("http://b.example/", text(), image(at(1)))],
        [outcome(at(1)), outcome(at(2), sha256=outcome(at(1))["sha256"])],
    )
    assert [(r["node"], r["reason"]) for r in output["images"]] == [
        (2, "repeated_in_document"),
        (3, "repeated_in_document"),
    ]
    assert [[i["node"] for i in row["images"]] for row in output["train"]] == [[1], [1]]


def test_an_image_on_too_many_pages_is_dropped_from_all() -> None:
    pages = [document(f"http://{i}.example/", text(), image(at("logo")), image(at(i))) for i in range(4)]
    outcomes = [outcome(at("logo")), *(outcome(at(i)) for i in range(4))]
    output = run_select(Select("web", RULES, images=(1, 3), validation=0, uses=3), pages, outcomes)
    assert [(r["image"], r["reason"], r["score"], r["threshold"]) for r in output["images"]] == [
        (at("logo"), "uses_high", 4.0, 3.0)
    ] * 4
    assert reasons(output) == [None] * 4
    output = run_select(Select("web", RULES, images=(1, 3), validation=0, uses=4), pages, outcomes)
    assert output["images"] == []


@pytest.mark.parametrize(
    ("image_outcome", "reason", "score", "threshold"),
    [
        (outcome(at(1), "http_403"), "http_403", None, None),
        (outcome(at(1), width=20), "side_min_low", 20.0, 150.0),
        (None, "not_fetched", None, None),
    ],
)
def test_a_pair_is_dropped_for_the_reason_of_its_image(
    image_outcome: Row | None, reason: str, score: float | None, threshold: float | None
) -> None:
    pairs = Select("pairs", RULES, images=(1, 1), one_image=True, validation=0)
    good = document("http://b.example/", image(at(2)), text("A mill"), source="pairs")
    bad = document("http://a.example/", image(at(1)), text("A boat"), source="pairs")
    output = run_select(pairs, [bad, good], [*([image_outcome] if image_outcome else []), outcome(at(2))])
    bad, fine = output["documents"]
    assert (bad["reason"], bad["score"], bad["threshold"], bad["keep"]) == (reason, score, threshold, False)
    assert fine["keep"] and [r["id"] for r in output["train"]] == [good["id"]]


def test_a_pair_gets_the_reason_of_an_image_that_a_page_rule_dropped() -> None:
    pairs = Select("pairs", RULES, images=(1, 1), one_image=True, validation=0)
    d = document("http://a.example/", image(at(1)), text("A boat"), source="pairs")
    assert reasons(
        run_select(pairs, [d], [], [decision(d, keep=False, node_reasons={0: "banned_url_high"}, reason="images_low")])
    ) == ["banned_url_high"]


def test_a_pair_is_dropped_if_too_many_pairs_have_its_text() -> None:
    pairs = Select("pairs", RULES, images=(1, 1), one_image=True, validation=0, text_uses=10)
    d = document("http://a.example/", image(at(1)), text("Stock photo"), source="pairs")
    output = run_select(pairs, [d], [outcome(at(1))], paragraphs=pa.table({"row": [0], "node": [1], "uses": [12]}))
    (row,) = output["documents"]
    assert (row["reason"], row["score"], row["threshold"], row["keep"]) == ("text_repeated", 12.0, 10.0, False)
    assert output["train"] == output["texts"] == []


def test_dropped_paragraphs_are_in_the_ledger_and_not_in_the_shard() -> None:
    d = document("http://a.example/", text("x" * 300), image(at(1)), text("Kept."), text("Said everywhere."))
    repeated = pa.table({"row": [0], "node": [3], "uses": [9]})
    output = run_select(WEB, [d], [outcome(at(1))], [decision(d, node_reasons={0: "words_low"})], paragraphs=repeated)
    assert [(r["node"], r["reason"], r["score"], r["text"]) for r in output["texts"]] == [
        (0, "words_low", 0.5, "x" * 200), (3, "paragraph_repeated", 9.0, "Said everywhere."),
    ]  # fmt: skip
    (row,) = output["train"]
    assert [n["text"] for n in row["nodes"]] == [None, "Kept."] and row["images"][0]["node"] == 0 and row["tokens"] == 5


def test_a_page_without_remaining_text_is_dropped() -> None:
    d = document("http://a.example/", text("Said everywhere."), image(at(1)))
    output = run_select(WEB, [d], [outcome(at(1))], paragraphs=pa.table({"row": [0], "node": [0], "uses": [9]}))
    assert reasons(output) == ["paragraph_repeated"] and output["train"] == []


def test_dropped_duplicate_and_quarantined_documents_have_a_row() -> None:
    documents = [document(f"http://{n}.example/", text(), image(at(n))) for n in range(3)]
    decisions = [
        decision(documents[0], keep=False, reason="words_low"),
        decision(documents[1]),
        decision(documents[2], None),
    ]
    duplicate = {
        "key": 0,
        "row": 1,
        "reason": "near_duplicate",
        "survivor": 7,
        "survivor_id": "cd" * 16,
        "similarity": 0.875,
    }
    output = run_select(WEB, documents, [outcome(at(n)) for n in range(3)], decisions, duplicates=(duplicate,))
    assert [(r["reason"], r["score"], r["threshold"], r["survivor"]) for r in output["documents"]] == [
        ("words_low", 1.0, 4.0, None), ("near_duplicate", 0.875, None, "cd" * 16), ("quarantined", None, None, None),
    ]  # fmt: skip
    assert output["train"] == output["texts"] == output["images"] == []


def test_rows_keep_their_order_over_several_slices() -> None:
    """With more rows than are converted to Python at a time, documents, images and decisions still match."""
    documents = [document(f"http://site{i}.com/", text(f"Page {i}."), image(at(i))) for i in range(600)]
    output = run_select(
        Select("web", RULES, images=(1, 3), validation=0.1),
        documents,
        [outcome(at(i), "ok" if i % 3 else "empty") for i in range(600)],
    )
    assert [r["url"] for r in output["documents"]] == [d["url"] for d in documents]
    assert reasons(output) == ["images_low" if i % 3 == 0 else None for i in range(600)]
    train, validation = ({r["url"]: r for r in output[split]} for split in ("train", "validation"))
    assert len(train) + len(validation) == 400 and not set(train) & set(validation) and 20 < len(validation) < 80
    assert all(r["images"][0]["url"] == at(int(u[11:-5])) for u, r in {**train, **validation}.items())
    assert {r["url"] for r in output["documents"] if r["split"] == "validation"} == set(validation)


def test_the_shuffle_depends_on_the_seed_and_the_document_alone() -> None:
    documents = [document(f"http://{i}.example/", text(), image(at(i))) for i in range(20)]
    outcomes = [outcome(at(i)) for i in range(20)]

    def keys(seed: int, some: list[Row]) -> dict[str, int]:
        return {
            r["id"]: r["key"]
            for r in run_select(Select("web", RULES, images=(1, 3), validation=0, seed=seed), some, outcomes)["train"]
        }

    assert keys(1, documents[5:9]).items() <= keys(1, documents).items()
    assert keys(1, documents) != keys(2, documents) and len(set(keys(1, documents).values())) == 20


def test_schemas_are_the_same_with_and_without_rows() -> None:
    declared = WEB.tables
    ledger = {"train": SELECTED, "validation": SELECTED, "documents": DOCUMENTS, "texts": TEXTS, "images": IMAGES}
    assert {name: declared[name] for name in ledger} == ledger
    for documents in ([], [document("http://a.example/", text())]):
        inputs = {**tables(documents), "images": counted_schema(()).empty_table()}
        schemas = {name: batch.schema for name, batch in WEB(inputs)}
        assert schemas == {name: declared[name] for name in schemas}
        assert {"sketches", "samples"} <= set(schemas) and (not documents or set(schemas) == set(declared))


def test_sketches_count_kept_documents_only() -> None:
    documents = [
        document("http://a.example/", text("one two"), image(at(1))),
        document("http://b.example/", text("gone")),
    ]
    output = run_select(WEB, documents, [outcome(at(1))])
    counts = {r["name"]: r["count"] for r in output["sketches"]}
    assert counts == {"tokens": 1, "words": 1, "images": 1, "short side": 1, "aspect": 1, "image bytes": 1}
