"""datatrove's filters as columns of scores."""

import pickle
from typing import Any

import pyarrow as pa
import pytest

from filters.adapters import DatatroveScore, datatrove_score, raised
from filters.decide import Decide
from filters.rules import load
from manifests.stage import DirectContext
from tests.filters.make import documents, zipped

C4 = "datatrove.pipeline.filters:C4QualityFilter"
LONG = "This is a whole sentence that ends as one should."
PICTURE = {"image": "http://a.example/a.png"}


def test_c4_by_import_path() -> None:
    stage = datatrove_score("c4", C4, {"min_num_sentences": -1})
    batch = documents(
        [LONG, PICTURE, LONG], ["A page of Lorem Ipsum and no more."], ["Some { code } in a line of text."], []
    )
    ((table, scores),) = pickle.loads(pickle.dumps(stage))(batch)
    assert table == "scores"
    assert scores.schema == stage.tables["scores"]
    assert scores.to_pylist() == [
        {"c4_passes": 1, "c4_reason": None},
        {"c4_passes": 0, "c4_reason": "lorem_ipsum"},
        {"c4_passes": 0, "c4_reason": "curly_bracket"},
        {"c4_passes": 1, "c4_reason": None},
    ]
    rules = load({"own": ["c4_passes"], "document": {"c4_passes": {"min": 1}}})
    ((_, decisions),) = Decide(rules)(zipped(batch, scores))
    assert decisions["reason"].to_pylist() == [None, "c4_passes_low", "c4_passes_low", None]


def test_gopher_with_its_own_tokenizer() -> None:
    stage = datatrove_score("gopher", "datatrove.pipeline.filters.GopherQualityFilter", {"min_doc_words": 5})
    ((_, scores),) = stage(documents([LONG + " And of the others that we have with us."], ["Two words"]))
    assert scores["gopher_passes"].to_pylist() == [1, 0]
    assert scores["gopher_reason"].to_pylist() == [None, "gopher_short_doc"]


def test_an_exception_of_a_filter_is_its_reason_and_a_quarantined_row_is_null() -> None:
    lambda_ = DatatroveScore("mine", "datatrove.pipeline.filters:LambdaFilter", (("filter_function", needs_two_words),))
    batch = documents(["two words"], ["one"], ["refused here"])
    ((_, scores), (_, failures)) = lambda_(batch, DirectContext(skip=frozenset({(2, 0)})))
    assert scores["mine_passes"].to_pylist() == [1, 0, None]
    assert scores["mine_reason"].to_pylist() == [None, "raised_IndexError", None]
    assert isinstance(failures, pa.RecordBatch)
    assert failures.to_pylist() == [{"error": "IndexError: list index out of range", "rows": 1}]
    assert lambda_.count == {"scores": ("mine_reason",)}
    assert raised({"kept": 2, "raised_IndexError": 1, "raised_TypeError": 2}) == 3


def needs_two_words(document: Any) -> bool:
    return len(document.text.split()[1]) > 0


@pytest.mark.parametrize(
    ("path", "arguments", "line"),
    [
        ("datatrove.pipeline.filters:NoFilter", (), "`datatrove.pipeline.filters:NoFilter` cannot be imported"),
        ("no_such_module_here:X", (), "`no_such_module_here:X` cannot be imported"),
        ("plain", (), "`plain` cannot be imported"),
        ("collections:Counter", (), "`collections:Counter` is not a datatrove filter class"),
        (C4, (("min_words", 3),), f"`{C4}`: .*unexpected keyword argument 'min_words'"),
    ],
)
def test_a_wrong_path_is_one_line(path: str, arguments: tuple[Any, ...], line: str) -> None:
    with pytest.raises(ValueError, match=line) as error:
        datatrove_score("x", path, dict(arguments))
    assert "\n" not in str(error.value)
