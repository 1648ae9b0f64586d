"""Models in ONNX files: scores of images, vectors of images and texts, and ranks by cosine."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from filters.onnx import ImageModel, View
from filters.vectors import ImageVectors, TextVectors, ranks, unit
from manifests.stage import DirectContext
from tests.filters import models
from tests.filters.test_pixels import FLAT, encoded, images

PLAIN = View(8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
RED = np.zeros((30, 50, 3), np.uint8)
RED[..., 0] = 255


@pytest.fixture
def model(tmp_path: Path) -> str:
    return models.image_model(tmp_path / "means.onnx")


def run(stage: Any, batch: pa.RecordBatch, **context: Any) -> list[Any]:
    ((table, scores),) = stage(batch, DirectContext(**context))
    assert table == "scores" and scores.schema == stage.tables["scores"]
    column: list[Any] = scores.column(0).to_pylist()
    return column


def test_the_score_of_each_image(model: str) -> None:
    batch = images(encoded(RED), b"no image", encoded(FLAT), None, encoded(RED))
    assert run(ImageModel("redness", model, PLAIN), batch) == [
        pytest.approx(1),
        None,
        pytest.approx(200 / 255),
        None,
        pytest.approx(1),
    ]
    assert run(ImageModel("redness", model, PLAIN, softmax=True), batch)[2] == pytest.approx(1 / 3)
    assert run(ImageModel("redness", model, PLAIN), batch, skip=frozenset({(4, 0)}))[4] is None
    assert run(ImageModel("coloured", model, PLAIN, share_above=0.5), batch)[0] == pytest.approx(1 / 3)
    many = images(*[encoded(RED), encoded(FLAT)] * 40)
    assert run(ImageModel("redness", model, PLAIN), many) == [pytest.approx(1), pytest.approx(200 / 255)] * 40


def test_a_view_is_the_centre_square_or_the_complete_image(model: str) -> None:
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, 20:60, 0] = 255
    (centre,) = run(ImageModel("redness", model, PLAIN), images(encoded(wide)))
    (complete,) = run(
        ImageModel("redness", model, View(8, PLAIN.mean, PLAIN.deviation, whole=True)), images(encoded(wide))
    )
    assert (centre, complete) == (pytest.approx(1), pytest.approx(0.5, abs=0.02))


def test_a_wrong_model_is_one_line(model: str, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"no model")
    text = TextVectors(models.text_model(tmp_path / "t.onnx"), models.tokenizer(tmp_path / "tokenizer.json"), 4)
    for stage, line in (
        (ImageModel("redness", model, PLAIN, column=3), "a row of 3 an image; column 3 was asked for"),
        (ImageModel("redness", model, View(9)), r"does not take x \(1, 3, 9, 9\) float32"),
        (ImageModel("x", "/nowhere/x.onnx"), "no such file"),
        (ImageModel("x", str(tmp_path / "x.onnx")), "x.onnx`: "),
        (ImageModel("x", text.model), "does not take input_ids"),
        (TextVectors(model, text.tokenizer), "does not take|is required|Missing|Required"),
        (TextVectors(text.model, str(tmp_path / "x.onnx")), "tokenizer `"),
    ):
        with pytest.raises(ValueError, match=line) as error:
            stage.check()
        assert "\n" not in str(error.value)


def test_vectors_of_images_and_texts(model: str, tmp_path: Path) -> None:
    image = ImageVectors(model, PLAIN)
    text = TextVectors(models.text_model(tmp_path / "t.onnx"), models.tokenizer(tmp_path / "tokenizer.json"), 4)
    assert image.check() == text.check() == 3
    red, missing, grey = run(image, images(encoded(RED), None, encoded(FLAT)))
    assert (red, missing) == ([1, 0, 0], None)
    words = ["A red, red boat", "", "grey", "one two three four five red"]
    red_text, empty_text, grey_text, long_text = run(text, pa.RecordBatch.from_pydict({"text": words}))
    assert red_text == [1, 0, 0]
    assert empty_text == long_text == [0, 0, 0]  # the model reads four words, and `red` is the seventh
    assert np.dot(grey, grey_text) == pytest.approx(1)
    many = pa.RecordBatch.from_pydict({"text": words * 20})
    assert run(text, many, skip=frozenset({(79, 0)}))[76:] == [red_text, empty_text, pytest.approx(grey_text), None]


def test_unit_and_ranks() -> None:
    assert unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]
    assert ranks(np.array([0.9, 0.2, 0.5]), np.array([[0.1, 0.8], [0.3, 0.4], [0.5, 0.1]])).tolist() == [0, 2, 1]
