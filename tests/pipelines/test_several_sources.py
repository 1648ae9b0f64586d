"""Several sources of one kind: one document in two of them is kept once, repeated texts and images count across them,
and each keeps its own shards, ledger and rules.
"""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
import yaml
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from manifests.inspect import samples
from manifests.runfiles import RunFiles
from pipelines.commands.run import execute
from pipelines.engine.progress import Progress
from pipelines.recipe.load import read
from shards.publish.verify import verify

Row = dict[str, Any]
NOTICE = "This notice is on every page of the host, and the readers of the pages have seen it often."
#: rules of the presets that these tests turn off
OFF = {"document": {"images": {"min": 0}}}


def page(host: str, text: str, notice: bool = False) -> tuple[str, str]:
    more = f"<p>{NOTICE}</p>" if notice else ""
    body = f"<article><h1>The page</h1><p>{text}</p><p>It was written down in the evening.</p>{more}</article>"
    return f"http://{host}.example/{text.split()[0]}.html", f"<html lang=en><body>{body}</body></html>"


def text(n: int) -> str:
    words = "mill river wheel rain autumn bridge harbour market garden window letter winter summer station morning"
    return " ".join(words.split()[(n * k) % 15] + str(n) for k in range(1, 30)) + "."


def warc(path: Path, pages: list[tuple[str, str]], date: str) -> str:
    with open(path, "wb") as f:
        writer = WARCWriter(f, gzip=True)
        for url, html in pages:
            headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
            record = writer.create_warc_record(
                url, "response", io.BytesIO(html.encode()), http_headers=headers, warc_headers_dict={"WARC-Date": date}
            )
            writer.write_record(record)
    return str(path)


@pytest.fixture
def webs(tmp_path: Path) -> dict[str, Row]:
    """Two web sources that share a page; the one in `late` is newer. Three pages of one host carry a notice."""
    shared = page("shared", text(1))
    early = [shared, page("early", text(2)), page("common", text(3), notice=True), page("common", text(4), notice=True)]
    late = [shared, page("late", text(5)), page("common", text(6), notice=True)]
    files = {
        "early": warc(tmp_path / "early.warc.gz", early, "2024-01-01T00:00:00Z"),
        "late": warc(tmp_path / "late.warc.gz", late, "2025-01-01T00:00:00Z"),
    }
    rules = {name: {"preset": "interleaved", "rules": none_of("interleaved")} for name in files}
    return {name: {"kind": "web", "warc": path, **rules[name]} for name, path in files.items()}


def none_of(preset: str) -> Row:
    from filters.rules import load

    off: Row = {level: {r.score: None for r in getattr(load(preset), level)} for level in ("document", "node", "image")}
    return {**off, "document": {**off["document"], **OFF["document"]}}


def run(folder: Path, sources: Row, **more: Any) -> Row:
    path = folder / "recipe.yaml"
    path.write_text(
        yaml.safe_dump({"name": "t", "sources": sources, "mixtures": {}, "shards": {"validation": 0}, **more})
    )
    stats = execute(read(str(path)), str(folder / "run"), on="local", workers=1, progress=Progress(quiet=True))
    assert list(verify(folder / "run")) == []
    return stats


def ledger(folder: Path, table: str, source: str = "*") -> list[Row]:
    files = sorted(str(p) for p in (folder / "run").glob(f"ledger/{source}-{table}-*.parquet"))
    return ds.dataset(files).to_table().to_pylist() if files else []


def test_a_document_in_two_sources_is_kept_once(tmp_path: Path, webs: Row) -> None:
    stats = run(tmp_path, webs)
    by_source = {(r["source"], r["url"].split("/")[2]): r["reason"] for r in ledger(tmp_path, "documents")}
    assert by_source[("early", "shared.example")] == "duplicate_url"
    assert by_source[("late", "shared.example")] is None
    assert {name: s["samples"] for name, s in stats["sources"].items()} == {"early": 3, "late": 3}
    packed = [s for name in webs for s in samples(RunFiles(tmp_path / "run"), name, 99)]
    assert len({s["id"] for s in packed}) == len(packed) == 6
    assert {s["source"] for s in packed} == set(webs)


def test_a_preferred_source_keeps_its_document(tmp_path: Path, webs: Row) -> None:
    run(tmp_path, webs, dedup={"prefer": ["early"]})
    by_source = {(r["source"], r["url"].split("/")[2]): r["reason"] for r in ledger(tmp_path, "documents")}
    assert by_source[("early", "shared.example")] is None
    assert by_source[("late", "shared.example")] == "duplicate_url"


def test_duplicates_are_found_in_each_source_alone_if_the_recipe_says_so(tmp_path: Path, webs: Row) -> None:
    stats = run(tmp_path, webs, dedup={"across": "source"})
    assert {name: s["samples"] for name, s in stats["sources"].items()} == {"early": 4, "late": 3}
    assert not [r for r in ledger(tmp_path, "texts") if r["reason"] == "paragraph_repeated"]


def test_repeated_texts_are_counted_across_sources(tmp_path: Path, webs: Row) -> None:
    """Two pages of a host may share a paragraph. Three do, in two sources, so it is dropped everywhere."""
    run(tmp_path, webs)
    rows = {name: [r for r in ledger(tmp_path, "texts", name) if r["text"] == NOTICE] for name in webs}
    assert {name: len(r) for name, r in rows.items()} == {"early": 2, "late": 1}
    assert {(r["reason"], r["score"]) for of_source in rows.values() for r in of_source} == {
        ("paragraph_repeated", 3.0)
    }


def test_another_source_changes_nothing_in_the_documents_of_the_first(tmp_path: Path, webs: Row) -> None:
    (tmp_path / "one").mkdir()
    run(tmp_path / "one", {"early": webs["early"]}, dedup={"across": "source"})
    run(tmp_path, webs, dedup={"across": "source"})
    tars = [sorted((folder / "run").glob("shards/early/*.tar")) for folder in (tmp_path, tmp_path / "one")]
    assert [p.read_bytes() for p in tars[0]] == [p.read_bytes() for p in tars[1]]


def test_each_source_has_its_own_rules_and_tag(tmp_path: Path, webs: Row) -> None:
    webs["late"]["rules"]["document"]["words"] = {"min": 1000}
    webs["early"]["tag"] = "old"
    stats = run(tmp_path, webs)
    assert stats["sources"]["late"]["samples"] == 0 and stats["sources"]["early"]["samples"] > 0
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["sources"]["early"]["tag"] == "old" and manifest["sources"]["late"]["splits"] == {}
    assert manifest["version"] == 2


def test_a_text_source_beside_web_sources(tmp_path: Path, webs: Row) -> None:
    lines = [{"text": f"{text(n)}\n\n{text(n + 20)}", "url": f"http://t.example/{n}"} for n in range(7, 10)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    texts = {"kind": "text", "files": str(tmp_path / "t.jsonl"), "rules": none_of("fineweb")}
    stats = run(tmp_path, {**webs, "plain": texts})
    assert stats["sources"]["plain"]["samples"] == 3 and stats["sources"]["plain"]["layout"] == "text"
    (first, *_) = samples(RunFiles(tmp_path / "run"), "plain", 1)
    assert first["layout"] == "text" and first["n_images"] == 0
