"""Small ONNX models for the tests: the mean colour of an image, and the sum of the colours of a text's words."""

from pathlib import Path

import numpy as np
import pytest

#: the colour of each word: red, green, blue
WORDS = {
    "[PAD]": (0, 0, 0),
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
    "grey": (1, 1, 1),
    "other": (0, 0, 0),
}


def image_model(path: Path, side: int = 8) -> str:
    """n x 3 x side x side -> n x 3 x 1 x 1."""
    onnx = pytest.importorskip("onnx", reason="needs the package onnx")
    pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")
    shapes = (("x", ["n", 3, side, side]), ("y", ["n", 3, 1, 1]))
    kinds = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, shape) for n, shape in shapes]
    return _saved(
        onnx.helper.make_graph(
            [onnx.helper.make_node("GlobalAveragePool", ["x"], ["y"])], "image", kinds[:1], kinds[1:]
        ),
        path,
    )


def text_model(path: Path) -> str:
    """input_ids, n x tokens -> text_embeds, n x 3. Another output comes before it."""
    onnx = pytest.importorskip("onnx", reason="needs the package onnx")
    pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")
    h, t = onnx.helper, onnx.TensorProto
    table = onnx.numpy_helper.from_array(np.array(list(WORDS.values()), np.float32), "table")
    nodes = [
        h.make_node("Gather", ["table", "input_ids"], ["hidden"]),
        h.make_node("ReduceSum", ["hidden", "axis"], ["text_embeds"], keepdims=0),
    ]
    inputs = [h.make_tensor_value_info("input_ids", t.INT64, ["n", "tokens"])]
    outputs = [
        h.make_tensor_value_info("hidden", t.FLOAT, ["n", "tokens", 3]),
        h.make_tensor_value_info("text_embeds", t.FLOAT, ["n", 3]),
    ]
    axis = onnx.numpy_helper.from_array(np.array([1], np.int64), "axis")
    return _saved(h.make_graph(nodes, "text", inputs, outputs, [table, axis]), path)


def _saved(graph: object, path: Path) -> str:
    import onnx  # type: ignore[import-not-found]

    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8), str(path))
    return str(path)


def tokenizer(path: Path) -> str:
    """A tokenizer of the words of `WORDS`, split at white space and punctuation."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    word_level = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="other"))
    word_level.normalizer = normalizers.Lowercase()
    word_level.pre_tokenizer = pre_tokenizers.Whitespace()
    word_level.save(str(path))
    return str(path)
