"""Sources of conversations: from dataset files to shards and to fine-tuning. No network is used."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

import trainer
from manifests.inspect import samples
from manifests.runfiles import RunFiles
from pipelines.cli import app
from pipelines.commands.run import execute
from pipelines.engine.progress import Progress
from pipelines.engine.run import RunError
from pipelines.recipe.load import read
from shards.publish.verify import verify
from tests.pipelines.conversation_sets import cauldron, llava, llava_row
from tests.trainer.pictures import picture

Row = dict[str, Any]


def recipe(folder: Path, sources: dict[str, Row], **more: Any) -> Path:
    path = folder / "recipe.yaml"
    tables = {name: {"kind": "conversations", **table} for name, table in sources.items()}
    path.write_text(yaml.safe_dump({"name": "test", "sources": tables, "mixtures": {"sft": "sft"}, "seed": 3, **more}))
    return path


def run_of(folder: Path, path: Path) -> tuple[Path, Row]:
    return folder / "run", execute(
        read(str(path)), str(folder / "run"), on="local", workers=2, progress=Progress(quiet=True)
    )


def ledger(run: Path, table: str) -> list[Row]:
    """The rows of one ledger table, over all sources."""
    files = sorted(str(p) for p in run.glob(f"ledger/*-{table}-*.parquet"))
    return ds.dataset(files).to_table().to_pylist() if files else []


def test_from_published_files_to_fine_tuning(tmp_path: Path) -> None:
    one, two = cauldron(tmp_path / "c.parquet", range(24), 9), llava(tmp_path / "llava", range(16, 32), 3)
    (tmp_path / "llava" / "images" / "20.png").write_bytes(b"\x89PNG nothing")
    sources = {"cauldron": {"files": str(one)}, "llava": {"files": str(two)}}
    run, stats = run_of(tmp_path, recipe(tmp_path, sources, shards={"validation": 0.2}))
    numbers = stats["sources"]
    assert numbers["cauldron"]["documents"] == 2 * 24 and numbers["llava"]["documents"] == 16 + 3
    assert numbers["llava"]["dropped"] == {"truncated": 1}
    # the two sources have the same pictures and questions, so each conversation is kept once over both
    duplicates = sum(
        n for s in numbers.values() for reason, n in s["dropped"].items() if reason.startswith("duplicate")
    )
    assert sum(s["samples"] for s in numbers.values()) == 66 - duplicates
    assert list(verify(run)) == []
    by_split: dict[str, set[str]] = {}
    packed = [s for name in sources for s in samples(RunFiles(run), name, 100)]
    for row in ledger(run, "documents"):
        images = next((s["image_meta"] for s in packed if s["id"] == row["id"]), [])
        by_split.setdefault(row["split"], set()).update(m["sha256"] for m in images)
    assert by_split["train"] and by_split["validation"] and not by_split["train"] & by_split["validation"]
    keys = {"train.steps": 3, "train.warmup": 1, "init_from": None, "model.deviation": 0.09, "train.backbones": "full"}
    result = trainer.train("sft", run, tmp_path / "out", overrides=keys)["stages"][0]
    assert set(result["by_source"]) <= set(sources) and result["last_loss"] < result["first_loss"]


def test_fetched_images_and_embedded_ones_in_one_run(tmp_path: Path, served: str) -> None:
    embedded = llava(tmp_path, range(4), 0)
    rows = [llava_row(f"{served}/{seed}.jpg", seed) for seed in (5, 7)] + [llava_row(f"{served}/gone.jpg", 9)]
    (tmp_path / "urls.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sources = {"embedded": {"files": str(embedded)}, "linked": {"files": str(tmp_path / "urls.jsonl")}}
    fetch = {"allow_private": "127.0.0.0/8", "robots": False}
    run, stats = run_of(tmp_path, recipe(tmp_path, sources, shards={"validation": 0}, fetch=fetch))
    assert {name: s["samples"] for name, s in stats["sources"].items()} == {"embedded": 4, "linked": 2}
    assert stats["sources"]["linked"]["dropped"] == {"http_404": 1}
    assert stats["fetch"]["status"] == {"http_404": 1, "ok": 2}
    packed = [s for name in sources for s in samples(RunFiles(run), name, 10)]
    captions = {s["texts"][3].removeprefix("Assistant: ") for s in packed}
    assert captions == {f"{picture(s)[1]}." for s in (0, 1, 2, 3, 5, 7)}
    assert list(verify(run)) == []
    assert (run / "report.html").read_text().count("data:image/webp") == 6


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Any:
    import functools
    import http.server
    import threading

    from tests.pipelines.conftest import without_proxies

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    folder = tmp_path_factory.mktemp("served")
    for seed in (5, 7):
        (folder / f"{seed}.jpg").write_bytes(picture(seed)[0])
    without_proxies(monkeypatch)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_repeat_makes_copies_and_stats_prints_the_shares_of_answers(tmp_path: Path) -> None:
    sources = {
        "often": {"files": str(cauldron(tmp_path / "often.parquet", range(20), 1)), "repeat": 2.5},
        "rarely": {"files": str(cauldron(tmp_path / "rarely.parquet", range(100, 180), 1)), "repeat": 0.25},
        "once": {"files": str(llava(tmp_path / "llava", range(200, 210), 5))},
    }
    run, stats = run_of(tmp_path, recipe(tmp_path, sources, shards={"validation": 0.1}))
    answers = {name: s["answers"] for name, s in stats["sources"].items()}
    packed = {name: samples(RunFiles(run), name, 500) for name in sources}
    train = {row["id"] for row in ledger(run, "documents") if row["split"] == "train"}
    copies = {name: sum(s["id"] in train for s in rows) for name, rows in packed.items()}
    assert copies == {name: a["samples"] for name, a in answers.items()}
    assert 1.9 < answers["often"]["samples"] / answers["often"]["documents"] < 3.1
    assert answers["once"]["samples"] == answers["once"]["documents"]
    assert 5 < answers["rarely"]["samples"] < 40 and answers["rarely"]["samples"] == answers["rarely"]["documents"]
    sampled_out = [row for row in ledger(run, "documents") if row["reason"] == "sampled_out"]
    assert {row["source"] for row in sampled_out} == {"rarely"}
    assert len(sampled_out) == stats["sources"]["rarely"]["dropped"]["sampled_out"] > 40
    texts = [
        t.removeprefix("Assistant: ")
        for rows in packed.values()
        for s in rows
        if s["id"] in train
        for t in s["texts"]
        if t and t.startswith("Assistant: ")
    ]
    total = sum(a["answer_tokens"] for a in answers.values())
    assert total == sum(len(t.encode()) for t in texts)
    table = CliRunner().invoke(app, ["stats", str(run)]).stdout
    assert "share of them" in table and f"{answers['often']['answer_tokens'] / total:.2%}" in table
    first = (run / "manifest.json").read_bytes()
    execute(read(str(tmp_path / "recipe.yaml")), str(run), on="local", workers=1, progress=Progress(quiet=True))
    assert (run / "manifest.json").read_bytes() == first


def test_documents_that_share_words_or_pictures_with_evaluations_are_dropped(tmp_path: Path) -> None:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    copy = Image.open(io.BytesIO(picture(31)[0])).convert("RGB")
    copy.resize((copy.width // 2, copy.height // 2)).save(folder / "a.jpg", quality=60)
    question = "Say how many of the boats in the harbour of the old town lie on the side of the mill"
    rows: list[Row] = [{"image": "a.jpg", "question": "What is shown?", "answers": ["x"]}, {"question": question}]
    (folder / "e.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = llava(tmp_path / "sets", range(30, 40), 0)
    conversations = json.loads(path.read_text())
    conversations[5]["conversations"][2]["value"] = f"{question}, please!"
    path.write_text(json.dumps(conversations))
    more = {"decontaminate": {"files": str(folder / "e.jsonl")}, "shards": {"validation": 0}}
    run, stats = run_of(tmp_path, recipe(tmp_path, {"s": {"files": str(path)}}, **more))
    dropped = {row["url"].rpartition("/")[2]: row for row in ledger(run, "documents") if not row["keep"]}
    reasons = {n: (row["reason"], row["survivor"]) for n, row in dropped.items()}
    assert reasons == {"1": ("contaminated_image", None), "5": ("contaminated_text", "e.jsonl:2")}
    assert stats["sources"]["s"]["samples"] == 8
    assert (
        "dropped, contaminated_text (8), as e.jsonl:2"
        in CliRunner().invoke(app, ["explain", str(run), dropped["5"]["id"]]).stdout
    )
    (folder / "a.jpg").unlink()
    with pytest.raises(RunError, match=r"e\.jsonl: line 1: .*a\.jpg is no file$"):
        execute(
            read(str(tmp_path / "recipe.yaml")),
            str(tmp_path / "other"),
            on="local",
            workers=1,
            progress=Progress(quiet=True),
        )
