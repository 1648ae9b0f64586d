"""Each stage between signatures and decisions alone: groups, components, the gathering of clusters, verification."""

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.group import EDGES, MEMBERSHIP, Components, Group
from dedup.images import ADDED, NEEDED, ImageCounts
from dedup.paragraphs import Paragraphs, RepeatedParagraphs
from dedup.sign import BANDS, Sign, signatures_schema
from dedup.verify import DUPLICATES, GatherClusters, Verify
from manifests.stage import DirectContext

from .drive import Doc, batch, call, gather
from .prose import prose, vary


def bands(rows: list[tuple[int, int, int]]) -> pa.Table:
    return pa.Table.from_pylist([{"key": k, "doc": d, "kind": n} for k, d, n in rows], schema=BANDS)


def edges(rows: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    table = call(Group(), {"bands": bands(rows)})["edges"][0]
    assert table.schema == EDGES
    return [(r["a"], r["b"], r["kind"]) for r in table.to_pylist()]


def test_a_group_of_k_gives_k_minus_one_edges_to_its_smallest() -> None:
    assert edges([(9, d, 2) for d in (5, 3, 8, 3, 7)]) == [(3, 5, 2), (3, 7, 2), (3, 8, 2)]


def test_a_key_joins_only_within_its_kind() -> None:
    assert edges([(9, 1, 0), (9, 2, 1), (9, 3, 1)]) == [(2, 3, 1)]


def test_an_edge_of_several_kinds_has_the_most_certain_one() -> None:
    assert edges([(1, 1, 2), (1, 2, 2), (2, 1, 0), (2, 2, 0), (3, 2, 2), (3, 4, 2)]) == [(1, 2, 0), (1, 4, 2)]


def test_no_edges_give_an_empty() -> None:
    assert edges([]) == []
    out = call(Components(), {"edges": pa.Table.from_pylist([], schema=EDGES)})
    assert out["membership"][0].schema == MEMBERSHIP
    assert out["membership"][0].num_rows == 0


def test_tables_without_rows() -> None:
    def empty(stage: Any, table: str) -> pa.Table:
        return stage.tables[table].empty_table()

    signatures = sign([Doc("a", ("one",))])
    membership, no_signatures = empty(Components(), "membership"), empty(Sign(), "signatures")
    images = pa.schema([*NEEDED, ("url", pa.string())]).empty_table()
    assert call(Group(), {"bands": empty(Sign(), "bands")})["edges"][0].num_rows == 0
    assert call(Components(), {"edges": empty(Group(), "edges")})["membership"][0].num_rows == 0
    for rows in (no_signatures, signatures):
        (clusters,) = call(GatherClusters(), {"membership": membership, "signatures": rows})["clusters"]
        assert clusters.num_rows == 0 and clusters.schema == GatherClusters().tables["clusters"]
    assert call(Verify(), {"clusters": empty(GatherClusters(), "clusters")})["duplicates"][0].num_rows == 0
    (image_counts,) = call(ImageCounts(), {"images": images})["counted"]
    assert image_counts.num_rows == 0 and image_counts.schema == pa.schema([*images.schema, *ADDED])
    assert call(RepeatedParagraphs(), {"paragraphs": empty(Paragraphs(), "paragraphs")})["repeated"][0].num_rows == 0


def test_stages_yield_their_declared_tables_without_rows_and_where_every_row_is_null() -> None:
    empty = batch([])
    null_rows = pa.RecordBatch.from_arrays([pa.nulls(3, f.type) for f in empty.schema], schema=empty.schema)
    for stage in (Sign(), Sign(bands=28, rows=4, near=False), Paragraphs(), Paragraphs(by_host=False)):
        for rows in (empty, null_rows):
            out = gather(stage(rows))
            assert {name: batches[0].schema for name, batches in out.items()} == dict(stage.tables)


def test_quarantined_rows_are_null_rows_and_have_no_candidates() -> None:
    high_part = 9_007_199_254_740_993 >> 32  # a float cannot represent the document numbers of this part
    docs = [
        Doc("a", ("one two",), "http://a.example/"),
        Doc("b", ("one two",), "http://b.example/"),
        Doc("c", ("three",)),
    ]
    rows = batch(docs)
    null_rows = pa.RecordBatch.from_arrays([pa.nulls(2, f.type) for f in rows.schema], schema=rows.schema)
    mixed = pa.Table.from_batches([rows.slice(0, 1), null_rows, rows.slice(1)]).combine_chunks().to_batches()[0]
    out = gather(Sign()(mixed, DirectContext(part=high_part)))
    signatures = pa.Table.from_batches(out["signatures"])
    signatures = pa.concat_tables(
        [signatures, pa.table([pa.nulls(1, f.type) for f in signatures.schema], schema=signatures.schema)]
    )
    tables = call(Group(), {"bands": pa.Table.from_batches(out["bands"])})
    membership = call(Components(), {"edges": pa.Table.from_batches(tables["edges"])})["membership"]
    inputs = {"membership": pa.Table.from_batches(membership), "signatures": signatures}
    table = call(GatherClusters(), inputs, high_part)["clusters"][0]
    assert table.column("id").to_pylist() == ["a", "b"]
    assert [d & 0xFFFFFFFF for d in table.column("doc").to_pylist()] == [0, 3]


def test_a_null_in_a_required_column_is_an_error_that_names_the_column() -> None:
    with pytest.raises(ValueError, match="column doc has 1 nulls"):
        list(Group()({"bands": pa.Table.from_pylist([{"key": 1, "doc": None, "kind": 0}], schema=BANDS)}))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 3))), st.randoms(use_true_random=False))
def test_a_forest_has_the_clusters_of_the_keys_in_any_order(
    rows: list[tuple[int, int, int]], rng: random.Random
) -> None:
    forest = edges(rows)
    shuffled = rows[:]
    rng.shuffle(shuffled)
    assert edges(shuffled) == forest
    assert len({b for _, b, _ in forest}) == len(forest), "one edge a document"
    cluster = {d: {d} for _, d, _ in rows}
    for k, d, n in rows:
        for k2, d2, n2 in rows:
            if (k, n) == (k2, n2):
                union = cluster[d] | cluster[d2]
                for member in union:
                    cluster[member] = union
    assert sorted((a, b) for a, b, _ in forest) == sorted((min(c), d) for d, c in cluster.items() if d != min(c))


def test_components_join_the_forests_of_all_buckets() -> None:
    high_document = 7 << 32 | 5
    table = pa.Table.from_pylist(
        [{"key": 0, "a": a, "b": b, "kind": 2} for a, b in [(4, 6), (2, 4), (10, high_document)]], schema=EDGES
    )
    out = call(Components(), {"edges": table})
    assert [tuple(r.values()) for r in out["membership"][0].to_pylist()] == [
        (0, 2, 2),
        (0, 4, 2),
        (0, 6, 2),
        (0, 10, 10),
        (7, 5, 10),
    ]


def sign(docs: list[Doc], part: int = 0) -> pa.Table:
    return pa.Table.from_batches(gather(Sign()(batch(docs), DirectContext(part=part)))["signatures"])


def clusters(docs: list[Doc]) -> pa.Table:
    membership = pa.table(
        [np.zeros(len(docs), np.uint64), np.arange(len(docs), dtype=np.int32), np.zeros(len(docs), np.uint64)],
        schema=MEMBERSHIP,
    )
    return pa.Table.from_batches(
        call(GatherClusters(), {"membership": membership, "signatures": sign(docs)})["clusters"]
    )


def duplicates(table: pa.Table, stage: Verify) -> list[dict[str, Any]]:
    out = call(stage, {"clusters": table})["duplicates"][0]
    assert out.schema == DUPLICATES
    return out.to_pylist()


@pytest.mark.parametrize("rounds", [1, 2, 1000])
def test_verify_does_not_depend_on_the_order_of_its_rows(rounds: int) -> None:
    docs = [Doc(f"{n}", (vary(prose(n % 3, 80), 0.02 * (n % 4), n),), f"http://a.example/{n % 7}") for n in range(20)]
    table = clusters(docs)
    expected = duplicates(table, Verify(0.7, rounds))
    assert len(expected) > 5
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(len(docs))
        assert duplicates(table.take(pa.array(order)), Verify(0.7, rounds)) == expected


def test_one_hash_and_another_length_is_a_collision_not_a_copy() -> None:
    table = clusters([Doc("a", (prose(1, 40),)), Doc("b", (prose(2, 50),))])
    place = table.schema.get_field_index("text_hash")
    table = table.set_column(place, table.schema.field(place), pa.array([7, 7], pa.uint64()))
    for rounds in (1, 2):
        assert duplicates(table, Verify(rounds=rounds)) == []


def test_a_member_of_a_cluster_without_a_signature_is_an_error_that_names_the_document() -> None:
    membership = pa.table(
        [np.array([3], np.uint64), np.array([1], np.int32), np.array([9], np.uint64)], schema=MEMBERSHIP
    )
    with pytest.raises(ValueError, match="no signature for row 1 of part 3"):
        list(GatherClusters()({"membership": membership, "signatures": sign([Doc("a", ("one",))], part=3)}))


def test_gathering_gives_the_sign_the_members_alone() -> None:
    membership = pa.table(
        [np.array([3, 3], np.uint64), np.array([2, 0], np.int32), np.array([9, 9], np.uint64)], schema=MEMBERSHIP
    )
    docs = [Doc("a", ("one",)), Doc("b", ("two",)), Doc("c", ())]
    out = pa.Table.from_batches(
        call(GatherClusters(), {"membership": membership, "signatures": sign(docs, 3)}, 3)["clusters"]
    )
    assert out.schema.names == ["key", "root", *signatures_schema(112).names]
    assert out.column("id").to_pylist() == ["a", "c"]
    assert out.column("root").to_pylist() == [9, 9]
    empty = call(GatherClusters(), {"membership": membership.slice(0, 0), "signatures": sign(docs, 3)}, 3)["clusters"]
    assert [b.num_rows for b in empty] == [0]
    assert empty[0].schema == out.schema
