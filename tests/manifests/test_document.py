"""Rows of documents, and the batches in which a stage yields rows."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from manifests.document import BATCH, batches, document, provenance
from manifests.nodes import break_node, image_node, text_node
from manifests.schema import DOCUMENT, document_id

TABLES = {"a": pa.schema([("n", pa.int64())]), "b": pa.schema([("n", pa.int64())])}


def test_a_document_has_every_column() -> None:
    nodes = [text_node("One."), break_node(), image_node("https://e.com/a.jpg", alt="A boat")]
    row = document("web", "https://e.com/", b"raw", nodes, provenance("f", 3), lang="en", optout=("noai",))
    assert list(row) == DOCUMENT.names and pa.RecordBatch.from_pylist([row], DOCUMENT).to_pylist() == [row]
    assert row["id"] == document_id("web", "https://e.com/", b"raw")
    assert row["provenance"] == {"file": "f", "offset": 3, "length": None, "page": None}


def test_the_id_may_be_of_another_address() -> None:
    row = document("pairs", "https://e.com/", b"raw", [], provenance("f"), identity="https://e.com/a.jpg")
    assert (row["url"], row["id"]) == ("https://e.com/", document_id("pairs", "https://e.com/a.jpg", b"raw"))


@given(st.lists(st.sampled_from("ab"), max_size=3 * BATCH), st.integers(0, 3))
def test_batches_have_every_row_once_in_order(names: list[str], n_bytes: int) -> None:
    items = [(name, {"n": i}) for i, name in enumerate(names)] + [("raw", b"x")] * n_bytes
    out = list(batches(items, TABLES))
    for table in TABLES:
        tables = [item for name, item in out if name == table]
        assert all(
            isinstance(b, pa.RecordBatch) and 0 < b.num_rows <= BATCH and b.schema == TABLES[table] for b in tables
        )
        rows = [n for batch in tables for n in batch["n"].to_pylist()]  # type: ignore[union-attr,index,call-overload]
        assert rows == [i for i, name in enumerate(names) if name == table]
    assert [item for name, item in out if name == "raw"] == [b"x"] * n_bytes
