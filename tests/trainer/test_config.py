"""Recipes: the priority of values, and one line for each fault."""

from pathlib import Path

import pytest

from trainer.ablations import Finding
from trainer.config import RECIPES, RecipeError, checked, load, settings
from trainer.schema import Upscale

STAGE = """
stage: mine
mixture: stage1
model:
  text: {hidden: 64, intermediate: 96, layers: 1, heads: 4, kv_heads: 2}
  vision: {hidden: 32, intermediate: 64, layers: 1, heads: 4, image: 56}
train: {steps: 3, lr: 0.001}
profiles:
  smoke: {train: {steps: 2}}
  long: {train: {steps: 9}, packing: {sequences: 8}}
"""


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize(
    "name", [p.stem for p in RECIPES.glob("*.yaml") if p.stem not in ("demo", "idefics2", "speed")]
)
@pytest.mark.parametrize("profile", ["smoke", "tiny", "full"])
def test_the_bundled_stages_have_three_sizes(name, profile):
    (recipe,) = load(name, {"profile": profile})
    assert recipe.stage == name


def test_the_demo_is_both_stages_at_the_smallest_size():
    first, second = load("demo")
    assert (first.stage, second.stage, second.init_from) == ("stage1", "stage2", "stage1")
    assert first == load("stage1", {"profile": "smoke"})[0]


def test_settings_are_read_as_yaml_reads_them():
    pairs = ["profile=full", "train.lr=1e-4", "init_from=null", "train.steps=5", "stage2.image.cache_mb=1.5"]
    assert settings(pairs) == {
        "profile": "full",
        "train.lr": 1e-4,
        "init_from": None,
        "train.steps": 5,
        "stage2.image.cache_mb": 1.5,
    }
    with pytest.raises(RecipeError, match="--set train: expected key=value"):
        settings(["train"])


@pytest.mark.parametrize(
    "data", [b"", b"- stage1", b"stage1", "stage: gr\u00f6\u00dfe".encode("latin-1"), b"stage: \0"]
)
def test_a_file_that_is_no_recipe_is_one_line_that_names_the_file(tmp_path, data):
    path = tmp_path / "mine.yaml"
    path.write_bytes(data)
    with pytest.raises(RecipeError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ") and str(caught.value).isprintable()


@pytest.mark.parametrize(
    "setting", ["=", "=1", "train.=1", "train..lr=1", "train={lr: 1, lr: 2}", "train.lr=.nan", "a=["]
)
def test_a_hostile_setting_is_one_line_that_names_the_setting(setting):
    with pytest.raises(RecipeError) as caught:
        settings([setting])
    assert f"--set {setting}: " in str(caught.value) and str(caught.value).isprintable()


def test_the_full_chain_is_the_papers_four_stages_each_from_the_one_before():
    stages = load("idefics2")
    assert [(s.stage, s.init_from) for s in stages] == [
        ("stage1", None),
        ("stage2", "stage1"),
        ("sft", "stage2"),
        ("chat", "sft"),
    ]
    assert [s.shuffle_turns for s in stages[2:]] == [True, False]


def test_full_has_the_papers_numbers():
    (recipe,) = load("stage1", {"profile": "full"})
    assert recipe.packing.sequences == 2048 and recipe.train.lr == 1e-4 and recipe.model.perceiver.latents == 64
    assert recipe.image.mode is None and recipe.packing.sequence_length is None  # the value of the mixture


def test_a_recipe_may_have_a_byte_order_mark_and_numbers_with_an_exponent(tmp_path):
    (tmp_path / "mine.yaml").write_text(STAGE.replace("0.001", "1e-3"), "utf-8-sig")
    assert load(tmp_path / "mine.yaml")[0].train.lr == 0.001


@pytest.mark.parametrize("profile", ["smoke", "tiny", "full"])
def test_stage_two_scales_images_up_at_random(profile):
    """The paper, section 4.1: "Additionally, we randomly scale up images". The numbers are its authors' code's."""
    assert load("stage2", {"profile": profile})[0].image.upscale == Upscale(chance=0.5, most=3.0)
    assert load("stage1", {"profile": profile})[0].image.upscale.chance == 0


def test_a_run_keeps_its_identity_on_other_devices_and_loses_it_with_another_rate():
    digest = load("stage1")[0].digest
    for same in ("device=cuda", "threads=4", "packing.micro_sequences=1", "train.checkpointing=true", "on_error=raise"):
        assert load("stage1", settings([same]))[0].digest == digest, same
    for other in ("train.lr=1e-5", "packing.sequences=4", "dtype=bfloat16", "seed=1", "image.split=0.5"):
        assert load("stage1", settings([other]))[0].digest != digest, other


def test_a_profile_has_priority_over_the_file_and_overrides_over_both(tmp_path):
    path = write(tmp_path, STAGE)
    assert load(path)[0].train.steps == 2
    (recipe,) = load(path, {"profile": "long", "train.lr": 0.5})
    assert (recipe.train.steps, recipe.train.lr, recipe.packing.sequences) == (9, 0.5, 8)


def test_overrides_of_a_chain_reach_one_stage_or_all(tmp_path):
    write(tmp_path, STAGE)
    write(tmp_path, STAGE.replace("stage: mine", "stage: yours"), "yours.yaml")
    chain = write(tmp_path, "chain: [mine.yaml, yours.yaml]\nset: {seed: 5}\n", "chain.yaml")
    first, second = load(chain, {"yours.train.steps": 7, "train.lr": 0.25})
    assert (first.train.steps, second.train.steps) == (2, 7)
    assert first.train.lr == second.train.lr == 0.25 and first.seed == second.seed == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("steps: 3", "stepps: 3"), "train.stepps: no such key; did you mean `steps`?"),
        (("hidden: 64", "hiden: 64"), "model.text.hiden: no such key; did you mean `hidden`?"),
        (("stage: mine", "stage: mine\nxyzzy: 1"), "xyzzy: no such key; there are: device, dtype, evaluate"),
        (("lr: 0.001", "lr: fast"), "train.lr: Input should be a valid number"),
        (("mixture: stage1\n", ""), "mixture: Field required"),
        (("  vision:", "  #"), "model: give pretrained, or backbones, or both text and vision"),
        (("profiles:", "profile: huge\nprofiles:"), "profile: no 'huge' here; there are smoke, long"),
        (("stage: mine", "stage: ["), "not YAML"),
        (("stage: mine", "stage: mine\nstage: yours"), "line 3: stage: the key stands twice, first on line 2"),
        (("lr: 0.001", "lr: .nan"), "train.lr: `.nan` is no number"),
        (("lr: 0.001", "lr: inf"), "train.lr: Input should be a finite number"),
        (("steps: 2", "steps: 2, steps: 3"), "profiles.smoke.train.steps: the key stands twice"),
        (("mixture: stage1", "mixture: no"), "mixture: expected text, not False; put it in quotes"),
        (("mixture: stage1", "mixture: 12:30"), "mixture: YAML 1.1 reads `12:30` as 750"),
        (("stage: mine", "stage: ../../evil"), "stage: String should match pattern"),
        (("stage: mine", "stage: con"), "stage: Windows allows no file of the name con"),
        (("stage: mine", "stage: " + "x" * 300), "stage: a name has at most 100 bytes"),
        (("stage: mine", "\tstage: mine"), "a tab; indent with spaces"),
    ],
)
def test_a_fault_is_one_line_that_names_file_and_key(tmp_path, change, message):
    path = write(tmp_path, STAGE.replace(*change))
    with pytest.raises(RecipeError) as caught:
        load(path)
    assert message in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_fault_inside_a_list_is_one_line(tmp_path):
    raw = {"title": "t", "paper": "p", "base": {}, "arms": [{"nam": "a"}, {"name": "b"}], "remark": "r"}
    with pytest.raises(RecipeError, match=r"arms\.0\.nam: no such key; did you mean `name`\?"):
        checked(Finding, {**raw, "questions": [{"first": "a", "second": "b"}]}, tmp_path / "mine.yaml")


def test_an_unknown_recipe_lists_the_bundled_ones():
    with pytest.raises(RecipeError, match="chat, demo, idefics2, sft, speed, stage1, stage2"):
        load("stage9")


def test_the_digest_has_only_keys_that_decide_the_weights(tmp_path):
    path = write(tmp_path, STAGE)
    digest = load(path)[0].digest
    assert (
        load(path, {"evaluate.pairs": 9, "train.save_every": 1, "image.cache_mb": 3, "train.overwrite": True})[0].digest
        == digest
    )
    assert load(path, {"train.lr": 0.002})[0].digest != digest
