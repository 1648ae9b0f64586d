"""The Idefics2 recipe on real pages and PDFs.

A local server (`origin.py`) answers for every address, with the faults of the real web.
"""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest

from pipelines.commands.run import execute
from pipelines.engine.progress import Progress
from pipelines.fetch.images import OF_THE_HOST, Fetch
from pipelines.recipe.load import read
from shards.publish.verify import verify
from tests.pipelines.conftest import ROOT, without_proxies

REAL = ROOT.parent / "shared" / "realweb"
PDFS = 40

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(not REAL.is_dir(), reason=f"needs the real pages and PDFs of {REAL}"),
]

#: kind of address -> status that its fetch must have. Two kinds have no fixed status: a slow transfer, which succeeds
#: for a small image, and a redirect, whose second address is of another kind
STATUS = {
    "missing": "http_404", "forbidden": "http_403", "gone": "http_410", "too_many": "http_429", "error": "http_5xx",
    "hang": "timeout", "reset": "refused", "html": "not_image", "svg": "not_image", "empty": "empty",
    "truncated": "truncated", "bomb": "too_many_pixels", "noai": "optout", "loop": "redirects",
    "private": "private_address", "jpeg": "ok", "png": "ok", "webp": "ok", "gif": "ok", "cmyk": "ok", "rotated": "ok",
    "wrong_type": "ok", "pixel": "ok", "ratio": "ok",
}  # fmt: skip
#: reasons for which a PDF, or a page of it, gives no document
NO_PAGE = {"encrypted", "corrupt", "not_pdf", "no_pages", "too_many_pages", "page_size", "blank", "no_text", "ocr_poor"}
SOURCES = {"web": "interleaved", "pairs": "pairs", "pdf": "ocr"}


class RealRun:
    def __init__(self, folder: pathlib.Path, stats: dict[str, Any], origin: ModuleType, served: dict[str, Any]) -> None:
        self.folder, self.stats, self.origin, self.served = folder, stats, origin, served

    def ledger(self, label: str, table: str) -> list[dict[str, Any]]:
        return [
            r
            for p in sorted(self.folder.glob(f"ledger/{label}-{table}-*.parquet"))
            for r in pq.read_table(p).to_pylist()
        ]

    def disallowed(self, url: str) -> bool:
        """Whether the origin's robots.txt closes the host of this address (see the docstring of origin.py)."""
        return bool(self.origin.digest(urlsplit(url).netloc) % 16 == 0)


@pytest.fixture(scope="module")
def real_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRun]:
    base = tmp_path_factory.mktemp("real")
    papers = base / "papers"
    papers.mkdir()
    pdfs = sorted((REAL / "pdfs").glob("*.pdf"))
    for path in pdfs[:: len(pdfs) // PDFS][:PDFS]:
        (papers / path.name).symlink_to(path)
    spec = importlib.util.spec_from_file_location("origin", REAL / "origin.py")
    assert spec is not None and spec.loader is not None
    origin = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(origin)
    command = [sys.executable, str(REAL / "origin.py"), "--port", "0", "--ca", str(base / "ca.pem")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        proxy = server.stdout.readline().split()[1]
        settings = [f"web.warc={REAL / 'pages.warc.gz'}", f"pdf.paths={papers}"]
        with pytest.MonkeyPatch.context() as patch:
            without_proxies(patch)
            for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
                patch.setenv(name, proxy)
            patch.setenv("SSL_CERT_FILE", str(base / "ca.pem"))
            recipe = read(str(ROOT / "pipelines" / "recipes" / "idefics2.yaml"), settings)
            stats = execute(recipe, str(base / "run"), on="local", workers=2, progress=Progress(quiet=True))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy}))
        served = json.loads(opener.open("http://origin.example/stats", timeout=10).read())
        yield RealRun(base / "run", stats, origin, served)
    finally:
        server.terminate()
        server.wait()


def test_real_pages_and_papers_become_shards(real_run: RealRun) -> None:
    assert list(verify(real_run.folder)) == []
    for source, layout in SOURCES.items():
        s = real_run.stats["sources"][source]
        # most pages are not English, or are lists
        assert s["layout"] == layout and s["samples"] > {"web": 60, "pairs": 100, "pdf": 40}[source]
        assert s["documents"] == len(real_run.ledger(source, "documents")) == s["kept"] + sum(s["dropped"].values())
        assert s["kept"] == s["samples"] + sum(s["unpacked"].values())
    assert real_run.stats["quarantined"] == {}


def test_statuses_are_those_of_the_origin(real_run: RealRun) -> None:
    """For every address of a kind in STATUS, except on hosts that robots.txt closes or that the fetch gave up."""
    outcomes = real_run.ledger("fetch", "outcomes")
    silent = Counter(urlsplit(r["url"]).netloc for r in outcomes if r["status"] in OF_THE_HOST)
    left = {h for h, n in silent.items() if n >= Fetch().give_up_after}
    kinds: Counter[str] = Counter()
    wrong, late = [], 0
    for r in outcomes:
        kind = real_run.origin.kind_of(r["url"])
        if kind not in STATUS or real_run.disallowed(r["url"]) or urlsplit(r["url"]).netloc in left:
            continue
        if r["url"].count("://") > 1:  # an address inside another: the origin answers for the inner one
            continue
        kinds[kind] += 1
        if r["status"] == "timeout" != STATUS[kind]:
            late += 1  # the origin makes an image at its first request, on this machine
        elif r["status"] != STATUS[kind]:
            wrong.append((r["url"], kind, r["status"]))
    assert wrong == [] and late < 0.02 * len(outcomes)
    assert len(kinds) > 18 and sum(kinds.values()) > 0.8 * len(outcomes), kinds


def test_no_image_is_requested_from_a_closed_host(real_run: RealRun) -> None:
    outcomes = real_run.ledger("fetch", "outcomes")
    closed = Counter(r["status"] for r in outcomes if real_run.disallowed(r["url"]))
    assert set(closed) == {"robots"} and closed["robots"] > 20
    asked = {r["url"] for r in outcomes if r["status"] == "robots"}
    assert all(real_run.disallowed(u) or real_run.origin.kind_of(u) == "redirect" for u in asked)


def test_no_host_gets_more_requests_at_once_than_allowed(real_run: RealRun) -> None:
    """The origin counts a request until it has answered. A hanging request counts long after our timeout."""
    host, most = real_run.served["busiest_host"]
    given_up = sum(
        r["status"] == "timeout" and urlsplit(r["url"]).netloc == host for r in real_run.ledger("fetch", "outcomes")
    )
    assert 0 < most <= Fetch().per_host + given_up, host


def test_every_paper_gives_pages_or_a_reason(real_run: RealRun) -> None:
    papers = {p.name for p in (real_run.folder.parent / "papers").iterdir()}
    pages = Counter(pathlib.PurePath(r["url"].split("#")[0]).name for r in real_run.ledger("pdf", "documents"))
    refused = {pathlib.PurePath((r["url"] or "").split("#")[0]).name for r in real_run.ledger("pdf", "refused")}
    assert len(papers) == PDFS and set(pages) | refused == papers
    assert {r["reason"] for r in real_run.ledger("pdf", "refused")} <= NO_PAGE


def test_images_match_the_ledger(real_run: RealRun) -> None:
    """Each packed image has the outcome `ok`, and no document has an image twice."""
    good = {r["url"]: r for r in real_run.ledger("fetch", "outcomes") if r["status"] == "ok"}
    from shards import tar

    checked = 0
    for path in sorted((real_run.folder / "shards" / "web").glob("*.tar")):
        with open(path, "rb") as f:
            for _, members in tar.groups(tar.scan(f, str(path)), str(path)):
                at = f.tell()
                f.seek(members[0].offset)
                document = json.loads(f.read(members[0].size))
                f.seek(at)
                images = document["image_meta"]
                hashes = [m["sha256"] for m in images]
                assert len(set(hashes)) == len(hashes)
                for m in images:
                    outcome = good[m["url"]]
                    assert m["sha256"] == outcome["sha256"]
                    assert (m["original_width"], m["original_height"]) == (outcome["width"], outcome["height"])
                    assert max(m["width"], m["height"]) <= 980
                checked += len(hashes)
    assert checked == real_run.stats["sources"]["web"]["images"]


def test_no_file_of_the_run_contains_the_path_of_its_folder(real_run: RealRun) -> None:
    own = os.fsencode(str(real_run.folder))
    assert [p for p in real_run.folder.rglob("*") if p.is_file() and p.name != "lock" and own in p.read_bytes()] == []
