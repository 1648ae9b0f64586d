"""Whatever a recipe holds, it is read and resolved, or refused with a RecipeError of one line."""

import contextlib
import copy
import pathlib
import random
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipelines.recipe import load
from pipelines.recipe.resolve import resolve
from pipelines.recipe.schema import Recipe, RecipeError
from pipelines.sources import KINDS
from tests.pipelines.recipe.tables import inner, literals, options

TEXTS = [
    "a.jsonl", "a.jsonl", "missing.parquet", "*", "[", "", " ", ".", "../../evil", "x" * 300, "a\0b", "a\nb", "con",
    "web", "text", "a", "b", "stage1", "stage2", "sft", "words", "language", "en", "no", "bytes", "email", "obelics",
    "no.such:thing", "json:dumps", "json", "http://127.0.0.1:9/", "10.0.0.0/8", "{a}", "é", "min", "max",
]  # fmt: skip
NUMBERS = [-1, 0, 1, 2, 3, 14, 0.0, -0.5, 0.5, 1.5, 1e-300, 1e300, 10**30, float("nan"), float("inf")]
texts, numbers = st.sampled_from(TEXTS), st.sampled_from(NUMBERS)
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(texts, inside, max_size=3),
    max_leaves=6,
)
#: in the words of shards/mixture.py, which are no part of the schema
mixtures = st.fixed_dictionaries(
    {"sources": st.dictionaries(texts, st.fixed_dictionaries({"weight": numbers, "sequence_length": numbers}))},
    optional={"seed": numbers, "batch_sequences": numbers, "stage": anything, "match": anything},
)


def of_type(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type of the schema; of a model, tables with some of its keys."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return table(kind)
    if options_ := literals(kind):
        return st.sampled_from(options_)
    if kind is bool:
        return st.booleans()
    if kind in (int, float):
        return numbers
    if kind is str:
        return texts
    if kind is type(None):
        return st.none()
    parts = inner(kind)
    if str(kind).startswith("dict"):
        return st.dictionaries(texts, st.one_of([of_type(part) for part in parts[1:]]), max_size=2)
    if parts:
        return st.lists(st.one_of([of_type(part) for part in parts]), max_size=3)
    return anything


def of_field(field: FieldInfo) -> st.SearchStrategy[Any]:
    right = st.one_of([of_type(option) for option in options(field.annotation)])
    return st.integers(0, 9).flatmap(lambda n: right if n else anything)


def table(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    required = {key for key, field in fields.items() if field.is_required() and key != "preset"}
    optional = sorted(fields.keys() - required)

    def of_keys(keys: set[str]) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries({key: of_field(fields[key]) for key in sorted(required | keys)})

    given_ = st.sets(st.sampled_from(optional), max_size=3).flatmap(of_keys) if optional else of_keys(set())
    wrong = st.dictionaries(texts | st.sampled_from(optional or ["x"]), anything, min_size=1, max_size=1)
    return st.builds(lambda own, more, n: {**own, **({} if n else more)}, given_, wrong, st.integers(0, 9))


source = st.one_of([table(kind.table) for kind in KINDS.values()])
recipes = st.builds(
    lambda own, sources, mixed: {**own, "sources": sources, **({"mixtures": mixed} if mixed else {})},
    table(Recipe),
    st.dictionaries(st.sampled_from(["web", "a", "a-train", "b", "con", "../x"]), source, min_size=1, max_size=3),
    st.dictionaries(texts, mixtures | texts, max_size=2),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "a.jsonl").write_text('{"text": "a", "url": "http://a.example/"}\n')
    with contextlib.chdir(folder):
        yield folder


def check(folder: pathlib.Path, text: str | bytes, *changes: str) -> bool:
    """Whether the recipe is accepted."""
    path = folder / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    before = sorted(folder.rglob("*"))
    try:
        resolve(load.read(str(path), changes))
    except RecipeError as e:
        line = str(e)
        assert line.strip() and line.isprintable() and len(line) < 2000, line
        return False
    finally:
        assert sorted(folder.rglob("*")) == before
    return True


def dumped(recipe: dict[str, Any]) -> str:
    return yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)


def examples(number: int) -> Any:
    return settings(max_examples=number, deadline=None, suppress_health_check=list(HealthCheck), database=None)


def mutated(text: str, seed: int) -> bytes:
    """The text with lines that are repeated, bytes that are replaced, or what the keyboard adds."""
    chance, lines = random.Random(seed), text.splitlines(keepends=True)
    for _ in range(chance.randrange(1, 4)):
        i = chance.randrange(len(lines))
        lines.insert(chance.randrange(len(lines) + 1), lines[i])
        lines[i] = lines[i].replace(*chance.choice([(" ", "\t"), (":", ""), ("- ", "-"), ("'", ""), ("a", "&a *a")]))
    data = bytearray("".join(lines).encode())
    for _ in range(chance.randrange(3)):
        data[chance.randrange(len(data))] = chance.choice(b"\x00\xff\xe9\t\n:{}[]&*!|>'\"%@`#-0")
    return bytes(data)


SOURCES: dict[str, Any] = {
    "web": {"kind": "web", "warc": "a.jsonl", "rules": {"document": {"language": {"any_of": ["en"]}}}},
    "b": {"kind": "pairs", "from": "web", "scores": [{"name": "x", "function": "builtins:len"}]},
    "c": {"kind": "pdf", "paths": "a.jsonl"},
    "d": {"kind": "conversations", "files": "a.jsonl", "tag": "t"},
    "e": {"kind": "text", "files": "a.jsonl", "text": {"common_words": {"en": "a.jsonl"}}},
}
ENTRIES: dict[str, Any] = {
    "web": {"weight": 1, "sequence_length": 64, "image": {"longest": 9}},
    "x": {"match": {"tag": "t"}, "weight": 0.5, "sequence_length": 9},
}
OTHERS = {"decontaminate": {"files": "a.jsonl"}, "mixtures": {"stage1": "stage1", "m": {"sources": ENTRIES}}}
#: a valid recipe with every key that has a default
WHOLE = load.parse({"sources": SOURCES, **OTHERS}, "a valid recipe").dump()


def places(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    for key, inside in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield (*place, key)
        yield from places(inside, (*place, key))


def changed(place: tuple[str | int, ...], how: str, value: Any, other: Any) -> dict[str, Any]:
    """WHOLE with another value at one place, one key less or one more. other: of the same type, where it can be."""
    recipe = copy.deepcopy(WHOLE)
    at: Any = recipe
    for key in place[:-1]:
        at = at[key]
    if how == "remove":
        del at[place[-1]]
    elif how == "add" and isinstance(at, dict):
        at[str(other)] = value
    else:
        same = [x for x in (other, value) if how == "same type" and type(x) is type(at[place[-1]])]
        at[place[-1]] = same[0] if same else value
    return recipe


hows = st.sampled_from(["remove", "add", "replace", "same type", "same type"])
changes = st.builds(changed, st.sampled_from(list(places(WHOLE))), hows, anything, numbers | texts)


def run_fuzz(folder: pathlib.Path, number: int) -> None:
    accepted: list[bool] = []

    @examples(number)
    @given(recipes)
    def recipe(recipe: dict[str, Any]) -> None:
        check(folder, dumped(recipe))

    @examples(number)
    @given(changes)
    def change(recipe: dict[str, Any]) -> None:
        accepted.append(check(folder, dumped(recipe)))

    @examples(number // 2)
    @given(recipes | changes, st.integers(0, 2**32))
    def text(recipe: dict[str, Any], seed: int) -> None:
        check(folder, mutated(dumped(recipe), seed))

    @examples(number // 2)
    @given(st.lists(st.builds("{}={}".format, st.lists(texts, max_size=4).map(".".join), texts | numbers), max_size=2))
    def setting(changes: list[str]) -> None:
        check(folder, "sources: {web: {kind: text, files: a.jsonl}}", *changes)

    for test in (recipe, change, text, setting):
        test()
    assert 0.05 < sum(accepted) / len(accepted) < 0.9  # changes of a valid recipe: some are right, some wrong


def test_a_recipe_of_any_content_is_read_or_refused_in_one_line(folder: pathlib.Path) -> None:
    run_fuzz(folder, 60)


@pytest.mark.slow
def test_many_recipes_of_any_content_are_read_or_refused_in_one_line(folder: pathlib.Path) -> None:
    run_fuzz(folder, 1500)


@examples(200)
@given(st.binary(max_size=40) | st.text("ab:{}[]-#&*!|> \n\t'\"0123.e~<", max_size=40).map(str.encode))
def test_bytes_that_are_no_recipe_are_refused_in_one_line(folder: pathlib.Path, data: bytes) -> None:
    check(folder, data)
