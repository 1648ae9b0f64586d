"""Conversation datasets in their published layouts, read as documents."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.stage import InputError
from pipelines.formats import containers
from pipelines.formats import conversations as sets
from pipelines.formats import rows as reader
from pipelines.formats.conversations import INPUTS, REASONS, Conversations, common_labels, pieces_of
from pipelines.formats.dialogue import Exchange, exchanges, groups, images
from pipelines.formats.rows import Place, RowError
from tests.pipelines.conversation_sets import cauldron, llava, llava_row
from tests.pipelines.html.test_stages import run
from tests.trainer.pictures import picture


def read(path: Path, stage: Conversations | None = None, images: str | None = None) -> dict[str, Any]:
    file = {"path": str(path), "file": path.name, "size": path.stat().st_size, "changed": ""}
    return run(stage or Conversations(), pieces_of(file, path.name, images), INPUTS)


ROW = llava_row("images/0.png", 0)


def roles_of(document: dict[str, Any]) -> list[str]:
    return [n["role"] or n["kind"] for n in document["nodes"]]


def test_the_cauldrons_rows_bring_their_images(tmp_path: Path) -> None:
    out = read(cauldron(tmp_path / "c.parquet", range(3), questions=9))
    first, second = out["documents"][:2]
    turn = ["user", "break", "assistant", "break"]
    assert roles_of(first) == ["image", *(turn * 7)[:-1]] and roles_of(second) == ["image", *(turn * 2)[:-1]]
    assert len(out["documents"]) == 6 and out["refused"] == []
    assert (first["url"], second["url"]) == ("conversations:c.parquet/0", "conversations:c.parquet/0#2")
    assert (
        first["nodes"][0]["image"]
        == second["nodes"][0]["image"]
        == f"sha256:{hashlib.sha256(picture(0)[0]).hexdigest()}"
    )
    assert [o["status"] for o in out["outcomes"]] == ["ok"] * 3
    for seed, o in enumerate(out["outcomes"]):
        assert out["blobs"][o["offset"] : o["offset"] + o["length"]] == picture(seed)[0] and o["phash"] is not None
    assert len({d["id"] for d in out["documents"]}) == 6


def test_llavas_rows_name_their_images_and_some_have_none(tmp_path: Path) -> None:
    out = read(llava(tmp_path, range(4)))
    assert [roles_of(d)[0] for d in out["documents"]] == ["image"] * 4 + ["user"] * 2
    assert [n["text"] for n in out["documents"][1]["nodes"] if n["text"]][:2] == [
        "Describe the picture.",
        f"{picture(1)[1]}.",
    ]
    assert len(out["outcomes"]) == 4 and len(out["blobs"]) == sum(len(picture(s)[0]) for s in range(4))


def test_an_image_is_stored_once_in_a_partition(tmp_path: Path) -> None:
    path = llava(tmp_path, range(1), 0)
    (tmp_path / "images" / "again.png").write_bytes(picture(0)[0])
    path.write_text(json.dumps([llava_row("images/0.png", 0), llava_row("images/again.png", 1)]))
    out = read(path)
    assert len(out["documents"]) == 2 and len(out["outcomes"]) == 1 and out["blobs"] == picture(0)[0]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (ROW | {"conversations": [{"from": "human", "value": "a"}, {"from": "human", "value": "b"}]}, "bad_turns"),
        (ROW | {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": ""}]}, "bad_turns"),
        (ROW | {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": 3}]}, "bad_turns"),
        (ROW | {"conversations": []}, "bad_turns"),
        ({"id": 1, "conversations": llava_row("images/0.png", 0)["conversations"]}, "no_medium"),
        (llava_row("images/9.png", 0), "image_missing"),
        (llava_row("../secret.png", 0), "bad_image_path"),
        (llava_row("/etc/hostname", 0), "bad_image_path"),
        (llava_row("file:///etc/hostname", 0), "bad_image_path"),
        ({"text": "no conversation"}, "bad_row"),
        ("a text", "bad_row"),
    ],
)  # fmt: skip
def test_a_bad_row_has_its_reason_and_the_next_row_is_read(tmp_path: Path, row: Any, reason: str) -> None:
    path = llava(tmp_path, range(1), 0)
    (tmp_path.parent / "secret.png").write_bytes(picture(0)[0])
    path.write_text("\n".join(json.dumps(r) for r in (row, llava_row("images/0.png", 0))) + "\n")
    out = read(path)
    assert [(r["reason"], r["provenance"]["offset"]) for r in out["refused"]] == [(reason, 0)] and reason in REASONS
    assert len(out["documents"]) == 1


def test_an_image_that_cannot_be_read_has_an_outcome_with_its_status(tmp_path: Path) -> None:
    path = llava(tmp_path, range(2), 0)
    (tmp_path / "images" / "0.png").write_bytes(b"<html>gone</html>")
    out = read(path, Conversations(max_bytes=len(picture(1)[0]) - 1))
    assert [(o["status"], o["offset"]) for o in out["outcomes"]] == [
        ("not_image", None),
        ("too_large", None),
    ] and "blobs" not in out


def test_images_by_address_are_not_fetched_here(tmp_path: Path) -> None:
    path = tmp_path / "urls.jsonl"
    path.write_text(json.dumps(llava_row("https://E.com/a.jpg", 0)) + "\n")
    out = read(path)
    assert out["documents"][0]["nodes"][0]["image"] == "https://e.com/a.jpg" and out["outcomes"] == []


def test_pieces_have_all_rows_of_a_file_and_a_broken_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "RUN", 3)
    monkeypatch.setattr(containers, "CHUNK", 64)
    array = llava(tmp_path, range(2), 20)
    lines = tmp_path / "lines.jsonl"
    lines.write_text("\ufeff" + "\n\n".join(json.dumps(r) for r in json.loads(array.read_text())))
    documents_of = {path: read(path)["documents"] for path in (array, lines)}
    assert len(documents_of[array]) == len(documents_of[lines]) == 22
    monkeypatch.setattr(sets, "JSON_PIECE", 1500)
    for path, documents in documents_of.items():
        file = {"path": str(path), "file": path.name, "size": path.stat().st_size, "changed": ""}
        file_pieces = pieces_of(file, path.name)
        parts = [run(Conversations(), [piece], INPUTS)["documents"] for piece in file_pieces]
        assert len(file_pieces) > 2 and sum(map(bool, parts)) > 2
        assert sorted(d["id"] for part in parts for d in part) == sorted(d["id"] for d in documents)
    array.write_text(array.read_text()[:-200])
    out = read(array)
    assert {r["reason"] for r in out["refused"]} == {"file_broken"} and len(out["documents"]) > 15


def test_a_parquet_file_is_divided_by_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = cauldron(tmp_path / "c.parquet", range(20), 1)
    monkeypatch.setattr(sets, "PARQUET_PIECE", path.stat().st_size // 3)
    file = {"path": str(path), "file": path.name, "size": path.stat().st_size, "changed": ""}
    parts = [run(Conversations(), [piece], INPUTS)["documents"] for piece in pieces_of(file, path.name)]
    assert [len(part) for part in parts] == [5, 5, 6, 4]
    assert [d["provenance"]["offset"] for part in parts for d in part] == list(range(20))


def test_a_file_that_is_not_a_dataset_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"url": ["a"]}), path)
    with pytest.raises(InputError, match=r"x\.parquet: none of the columns texts, conversations, messages"):
        read(path)


def test_images_belong_to_the_turns_that_name_them() -> None:
    turns = [
        ("human", "First <image> or <image>?"),
        ("gpt", "The first."),
        ("human", "And <image>?"),
        ("gpt", "No."),
        ("human", "So?"),
    ]
    row = {"conversations": [{"from": f, "value": v} for f, v in turns], "image": ["a", "b", "c"]}
    dialogue = exchanges(row, "llava", len(images(row, "llava")))
    assert dialogue == [Exchange((0, 1), "First  or ?", "The first."), Exchange((2,), "And ?", "No.")]
    assert groups(dialogue, "llava", 1) == [dialogue]
    with pytest.raises(RowError, match="bad_images"):
        exchanges(row, "llava", 2)
    one_image = {"conversations": [{"from": f, "value": v} for f, v in turns[:4]], "image": "a"}
    assert [e.images for e in exchanges(one_image, "llava", 1)] == [(0,), ()]
    system = {
        "conversations": [
            {"from": "system", "value": "Be brief."},
            {"from": "gpt", "value": "x"},
            *one_image["conversations"],
        ]
    }
    assert exchanges(system | {"image": "a"}, "llava", 1)[0].question.startswith("Be brief.\n\nFirst")


names = st.lists(st.text(st.characters(), min_size=1, max_size=4), min_size=1, max_size=4).map("/".join)


@given(st.lists(names, min_size=2, max_size=5, unique=True), st.integers(0, 12), st.integers(0, 12))
def test_two_files_never_share_an_address(files: list[str], one: int, other: int) -> None:
    labels = common_labels(files)
    assert list(labels) == files
    addresses = {
        Place({"label": labels[f], "file": "x"}, n).address("conversations") for f in files for n in (one, other)
    }
    assert len(addresses) == len(files) * len({one, other}) and all(a.isascii() and "#" not in a for a in addresses)


def test_labels_are_paths_below_the_deepest_common_folder() -> None:
    assert common_labels(["/d/set/a/x.json", "/d/set/b/x.json"]) == {
        "/d/set/a/x.json": "a/x.json",
        "/d/set/b/x.json": "b/x.json",
    }
    assert common_labels(["s3://b/one.parquet"]) == {"s3://b/one.parquet": "one.parquet"}
    assert common_labels(["/d/a", "/d/a/a"]) == {"/d/a": "a", "/d/a/a": "a/a"} and common_labels([]) == {}


def test_two_files_of_one_name_in_two_folders(tmp_path: Path) -> None:
    paths = [llava(tmp_path / folder, range(1), 0) for folder in ("one set", "other")]
    labels = common_labels([str(p) for p in paths])
    urls = []
    for path in paths:
        file = {"path": str(path), "file": str(path), "size": path.stat().st_size, "changed": ""}
        urls += [d["url"] for d in run(Conversations(), pieces_of(file, labels[str(path)]), INPUTS)["documents"]]
    assert urls == ["conversations:one%20set/llava.json/0", "conversations:other/llava.json/0"]


def test_a_file_whose_images_are_all_missing_and_files_without_rows(tmp_path: Path) -> None:
    path = llava(tmp_path, range(3), 0)
    for image in (tmp_path / "images").iterdir():
        image.unlink()
    out = read(path)
    assert [r["reason"] for r in out["refused"]] == ["image_missing"] * 3
    assert out["refused"][2]["url"] == "conversations:llava.json/2" and out["documents"] == out["outcomes"] == []
    for text in ("", "[]", " [ ] \n"):
        path.write_text(text)
        assert read(path) == {"documents": [], "outcomes": [], "refused": []}


anything = st.recursive(
    st.none() | st.integers() | st.text(st.characters(), max_size=5) | st.sampled_from(["<image>", "a\0b", "x" * 300]),
    lambda v: st.lists(v, max_size=3)
    | st.dictionaries(st.sampled_from(["from", "value", "user", "assistant", "bytes", "path"]), v),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["images", "image", "texts", "conversations"]), anything), max_size=4))
def test_any_json_is_a_document_or_a_refused_row(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    path = tmp_path_factory.mktemp("any") / "a.jsonl"
    rows = [*rows, {"conversations": []}]  # a file without one such column is refused as a whole
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = read(path)
    assert {r["provenance"]["offset"] for r in (*out["documents"], *out["refused"])} == set(range(len(rows)))
    assert {r["reason"] for r in out["refused"]} <= set(REASONS)
