"""Evaluations are read into hashes; a perceptual hash distinguishes real photographs."""

import io
import itertools
import json
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image, ImageOps

from dedup.decontaminate import EVALUATED, Evaluated, hamming
from manifests.stage import DirectContext
from pipelines.fetch.image import look
from pipelines.select.evaluation import INPUTS, Evaluation, EvaluationError
from tests.trainer.pictures import picture

PHOTOS = Path(__file__).resolve().parents[3].parent / "shared" / "realweb" / "photos"


def read(path: Path, ctx: DirectContext | None = None) -> list[dict]:
    file = {"path": str(path), "file": path.name, "size": 1, "changed": ""}
    batches = list(Evaluation()(pa.RecordBatch.from_pylist([file], INPUTS), ctx or DirectContext()))
    assert all(name == "evaluated" and batch.schema == EVALUATED for name, batch in batches)
    return [row for _, batch in batches for row in batch.to_pylist()]


def test_evaluation_files_of_the_trainer_are_read(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(picture(1)[0])
    rows = [
        {"image": "1.jpg", "question": "What?", "answers": ["a"]},
        {"question": "how many of the boats lie in the bay"},
        {"image": "1.jpg"},
    ]
    (tmp_path / "e.jsonl").write_text("\n".join(map(json.dumps, rows)))
    output = read(tmp_path / "e.jsonl")
    assert [(r["kind"], r["item"]) for r in output] == [
        ("whole", "e.jsonl:2"),
        ("picture", "e.jsonl:1"),
        ("picture", "e.jsonl:3"),
    ]
    assert output[1]["hash"] == look(picture(1)[0], 1e9).phash


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", r"line 2: not JSON$"),
        ("{}", r"line 2: neither image, question nor answers$"),
        ('["a"]', r"line 2: expected an object with image, question or answers"),
        ('{"image": "9.jpg"}', r"line 2: .*/9\.jpg is no file$"),
        ('{"image": "e.jsonl"}', r"line 2: .*/e\.jsonl is no image that can be read \(not_image\)$"),
    ],
)
def test_a_mistake_names_the_line(tmp_path: Path, line: str, fault: str) -> None:
    (tmp_path / "e.jsonl").write_text(f'{{"question": "one"}}\n{line}\n')
    with pytest.raises(EvaluationError, match=fault):
        read(tmp_path / "e.jsonl")


def test_an_unreadable_item_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text('{"question": "one"}\n')
    with pytest.raises(EvaluationError, match="line 1: its picture ends the process"):
        read(tmp_path / "e.jsonl", DirectContext(skip=frozenset({(0, 1)})))


def hash_of(image: Image.Image) -> int | None:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=60)
    return look(data.getvalue(), 1e9).phash


@pytest.mark.real
def test_three_bits_find_a_photograph_made_smaller_and_no_other() -> None:
    if not PHOTOS.is_dir():
        pytest.skip(f"no photographs at {PHOTOS}")
    images = {path: look(path.read_bytes(), 1e9) for path in sorted(PHOTOS.iterdir())}
    hashes = {path: image.phash for path, image in images.items() if image.phash is not None}
    index = Evaluated(
        pa.Table.from_pylist([{"kind": "picture", "hash": h, "item": p.name} for p, h in hashes.items()], EVALUATED)
    )
    matches, cropped = 0, 0
    for path in hashes:
        photo = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        small = photo.resize((max(photo.width // 2, 1), max(photo.height // 2, 1)))
        matches += index.picture(hash_of(small), 3) is not None
        x, y = photo.width // 50, photo.height // 50
        cropped += index.picture(hash_of(photo.crop((x, y, photo.width - x, photo.height - y))), 3) is not None
    pairs = sum(int(hamming(a, b)) <= 3 for a, b in itertools.combinations(hashes.values(), 2))
    print(
        f"{matches} of {len(hashes)} photographs found again at half their size, "
        f"{cropped} with 2 % cropped off each side; {pairs} pairs alike"
    )
    # five files show one photograph and two files another, each rotated differently by EXIF
    assert matches == len(hashes) and pairs == 11
