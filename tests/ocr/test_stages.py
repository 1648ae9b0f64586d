import hashlib
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from manifests.schema import DOCUMENT, OUTCOME, REFUSED, document_id
from manifests.stage import DirectContext
from ocr import stages
from ocr.stages import INPUT, PAGE, Pages
from tests.ocr import pdfs

STAGE = Pages(ocr=False)


def batch(*rows: dict[str, Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"offset": None, "length": None, **r} for r in rows], schema=INPUT)


def output(stage: Pages, *batches: pa.RecordBatch, ctx: Any = None) -> dict[str, Any]:
    """The output of a stage for the batches of one partition: tables by name, and the bytes of raw files.

    A table that the stage does not yield is empty, as in the engine.
    """
    ctx = ctx or DirectContext(part=3)
    tables: dict[str, list[pa.RecordBatch]] = {name: [] for name in stage.tables}
    raw: dict[str, bytes] = {"blobs": b""}
    for b in batches:
        for name, piece in stage(b, ctx):
            if isinstance(piece, bytes):
                raw[name] += piece
                ctx.ends[name] = len(raw[name])
            else:
                tables[name].append(piece)
        ctx.first += b.num_rows
    return {**{name: pa.Table.from_batches(pieces, stage.tables[name]) for name, pieces in tables.items()}, **raw}


@pytest.fixture
def put(tmp_path: Path) -> Any:
    def write(name: str, data: bytes) -> dict[str, Any]:
        (tmp_path / name).write_bytes(data)
        return {"path": str(tmp_path / name), "url": f"http://press.example/{name}"}

    return write


def test_a_page_is_a_document_of_one_picture_and_its_text(put: Any) -> None:
    row = put("a.pdf", pdfs.described())
    out = output(STAGE, batch(row))
    assert STAGE.tables == {"documents": DOCUMENT, "pages": PAGE, "outcomes": OUTCOME, "refused": REFUSED}
    assert {name: out[name].schema for name in STAGE.tables} == STAGE.tables
    (document,) = out["documents"].to_pylist()
    url = "http://press.example/a.pdf#page=1"
    digest = hashlib.sha256(pdfs.described()).hexdigest()
    assert document["id"] == document_id("pdf", url, f"{digest}1".encode())
    facts = ("pdf", url, "Harvest report", "de")
    assert (document["kind"], document["url"], document["title"], document["lang"]) == facts
    assert document["license"] == "https://creativecommons.org/licenses/by-sa/4.0/"
    assert document["optout"] == ["tdm-reservation"]
    assert document["provenance"] == {"file": row["path"], "offset": None, "length": None, "page": 0}
    picture, *text = document["nodes"]
    assert (picture["kind"], picture["image"], picture["box"]) == ("image", url, [0, 0, 1, 1])
    assert (picture["width"], picture["height"]) == (834, 1042)
    assert [(n["kind"], n["role"], n["text"]) for n in text] == [
        ("text", "heading", pdfs.TITLE),
        ("text", "paragraph", "This is page 1. It has two lines."),
        ("text", "paragraph", "And a second paragraph."),
    ]
    assert [(w["text"], w["line"], w["score"]) for w in text[1]["words"]] == [
        (w, 1 + i // 4, 1.0) for i, w in enumerate(["This", "is", "page", "1.", "It", "has", "two", "lines."])
    ]
    left, top, width, height = text[0]["box"]
    assert left == pytest.approx(50 / 400, abs=0.002)
    assert top < 80 / 500 < top + height
    assert 0 < width < 1


def test_pictures_are_at_the_offsets_of_the_outcomes_in_every_batch(put: Any) -> None:
    rows = [put(f"{n}.pdf", pdfs.plain(pages=n)) for n in (1, 2, 3)]
    out = output(STAGE, batch(rows[0], rows[1]), batch(rows[2]))
    outcomes = out["outcomes"].to_pylist()
    assert [o["url"] for o in outcomes] == out["documents"]["url"].to_pylist()
    assert [o["url"].rpartition("/")[2] for o in outcomes] == [
        f"{n}.pdf#page={p + 1}" for n in (1, 2, 3) for p in range(n)
    ]
    for o in outcomes:
        data = out["blobs"][o["offset"] : o["offset"] + o["length"]]
        assert (o["status"], o["format"], o["part"], o["bytes"]) == ("ok", "jpeg", 3, len(data))
        assert hashlib.sha256(data).hexdigest() == o["sha256"]
        assert Image.open(io.BytesIO(data)).size == (o["width"], o["height"])
    assert sum(o["length"] for o in outcomes) == len(out["blobs"])


def test_every_file_gives_pages_or_one_refusal(put: Any) -> None:
    rows = [
        put("good.pdf", pdfs.plain()),
        put("locked.pdf", pdfs.encrypted()),
        put("none.pdf", pdfs.no_pages()),
        put("page.pdf", b"<html>"),
        put("zero.pdf", b""),
        put("broken.pdf", b"%PDF-1.4\nrubbish"),
        put("scan.pdf", pdfs.scanned()),
        put("blank.pdf", pdfs.blank()),
        {"path": "/nowhere/at/all.pdf", "url": "http://press.example/all.pdf"},
    ]
    out = output(STAGE, batch(*rows))
    assert out["documents"]["url"].to_pylist() == ["http://press.example/good.pdf#page=1"]
    assert [(r["url"].rpartition("/")[2], r["reason"]) for r in out["refused"].to_pylist()] == [
        ("locked.pdf", "encrypted"),
        ("none.pdf", "no_pages"),
        ("page.pdf", "not_pdf"),
        ("zero.pdf", "empty"),
        ("broken.pdf", "corrupt"),
        ("scan.pdf#page=1", "no_text_layer"),
        ("blank.pdf#page=1", "blank"),
        ("all.pdf", "missing"),
    ]
    assert [r["provenance"]["page"] for r in out["refused"].to_pylist()] == [None] * 5 + [0, 0, None]


def test_a_pdf_within_a_larger_file(put: Any) -> None:
    data = pdfs.plain()
    row = put("records", b"before" + data + b"after")
    out = output(STAGE, batch({**row, "offset": 6, "length": len(data)}, {**row, "offset": 6, "length": 10**6}))
    (document,) = out["documents"].to_pylist()
    assert document["provenance"] == {"file": row["path"], "offset": 6, "length": len(data), "page": 0}
    assert out["refused"]["reason"].to_pylist() == ["missing"]


def test_a_limit_gives_a_refused_row(put: Any) -> None:
    row = put("long.pdf", pdfs.plain(pages=5))
    out = output(Pages(ocr=False, max_pages=2), batch(row))
    assert out["documents"].num_rows == 2
    (refused,) = out["refused"].to_pylist()
    assert (refused["reason"], refused["provenance"]["page"]) == ("too_many_pages", 2)
    assert output(Pages(ocr=False, max_bytes=100), batch(row))["refused"]["reason"].to_pylist() == ["too_large"]


def test_quarantined_files_and_pages_are_left_out(put: Any) -> None:
    rows = [put("a.pdf", pdfs.plain(pages=3)), put("b.pdf", pdfs.plain())]
    out = output(STAGE, batch(*rows), ctx=DirectContext(skip=frozenset({(0, 2), (1, 0)})))
    assert [u.rpartition("/")[2] for u in out["documents"]["url"].to_pylist()] == ["a.pdf#page=1", "a.pdf#page=3"]
    assert out["refused"].num_rows == 0


def test_the_stage_announces_every_file_and_page_before_it_reads_it(put: Any) -> None:
    calls: list[tuple[int, int]] = []

    class Recorder(DirectContext):
        def __call__(self, row: int, sub: int = 0) -> bool:
            calls.append((row, sub))
            return True

    output(STAGE, batch(put("a.pdf", pdfs.plain(pages=2)), put("b.pdf", pdfs.encrypted())), ctx=Recorder())
    assert calls == [(0, 0), (0, 1), (0, 2), (1, 0)]


def test_a_long_file_gives_several_batches(put: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "FLUSH_PAGES", 4)
    pieces = [p.num_rows for name, p in STAGE(batch(put("a.pdf", pdfs.plain(pages=10)))) if name == "documents"]
    assert pieces == [4, 4, 2]


def test_a_partition_of_refusals_yields_refusals_alone(put: Any) -> None:
    rows = [put(f"{n}.pdf", pdfs.scanned()) for n in range(32)]
    pieces = [(name, piece) for row in rows for name, piece in STAGE(batch(row))]
    assert {name for name, _ in pieces} == {"refused"}
    assert all(piece.schema == REFUSED for _, piece in pieces)
    out = output(STAGE, batch(*rows))
    assert out["refused"]["reason"].to_pylist() == ["no_text_layer"] * 32
    assert [out[name].num_rows for name in ("documents", "pages", "outcomes")] == [0, 0, 0]


def test_a_batch_without_rows_yields_no_table() -> None:
    assert list(STAGE(batch())) == []


def test_the_file_name_and_time_of_the_row_are_kept(put: Any) -> None:
    row = {**put("a.pdf", pdfs.plain()), "file": "web.extract/00003", "fetched_at": 1_600_000_000}
    schema = pa.schema([*INPUT, ("file", pa.string()), ("fetched_at", pa.timestamp("s", tz="UTC"))])
    (document,) = output(STAGE, pa.RecordBatch.from_pylist([row], schema=schema))["documents"].to_pylist()
    assert document["provenance"]["file"] == "web.extract/00003"
    assert document["fetched_at"].timestamp() == 1_600_000_000


def digest(out: dict[str, Any]) -> str:
    h = hashlib.sha256(out["blobs"])
    for name in STAGE.tables:
        h.update(repr(out[name].to_pylist()).encode())
    return h.hexdigest()


def test_the_same_bytes_in_another_process(tmp_path: Path, put: Any) -> None:
    rows = [put("a.pdf", pdfs.columns()), put("b.pdf", pdfs.hidden())]
    program = (
        "import sys; from tests.ocr.test_stages import *\n"
        "rows = [{'path': p, 'url': 'http://press.example/' + p.rpartition('/')[2]} for p in sys.argv[1:]]\n"
        "print(digest(output(STAGE, batch(*rows))))"
    )
    root = Path(__file__).resolve().parents[2]
    paths = [r["path"] for r in rows]
    process = subprocess.run(
        [sys.executable, "-c", program, *paths], cwd=root, capture_output=True, text=True, timeout=120, check=True
    )
    assert process.stdout.strip() == digest(output(STAGE, batch(*rows)))


def test_the_versions_of_tesseract_and_its_data_are_in_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages.tesseract, "version", lambda: "5.3.0")
    monkeypatch.setattr(stages.tesseract, "languages", lambda: frozenset({"eng"}))
    assert Pages(languages="eng+deu").programs() == {"tesseract": "5.3.0", "tesseract data": "eng"}
    assert Pages(ocr=False).programs() == {}


def test_the_page_table_has_the_method_of_reading(put: Any) -> None:
    out = output(STAGE, batch(put("a.pdf", pdfs.turned(90)), put("b.pdf", pdfs.scanned(hidden=4))))
    turned, scan = out["pages"].to_pylist()
    assert out["pages"]["id"].to_pylist() == out["documents"]["id"].to_pylist()
    source = (90, "pdf", "pymupdf", None)
    assert (turned["rotation"], turned["text_source"], turned["engine"], turned["why_ocr"]) == source
    assert (turned["words"], turned["dpi"], turned["confidence"], turned["repaired"]) == (5, 150.0, 1.0, False)
    assert (scan["coverage"], scan["images"]) == (1.0, [[0.0, 0.0, 1.0, 1.0]])
