"""Conversation datasets by one recipe from their files to shards, and from the shards into fine-tuning. No network."""

from __future__ import annotations

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
from pipelines.cli import app
from pipelines.commands.run import execute
from pipelines.engine.progress import Progress
from pipelines.engine.run import RunError
from pipelines.recipe.load import read
from pipelines.recipe.schema import RecipeError
from shards.verify import verify
from tests.pipelines.conversation_sets import cauldron, llava, llava_row
from tests.trainer.pictures import picture

Row = dict[str, Any]


def recipe(folder: Path, sets: list[Row], **more: Any) -> Path:
    path = folder / "recipe.yaml"
    table = {
        "name": "test",
        "conversations": {"sets": sets, **more.pop("conversations", {})},
        "mixtures": {"sft": "sft"},
        "seed": 3,
        **more,
    }
    path.write_text(yaml.safe_dump(table))
    return path


def made(folder: Path, path: Path) -> tuple[Path, Row]:
    return folder / "run", execute(
        read(str(path)), str(folder / "run"), on="local", workers=2, progress=Progress(quiet=True)
    )


def ledger(run: Path, table: str) -> list[Row]:
    files = sorted(str(p) for p in run.glob(f"ledger/conversations-{table}-*.parquet"))
    return ds.dataset(files).to_table().to_pylist() if files else []


def test_from_published_files_to_fine_tuning(tmp_path: Path) -> None:
    one, two = cauldron(tmp_path / "c.parquet", range(24), 9), llava(tmp_path / "llava", range(16, 32), 3)
    (tmp_path / "llava" / "images" / "20.png").write_bytes(b"\x89PNG nothing")
    sets = [{"name": "made", "files": str(one)}, {"name": "llava", "files": str(two)}]
    run, stats = made(tmp_path, recipe(tmp_path, sets, shards={"validation": 0.2}))
    told = stats["sources"]["conversations"]
    assert told["documents"] == 2 * 24 + 16 + 3 and told["dropped"] == {"truncated": 1} and told["samples"] == 66
    assert list(verify(run)) == []
    by_split: dict[str, set[str]] = {}
    held = samples(str(run), "conversations", 100)
    for row in ledger(run, "documents"):
        shown = next((s["image_meta"] for s in held if s["id"] == row["id"]), [])
        by_split.setdefault(row["split"], set()).update(m["sha256"] for m in shown)
    assert by_split["train"] and by_split["validation"] and not by_split["train"] & by_split["validation"]
    few = {"train.steps": 3, "train.warmup": 1, "init_from": None, "model.deviation": 0.09, "train.backbones": "full"}
    result = trainer.train("sft", run, tmp_path / "out", overrides=few)["stages"][0]
    assert set(result["by_source"]) == {"conversations"} and result["last_loss"] < result["first_loss"]


def test_fetched_images_and_own_ones_meet_in_one_run(tmp_path: Path, served: str) -> None:
    own = llava(tmp_path, range(4), 0)
    rows = [llava_row(f"{served}/{seed}.jpg", seed) for seed in (5, 7)] + [llava_row(f"{served}/gone.jpg", 9)]
    (tmp_path / "urls.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sets = [{"name": "own", "files": str(own)}, {"name": "web", "files": str(tmp_path / "urls.jsonl")}]
    run, stats = made(
        tmp_path,
        recipe(tmp_path, sets, shards={"validation": 0}, fetch={"allow_private": "127.0.0.0/8", "robots": False}),
    )
    told = stats["sources"]["conversations"]
    assert (
        told["samples"] == 6
        and told["dropped"] == {"http_404": 1}
        and stats["fetch"]["status"] == {"http_404": 1, "ok": 2}
    )
    captions = {s["texts"][3].removeprefix("Assistant: "): s for s in samples(str(run), "conversations", 10)}
    assert set(captions) == {f"{picture(s)[1]}." for s in (0, 1, 2, 3, 5, 7)}
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


@pytest.mark.parametrize(
    ("sets", "line"),
    [
        ([], "conversations: no input; give conversations.sets, such as [{name: vqa, files: vqa/*.parquet}]"),
        (
            [{"name": "a", "files": "/nowhere/*.parquet"}],
            "conversations.sets.0.files: /nowhere/*.parquet matches no file",
        ),
        ([{"name": "A b", "files": "x"}], "conversations.sets.0.name: string should match pattern"),
        ([{"name": "a", "file": "x"}], "conversations.sets.0.file: no such key; did you mean 'files'?"),
        (
            [{"name": "a", "files": "recipe.yaml"}, {"name": "a", "files": "recipe.yaml"}],
            "conversations.sets: two are called 'a'",
        ),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sets: list[Row], line: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError) as error:
        read(str(recipe(tmp_path, sets)))
    assert line in str(error.value) and "\n" not in str(error.value)


def test_repeat_makes_copies_and_samples_and_the_shares_of_answers_are_printed(tmp_path: Path) -> None:
    sets = [
        {"name": "often", "files": str(cauldron(tmp_path / "often.parquet", range(20), 1)), "repeat": 2.5},
        {"name": "rarely", "files": str(cauldron(tmp_path / "rarely.parquet", range(100, 180), 1)), "repeat": 0.25},
        {"name": "once", "files": str(llava(tmp_path / "llava", range(200, 210), 5))},
    ]
    run, stats = made(tmp_path, recipe(tmp_path, sets, shards={"validation": 0.1}))
    told = stats["sources"]["conversations"]
    by_name = {row["name"]: row for row in told["sets"]}
    packed = samples(str(run), "conversations", 500)
    train = {row["id"]: row for row in ledger(run, "documents") if row["split"] == "train"}
    held = [s["url"].split("/")[2] for s in packed if s["id"] in train]
    assert {name: held.count(name) for name in by_name} == {name: row["samples"] for name, row in by_name.items()}
    assert (
        1.9 < by_name["often"]["samples"] / by_name["often"]["documents"] < 3.1
        and by_name["once"]["samples"] == by_name["once"]["documents"]
    )
    assert 5 < by_name["rarely"]["samples"] < 40 and by_name["rarely"]["samples"] == by_name["rarely"]["documents"]
    gone = [row for row in ledger(run, "documents") if row["reason"] == "sampled_out"]
    assert len(gone) == told["dropped"]["sampled_out"] > 40 and {row["url"].split("/")[2] for row in gone} == {"rarely"}
    assert sum(row["share"] for row in by_name.values()) == pytest.approx(1)
    answers = [
        t.removeprefix("Assistant: ")
        for s in packed
        if s["id"] in train
        for t in s["texts"]
        if t and t.startswith("Assistant: ")
    ]
    assert sum(row["answer_tokens"] for row in by_name.values()) == sum(len(a.encode()) for a in answers)
    shown = CliRunner().invoke(app, ["stats", str(run)]).stdout
    assert "share of them" in shown and f"{by_name['often']['share']:.2%}" in shown
    assert "Conversation sets" in (run / "report.html").read_text()
    first = (run / "manifest.json").read_bytes()
    execute(read(str(tmp_path / "recipe.yaml")), str(run), on="local", workers=1, progress=Progress(quiet=True))
    assert (run / "manifest.json").read_bytes() == first


def test_evaluations_are_kept_out_by_their_words_and_by_their_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    again = Image.open(io.BytesIO(picture(31)[0])).convert("RGB")
    again.resize((again.width // 2, again.height // 2)).save(folder / "a.jpg", quality=60)
    asked = "Say how many of the boats in the harbour of the old town lie on the side of the mill"
    rows: list[Row] = [{"image": "a.jpg", "question": "What is shown?", "answers": ["x"]}, {"question": asked}]
    (folder / "e.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = llava(tmp_path / "sets", range(30, 40), 0)
    given = json.loads(path.read_text())
    given[5]["conversations"][2]["value"] = f"{asked}, please!"
    path.write_text(json.dumps(given))
    more = {"decontaminate": {"files": str(folder / "e.jsonl")}, "shards": {"validation": 0}}
    run, stats = made(tmp_path, recipe(tmp_path, [{"name": "s", "files": str(path)}], **more))
    gone = {row["url"].rpartition("/")[2]: row for row in ledger(run, "documents") if not row["keep"]}
    told = {n: (row["reason"], row["survivor"]) for n, row in gone.items()}
    assert told == {"1": ("contaminated_image", None), "5": ("contaminated_text", "e.jsonl:2")}
    assert stats["sources"]["conversations"]["samples"] == 8
    assert (
        "dropped, contaminated_text (8), as e.jsonl:2"
        in CliRunner().invoke(app, ["explain", str(run), gone["5"]["id"]]).stdout
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
