"""Odd cells and turns of conversation datasets: each is read, or refused with a reason; none loses its image."""

import base64
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.formats.conversations import INPUTS, REASONS, Conversations, pieces_of
from tests.pipelines.conversation_sets import llava_row
from tests.pipelines.html.test_stages import run
from tests.trainer.pictures import picture

PNG = picture(0)[0]
ASKED = [{"from": "human", "value": "What is it?"}, {"from": "gpt", "value": "A boat."}]
SHOWN = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A boat."}]


def read(path: Path, images: str | None = None) -> dict[str, Any]:
    file = {"path": str(path), "file": path.name, "size": path.stat().st_size, "changed": ""}
    return run(Conversations(), pieces_of(file, path.name, images), INPUTS)


def result(folder: Path, row: Any) -> str:
    """The reason of a row, or the roles of its nodes."""
    path = folder / "a.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps({"conversations": ASKED}) + "\n")
    out = read(path, str(folder / "img"))
    assert [r["provenance"]["offset"] for r in (*out["documents"], *out["refused"])].count(1) == 1
    (first,) = [r for r in (*out["documents"], *out["refused"]) if r["provenance"]["offset"] == 0]
    if "reason" in first:
        assert first["reason"] in REASONS
        return str(first["reason"])
    assert all(outcome["status"] == "ok" for outcome in out["outcomes"])
    return " ".join(node["role"] or node["kind"] for node in first["nodes"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "img").mkdir()
    for name in ("a.png", "12:30:00.png", "a%20b.png", "x[1].png", "ü 1.png", "a::b.png"):
        (tmp_path / "img" / name).write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(PNG)
    return tmp_path


@pytest.mark.parametrize("name", ["a.png", "./a.png", "12:30:00.png", "a%20b.png", "x[1].png", "ü 1.png", "a::b.png"])
def test_names_are_read_below_the_folder(folder: Path, name: str) -> None:
    for cell in (name, [name], f"{folder}/img/{name}", f"file://{folder}/img/{name}", {"path": name, "bytes": None}):
        assert result(folder, {"image": cell, "conversations": SHOWN}) == "image user break assistant"


def test_base64_is_an_image(folder: Path) -> None:
    text = base64.b64encode(PNG).decode()
    wrapped = "\n".join(text[i : i + 76] for i in range(0, len(text), 76))
    for cell in (text, wrapped, f"data:image/png;base64,{text}", {"bytes": text, "path": "x.png"}):
        assert result(folder, {"image": cell, "conversations": SHOWN}) == "image user break assistant"


def test_bytes_are_an_image(tmp_path: Path) -> None:
    rows = [{"image": PNG, "conversations": SHOWN}] * 3
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    out = read(tmp_path / "a.parquet")
    assert len(out["documents"]) == 3 and [o["status"] for o in out["outcomes"]] == ["ok"]


@pytest.mark.parametrize("cell", [None, "", [], {"bytes": None, "path": None}, {"bytes": None, "path": ""}])
def test_an_empty_cell_beside_a_question_of_text_is_text_alone(folder: Path, cell: Any) -> None:
    assert result(folder, {"image": cell, "conversations": ASKED}) == "user break assistant"
    assert result(folder, {"image": cell, "conversations": SHOWN}) == "no_medium"


def test_a_question_about_the_tag_of_videos_is_text(folder: Path) -> None:
    question = {"from": "human", "value": "How do I give a <video> a width, and an <audio> none?"}
    assert result(folder, {"conversations": [question, ASKED[1]]}) == "user break assistant"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"image": "../secret.png", "conversations": SHOWN}, "bad_image_path"),
        ({"image": "/etc/hostname", "conversations": SHOWN}, "bad_image_path"),
        ({"image": "s3://bucket/a.png", "conversations": SHOWN}, "bad_image_path"),
        ({"image": "a\0.png", "conversations": SHOWN}, "bad_image_path"),
        ({"image": "x" * 300 + ".png", "conversations": SHOWN}, "bad_image_path"),
        ({"image": "b.png", "conversations": SHOWN}, "image_missing"),
        ({"image": "data:image/png;base64,%%%", "conversations": SHOWN}, "bad_images"),
        ({"image": "data:image/png,abc", "conversations": SHOWN}, "bad_images"),
        ({"image": [["a.png"]], "conversations": SHOWN}, "bad_images"),
        ({"image": ["a.png", None], "conversations": SHOWN}, "no_medium"),
        ({"images": [None], "texts": [{"user": "What?", "assistant": "It."}]}, "no_medium"),
        ({"images": [], "texts": [{"user": "<image>What?", "assistant": "It."}]}, "no_medium"),
        ({"video": "a.mp4", "conversations": ASKED}, "no_medium"),
        ({"audio": {"path": "a.wav"}, "conversations": ASKED}, "no_medium"),
        ({"conversations": [{"from": "human", "value": "<video>\nWhat?"}, ASKED[1]]}, "no_medium"),
        ({"image": "a.png", "conversations": [{"from": "human", "value": "<audio>"}, ASKED[1]]}, "no_medium"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}, ASKED[1]]}, "no_medium"),
    ],
)
def test_refused_cells(folder: Path, row: Any, reason: str) -> None:
    assert result(folder, row) == reason


def test_a_blank_answer_costs_its_exchange(tmp_path: Path) -> None:
    texts = [{"user": f"Question {i}?", "assistant": "" if i in (0, 17) else f"Answer {i}."} for i in range(40)]
    (tmp_path / "c.jsonl").write_text(json.dumps({"images": [], "texts": texts}) + "\n")
    out = read(tmp_path / "c.jsonl")
    questions = [n["text"] for d in out["documents"] for n in d["nodes"] if n["role"] == "user"]
    assert questions == [f"Question {i}?" for i in range(40) if i not in (0, 17)]
    assert [(r["url"], r["reason"]) for r in out["refused"]] == [
        ("conversations:c.jsonl/0#exchange1", "blank_turn"), ("conversations:c.jsonl/0#exchange18", "blank_turn"),
    ]  # fmt: skip


def test_the_image_of_a_blank_exchange_goes_to_the_next(folder: Path) -> None:
    turns = llava_row("a.png", 0)["conversations"]
    turns[1]["value"] = " \n"
    assert result(folder, {"image": "a.png", "conversations": turns[:2]}) == "bad_turns"
    path = folder / "a.jsonl"
    path.write_text(json.dumps({"image": "a.png", "conversations": turns}))
    out = read(path, str(folder / "img"))
    assert [n["role"] or n["kind"] for n in out["documents"][0]["nodes"]] == ["image", "user", "break", "assistant"]
    assert [r["reason"] for r in out["refused"]] == ["blank_turn"]


def test_roles_and_contents(folder: Path) -> None:
    answer = {"role": "assistant", "content": [{"type": "text", "text": "A boat."}]}
    question = [{"type": "image"}, {"type": "text", "text": "What is it?"}]
    inline = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(PNG).decode()}}
    for row in (
        {"image": "a.png", "messages": [{"role": "user", "content": question}, answer]},
        {"messages": [{"role": "User", "content": [inline, question[1]]}, answer]},
        {"image": "a.png", "conversations": [{"role": "user", "content": "What is it?"}, answer]},
        {"image": "a.png", "conversations": [{"from": "Human", "value": "<ImageHere>What is it?"}, ASKED[1]]},
    ):
        assert result(folder, row) == "image user break assistant"
