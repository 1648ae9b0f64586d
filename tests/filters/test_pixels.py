"""Scores of pixels, by a model too, and relevance by rank."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageFilter

from filters.onnx import OnnxImageScore
from filters.pixels import SCORES, PixelScores, ranks
from manifests.at import Anywhere


def encoded(pixels: Any, format_: str = "PNG") -> bytes:
    out = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(out, format_, quality=90)
    return out.getvalue()


def images(*data: bytes | None) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(data, pa.binary())], names=["image"])


NOISE = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
FLAT = np.full((64, 64, 3), 200, np.uint8)
HALF = np.concatenate([np.zeros((50, 100), np.uint8), np.full((50, 100), 255, np.uint8)])


def test_values_by_hand() -> None:
    clear = Image.fromarray(np.zeros((10, 10, 4), np.uint8))
    every = images(encoded(FLAT), encoded(HALF), encoded(clear), b"no image", None, encoded(FLAT))
    ((table, scores),) = PixelScores()(every, Anywhere(skip=frozenset({(5, 0)})))
    assert table == "scores"
    assert scores.schema == SCORES
    flat, half, transparent, *nothing = scores.to_pylist()
    assert flat == {"entropy": 0, "blur": 0, "solid": 1}
    assert (half["entropy"], half["solid"]) == (1, 0)  # the median lies between the tones
    assert transparent == {"entropy": 0, "blur": 0, "solid": 1}
    assert nothing == [{"entropy": None, "blur": None, "solid": None}] * 3


def test_a_blurred_photo_is_less_sharp_at_any_size() -> None:
    big = Image.fromarray(NOISE).resize((1200, 800), Image.Resampling.BICUBIC)
    ((_, scores),) = PixelScores()(images(encoded(big, "JPEG"), encoded(big.filter(ImageFilter.GaussianBlur(12)), "JPEG"), encoded(NOISE)))
    sharp, blurred, noise = scores.to_pylist()
    assert blurred["blur"] < sharp["blur"] / 4
    assert noise["entropy"] > 7
    assert noise["solid"] < 0.2


def test_cut_off_and_hostile_bytes() -> None:
    whole = encoded(NOISE, "JPEG")
    bomb = encoded(Image.new("1", (20_000, 20_000)))  # 400 million pixels in a few kB
    ((_, scores),) = PixelScores()(images(whole[: len(whole) // 2], bomb, b"", whole[:20]))
    assert scores["entropy"].to_pylist() == [None] * 4


def test_ranks() -> None:
    assert ranks(np.array([0.9, 0.2, 0.5]), np.array([[0.1, 0.8], [0.3, 0.4], [0.5, 0.1]])).tolist() == [0, 2, 1]


@pytest.fixture
def model(tmp_path: Path) -> str:
    """The mean of each colour over the image, as three columns."""
    onnx = pytest.importorskip("onnx", reason="needs the package onnx")
    pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")
    kinds = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, shape) for n, shape in (("x", ["n", 3, 8, 8]), ("y", ["n", 3, 1, 1]))]
    graph = onnx.helper.make_graph([onnx.helper.make_node("GlobalAveragePool", ["x"], ["y"])], "means", kinds[:1], kinds[1:])
    path = str(tmp_path / "means.onnx")
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(made, path)
    return path


def test_a_model(model: str) -> None:
    red = np.zeros((30, 50, 3), np.uint8)
    red[..., 0] = 255
    batch = images(encoded(red), b"no image", encoded(FLAT), None, encoded(red))
    plain = {"side": 8, "mean": (0.0, 0.0, 0.0), "deviation": (1.0, 1.0, 1.0), "batch": 2}
    ((_, scores),) = OnnxImageScore("redness", model, **plain)(batch)
    assert scores["redness"].to_pylist() == [pytest.approx(1), None, pytest.approx(200 / 255), None, pytest.approx(1)]
    ((_, scores),) = OnnxImageScore("redness", model, softmax=True, **plain)(batch)
    assert scores["redness"].to_pylist()[2] == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="column 3 of a row for each was asked for"):
        list(OnnxImageScore("redness", model, column=3, **plain)(batch))
    with pytest.raises(ValueError, match=r"does not take \(1, 3, 9, 9\) float32"):
        list(OnnxImageScore("redness", model, side=9)(images(encoded(FLAT))))


def test_a_missing_model_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"no such file|pip install onnxruntime") as error:
        list(OnnxImageScore("x", "/nowhere/x.onnx")(images(encoded(FLAT))))
    assert "\n" not in str(error.value)
