"""Recipes: what is wrong is said in one line that names the key and the nearest name, before anything starts."""

from __future__ import annotations

import json
import os
import pathlib

import pytest
import yaml
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.recipe.load import own, read
from pipelines.recipe.resolve import input_files
from pipelines.recipe.schema import RecipeError

INPUT = {"web": {"seeds": ["http://skywatch.example/"]}}


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pages.warc.gz").write_bytes(b"")
    (tmp_path / "pairs.csv").write_text("url,text\n")
    return tmp_path


def write(folder: pathlib.Path, table: object) -> str:
    path = folder / "mine.yaml"
    path.write_text(table if isinstance(table, str) else yaml.safe_dump(table))
    return str(path)


#: what is wrong, the settings that make it so, what the line must say
WRONG = {
    "unknown key": (["web.seed=x"], ["web.seed: no such key", "did you mean 'seeds'"]),
    "unknown key at the top": (["wbe=1"], ["wbe: no such key", "did you mean 'web'"]),
    "unknown key, two deep": (
        ["web.near.treshold=0.5"],
        ["web.near.treshold: no such key", "did you mean 'threshold'"],
    ),
    "unknown key, nothing near": (["fetch.zzz=1"], ["fetch.zzz: no such key; there are", "deadline_s", "threads"]),
    "wrong type": (["fetch.threads=many"], ["fetch.threads: ", "integer", "'many'"]),
    "out of range": (["web.near.threshold=3"], ["web.near.threshold: ", "less than or equal to 1", "3"]),
    "wrong choice": (["pdf={ocr: maybe, paths: [x.pdf]}"], ["pdf.ocr: ", "'auto' or 'never'", "'maybe'"]),
    "value for a table": (["fetch=7"], ["fetch: ", "7"]),
    "key below a value": (["web.seeds.x=7"], ["--set web.seeds.x=7", "'seeds' is a value"]),
    "no equals sign": (["web.warc"], ["--set web.warc: expected key=value"]),
    "missing file": (["web.warc=nowhere.warc.gz"], ["web.warc: nowhere.warc.gz matches no file"]),
    "glob without a match": (["pdf.paths=*.pdf"], ["pdf.paths: *.pdf matches no file"]),
    "wrong preset": (["web.preset=oblics"], ["web.rules: no preset `oblics`", "did you mean `obelics`"]),
    "wrong level": (["web.rules.documnt.words.min=3"], ["web.rules: no level `documnt`", "did you mean `document`"]),
    "wrong rule name": (
        ["web.rules.document.word.min=3"],
        ["web.rules.document.word: no such score", "did you mean `words`"],
    ),
    "wrong rule key": (
        ["web.rules.document.words.mni=3"],
        ["web.rules.document.words.mni: no such key", "did you mean `min`"],
    ),
    "wrong limit": (["web.rules.document.words.min=few"], ["web.rules.document.words.min: expected a number", "`few`"]),
    "limits crossed": (
        ["web.rules.document.words={min: 9, max: 3}"],
        ["web.rules.document.words: min 9 is above max 3"],
    ),
    "wrong mixture": (["mixtures.stage1=stag2"], ["mixtures.stage1: ", "stag2", "stage2"]),
    "no such tokenizer": (
        ["tokenizer=nowhere.json"],
        ["tokenizer: nowhere.json is neither `bytes` nor a file", "bytes"],
    ),
    "no such language model": (["web.text.language_model=lid.bin"], ["web.text.language_model: no file lid.bin"]),
    "no input": (["web.seeds=[]"], ["web: no input; give web.warc"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_recipe_is_one_line_exit_2_and_nothing_made(folder: pathlib.Path, name: str) -> None:
    settings, says = WRONG[name]
    path = write(folder, INPUT)
    with pytest.raises(RecipeError) as e:
        read(path, settings)
    assert "\n" not in str(e.value)
    for part in says:
        assert part in str(e.value)
    before = sorted(os.listdir(folder))
    result = CliRunner().invoke(app, ["run", path, *(a for s in settings for a in ("--set", s)), "--out", "made"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "".join(str(e.value).split()) in "".join(result.stderr.split())  # a terminal may wrap it
    assert sorted(os.listdir(folder)) == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("web: [", "not YAML"),
        ("- web", "a recipe is a table of keys, not a list"),
        ("", "no source: give it one of web, pairs, pdf, conversations"),
        ("pairs: {}", "pairs: no input; give pairs.urls"),
        ("pdf: {}", "pdf: no input; give pdf.paths"),
    ],
)
def test_a_file_that_is_no_recipe(folder: pathlib.Path, text: str, says: str) -> None:
    with pytest.raises(RecipeError) as e:
        read(write(folder, text))
    assert says in str(e.value) and "\n" not in str(e.value)


def test_a_missing_recipe_names_the_nearest_of_ours() -> None:
    near = next(p for p in own() if p.name == "idefics2.yaml")
    with pytest.raises(RecipeError, match=r"no such recipe; did you mean '.*idefics2\.yaml'"):
        read(str(near).replace("idefics2", "idefcs2"))


def test_settings_change_one_key_and_leave_the_rest(folder: pathlib.Path) -> None:
    path = write(folder, {**INPUT, "web": {"seeds": "http://a.example/", "rules": {"document": {"words": {"min": 5}}}}})
    recipe = read(path, ["web.rules.document.words.max=50", "web.warc=pages.warc.gz", "seed=7", "pairs.urls=pairs.csv"])
    (words,) = (r for r in recipe.rules("web").document if r.score == "words")
    assert (words.min, words.max, recipe.seed) == (5, 50, 7)
    assert recipe.web is not None and recipe.web.seeds == ["http://a.example/"]
    assert input_files(recipe) == {"web.warc": ["pages.warc.gz"], "pairs.urls": ["pairs.csv"], "pdf.paths": []}


def test_a_rule_set_to_null_goes(folder: pathlib.Path) -> None:
    path = write(folder, INPUT)
    scores = {r.score for r in read(path, ["web.rules.image.aspect=null"]).rules("web").image}
    assert scores == {r.score for r in read(path).rules("web").image} - {"aspect"} and scores


def test_folders_are_searched_and_patterns_sorted(folder: pathlib.Path) -> None:
    for name in ("b/2.warc.gz", "b/c/1.warc.gz", "b/notes.txt", "z.pdf", "a [1].pdf"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    recipe = read(write(folder, INPUT), ["web.warc=[b, pages.warc.gz, b]", "pdf.paths=*.pdf"])
    found = input_files(recipe)
    assert found["web.warc"] == ["b/2.warc.gz", "b/c/1.warc.gz", "pages.warc.gz"]
    assert found["pdf.paths"] == ["a [1].pdf", "z.pdf"]


@pytest.mark.parametrize("path", own(), ids=lambda p: p.stem)
def test_our_own_recipes_are_valid_once_they_have_inputs(folder: pathlib.Path, path: pathlib.Path) -> None:
    table = yaml.safe_load(path.read_text())
    (folder / "papers").mkdir()
    (folder / "papers" / "a.pdf").write_bytes(b"")
    sets = "conversations.sets=[{name: a, files: pairs.csv}]"
    inputs = {
        "web": "web.warc=pages.warc.gz",
        "pairs": "pairs.urls=pairs.csv",
        "pdf": "pdf.paths=papers",
        "conversations": sets,
    }
    recipe = read(str(path), [s for source, s in inputs.items() if source in table])
    assert recipe.name == path.stem


def test_schema_is_a_json_schema_that_knows_every_recipe_of_ours() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    result = CliRunner().invoke(app, ["schema"])
    assert result.exit_code == 0
    schema = json.loads(result.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for path in own():
        assert [e.message for e in validator.iter_errors(yaml.safe_load(path.read_text()))] == [], path.name
    assert not validator.is_valid({"wbe": {}})
    assert not validator.is_valid({"fetch": {"threads": "many"}})
