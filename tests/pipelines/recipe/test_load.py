"""Recipes: a mistake gives one line that names the key and the nearest valid name, before the run starts."""

import json
import os
import pathlib
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.recipe.load import bundled, from_version_1, parse, read
from pipelines.recipe.resolve import Resolved, resolve
from pipelines.recipe.schema import RecipeError

INPUT = {"sources": {"web": {"kind": "web", "seeds": ["http://skywatch.example/"]}}}


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pages.warc.gz").write_bytes(b"")
    (tmp_path / "pairs.csv").write_text("url,text\n")
    return tmp_path


def write(folder: pathlib.Path, table: object) -> str:
    path = folder / "mine.yaml"
    path.write_text(table if isinstance(table, str) else yaml.safe_dump(table, sort_keys=False))
    return str(path)


def resolved(path: str, settings: list[str] | None = None) -> Resolved:
    return resolve(read(path, settings or ()))


PDF = "sources.pdf={kind: pdf, paths: "

#: mistake -> (settings that make it, parts of the message)
WRONG = {
    "unknown key": (["web.seed=x"], ["web.seed: no such key", "did you mean `seeds`"]),
    "unknown source": (["wbe.seeds=1"], ["--set wbe.seeds=1: no source `wbe`", "did you mean `web`"]),
    "unknown key at the top": (["fecth=1"], ["fecth: no such key", "did you mean `fetch`"]),
    "unknown key, two deep": (
        ["web.near.treshold=0.5"],
        ["web.near.treshold: no such key", "did you mean `threshold`"],
    ),
    "unknown key, nothing near": (["fetch.zzz=1"], ["fetch.zzz: no such key; there are", "deadline_s", "threads"]),
    "unknown kind": (["sources.x={kind: webb}"], ["sources.x.kind: one of web, pairs, pdf", "'webb'"]),
    "no kind": (["sources.x={seeds: a}"], ["sources.x.kind: one of web, pairs, pdf"]),
    "a reserved name": (["sources.fetch={kind: web, seeds: a}"], ["sources.fetch: `fetch` is a key of recipes"]),
    "a name that is no name": (["sources={../x: {kind: web, seeds: a}}"], ["sources.../x", "part of a path", "no '/'"]),
    "from a source that is not there": (
        ["sources.p={kind: pairs, from: wbe}"],
        ["p.from: no source `wbe`; did you mean `web`?"],
    ),
    "from a source of another kind": (
        ["sources.p={kind: pairs, urls: pairs.csv}", "sources.q={kind: pairs, from: p}"],
        ["q.from: p is not a source of kind web"],
    ),
    "wrong type": (["fetch.threads=many"], ["fetch.threads: ", "integer", "'many'"]),
    "out of range": (["web.near.threshold=3"], ["web.near.threshold: ", "less than or equal to 1", "3"]),
    "wrong choice": ([PDF + "x.pdf, ocr: maybe}"], ["pdf.ocr: ", "'auto' or 'never'", "'maybe'"]),
    "value for a table": (["fetch=7"], ["fetch: ", "7"]),
    "key below a value": (["web.seeds.x=7"], ["--set web.seeds.x=7", "'seeds' is a value"]),
    "a name that YAML reads as a truth value": (
        ["sources={yes: {kind: web}}"],
        ["yes: YAML reads `yes` as true", "in quotes"],
    ),
    "a key that YAML reads as a truth value": (
        ["web.near={on: false}"],
        ["web.near", "on: YAML reads `on` as true", "in quotes"],
    ),
    "no equals sign": (["web.warc"], ["--set web.warc: expected key=value"]),
    "missing file": (["web.warc=nowhere.warc.gz"], ["web.warc: nowhere.warc.gz matches no file"]),
    "glob without a match": ([PDF + "'*.pdf'}"], ["pdf.paths: *.pdf matches no file"]),
    "wrong preset": (["web.preset=oblics"], ["web.rules: no preset `oblics`", "did you mean `obelics`"]),
    "wrong level": (["web.rules.documnt.words.min=3"], ["web.rules", "documnt", "did you mean `document`"]),
    "wrong rule name": (
        ["web.rules.document.word.min=3"],
        ["web.rules.document.word: no such score", "did you mean `words`"],
    ),
    "wrong rule key": (
        ["web.rules.document.words.mni=3"],
        ["web.rules.document.words.mni: no such key", "did you mean `min`"],
    ),
    "wrong limit": (["web.rules.document.words.min=few"], ["web.rules.document.words.min: ", "number", "few"]),
    "limits crossed": (
        ["web.rules.document.words={min: 9, max: 3}"],
        ["web.rules.document.words: min 9 is above max 3"],
    ),
    "wrong mixture": (["mixtures.stage1=stag2"], ["mixtures.stage1: ", "stag2", "stage2"]),
    "a mixture of a source that is not there": (
        ["mixtures.stage1={sources: {wbe: {weight: 1, sequence_length: 64}}}"],
        ["mixtures.stage1: ", "no source 'wbe'; did you mean 'web'?"],
    ),
    "a tag that no source has": (
        ["web.tag=clean", "mixtures.m={sources: {x: {match: {tag: claen}, weight: 1, sequence_length: 64}}}"],
        ["mixtures.m: ", "sources.x.match: no source has the tag 'claen'; did you mean 'clean'?"],
    ),
    "a layout for a source": (
        ["mixtures.m={sources: {interleave: {weight: 1, sequence_length: 64}}}"],
        ["no source 'interleave'", "match: {layout: interleaved}"],
    ),
    "a mixture that is nothing": (["mixtures.m="], ["mixtures.m: None: expected one of stage1, stage2, sft"]),
    "a weight that is no number": (
        ["mixtures.m={sources: {web: {weight: heavy, sequence_length: 64}}}"],
        ["mixtures.m: ", "sources.web: weight is 'heavy', not a positive number"],
    ),
    "a preferred source that is not there": (["dedup.prefer=[wbe]"], ["dedup.prefer: no source `wbe`"]),
    "two settings of duplicates in one kind": (
        ["sources.news={kind: web, seeds: a, near: {threshold: 0.9}}"],
        ["web and news: their duplicates are found together", "dedup.across"],
    ),
    "a contact that cannot stand in a header": (["fetch.contact='a\nb'"], ["fetch.contact"]),
    "no such tokenizer": (
        ["tokenizer=nowhere.json"],
        ["tokenizer: nowhere.json is neither `bytes` nor a file", "bytes"],
    ),
    "no such language model": (["web.text.language_model=lid.bin"], ["web.text.language_model: no file lid.bin"]),
    "no input": (["web.seeds=[]"], ["web: no input; give web.warc"]),
    "no file of evaluations": (["decontaminate={files: []}"], ["decontaminate.files: ", "at least 1 item"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_recipe_gives_one_line_exit_code_2_and_no_output(folder: pathlib.Path, name: str) -> None:
    settings, says = WRONG[name]
    path = write(folder, INPUT)
    with pytest.raises(RecipeError) as e:
        resolved(path, settings)
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
        ("", "the recipe has no source"),
        ("sources: {pairs: {kind: pairs}}", "pairs: no input; give pairs.urls"),
        ("sources: {pdf: {kind: pdf}}", "pdf: no input; give pdf.paths"),
        ("sources: {a: {kind: conversations}}", "a: no input; give a.files"),
        ("sources: {a: {kind: text}}", "a: no input; give a.files"),
    ],
)
def test_a_file_that_is_not_a_recipe(folder: pathlib.Path, text: str, says: str) -> None:
    with pytest.raises(RecipeError) as e:
        resolved(write(folder, text))
    assert says in str(e.value) and "\n" not in str(e.value)


RECIPE = """\
sources:
  web:
    kind: web
    seeds: [http://a.example/]
"""

#: what is added to RECIPE, or what replaces it if it is bytes -> parts of the one line
TRAPS: dict[str | bytes, list[str]] = {
    "sources: {}\n": ["mine.yaml: line 5: sources: the key stands twice, first on line 1"],
    "    seeds: []\n": ["line 5: sources.web.seeds: the key stands twice, first on line 4"],
    "    rules: {document: {words: {min: 1, min: 2}}}\n": [
        "sources.web.rules.document.words.min: the key stands twice"
    ],
    "mixtures: {m: {sources: {web: {weight: 1, weight: 2}}}}\n": [
        "line 5: mixtures.m.sources.web.weight: the key stands"
    ],
    "    rules: {document: {words: {min: .nan}}}\n": [
        "line 5: sources.web.rules.document.words.min: `.nan` is no number"
    ],
    "images: {gpus: .inf}\n": ["line 5: images.gpus: `.inf` is no number"],
    "images: {gpus: inf}\n": ["line 5: images.gpus: ", "finite number", "'inf'"],
    "    rules: {document: {words: {min: nan}}}\n": [
        "web.rules.document.words.min: expected a number, got the text 'nan'"
    ],
    "    rules: {document: {words: {min: '3'}}}\n": [
        "web.rules.document.words.min: expected a number, got the text '3'"
    ],
    "    rules: {document: {language: {any_of: [en, no]}}}\n": [
        "line 5: web.rules.document.language.any_of.1: expected text; YAML reads `no` as false; put it in quotes: 'no'"
    ],
    "    tag: Yes\n": ["line 5: web.tag: expected text; YAML reads `Yes` as true; put it in quotes: 'Yes'"],
    "    tag: 1e5\n": ["line 5: web.tag: expected text; YAML reads `1e5` as a number"],
    "    tag: 2024-05-01\n": ["line 5: web.tag: expected text; YAML reads `2024-05-01` as a time", "in quotes"],
    "    tag: 12:30\n": ["line 5: sources.web.tag: YAML 1.1 reads `12:30` as 750", "quotes if it is text: '12:30'"],
    "    tag: 017\n": ["line 5: sources.web.tag: YAML 1.1 reads `017` as 15", "quotes if it is text: '017'"],
    "    text: {flagged_words: {no: words.txt}}\n": [
        "line 5: sources.web.text.flagged_words.no: YAML reads `no` as false"
    ],
    "seed: 010\n": ["line 5: seed: YAML 1.1 reads `010` as 8; write 8 if it is a number"],
    "name:\n": ["line 5: name: expected text, not nothing"],
    "fetch:\n": ["line 5: fetch: expected a table of keys, not None"],
    "fetch: [threads]\n": ["line 5: fetch: expected a table of keys, not ['threads']"],
    "common: &c {kind: web}\n": ["line 5: common: no such key"],
    "web: {kind: web}\n": ["line 5: web: no such key; it goes under `sources`: {web: {kind: web, ...}}"],
    "\tfetch: {}\n": ["line 5: a tab; indent with spaces"],
    "fetch: {threads: 1}}\n": ["line 5: not YAML: "],
    "fetch: !!python/name:os.system ''\n": ["line 5: fetch: the tag !!python/name:os.system is not read"],
    '"a\\nb": 1\n': ["line 5: a\\nb: no such key"],
    "x" * 500 + ": 1\n": ["line 5: " + "x" * 80 + "…: no such key"],
    "  web-train: {kind: web, seeds: b}\n": ["sources.web-train: files of the ledger have this name"],
    b"- web": ["mine.yaml: a recipe is a table of keys, not a list"],
    b"web": ["mine.yaml: a recipe is a table of keys, not a str"],
    b"7": ["mine.yaml: a recipe is a table of keys, not a int"],
    b"[" * 5000: ["mine.yaml: tables or lists stand too deep in each other"],
    RECIPE.encode() + b"# caf\xe9": ["mine.yaml: line 5: not UTF-8 (byte 0xe9); convert it to UTF-8"],
    RECIPE.encode("utf-16"): ["mine.yaml: line 1: not UTF-8 (byte 0xff); convert it to UTF-8"],
    RECIPE.encode() + b"name: a\0b": ["not YAML: unacceptable character #x0000"],
    b"web: {near: {on: true, 'on': false}}": ["line 1: web.near.on: YAML reads `on` as true; put it in quotes"],
    b"conversations: {sets: [vqa]}": ["conversations.sets: expected a list of tables with the key name"],
    b"web: {seeds: http://a.example/, text: [], near: 7}": ["web.near: expected a table of keys, not 7"],
    b"web: {seeds: a, rules: {document: {language: {any_of: [no]}}}}": [
        "line 1: web.rules",
        "YAML reads `no` as false",
    ],
}


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: str(trap[:40]))
def test_a_trap_of_yaml_is_one_line_with_its_line_and_key(folder: pathlib.Path, trap: str | bytes) -> None:
    path = folder / "mine.yaml"
    path.write_bytes(trap if isinstance(trap, bytes) else (RECIPE + trap).encode())
    result = CliRunner().invoke(app, ["run", "mine.yaml", "--out", "made"])
    assert (result.exit_code, result.stdout) == (2, "") and result.stderr.count("\n") == 1
    for part in TRAPS[trap]:
        assert part in result.stderr
    assert sorted(os.listdir(folder)) == ["mine.yaml", "pages.warc.gz", "pairs.csv"]


def test_numbers_dates_and_merged_tables_are_read_as_they_are_meant(folder: pathlib.Path) -> None:
    path = folder / "mine.yaml"
    text = """\
        sources:
          a: &a
            kind: web
            warc: pages.warc.gz
            commoncrawl: {index: pages.warc.gz, where: {fetch_time: {min: 2024-03-01, max: 2024-04-01 12:30:00}}}
            near: {threshold: 5e-1, rows: 1e1}
            rules: {document: {words: {min: 1e1}, punctuation: {min: 1e-3}}}
          b: {<<: *a, tag: 'no'}
        fetch: {threads: 1_000}
        """
    path.write_text(text, "utf-8-sig")
    recipe = read(str(path), ["a.near.bands=3"])
    a, b = recipe.sources.values()
    assert (a.near.threshold, a.near.rows, a.near.bands, b.near.bands) == (0.5, 10, 3, 28)  # a setting changes one
    assert (b.tag, b.warc, recipe.fetch.threads) == ("no", ["pages.warc.gz"], 1000)
    resolved = resolve(read(str(path)))
    limits = {rule.score: rule.min for rule in resolved.sources[0].rules.document}
    assert (limits["words"], limits["punctuation"]) == (10, 0.001)
    stored = json.loads(json.dumps(recipe.dump()))
    assert stored["sources"]["a"]["commoncrawl"]["where"] == {
        "fetch_time": {"min": "2024-03-01", "max": "2024-04-01T12:30:00"}
    }
    assert parse(stored, "manifest").dump() == recipe.dump()


#: a setting -> parts of the one line
SETTINGS = {
    "=": ["--set =: expected key=value"],
    "=1": ["expected key=value"],
    "web.=1": ["--set web.=1: expected key=value"],
    ".seeds=1": ["expected key=value"],
    "web..seeds=1": ["expected key=value"],
    "a=[": ["--set a=[: a: no such key"],
    "a.b=[": ["--set a.b=[: no source `a`"],
    "web.near=[": ["--set web.near=[: web.near: expected a table of keys, not '['"],
    "sources.x.kind=": ["--set sources.x.kind=: sources.x.kind: one of web, pairs"],
    "sources=": ["--set sources=: sources: expected a table of keys, not None"],
    "sources=7": ["--set sources=7: sources: expected a table of keys, not 7"],
    "sources.web=": ["--set sources.web=: sources.web: expected a table of keys, not None"],
    "web.near={rows: 1, rows: 2}": ["--set web.near={rows: 1, rows: 2}: rows: the key stands twice"],
    "web.near.threshold=.nan": ["--set web.near.threshold=.nan: `.nan` is no number"],
    "web.tag=no": ["--set web.tag=no: web.tag: expected text; YAML reads `no` as false; put it in quotes: 'no'"],
    "web.tag=010": ["--set web.tag=010: YAML 1.1 reads `010` as 8"],
    "web.rules.document.language.any_of=[no]": ["any_of.0: expected text; YAML reads `no` as false"],
    "web.treshold=1": ["--set web.treshold=1: web.treshold: no such key"],
    "name=../../evil": ["--set name=../../evil: name: a name becomes part of a path, so it has no '/'"],
    "mixtures.a/b=stage1": ["--set mixtures.a/b=stage1: mixtures.a/b: a name becomes part of a path"],
    "web.warc=a\0b": ["web.warc: a\\x00b matches no file"],
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_hostile_setting_is_one_line_that_names_the_setting(folder: pathlib.Path, setting: str) -> None:
    path = write(folder, INPUT)
    result = CliRunner().invoke(app, ["run", path, "--set", setting, "--plan"])
    assert (result.exit_code, result.stdout) == (2, "") and result.stderr.count("\n") == 1
    for part in SETTINGS[setting]:
        assert part in result.stderr


def test_a_setting_over_sources_that_are_no_table_is_one_line(folder: pathlib.Path) -> None:
    for sources in ("[web]", "7", "web", ""):
        with pytest.raises(RecipeError, match=r"--set web\.seeds=b: no source `web`"):
            read(write(folder, f"sources: {sources}"), ["web.seeds=b"])


def test_two_sources_of_one_name_in_both_versions_of_recipes_are_no_silent_choice(folder: pathlib.Path) -> None:
    """A key of version 1 beside `sources` replaced all of them."""
    with pytest.raises(RecipeError, match="pdf: no such key; it goes under `sources`"):
        read(write(folder, {**INPUT, "pdf": {"paths": "a.pdf"}}))


@pytest.mark.parametrize(
    ("out", "says"),
    [("", "--out is empty"), (" ", "--out is empty"), ("pairs.csv", "--out pairs.csv: a file, not a folder")],
)
@pytest.mark.parametrize("plan", [[], ["--plan"]])
def test_a_run_needs_a_folder(folder: pathlib.Path, out: str, says: str, plan: list[str]) -> None:
    result = CliRunner().invoke(app, ["run", write(folder, INPUT), "--out", out, *plan])
    assert (result.exit_code, result.stdout) == (2, "") and says in result.stderr
    assert sorted(os.listdir(folder)) == ["mine.yaml", "pages.warc.gz", "pairs.csv"]


def test_two_outputs_of_one_name_and_arguments_that_are_tables_are_refused(folder: pathlib.Path) -> None:
    writer = "tests.pipelines.recipe.test_names:Lines"
    output = {"name": "a", "writer": writer}
    path = write(folder, {"sources": {"web": {**INPUT["sources"]["web"], "outputs": [output, output]}}})
    with pytest.raises(RecipeError, match=r"web.outputs.1 \(a\): there is an output of this name already"):
        resolved(path)
    path = write(
        folder, {"sources": {"web": {**INPUT["sources"]["web"], "outputs": [{**output, "arguments": {"x": {}}}]}}}
    )
    with pytest.raises(RecipeError, match=r"web.outputs.0 \(a\): arguments.x: expected a string"):
        resolved(path)


def test_a_recipe_that_is_no_readable_file_is_one_line(folder: pathlib.Path) -> None:
    (folder / "folder.yaml").mkdir()
    for name in ("folder.yaml", "x" * 300, "pairs.csv/mine.yaml"):
        with pytest.raises(RecipeError, match=f"{name}: ") as e:
            read(name)
        assert str(e.value).isprintable()


def test_a_missing_recipe_names_the_nearest_bundled_one() -> None:
    near = next(p for p in bundled() if p.name == "idefics2.yaml")
    with pytest.raises(RecipeError, match=r"no such recipe; did you mean `.*idefics2\.yaml`"):
        read(str(near).replace("idefics2", "idefcs2"))


def test_settings_change_one_key_and_keep_the_others(folder: pathlib.Path) -> None:
    web = {"kind": "web", "seeds": "http://a.example/", "rules": {"document": {"words": {"min": 5}}}}
    path = write(folder, {"sources": {"web": web, "lists": {"kind": "pairs"}}})
    settings = ["web.rules.document.words.max=50", "web.warc=pages.warc.gz", "seed=7", "lists.urls=pairs.csv"]
    run = resolved(path, settings)
    web_source, lists = run.sources
    (words,) = (r for r in web_source.rules.document if r.score == "words")
    assert (words.min, words.max, run.recipe.seed) == (5, 50, 7)
    assert web_source.table.seeds == ["http://a.example/"]
    assert [f["file"] for f in web_source.files["warc"]] == ["pages.warc.gz"]
    assert [f["file"] for f in lists.files["urls"]] == ["pairs.csv"]


def test_a_rule_set_to_null_is_removed(folder: pathlib.Path) -> None:
    path = write(folder, INPUT)
    without, with_ = (
        {r.score for r in resolved(path, settings).sources[0].rules.image}
        for settings in (["web.rules.image.aspect=null"], [])
    )
    assert without == with_ - {"aspect"} and without


def test_folders_are_searched_and_patterns_sorted(folder: pathlib.Path) -> None:
    for name in ("b/2.warc.gz", "b/c/1.warc.gz", "b/notes.txt", "z.pdf", "a [1].pdf"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    run = resolved(write(folder, INPUT), ["web.warc=[b, pages.warc.gz, b]", PDF + "'*.pdf'}"])
    web, pdf = run.sources
    assert [f["file"] for f in web.files["warc"]] == ["b/2.warc.gz", "b/c/1.warc.gz", "pages.warc.gz"]
    assert [f["file"] for f in pdf.files["paths"]] == ["a [1].pdf", "z.pdf"]


def test_a_source_comes_after_the_sources_that_it_reads(folder: pathlib.Path) -> None:
    table = {
        "p": {"kind": "pairs", "from": ["b", "a"]},
        "a": {"kind": "web", "seeds": "x"},
        "b": {"kind": "web", "seeds": "y"},
    }
    assert [s.name for s in resolved(write(folder, {"sources": table})).sources] == ["b", "a", "p"]


def test_the_contact_address_is_part_of_the_user_agent(folder: pathlib.Path) -> None:
    path = write(folder, INPUT)
    assert resolved(path).user_agent == "panoramix/0.1"
    assert resolved(path, ["fetch.contact=data@lab.example"]).user_agent == "panoramix/0.1 (+mailto:data@lab.example)"


INPUTS = {
    "web": "warc=pages.warc.gz",
    "pairs": "urls=pairs.csv",
    "pdf": "paths=papers",
    "conversations": "files=pairs.csv",
    "text": "files=pairs.csv",
}


@pytest.mark.parametrize("path", bundled(), ids=lambda p: p.stem)
def test_bundled_recipes_are_valid_once_they_have_inputs(folder: pathlib.Path, path: pathlib.Path) -> None:
    (folder / "papers").mkdir()
    (folder / "papers" / "a.pdf").write_bytes(b"")
    sources = yaml.safe_load(path.read_text())["sources"]
    run = resolved(str(path), [f"{name}.{INPUTS[table['kind']]}" for name, table in sources.items()])
    assert run.recipe.name == path.stem and sorted(s.name for s in run.sources) == sorted(sources)


def test_schema_is_a_json_schema_that_accepts_every_bundled_recipe() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    result = CliRunner().invoke(app, ["schema"])
    assert result.exit_code == 0
    schema = json.loads(result.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for path in bundled():
        assert [e.message for e in validator.iter_errors(yaml.safe_load(path.read_text()))] == [], path.name
    assert not validator.is_valid({"wbe": {}})
    assert not validator.is_valid({"fetch": {"threads": "many"}})
    assert not validator.is_valid({"sources": {"a": {"kind": "book"}}})


@pytest.mark.parametrize("path", bundled(), ids=lambda path: path.stem)
def test_the_recipe_in_a_manifest_can_be_read_again(path: pathlib.Path) -> None:
    recipe = parse(yaml.safe_load(path.read_text()), "recipe")
    stored = json.loads(json.dumps(recipe.dump(), sort_keys=True))
    assert parse(stored, "manifest").dump() == recipe.dump()


def test_a_recipe_of_version_1_is_read_with_named_sources() -> None:
    functions = [{"name": "letters", "function": "my:letters"}]
    old: dict[str, Any] = {
        "name": "old",
        "web": {"warc": ["a.warc.gz"], "text": {"functions": functions, "redact": ["email"]}},
        "pairs": {"from_pages": True, "urls": ["p.csv"]},
        "pdf": {"from_pages": False, "paths": ["x.pdf"]},
        "conversations": {"sets": [{"name": "vqa.v2", "files": ["v.parquet"], "repeat": 2.0}], "together": 3},
    }
    recipe = parse(from_version_1(old), "old")
    assert list(recipe.sources) == ["web", "pairs", "pdf", "vqa_v2"]
    tables: dict[str, Any] = recipe.sources
    assert [s.function for s in tables["web"].scores] == ["my:letters"] and tables["web"].text.redact == ["email"]
    assert (tables["pairs"].from_, tables["pdf"].from_) == (["web"], [])
    assert (tables["vqa_v2"].repeat, tables["vqa_v2"].together) == (2.0, 3)
    new = recipe.dump()
    assert from_version_1(new) == new
