"""The complete job on the sample web.

Every planted fault has its reason, every row is counted, and no work is done twice.
"""

import hashlib
import json
import pathlib
import shutil
import time
from collections import Counter
from typing import Any

import pytest

from manifests.schema import STATUSES
from pipelines.commands.run import execute
from pipelines.engine.progress import Progress
from pipelines.recipe.load import read
from pipelines.sample import FAULTS, Fault, oddities
from pipelines.sample.articles import BADGE, BADGE_USES, STANDING
from pipelines.sample.pairs import BAD_ROWS, PAIRS, STOCK, STOCK_USES, rows
from shards.publish.verify import verify
from shards.tokens import END_OF_TOPIC
from tests.pipelines.conftest import RECIPE, SampleRun, without_proxies

#: source -> layout of its samples
SOURCES = {
    "web": "interleaved",
    "pairs": "pairs",
    "pdf": "ocr",
    "llava": "conversations",
    "cauldron": "conversations",
    "texts": "text",
}
SLOTTED = ("interleaved", "conversations", "text")
DUPLICATE = {"duplicate_text", "near_duplicate", "duplicate_url"}

FOR = {
    level: [f for f in FAULTS if f.level == level]
    for level in ("image", "document", "paragraph", "dedup", "pdf", "crawl")
}


def fault_id(fault: Fault) -> str:
    return f"{fault.name} ({fault.reason})"


def test_every_fault_has_a_level_that_is_tested() -> None:
    assert sum(map(len, FOR.values())) == len(FAULTS) > 50
    assert all(f.count == len(set(f.urls)) > 0 for f in FAULTS)


# ---- planted faults


@pytest.mark.parametrize("fault", FOR["image"], ids=fault_id)
def test_image_fault(sample_run: SampleRun, fault: Fault) -> None:
    fetched = [r["status"] for r in sample_run.ledger("fetch", "outcomes") if r["url"] in fault.urls]
    dropped = [r["reason"] for r in sample_run.ledger("web", "images") if r["image"] in fault.urls]
    shown = [m["url"] for d in sample_run.packed("web") for m in d["image_meta"] if m["url"] in fault.urls]
    if fault.reason == "kept":
        assert (fetched, dropped, sorted(shown)) == (["ok"] * fault.count, [], sorted(fault.urls))
        return
    assert fetched == [fault.reason if fault.reason in STATUSES else "ok"] * fault.count
    places = BADGE_USES if fault.urls == (BADGE.url,) else fault.count
    assert (dropped, shown) == ([fault.reason] * places, [])


@pytest.mark.parametrize("fault", FOR["document"], ids=fault_id)
def test_document_fault(sample_run: SampleRun, fault: Fault) -> None:
    documents = [r for r in sample_run.ledger("web", "documents") if r["url"] in fault.urls]
    decisions = [(r["reason"] or "kept", r["keep"]) for r in documents]
    refused = [r["reason"] for r in sample_run.ledger("web", "refused") if r["url"] in fault.urls]
    if fault.reason == "optout":  # a page with an opt-out never becomes a document
        assert (decisions, refused) == ([], ["optout"] * fault.count)
    else:
        assert (decisions, refused) == ([(fault.reason, fault.reason == "kept")] * fault.count, [])
    packed = sum(d["url"] in fault.urls for d in sample_run.packed("web"))
    assert packed == (fault.count if fault.reason == "kept" else 0)


@pytest.mark.parametrize("name", ["lazy", "responsive", "noscript", "base", "deep", "unclosed"])
def test_images_in_unusual_markup_are_extracted(sample_run: SampleRun, name: str) -> None:
    (page,) = (d for d in sample_run.packed("web") if d["url"] == f"http://corner.example/odd/{name}.html")
    assert page["n_images"] == 2 + (name == "base")
    if name == "base":
        assert "http://corner.example/base/dir/relative-1.jpg" in [m["url"] for m in page["image_meta"]]


@pytest.mark.parametrize("name", ["old-letters", "wrong-letters"])
def test_pages_are_decoded_with_their_encoding(sample_run: SampleRun, name: str) -> None:
    """The texts have the curly quotes, cedilla and dash of the page, and no wrong characters."""
    texts = {
        t
        for d in sample_run.packed("web")
        if d["url"].endswith(f"/odd/{name}.html")
        for s in d["texts"]
        if s
        for t in s.split("\n\n")
    }
    assert {" ".join(paragraph.split()) for paragraph in oddities.TEXTS[name][1]} <= texts


@pytest.mark.parametrize("fault", FOR["paragraph"], ids=fault_id)
def test_paragraph_fault(sample_run: SampleRun, fault: Fault) -> None:
    documents = sample_run.documents("web")
    kept = {documents[u]["id"] for u in fault.urls if documents[u]["keep"]}
    assert all(documents[u]["reason"] in DUPLICATE for u in fault.urls if not documents[u]["keep"])
    begins = next(
        (s for h, s in STANDING.items() if fault.urls[0].startswith(f"http://{h}/")), "Please share this post"
    )[:200]
    rows = [r for r in sample_run.ledger("web", "texts") if r["id"] in kept and r["text"].startswith(begins)]
    assert Counter(r["reason"] for r in rows) == {fault.reason: len(kept)}
    assert {r["id"] for r in rows} == kept
    if fault.reason == "paragraph_repeated":
        host = fault.urls[0].split("/")[2]
        assert {r["score"] for r in rows} == {float(sum(u.split("/")[2] == host for u in fault.urls))}


@pytest.mark.parametrize("fault", FOR["dedup"], ids=fault_id)
def test_dedup_fault(sample_run: SampleRun, fault: Fault) -> None:
    """Exactly one of a copy and its original is dropped, for this reason. Their times and lengths decide which one."""
    documents = sample_run.ledger("web", "documents")
    by_url, by_id = sample_run.documents("web"), {r["id"]: r for r in documents}
    for url in fault.urls:
        copy = by_url[url]
        if copy["keep"]:
            reasons = [r["reason"] for r in documents if r["survivor"] == copy["id"]]
            assert reasons == [fault.reason], url
        else:
            assert copy["reason"] == fault.reason, url
            assert by_id[copy["survivor"]]["keep"], url
            assert by_id[copy["survivor"]]["url"] not in fault.urls


def test_only_planted_duplicates_are_dropped_as_duplicates(sample_run: SampleRun) -> None:
    planted = Counter(f.reason for f in FOR["dedup"] for _ in f.urls)
    dropped = sample_run.stats["sources"]["web"]["dropped"]
    assert {r: n for r, n in dropped.items() if r in DUPLICATE} == dict(planted)


@pytest.mark.parametrize("fault", FOR["pdf"], ids=fault_id)
def test_pdf_fault(sample_run: SampleRun, fault: Fault) -> None:
    reasons = [r["reason"] for r in sample_run.ledger("pdf", "refused") if r["url"] in fault.urls]
    assert reasons == [fault.reason] * fault.count


@pytest.mark.parametrize("fault", FOR["crawl"], ids=fault_id)
def test_crawl_fault(sample_run: SampleRun, fault: Fault) -> None:
    statuses = [r["status"] for r in sample_run.ledger("web", "pages") if r["url"] in fault.urls]
    assert statuses == [fault.reason] * fault.count


def test_bad_rows_of_the_pairs_list(sample_run: SampleRun) -> None:
    refused = Counter(r["reason"] for r in sample_run.ledger("pairs", "refused"))
    assert refused == {
        "bad_url": sum(r == "bad_url" for _, _, r in BAD_ROWS),
        "no_text": sum(not text for _, text in rows()),
    }
    status = {r["url"]: r["status"] for r in sample_run.ledger("fetch", "outcomes")}
    for url, _, reason in BAD_ROWS:
        assert reason == "bad_url" or status[url] == reason, url
    stock = [
        (r["score"], r["threshold"], r["keep"])
        for r in sample_run.ledger("pairs", "documents")
        if r["reason"] == "text_repeated"
    ]
    assert stock == [(STOCK_USES, 10.0, False)] * STOCK_USES
    assert STOCK not in {d["caption"] for d in sample_run.packed("pairs")}
    assert sum(m["url"].startswith("http://pictures.example/list/") for m in sample_run.packed("pairs")) > 0.9 * PAIRS


def test_images_with_an_opt_out_or_on_closed_hosts_are_in_no_shard(sample_run: SampleRun) -> None:
    closed = {u for f in FOR["image"] if f.reason in ("optout", "robots", "private_address") for u in f.urls}
    shown = {m["url"] for d in sample_run.packed("web") for m in d["image_meta"]} | {
        d["url"] for d in sample_run.packed("pairs")
    }
    assert closed and not closed & shown


# ---- accounting


@pytest.mark.parametrize("source", SOURCES)
def test_every_document_is_kept_dropped_or_not_packed(sample_run: SampleRun, source: str) -> None:
    stats, documents = sample_run.stats["sources"][source], sample_run.ledger(source, "documents")
    assert stats["documents"] == len(documents) == stats["kept"] + sum(stats["dropped"].values())
    assert stats["kept"] == sum(r["keep"] for r in documents) == stats["samples"] + sum(stats["unpacked"].values())
    assert stats["dropped"] == Counter(r["reason"] for r in documents if not r["keep"])
    assert all((r["reason"] is None) == r["keep"] for r in documents)
    assert stats["refused"] == Counter(r["reason"] for r in sample_run.ledger(source, "refused"))
    for table in ("texts", "images"):
        assert stats[f"{table}_dropped"] == Counter(r["reason"] for r in sample_run.ledger(source, table))
    steps = [n for _, n in stats["funnel"]]
    assert steps == sorted(steps, reverse=True)
    assert steps[:2] == [stats["documents"] + sum(stats["refused"].values()), stats["documents"]]
    assert steps[-1] == stats["samples"]


@pytest.mark.parametrize("source", SOURCES)
def test_kept_documents_are_the_samples_of_the_shards(sample_run: SampleRun, source: str) -> None:
    kept = {r["id"]: r for r in sample_run.ledger(source, "documents") if r["keep"]}
    index = {r["id"]: r for r in sample_run.index(source)}
    unpacked = sum(sample_run.stats["sources"][source]["unpacked"].values())
    assert len(index) == len(sample_run.index(source)) == len(kept) - unpacked
    for id, row in index.items():
        assert (row["split"], row["n_images"]) == (kept[id]["split"], kept[id]["images"])
        assert (row["source"], row["layout"]) == (source, SOURCES[source])
    # the ledger counts the text of the nodes; the shard also counts the blank lines between them
    for packed in sample_run.packed(source):
        if SOURCES[source] == "conversations":  # the shard also says who speaks
            assert kept[packed["id"]]["tokens"] < index[packed["id"]]["n_text_tokens"]
            continue
        between = sum(2 * t.count("\n\n") for t in _texts(packed)) + sum(t == END_OF_TOPIC for t in _texts(packed))
        assert kept[packed["id"]]["tokens"] == index[packed["id"]]["n_text_tokens"] - between
    stats = sample_run.stats["sources"][source]
    assert stats["images"] == sum(r["n_images"] for r in index.values())
    assert stats["tokens"] == sum(r["n_text_tokens"] for r in index.values())


def _texts(packed: dict[str, Any]) -> list[str]:
    if "texts" in packed:
        return [t for t in packed["texts"] if t is not None]
    return [packed["caption"] if "caption" in packed else packed["text"]]


def test_fetch_outcomes_add_up(sample_run: SampleRun) -> None:
    outcomes = sample_run.ledger("fetch", "outcomes")
    assert sample_run.stats["fetch"]["status"] == Counter(r["status"] for r in outcomes)
    assert len({r["url"] for r in outcomes}) == len(outcomes)
    assert sample_run.stats["crawl"] == Counter(r["status"] for r in sample_run.ledger("web", "pages"))
    assert sample_run.stats["quarantined"] == {}


def test_no_site_is_in_both_splits(sample_run: SampleRun) -> None:
    hosts: dict[str, set[str]] = {"train": set(), "validation": set()}
    for row in sample_run.index("web"):
        hosts[row["split"]].add(row["host"])
    assert hosts["train"] and hosts["validation"] and not hosts["train"] & hosts["validation"]


# ---- shards


def test_every_shard_is_in_the_manifest_with_its_true_sha256(sample_run: SampleRun) -> None:
    expected = {}
    for source in SOURCES:
        for _, s in sample_run.shards(source):
            expected |= {s["path"]: s["sha256"], s["index"]: s["index_sha256"]}
            assert (sample_run.folder / s["path"]).stat().st_size == s["bytes"]
    files = [*sample_run.folder.glob("shards/*/*.tar"), *sample_run.folder.glob("index/*.parquet")]
    assert {
        str(p.relative_to(sample_run.folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
    } == expected


def test_verify_finds_no_problem_and_then_a_flipped_bit(sample_run: SampleRun, tmp_path: pathlib.Path) -> None:
    assert list(verify(sample_run.folder)) == []
    folder = sample_run.copy(tmp_path / "run")
    (_, shard), *_ = sample_run.shards("pairs")
    row = sample_run.index("pairs")[5]
    data = bytearray((folder / shard["path"]).read_bytes())
    data[row["offset"] + row["size"] // 2] ^= 1
    (folder / shard["path"]).unlink()  # a hard link: the original run keeps its file
    (folder / shard["path"]).write_bytes(data)
    (problem,) = verify(folder)
    assert (problem.path, problem.kind) == (shard["path"], "damaged") and row["key"] in problem.detail


def test_no_file_of_a_run_contains_the_path_of_its_folder(sample_run: SampleRun) -> None:
    """So a run can be moved, and two runs can be compared."""
    own = str(sample_run.folder).encode()
    files = [p for p in sample_run.folder.rglob("*") if p.is_file() and p.name not in ("lock", "run.json")]
    assert len(files) > 100
    assert [p for p in files if own in p.read_bytes()] == []


@pytest.mark.parametrize(("source", "layout"), SOURCES.items())
def test_shards_load_in_webdataset(sample_run: SampleRun, source: str, layout: str) -> None:
    webdataset = pytest.importorskip("webdataset")
    urls = [str(sample_run.folder / s["path"]) for _, s in sample_run.shards(source)]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode("pil"))
    for sample, row in zip(samples, sample_run.index(source), strict=True):
        names = [f"{i}.jpg" for i in range(row["n_images"])] if layout in SLOTTED else ["jpg"]
        assert sample["__key__"] == row["key"]
        assert {k: sample["json"][k] for k in _SHARED} == {k: row[k] for k in _SHARED}
        assert sample["json"]["page_url" if layout == "pairs" else "url"] == row["url"]
        assert [sample[n].size for n in names] == list(zip(row["widths"], row["heights"], strict=True))
        if layout not in SLOTTED:
            assert sample["txt"] == sample["json"]["caption" if layout == "pairs" else "text"]


_SHARED = ("id", "source", "lang", "n_images", "n_text_tokens")


@pytest.mark.parametrize(("source", "layout"), SOURCES.items())
def test_shards_load_in_datasets(sample_run: SampleRun, tmp_path: pathlib.Path, source: str, layout: str) -> None:
    datasets = pytest.importorskip("datasets")
    from shards.publish.front_matter import features as features_of

    features = datasets.Features._from_yaml_list(
        features_of(layout, max(r["n_images"] for r in sample_run.index(source)))
    )
    files = [str(sample_run.folder / s["path"]) for _, s in sample_run.shards(source)]
    loaded = datasets.load_dataset(
        "webdataset", data_files={"train": files}, split="train", features=features, cache_dir=str(tmp_path)
    )
    assert loaded.num_rows == len(sample_run.index(source))
    images = [name for name, feature in loaded.features.items() if isinstance(feature, datasets.Image)]
    assert bool(images) == (layout != "text")
    for name in images:
        loaded = loaded.cast_column(name, datasets.Image(decode=False))
    for sample, row, packed in zip(loaded, sample_run.index(source), sample_run.packed(source), strict=True):
        assert (sample["__key__"], sample["json"]) == (row["key"], packed)
        pictures = [v for n, v in sample.items() if n.endswith("jpg") and v is not None]
        assert len(pictures) == row["n_images"]
    for name in images[-1:]:
        picture = loaded.cast_column(name, datasets.Image())[0][name]
        assert picture is None or picture.size


# ---- a second run


def _files(folder: pathlib.Path) -> dict[pathlib.Path, tuple[int, int]]:
    return {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in folder.rglob("*") if p.is_file() and p.name != "lock"}


def run_again(sample_run: SampleRun, folder: pathlib.Path, *settings: str, on: str = "local") -> dict[str, Any]:
    recipe = read(str(RECIPE), [*sample_run.settings, *settings])
    return execute(recipe, str(folder), on=on, workers=2, progress=Progress(quiet=True))


def test_an_identical_second_run_does_nothing(sample_run: SampleRun, monkeypatch: pytest.MonkeyPatch) -> None:
    without_proxies(monkeypatch)

    def refuse(*_: Any) -> Any:
        raise AssertionError("a backend was started")

    monkeypatch.setattr("pipelines.commands.run.backend", refuse)
    before = _files(sample_run.folder)
    with sample_run.exclusive():
        began = time.process_time()
        stats = run_again(sample_run, sample_run.folder)
    assert time.process_time() - began < 3
    assert json.loads(json.dumps(stats)) == sample_run.stats
    assert _files(sample_run.folder) == before


def test_a_changed_text_threshold_redoes_only_the_decision_and_the_steps_behind_it(
    sample_run: SampleRun, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_proxies(monkeypatch)  # the network cannot be reached and is not needed
    folder = sample_run.copy(tmp_path / "run")
    stats = run_again(sample_run, folder, "web.rules.document.words.min=500")
    active = set(json.loads((folder / "run.json").read_text())["parts"])
    assert "web.decide" in active and "web.select" in active and not active & {"web.crawl", "web.extract", "web.score"}
    assert {w for w in active if not w.startswith("web.")} == {"fetch"}  # it runs and has every image already
    for stage in ("web.crawl", "fetch"):  # the recordings are kept, without an addition
        recorded = {
            p: k for p, k in _files(sample_run.folder / "stages").items() if p.parent.name.startswith(f"{stage}-")
        }
        files = _files(folder / "stages")
        assert recorded and {
            k: v for k, v in files.items() if (sample_run.folder / k.relative_to(folder)) in recorded
        } == {folder / p.relative_to(sample_run.folder): k for p, k in recorded.items()}
    stats = json.loads(json.dumps(stats))
    assert stats["fetch"] == sample_run.stats["fetch"] and stats["crawl"] == sample_run.stats["crawl"]
    assert stats["sources"]["web"]["dropped"]["words_low"] > sample_run.stats["sources"]["web"]["dropped"]["words_low"]
    for source in ("pairs", "pdf"):
        assert stats["sources"][source] == sample_run.stats["sources"][source]
    assert list(verify(folder)) == []


@pytest.mark.slow
def test_ray_gives_the_same_bytes(
    sample_run: SampleRun, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the same recorded crawl and fetch, Ray makes the same bytes of every shard, index and the manifest."""
    without_proxies(monkeypatch)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    folder = tmp_path / "ray"
    for path in (sample_run.folder / "stages").iterdir():
        if path.name in ("web.crawl.json", "fetch.json") or path.name.startswith(("web.crawl-", "fetch-")):
            target = folder / "stages" / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(path, target) if path.is_dir() else shutil.copyfile(path, target)
    run_again(sample_run, folder, on="ray")
    active = json.loads((folder / "run.json").read_text())["parts"]
    assert "web.extract" in active and "web.crawl" not in active and "fetch" not in active
    again = _digests(folder)
    assert again == _digests(sample_run.folder)
    assert {
        "manifest.json",
        "stats.json",
        "report.html",
        "shards/pdf/train-000000.tar",
        "index/pairs-validation-000000.parquet",
    } <= set(again)


def test_the_report_says_how_languages_were_detected(sample_run: SampleRun) -> None:
    methods = {name: s["language"] for name, s in sample_run.stats["sources"].items()}
    assert set(methods) == set(SOURCES) and all("offline default" in t for t in methods.values())
    assert f"Languages by {methods['web']}." in (sample_run.folder / "report.html").read_text("utf-8")


def _digests(folder: pathlib.Path) -> dict[str, str]:
    """Name -> sha256 of the output of a run, without `stages` and without `run.json`, which holds the times."""
    internal = ("stages/", "tmp/", "lock", "run.json")
    names = {str(p.relative_to(folder)): p for p in sorted(folder.rglob("*")) if p.is_file()}
    return {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in names.items() if not n.startswith(internal)}
