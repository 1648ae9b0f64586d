"""Ablations: the bundled findings are valid, and a small one runs from its bootstrap to its table."""

import json
from pathlib import Path

import pytest
import torch
import yaml

import trainer
from tests.trainer import made
from trainer.ablations import FINDINGS, Finding, Question, answer, arm_recipes
from trainer.config import RECIPES, RecipeError, checked, find, read

MINE = {
    "title": "Mine",
    "paper": "none: 1 and 2",
    "base": {
        "mixture": "stage1",
        "threads": 1,
        "tensorboard": False,
        "model": {
            "text": {"hidden": 32, "intermediate": 48, "layers": 2, "heads": 2, "kv_heads": 1},
            "vision": {"hidden": 16, "intermediate": 32, "layers": 1, "heads": 2, "image": 28},
            "perceiver": {"latents": 2, "depth": 1, "heads": 2, "head_dim": 16, "kv_heads": 1},
            "cross_every": 1,
        },
        "image": {"mode": "square", "longest": 28},
        "packing": {"sequences": 1, "sequence_length": 256, "long": "window"},
        "train": {"steps": 3, "lr": 1e-3, "backbones": "frozen", "overwrite": True},
        "evaluate": {"pairs": 6, "batch": 6},
    },
    "bootstrap": {"text": {"words": 2}, "vision": {"tower": 2}},
    "arms": [
        {"name": "in the text", "paper": 1, "text": "words", "vision": "tower"},
        {
            "name": "beside it",
            "paper": 2,
            "text": "words",
            "vision": "tower",
            "set": {"model": {"fusion": "cross_attention"}},
        },
        {"name": "as crops", "of": "in the text", "text": "words", "vision": "tower", "views": 5},
        {
            "name": "wild",
            "text": "words",
            "vision": "tower",
            "set": {"train": {"lr": 1e30, "steps": 8, "divergence": 1.5}},
        },
    ],
    "questions": [
        {"first": "in the text", "second": "beside it"},
        {"first": "in the text", "second": "wild", "expect": "less"},
    ],
    "remark": "It shows nothing.",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return made.run(
        tmp_path_factory.mktemp("run"), {"pairs": {"train": 12, "validation": 8}, "interleaved": {"train": 6}}
    )


@pytest.mark.parametrize("name", FINDINGS)
def test_the_bundled_findings_are_valid(name, tmp_path):
    path = find(f"ablations/{name}.yaml")
    spec = checked(Finding, read(path), path)
    names = [arm.name for arm in spec.arms]
    backbones = {name: name for steps in spec.bootstrap.values() for name in steps}
    recipes = arm_recipes(path, spec, backbones, {})
    assert len({recipe.stage for recipe in recipes.values()}) == len(names)
    assert all({q.first, q.second} <= set(names) for q in spec.questions) and all(
        arm.of in (None, *names) for arm in spec.arms
    )
    assert len({recipe.seed for recipe in recipes.values()}) == 1


def test_a_finding_runs_from_bootstrap_to_table_and_resumes(data, tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(MINE))
    out = tmp_path / "out" / "mine"
    result = trainer.ablate(str(path), data, out)
    arms = {arm["name"]: arm for arm in result["arms"]}
    assert (
        arms["in the text"]["tokens_per_image"] == 2
        and arms["beside it"]["tokens_per_image"] == 1
        and arms["as crops"]["tokens_per_image"] == 10
    )
    assert arms["beside it"]["trained"] > arms["in the text"]["trained"]
    assert arms["as crops"]["loss"] != arms["in the text"]["loss"] and arms["wild"]["diverged"]
    assert result["answers"][1]["ours"] == "one of them diverged"
    assert (
        "| beside it | 2 |" in result["table"]
        and "diverged: step" in result["table"]
        and "It shows nothing." in result["table"]
    )
    assert json.loads((out / "finding.json").read_text())["title"] == "Mine"
    before = sorted(p.name for p in (tmp_path / "out" / "backbones").iterdir())
    capsys.readouterr()
    second = trainer.ablate(str(path), data, out)
    assert [a["loss"] for a in second["arms"][:3]] == [a["loss"] for a in result["arms"][:3]]
    assert (
        "trained already" in capsys.readouterr().err
        and sorted(p.name for p in (tmp_path / "out" / "backbones").iterdir()) == before
    )


def test_a_backbone_that_is_not_in_bootstrap_is_an_error(data, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**MINE, "bootstrap": {"text": {"words": 2}}}))
    with pytest.raises(RecipeError, match="in the text: 'tower' is not in bootstrap; there are words"):
        trainer.ablate(str(path), data, tmp_path / "out")


def test_a_run_without_held_out_pairs_is_an_error(tmp_path):
    run = made.run(tmp_path / "run", {"pairs": {"train": 4}, "interleaved": {"train": 4, "validation": 4}})
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(MINE))
    with pytest.raises(RecipeError, match="the score needs two validation samples of layout pairs"):
        trainer.ablate(str(path), run, tmp_path / "out")
    assert not (tmp_path / "backbones").exists()


def test_a_difference_within_its_error_has_no_verdict():
    torch.manual_seed(0)
    tokens = torch.full((50, 1), 10.0)
    base = torch.rand(50, 1) * 10
    scores = {
        name: torch.cat([base + shift + torch.randn(50, 1) * 0.5, tokens], 1)
        for name, shift in (("a", 0.0), ("b", -3.0), ("c", 0.0))
    }
    verdicts = [
        answer(Question(first=first, second=second), scores)["ours"]
        for first, second in (("a", "b"), ("b", "a"), ("a", "c"))
    ]
    assert verdicts == ["better", "worse", "not told apart"]


@pytest.mark.parametrize("name", FINDINGS)
def test_the_page_of_findings_cites_the_paper_as_the_recipes_do(name):
    """Section, tables and scores; the recipe's text is printed above each table."""
    spec = checked(Finding, read(RECIPES / "ablations" / f"{name}.yaml"), RECIPES)
    page = (Path(__file__).resolve().parents[2] / "docs" / "findings.md").read_text("utf-8")
    assert f"Paper: {spec.paper.strip()}" in page and spec.title in page
    tables = {"finding-4": "tables 3 and 4", "finding-6": "tables 9 and 15"}  # as a reader checked in the paper
    assert tables.get(name, "") in spec.paper
