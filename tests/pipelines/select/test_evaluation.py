"""Evaluations are read into hashes; a perceptual hash distinguishes real photographs."""

import io
import itertools
import json
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image, ImageOps

from dedup.decontaminate import EVALUATED, Evaluated, Overlap, hamming
from manifests.stage import DirectContext
from pipelines.fetch.image import look
from pipelines.select.evaluation import INPUTS, READ, Evaluation, EvaluationError
from tests.trainer.pictures import picture

PHOTOS = Path(__file__).resolve().parents[3].parent / "shared" / "realweb" / "photos"


LONG = "the heron stood for nineteen minutes beside the broken weir before it caught a silver roach"


def read(path: Path, ctx: DirectContext | None = None, table: str = "evaluated") -> list[dict]:
    file = {"path": str(path), "file": path.name, "size": 1, "changed": ""}
    batches = list(Evaluation()(pa.RecordBatch.from_pylist([file], INPUTS), ctx or DirectContext()))
    schemas = {"evaluated": EVALUATED, "read": READ}
    assert all(batch.schema == schemas[name] for name, batch in batches)
    return [row for name, batch in batches for row in batch.to_pylist() if name == table]


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
        ("{}", r"line 2: none of the keys image, question, answers, choices$"),
        ('{"id": 7}', r"line 2: none of the keys image, question, answers, choices$"),
        ('["a"]', r"line 2: expected an object with image, question, answers, choices, not a list$"),
        ('{"answer": "x"}', r"line 2: no such key `answer`; did you mean `answers`\?; the keys are image, question, "),
        ('{"question": "x", "label": 1}', r"line 2: no such key `label`; .*the keys are image, question, "),
        ('{"answers": {"text": ["x"]}}', r"line 2: answers: expected a text or a list of them, not a dict$"),
        ('{"answers": [["x"]]}', r"line 2: answers: expected a text or a list of them, not a list$"),
        ('{"question": ["x"]}', r"line 2: question: expected a text, not a list$"),
        ('{"image": {"bytes": ""}}', r"line 2: image: expected a path, not a dict$"),
        ("\udcff", r"line 2: not UTF-8$"),
        ("[" * 100_000, r"line 2: not JSON$"),
        ('{"image": "9.jpg"}', r"line 2: .*/9\.jpg is no file$"),
        ('{"image": "e.jsonl"}', r"line 2: .*/e\.jsonl is no image that can be read \(not_image\)$"),
    ],
)
def test_a_mistake_names_the_line(tmp_path: Path, line: str, fault: str) -> None:
    (tmp_path / "e.jsonl").write_bytes(f'{{"question": "one"}}\n{line}\n'.encode(errors="surrogateescape"))
    with pytest.raises(EvaluationError, match=fault):
        read(tmp_path / "e.jsonl")


@pytest.mark.parametrize(
    ("row", "texts"),
    [
        ({"question": LONG}, (LONG,)),
        ({"answers": LONG}, (LONG,)),
        ({"answers": [LONG, None, ""]}, (LONG,)),
        ({"question": "What?", "choices": ["It slept.", LONG], "answers": ["B"]}, (LONG,)),
        ({"answers": [" ".join(map(str, range(20)))]}, (" ".join(map(str, range(20))),)),
        ({"id": 3, "question": None, "answers": [12345, 2.5, LONG]}, (LONG,)),
    ],
)
def test_every_text_of_a_line_is_kept_out(tmp_path: Path, row: dict, texts: tuple[str, ...]) -> None:
    (tmp_path / "e.jsonl").write_text(json.dumps(row) + "\n")
    expected = Overlap().evaluated(texts, ["e.jsonl:1"] * len(texts), [False] * len(texts))
    assert read(tmp_path / "e.jsonl") == expected.to_pylist()


def test_lines_of_nulls_are_passed_over_and_counted(tmp_path: Path) -> None:
    rows = [{"question": None, "answers": None, "image": None}, {"question": LONG}, {"answers": []}, {"question": " "}]
    (tmp_path / "e.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    (told,) = read(tmp_path / "e.jsonl", table="read")
    words = len(LONG.split())
    assert told == {"file": "e.jsonl", "lines": 5, "empty": 4, "texts": words - 12, "pictures": 0}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "",
            r"e\.jsonl: no line has a question, an answer or a picture \(lines: 0\); the keys that are read",
        ),
        ('{"question": null}\n', r"e\.jsonl: no line has a question, an answer or a picture \(lines: 1\); the keys"),
        (
            '{"question": "How many?", "answers": [3]}\n{"answers": null}\n',
            r"e\.jsonl: no text has 8 words or more, so the file protects nothing \(lines: 2, empty: 1\)",
        ),
    ],
)
def test_a_file_that_protects_nothing_is_an_error(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "e.jsonl").write_text(text)
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
