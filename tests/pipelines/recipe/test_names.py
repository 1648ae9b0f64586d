"""Names that become files and folders are refused before anything is written, and no name leads out of a run."""

import contextlib
import json
import pathlib
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.commands.run import execute
from pipelines.engine.progress import Progress
from pipelines.recipe.load import parse, read
from pipelines.recipe.resolve import resolve
from pipelines.recipe.schema import RecipeError
from tests.pipelines.recipe.tables import is_mapping, models, owner

TEXT = {"kind": "text", "files": "a.jsonl"}


def a_source(**keys: Any) -> dict[str, Any]:
    return {"sources": {"a": {**TEXT, **keys}}}


def entry(name: str) -> dict[str, Any]:
    return {"name": name, "function": "builtins:len"}


#: keys whose values, or whose own keys, are a part of a path in the run -> a recipe with a name there
BECOME_PATHS: dict[str, Any] = {
    "Recipe.name": lambda name: {**a_source(), "name": name},
    "Recipe.sources": lambda name: {"sources": {name: TEXT}},
    "Recipe.mixtures": lambda name: {**a_source(), "mixtures": {name: "stage1"}},
    "Output.name": lambda name: a_source(outputs=[{"name": name, "writer": "tests.pipelines.recipe.test_names:Lines"}]),
    "Score.name": lambda name: a_source(scores=[entry(name)]),
    "DatatroveFilter.name": lambda name: a_source(text={"datatrove": [{"name": name, "filter": FILTER}]}),
    "ImageModel.name": lambda name: {**a_source(), "images": {"models": [{"name": name, "model": "model.onnx"}]}},
}
FILTER = "datatrove.pipeline.filters.LambdaFilter"

#: keys that name something and are part of no path -> a recipe with a name there
ARE_NO_PATHS: dict[str, Any] = {
    "SourceTable.tag": lambda name: a_source(tag=name),
    "Text.flagged_words": lambda name: a_source(text={"flagged_words": {name: "words.txt"}}),
    "Text.common_words": lambda name: a_source(text={"common_words": {name: "words.txt"}}),
    "Score.arguments": lambda name: a_source(scores=[{**entry("own"), "arguments": {name: name}}]),
    "DatatroveFilter.arguments": lambda name: a_source(
        text={"datatrove": [{"name": "own", "filter": FILTER, "arguments": {name: name}}]}
    ),
    "Datatrove.arguments": lambda name: a_source(datatrove={"reader": "json:loads", "arguments": {name: name}}),
    "Output.arguments": lambda name: a_source(
        outputs=[{"name": "own", "writer": "tests.pipelines.recipe.test_names:Lines", "arguments": {name: name}}]
    ),
    "CommonCrawl.where": lambda name: {
        "sources": {"a": {"kind": "web", "commoncrawl": {"index": "a.jsonl", "where": {name: name}}}}
    },
    "RulesTable.document": lambda name: a_source(rules={"document": {name: {"min": 1}}}),
    "RulesTable.node": lambda name: a_source(rules={"node": {name: {"min": 1}}}),
    "RulesTable.image": lambda name: a_source(rules={"image": {name: {"min": 1}}}),
}
#: keys whose values name a thing, beside the tables with free keys
NAMING = ("name", "names", "tag", "label", "stage", "title", "set", "folder")

HOSTILE = {
    "two folders up": "../../evil",
    "a folder up": "..",
    "this folder": ".",
    "dots": "....",
    "absolute": "/tmp/panoramix-evil",
    "below": "a/b",
    "of Windows, up": "..\\evil",
    "a drive": "C:evil",
    "a stream": "a:b",
    "a pattern": "a*",
    "NUL": "a\0b",
    "a line break": "a\nb",
    "empty": "",
    "blanks": "  ",
    "a blank in front": " a",
    "a blank behind": "a ",
    "a dot behind": "a.",
    "very long": "x" * 5000,
    "long in bytes": "é" * 60,
    "a device": "con",
    "a device with an extension": "NUL.txt",
    "a device with a number": "Com1",
    "right to left": "a\u202eb",
}


class Lines:
    """A writer of the recipe's `outputs`."""

    suffix = ".txt"

    def __init__(self, **arguments: Any) -> None: ...

    def __call__(self, samples: Any) -> Any:
        yield b"".join(b"line\n" for _ in samples)


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    here = tmp_path / "one" / "two" / "three"  # so that ../../evil would stay below tmp_path
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    prose = "The mill stands by the river and the wheel turns slowly in the rain. Who owns it? Nobody knows that yet."
    lines = [json.dumps({"text": prose.replace("mill", f"mill{i}") * (i + 1)}) for i in range(3)]
    (here / "a.jsonl").write_text("\n".join(lines))
    (here / "words.txt").write_text("bad\n")
    return here


def files(folder: pathlib.Path) -> set[str]:
    return {str(p) for p in folder.parents[2].rglob("*")} | {
        str(p) for p in pathlib.Path("/tmp").glob("panoramix*evil*")
    }


def test_every_key_that_names_something_is_in_one_of_the_tables() -> None:
    """A new table with free keys, or a new key `name`, has to be added to one of the tables of this file."""
    naming = {
        f"{owner(model, key)}.{key}"
        for model in models()
        for key, field in model.model_fields.items()
        if is_mapping(field) or key in NAMING
    }
    assert naming == BECOME_PATHS.keys() | ARE_NO_PATHS.keys()
    assert not BECOME_PATHS.keys() & ARE_NO_PATHS.keys()


@pytest.mark.parametrize("key", BECOME_PATHS)
@pytest.mark.parametrize("what", HOSTILE)
def test_a_name_that_cannot_be_a_files_is_refused(folder: pathlib.Path, key: str, what: str) -> None:
    with pytest.raises(RecipeError) as e:
        resolve(parse(BECOME_PATHS[key](HOSTILE[what]), "mine.yaml"))
    line = str(e.value)
    assert line.isprintable() and len(line) < 500
    assert any(
        why in line for why in ("a name ", "file of the name", "should match pattern", "at most 100", "at least 1")
    )


@pytest.mark.parametrize("key", BECOME_PATHS)
def test_the_command_writes_nothing_for_a_hostile_name(folder: pathlib.Path, key: str) -> None:
    for name in ("../../evil", "/tmp/panoramix-evil", "x" * 5000):
        (folder / "mine.yaml").write_text(yaml.safe_dump(BECOME_PATHS[key](name)))
        before = files(folder)
        for arguments in ([], ["--plan"], ["--out", "run"]):
            result = CliRunner().invoke(app, ["run", "mine.yaml", *arguments])
            assert (result.exit_code, result.stdout) == (2, "") and result.stderr.startswith(
                "panoramix: mine.yaml: line "
            )
            assert files(folder) == before


@pytest.mark.parametrize("key", ARE_NO_PATHS)
@pytest.mark.parametrize("what", HOSTILE)
def test_other_names_are_refused_in_one_line_or_are_no_paths(folder: pathlib.Path, key: str, what: str) -> None:
    before = files(folder)
    with contextlib.suppress(RecipeError):
        resolve(parse(ARE_NO_PATHS[key](HOSTILE[what]), "mine.yaml"))
    assert files(folder) == before


def test_hostile_names_that_are_no_paths_stay_within_the_run(folder: pathlib.Path) -> None:
    evil, before = "../../evil", files(folder)
    rules = {"document": {"words": {"min": 1}, "stop_words": None}, "node": None}
    source = a_source(
        tag=evil,
        rules=rules,
        text={"flagged_words": {evil: "words.txt"}},
        outputs=[{"name": "own", "writer": "tests.pipelines.recipe.test_names:Lines", "arguments": {"x": evil}}],
    )
    mixed = {"stage": evil, "sources": {evil: {"match": {"tag": evil}, "weight": 1, "sequence_length": 64}}}
    (folder / "mine.yaml").write_text(yaml.safe_dump({**source, "license": evil, "mixtures": {"own": mixed}}))
    stats = execute(read("mine.yaml"), "run", on="local", workers=1, progress=Progress(quiet=True))
    assert stats["sources"]["a"]["samples"] > 0
    new = {path.removeprefix(f"{folder}/") for path in files(folder) - before}
    assert {"run/mixtures/own.json", "run/outputs/a/own"} <= new
    assert [path for path in new if not path.startswith("run") and path != "mine.yaml"] == []
    assert [path for path in new if "evil" in path] == []


@pytest.mark.parametrize("name", ["a", "docvqa-2", "x" * 100, "console", "a_b"])
def test_common_names_are_accepted(folder: pathlib.Path, name: str) -> None:
    for key in ("Recipe.name", "Recipe.sources", "Recipe.mixtures", "Output.name"):
        assert resolve(parse(BECOME_PATHS[key](name), "mine.yaml")).sources
    assert parse(BECOME_PATHS["Recipe.name"]("Unsere Bücher, Band 2 (neu)"), "mine.yaml").name.startswith("Unsere")
