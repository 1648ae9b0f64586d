"""AGENTS.md, the skill file and docs/clusters.md name only commands, options, keys, files and targets that exist."""

import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from filters import sweep
from filters.rules import load as load_rules
from pipelines.cli import app
from pipelines.recipe import load
from pipelines.sources import KINDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("AGENTS.md", "docs/skill/SKILL.md", "docs/clusters.md", "README.md")
SKILL = (ROOT / "docs/skill/SKILL.md").read_text("utf-8")


def commands(text: str) -> list[list[str]]:
    """The arguments of each `panoramix` command of a page: those of indented lines, and those in backticks."""
    lines = re.findall(r"^ {4}(?:.*-- |\S*/)?panoramix ([^#\n]+)", text, re.M)
    lines += re.findall(r"`panoramix ([^`]+)`", text)
    return [shlex.split(line.rstrip(" \\")) for line in lines]


def check(arguments: list[str]) -> None:
    """Parse a command as the command line does, without running it."""
    group = typer.main.get_command(app)
    while arguments and arguments[0].startswith("-"):
        assert arguments[0] in {option for p in group.params for option in p.opts}, arguments
        arguments = arguments[1:]
    if not arguments:
        return
    name, *rest = arguments
    command = group.commands[name]  # type: ignore[attr-defined]
    while rest and hasattr(command, "commands"):
        command, *rest = command.commands[rest[0]], *rest[1:]
    options = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
    named = [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
    assert set(named) <= options, (arguments, set(named) - options)
    if "…" in rest or "..." in rest or not rest:
        return  # a part of a command
    command.make_context(name, list(rest))


@pytest.mark.parametrize("page", PAGES)
def test_every_command_exists(page: str) -> None:
    found = commands((ROOT / page).read_text("utf-8"))
    assert found
    for arguments in found:
        check(arguments)


@pytest.mark.parametrize("line", ["rnu x.yaml", "run x.yaml --plna", "stats", "--vresion", "classifier trian -o x"])
def test_a_command_that_does_not_exist_is_noticed(line: str) -> None:
    with pytest.raises((AssertionError, KeyError, Exception)):
        check(shlex.split(line) + (["x", "y", "z"] if line == "stats" else []))


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_target_exists(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    folder = (ROOT / page).parent
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert "://" in link or (folder / link).exists(), link
    for name in re.findall(
        r"`((?:pipelines|filters|ocr|dedup|shards|trainer|manifests|bench|tests|docs)/[\w./-]*)`", text
    ):
        assert (ROOT / name).exists(), name
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"\bmake ([a-z][a-z-]+)\b(?=`|$| {2})", text, re.M)) <= targets


def test_the_front_matter_of_the_skill() -> None:
    """The limits are those of the Agent Skills specification: 64 characters for the name, 1,024 for the description."""
    front = yaml.safe_load(SKILL.split("---")[1])
    assert set(front) == {"name", "description"}
    assert re.fullmatch(r"[a-z0-9-]{1,64}", front["name"]) and 20 < len(front["description"]) <= 1024


def test_the_recipe_of_the_skill_is_one(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", SKILL, re.S)
    (tmp_path / "mine.yaml").write_text(text)
    settings = re.findall(r"--set ([\w.]+=\w+)", SKILL)
    assert settings
    recipe = load.read(str(tmp_path / "mine.yaml"), settings)
    assert {table.kind for table in recipe.sources.values()} == set(KINDS)
    assert f"Kinds: {', '.join(f'`{kind}`' for kind in KINDS)}." in SKILL
    for line in re.findall(r"panoramix sweep \S+ (\S+) --source books", SKILL):
        assert sweep.parse(line, load_rules(recipe.sources["books"].preset)).score == "words"
    for key in re.findall(r"`(fetch\.\w+)`", SKILL):
        load.read(str(tmp_path / "mine.yaml"), [f"{key}=me@lab.example"])


def test_the_exit_codes_of_the_skill() -> None:
    from pipelines.commands import faults

    assert f"{faults.KNOWN} wrong usage" in SKILL and f"{faults.UNKNOWN} a bug" in SKILL
