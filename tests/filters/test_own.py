"""Scores of texts, documents and images that the user writes: functions and classes by import path."""

import functools
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from filters.decide import Decide
from filters.own import FAILURES, Document, Image, OwnScore, own_score
from filters.rules import load
from manifests.code import program_digests
from manifests.stage import DirectContext
from tests.filters.make import documents, zipped
from tests.filters.test_pixels import encoded, images

HERE = "tests.filters.test_own"
RED = np.zeros((30, 50, 3), np.uint8)
RED[..., 0] = 255


def vowels(text: str) -> float | None:
    return None if not text else sum(c in "aeiou" for c in text) / (len(text) if text != "crash" else 0)


class Words:
    """A score of documents as a class."""

    level = "document"

    def __init__(self, language: str = "en") -> None:
        self.language = language

    def __call__(self, document: Document) -> float | None:
        assert all(set(node) >= {"kind", "text"} for node in document.nodes)
        wide = sum(image.width or 0 for image in document.images)
        return None if document.language != self.language else len(document.text.split()) + wide


class Redness:
    level = "image"

    def __call__(self, image: Image) -> float:
        assert (image.width, image.height, image.format) == (50, 30, "png") and len(image.sha256) == 64
        return float(np.asarray(image.picture.convert("RGB"))[..., 0].mean()) / 255


def prints(text: str) -> float:
    print("debugging")
    return 1.0


def two(text: str, url: str) -> float:
    return 1.0


def wrong(text: str) -> Any:
    if text == "exit":
        sys.exit(3)
    return {"nan": float("nan"), "array": np.array([1.0, 2.0]), "number": np.float64(2)}.get(text, "high")


def share(text: str, letter: str) -> float:
    return text.count(letter) / len(text)


long_enough = functools.partial(share, letter="a")


def run(stage: OwnScore, batch: pa.RecordBatch, **context: Any) -> tuple[list[Any], list[Any]]:
    ((table, scores), *_) = pickle.loads(pickle.dumps(stage))(batch, DirectContext(**context))
    assert table == "scores" and scores.schema == stage.tables["scores"]
    return scores[stage.name].to_pylist(), scores[f"{stage.name}_failed"].to_pylist()


def test_a_text_score_is_a_function() -> None:
    batch = documents(["aabb", "ab"], [], ["crash"], ["refused"])
    columns = run(own_score("vowels", f"{HERE}:vowels"), batch, skip=frozenset({(3, 0)}))
    # the blank line between the texts counts as two characters
    assert columns == ([pytest.approx(3 / 8), None, None, None], [0, 0, 1, None])
    assert run(own_score("a", f"{HERE}:share", arguments={"letter": "b"}), documents(["ab"])) == ([0.5], [0])
    assert run(own_score("a", f"{HERE}:long_enough"), documents(["ab"])) == ([0.5], [0])


def test_a_document_score_is_a_class() -> None:
    stage = own_score("length", f"{HERE}:Words", arguments={"language": "de"})
    assert stage.level == "document"
    batch = documents(["ein Haus", {"image": "http://a.example/a.png", "width": 100}], ["und"])
    place = batch.schema.get_field_index("lang")
    batch = batch.set_column(place, batch.schema.field(place), pa.array(["de", "en"]))
    assert run(stage, batch) == ([102, None], [0, 0])
    ((_, scores),) = stage(batch)
    rules = load({"own": ["length"], "document": {"length": {"max": 100}}})
    ((_, decisions),) = Decide(rules)(zipped(batch, scores))
    assert decisions["reason"].to_pylist() == ["length_high", None]


def test_an_image_score_is_a_class() -> None:
    stage = own_score("red", f"{HERE}:Redness")
    assert run(stage, images(encoded(RED), b"no image", None)) == ([1, None, None], [0, None, None])


def test_every_kind_of_failure_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    batch = documents(["nan"], ["array"], ["text"], ["exit"], ["number"])
    assert run(own_score("w", f"{HERE}:wrong"), batch) == ([None] * 4 + [2], [1, 1, 1, 1, 0])
    assert "`tests.filters.test_own:wrong` failed for a row: SystemExit: 3" in caplog.text
    _, (table, failures) = own_score("w", f"{HERE}:wrong")(batch)
    assert isinstance(failures, pa.RecordBatch) and (table, failures.schema) == ("failures", FAILURES)
    errors = failures.to_pylist()
    assert sum(e["rows"] for e in errors) == 4
    assert errors[-1] == {"error": "SystemExit: 3", "rows": 1}  # the last one
    assert own_score("w", f"{HERE}:wrong").count == {"scores": ("w_failed",)}


def test_prints_of_a_score_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(own_score("p", f"{HERE}:prints"), documents(["one"])) == ([1], [0])
    out, err = capsys.readouterr()
    assert (out, err) == ("", "debugging\n")


@pytest.mark.parametrize(
    ("path", "level", "arguments", "line"),
    [
        (f"{HERE}:nothing", None, {}, f"`{HERE}:nothing` cannot be imported: module '{HERE}' has no attribute"),
        ("no_such_module_here:x", None, {}, "`no_such_module_here:x` cannot be imported"),
        (f"{HERE}:HERE", None, {}, f"`{HERE}:HERE` cannot be called"),
        (f"{HERE}:two", None, {}, f"`{HERE}:two` cannot be called with one value: missing a required argument: 'url'"),
        (f"{HERE}:share", None, {"letter": "a", "n": 1}, f"`{HERE}:share` cannot be called with one value: got an une"),
        (f"{HERE}:Words", None, {"colour": 1}, f"`{HERE}:Words` cannot be constructed: TypeError"),
        (f"{HERE}:Words", None, {"language": {}}, "arguments.language: expected a string, a number"),
        (f"{HERE}:vowels", "page", {}, f"`{HERE}:vowels`: level is text, document or image, not `page`"),
    ],
)
def test_a_wrong_score_is_one_line(path: str, level: str | None, arguments: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        own_score("x", path, level, arguments)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


def digests(folder: Path, name: str) -> dict[str, str]:
    """The digests that a new process computes."""
    code = f"import manifests.code; print(manifests.code.program_digests('mine:{name}'))"
    root = str(Path(__file__).resolve().parents[2])
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": root}
    )
    assert out.returncode == 0, out.stderr
    values: dict[str, str] = eval(out.stdout)
    return values


def test_changed_code_changes_the_digests(tmp_path: Path) -> None:
    package = tmp_path / "helpers"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "deep" / "__init__.py").write_text("from .. import words\nfrom other import SIZE\n")
    (package / "words.py").write_text("WORDS = ['a']\n")
    (tmp_path / "other.py").write_text("SIZE = 1\n")
    (tmp_path / "values.py").write_text("N = 10\n")
    (tmp_path / "unrelated.py").write_text("X = 1\n")
    (tmp_path / "mine.py").write_text(
        "import functools, json, os\nimport numpy\nfrom values import N\n"
        "def score(text):\n    from helpers.deep import SIZE\n    return SIZE\n"
        "def longer(text, n): return len(text) > n\n"
        "part = functools.partial(longer, n=int(os.environ.get('N', 5)))\n"
        "class Scorer:\n    def __init__(self, n): self.n = n\n"
        "    def __call__(self, text): return len(text) > self.n\n"
        "scorer = Scorer(int(os.environ.get('N', 5)))\n"
    )
    first = digests(tmp_path, "score")
    assert set(first) == {"mine", "helpers", "helpers.deep", "other", "values"}
    assert digests(tmp_path, "score") == first
    (tmp_path / "unrelated.py").write_text("X = 2\n")
    assert digests(tmp_path, "score") == first
    for file in (package / "words.py", tmp_path / "other.py", tmp_path / "values.py"):
        file.write_text(file.read_text() + "# changed\n")
        second = digests(tmp_path, "score")
        assert second.keys() == first.keys() and second != first
        first = second
    for name in ("part", "scorer"):
        before = digests(tmp_path, name)
        assert digests(tmp_path, name) == before
        os.environ["N"] = "6"
        try:
            assert {k for k, v in digests(tmp_path, name).items() if before[k] != v} == {"value"}
        finally:
            del os.environ["N"]


def test_digests_of_installed_code_are_of_its_module_and_version() -> None:
    values = program_digests("datatrove.pipeline.filters:C4QualityFilter")
    assert set(values) == {"datatrove.pipeline.filters", "datatrove version"}
