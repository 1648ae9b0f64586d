"""The stages from slices of WARC files to documents, PDFs and refusals, and from documents to pairs."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from manifests.nodes import break_node, image_node, text_node
from manifests.schema import DOCUMENT, document_id
from manifests.stage import DirectContext
from pipelines.html.interleave import extract_files, interleave
from pipelines.html.pairs import Pairs
from pipelines.html.stages import PDFS, SLICES, Extract
from tests.pipelines.html.pages import page
from tests.pipelines.warc.test_read import response

PDF = b"%PDF-1.7\n" + b"x" * 100


def warc(tmp_path: Path, members: list[bytes]) -> str:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(b"".join(gzip.compress(m) for m in members))
    return str(path)


def run(stage: Any, rows: list[dict[str, Any]], schema: pa.Schema, ctx: DirectContext | None = None) -> dict[str, Any]:
    """The rows of each table that a stage declares, and the bytes of its raw files. Checks the schemas."""
    out: dict[str, Any] = {name: [] for name in stage.tables}
    for name, item in stage(pa.RecordBatch.from_pylist(rows, schema), ctx or DirectContext()):
        if isinstance(item, bytes):
            out[name] = out.get(name, b"") + item
        else:
            assert item.schema == stage.tables[name]
            out[name] += item.to_pylist()
    return out


@pytest.fixture
def mixed(tmp_path: Path) -> str:
    html = "Content-Type: text/html; charset=utf-8"
    return warc(
        tmp_path,
        [
            response("https://e.com/0", page("<img src=a.jpg alt='A boat at dawn'>"), html),
            response("https://e.com/1", page(), html, status="404 Not Found"),
            response("https://e.com/2.pdf", PDF, "Content-Type: application/pdf"),
            response("https://e.com/3", b"{}", "Content-Type: application/json"),
            response("https://e.com/4", b"<html><body></body></html>", html),
            response("https://e.com/5.pdf", PDF[:60], "Content-Type: application/octet-stream"),
            response("https://e.com/6.pdf", PDF, "Content-Type: application/pdf", extra="WARC-Truncated: length\r\n"),
            response("https://e.com/7", page(head="<meta name=robots content=noai>"), html),
            response("https://e.com/8", b"", html),
            response("https://e.com/9", page(), "X-None: 1"),
        ],
    )


def test_a_file_gives_documents_pdfs_and_refusals(mixed: str) -> None:
    out = run(Extract(), [{"path": mixed, "offset": 0, "length": None}], SLICES)
    assert [d["url"] for d in out["documents"]] == ["https://e.com/0", "https://e.com/7", "https://e.com/9"]
    assert [(r["url"][-5:], r["reason"]) for r in out["refused"]] == [
        ("com/1", "http_error"), ("com/3", "not_html"), ("com/4", "empty_page"), ("6.pdf", "pdf_truncated"),
        ("com/8", "empty_payload"),
    ]  # fmt: skip
    first = out["documents"][0]
    assert first["id"] == document_id("web", "https://e.com/0", page("<img src=a.jpg alt='A boat at dawn'>"))
    assert (first["kind"], first["lang"], first["title"], first["optout"]) == ("web", "en", "The lake", [])
    assert out["documents"][1]["optout"] == ["noai"]
    assert [n["image"] for n in first["nodes"] if n["kind"] == "image"] == ["https://e.com/a.jpg"]
    record_bytes = Path(mixed).read_bytes()[first["provenance"]["offset"] :][: first["provenance"]["length"]]
    assert b"https://e.com/0" in gzip.decompress(record_bytes)
    assert [(p["url"], out["pdf_bytes"][p["start"] : p["start"] + p["size"]]) for p in out["pdfs"]] == [
        ("https://e.com/2.pdf", PDF), ("https://e.com/5.pdf", PDF[:60]),
    ]  # fmt: skip
    assert set(PDFS.names) == set(out["pdfs"][0])


def test_slices_read_each_document_once(mixed: str) -> None:
    size = Path(mixed).stat().st_size
    from_file = run(Extract(), [{"path": mixed, "offset": 0, "length": None}], SLICES)
    from_slices = run(Extract(), [{"path": mixed, "offset": i, "length": 700} for i in range(0, size, 700)], SLICES)
    assert from_slices == from_file


def test_a_quarantined_record_is_left_out(mixed: str) -> None:
    out = run(
        Extract(),
        [{"path": mixed, "offset": 0, "length": None}],
        SLICES,
        DirectContext(part=3, first=5, skip=frozenset({(5, 0), (5, 2)})),
    )
    assert [d["url"][-1] for d in out["documents"]] == ["7", "9"]
    assert [(p["url"], p["start"]) for p in out["pdfs"]] == [("https://e.com/5.pdf", 0)]


def test_a_page_with_an_optout_signal_can_be_refused(mixed: str) -> None:
    out = run(Extract(refuse_optout=True), [{"path": mixed, "offset": 0, "length": None}], SLICES)
    assert ("https://e.com/7", "optout") in [(r["url"], r["reason"]) for r in out["refused"]]


def test_a_broken_member_is_refused(tmp_path: Path) -> None:
    path = warc(tmp_path, [response("https://e.com/0", page(), "Content-Type: text/html")] * 2)
    Path(path).write_bytes(Path(path).read_bytes()[:-50])
    out = run(Extract(), [{"path": path, "offset": 0, "length": None}], SLICES)
    assert (len(out["documents"]), [r["reason"] for r in out["refused"]]) == (1, ["warc_truncated"])


def test_pairs_of_a_page(tmp_path: Path) -> None:
    inside = (
        "<figure><img src=a.jpg alt='not this'><figcaption>A boat\nat dawn</figcaption></figure>"
        "<img src=b.jpg alt='  Two   boats '>"
        "<p>between</p><img src=c.jpg title='Three boats'><p>between</p><img src=d.jpg alt=.><p>between</p>"
        "<img src=e.jpg>"
        "<p>x</p><img src=b.jpg alt='Two boats'>"
    )
    path = warc(tmp_path, [response("https://e.com/x/0", page(inside), "Content-Type: text/html")])
    documents = run(Extract(), [{"path": path, "offset": 0, "length": None}], SLICES)["documents"]
    pairs = run(Pairs(), documents, DOCUMENT)["documents"]
    assert [(d["nodes"][0]["image"], d["nodes"][1]["text"]) for d in pairs] == [
        ("https://e.com/x/a.jpg", "A boat at dawn"), ("https://e.com/x/b.jpg", "Two boats"),
        ("https://e.com/x/c.jpg", "Three boats"),
    ]  # fmt: skip
    assert pairs[0]["id"] == document_id("pairs", "https://e.com/x/a.jpg", b"A boat at dawn")
    assert {(d["kind"], d["url"], d["lang"]) for d in pairs} == {("pairs", "https://e.com/x/0", "en")}
    assert run(Pairs(), [{**documents[0], "nodes": []}], DOCUMENT) == {"documents": []}


def test_a_text_on_three_images_of_a_page_makes_no_pair(tmp_path: Path) -> None:
    inside = "".join(
        f"<p>text {i}</p><img src={i}.jpg alt='Picture to an article of boats' title='Boat of {i} oars'>"
        for i in range(3)
    )
    inside += "<p>more</p><img src=x.jpg alt='The lake at noon'><p>and</p><img src=y.jpg alt='The lake at noon'>"
    path = warc(tmp_path, [response("https://e.com/x/0", page(inside), "Content-Type: text/html")])
    pairs = run(Pairs(), run(Extract(), [{"path": path, "offset": 0, "length": None}], SLICES)["documents"], DOCUMENT)[
        "documents"
    ]
    assert [d["nodes"][1]["text"] for d in pairs] == [
        "Boat of 0 oars",
        "Boat of 1 oars",
        "Boat of 2 oars",
        "The lake at noon",
        "The lake at noon",
    ]


def test_interleave_gives_parallel_lists() -> None:
    out = interleave([text_node("a"), image_node("https://e.com/x"), break_node(), text_node("b", "quote")])
    assert out == {"texts": ["a", None, "b"], "images": [None, "https://e.com/x", None]}


def test_extract_files(mixed: str, tmp_path: Path) -> None:
    html = tmp_path / "one.html"
    html.write_bytes(page("<img src=https://c.net/a.jpg><img src=local.jpg>"))
    results = list(extract_files([mixed, str(html)]))
    assert [d["url"][-1] for d in results[:-1]] == ["0", "4", "7", "8"]
    assert [i for i in results[-1]["images"] if i] == ["https://c.net/a.jpg"]
    for document in results:
        assert all(
            (text is None) != (image is None) for text, image in zip(document["texts"], document["images"], strict=True)
        )


BAD_URIS = [
    "",
    "not a uri",
    "http://",
    "http://[::1",
    "http://e.com:port/",
    "//e.com/x",
    "http://\u00e9\u00fc\u2603/",
    "http://e.com/a b",
    "urn:x:y",
]


@pytest.mark.parametrize("uri", BAD_URIS)
def test_a_page_with_a_bad_uri_is_a_document(tmp_path: Path, uri: str) -> None:
    path = warc(
        tmp_path, [response(uri, page("<img src=a.jpg><img src=http://c.net/b.jpg>"), "Content-Type: text/html")]
    )
    (document,) = run(Extract(), [{"path": path, "offset": 0, "length": None}], SLICES)["documents"]
    assert document["url"] == uri
    assert "http://c.net/b.jpg" in [n["image"] for n in document["nodes"]]


def test_pdfs_of_several_batches_have_consecutive_offsets(mixed: str) -> None:
    ctx = DirectContext()
    raw, pdfs = b"", []
    for i in range(3):  # as the engine calls a stage for a part of three rows, in batches of one row
        out = run(Extract(), [{"path": mixed, "offset": 0, "length": None}], SLICES, ctx)
        raw += out["pdf_bytes"]
        pdfs += out["pdfs"]
        ctx.first, ctx.ends["pdf_bytes"] = i + 1, len(raw)
    assert [raw[p["start"] : p["start"] + p["size"]] for p in pdfs] == [PDF, PDF[:60]] * 3
