"""Stages on shards, as the command `train` runs them."""

import json
import os
import re

import pytest

import trainer
from tests.trainer import made
from trainer.config import RecipeError
from trainer.run import fingerprint

SETTINGS = {"train.steps": 3, "train.warmup": 1, "evaluate.pairs": 8}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    counts = {"pairs": {"train": 12, "validation": 8}, "interleaved": {"train": 6}, "ocr": {"train": 3}}
    return made.run(tmp_path_factory.mktemp("run"), counts)


def test_stage_two_starts_from_stage_one(data, tmp_path):
    result = trainer.train("demo", data, tmp_path, overrides={**SETTINGS, "stage2.train.lr": 1e-12})
    one, two = result["stages"]
    assert (one["stage"], two["stage"]) == ("stage1", "stage2") and result["first_loss"] == one["first_loss"]
    # With a learning rate near 0, stage 2 keeps the weights of stage 1. New weights would have a higher loss.
    assert two["held_out"]["normal"] == pytest.approx(one["held_out"]["normal"], abs=0.2)
    assert one["first_loss"] - one["last_loss"] > 0.5
    assert set(two["by_source"]) <= {"pairs", "interleaved", "ocr"}
    assert json.loads((tmp_path / "stage2" / "result.json").read_text()) == two
    assert two["held_out"]["pairs"] == 8


def test_a_finished_recipe_is_not_trained_again_and_another_recipe_is(data, tmp_path, capsys):
    first = trainer.train("stage1", data, tmp_path, overrides=SETTINGS)
    stamp = (tmp_path / "stage1" / "model" / "model.safetensors").stat().st_mtime_ns
    capsys.readouterr()
    assert trainer.train("stage1", data, tmp_path, overrides=SETTINGS) == first
    assert "trained already" in capsys.readouterr().err
    assert (tmp_path / "stage1" / "model" / "model.safetensors").stat().st_mtime_ns == stamp
    other = trainer.train("stage1", data, tmp_path, overrides={**SETTINGS, "train.lr": 1e-3})
    assert other["last_loss"] != first["last_loss"] and other["stages"][0]["steps"] == 3
    with pytest.raises(ValueError, match="the recipe has changed"):
        trainer.train("stage1", data, tmp_path, overrides={**SETTINGS, "train.overwrite": False})


def test_a_stage_that_stopped_in_its_evaluation_is_not_trained_or_exported_again(data, tmp_path, monkeypatch):
    def killed(*args, **kwargs):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("trainer.finish.held_out", killed)
        with pytest.raises(ZeroDivisionError):
            trainer.train("stage1", data, tmp_path, overrides=SETTINGS)
    result = json.loads((tmp_path / "stage1" / "result.json").read_text())
    assert result["steps"] == 3 and "held_out" not in result
    with monkeypatch.context() as patch:
        for name in ("trainer.run.fit", "trainer.finish.export"):
            patch.setattr(name, killed)
        (stage,) = trainer.train("stage1", data, tmp_path, overrides=SETTINGS)["stages"]
    assert stage == {**result, "held_out": stage["held_out"]} and stage["held_out"]["pairs"] == 8
    (whole,) = trainer.train("stage1", data, tmp_path / "whole", overrides=SETTINGS)["stages"]
    assert whole["held_out"]["normal"] == pytest.approx(stage["held_out"]["normal"], abs=1e-5)


def test_a_copy_of_a_start_is_the_same_start_and_other_weights_are_not(tmp_path):
    (tmp_path / "copy").mkdir()
    file, copy = tmp_path / "model.safetensors", tmp_path / "copy" / "model.safetensors"
    weights = bytes(i % 251 for i in range(300_000))
    file.write_bytes(weights)
    copy.write_bytes(weights)
    os.utime(copy, (0, 0))
    assert fingerprint(file) == fingerprint(copy)
    for place in (0, 150_000, 299_999):
        copy.write_bytes(weights[:place] + bytes([weights[place] ^ 1]) + weights[place + 1 :])
        assert fingerprint(file) != fingerprint(copy)


def test_a_chain_whose_last_stage_has_no_samples_does_not_start(data, tmp_path):
    with pytest.raises(ValueError, match=r"mixture sft: none of its sources \(conversations .*\) has samples here"):
        trainer.train("idefics2", data, tmp_path, overrides=SETTINGS)
    assert not (tmp_path / "stage1").exists()


def test_stage_two_without_stage_one_is_an_error(data, tmp_path):
    with pytest.raises(
        RecipeError,
        match=r"stage2: init_from: neither a trained stage of .* nor a model's folder: 'stage1'; train stage1",
    ):
        trainer.train("stage2", data, tmp_path)


def test_the_default_output_is_in_the_folder_of_the_run(data):
    result = trainer.train("stage1", data, overrides={**SETTINGS, "train.steps": 1, "train.warmup": 0})
    assert result["out"] == str(data / "train") and (data / "train" / "stage1" / "model" / "config.json").is_file()


def test_validation_pairs_are_not_trained_on(data):
    from trainer.config import load
    from trainer.data import Run

    run, (recipe,) = Run.open(data), load("stage1")
    mixture = run.mix(recipe, 8)
    held_out_ids = {sample.json["id"] for sample in run.held_out_pairs(mixture, 100, 0)}
    training_ids = set()
    for batch in run.loader(mixture, 0):
        if batch.step == 20:
            break
        training_ids |= {sample.json["id"] for sequence in batch.sequences for sample in sequence}
    assert len(held_out_ids) == 8 and training_ids and not held_out_ids & training_ids
    assert run.held_out_pairs(mixture, 0, 0) == [] and len(run.held_out_pairs(mixture, 3, 0)) == 3


def test_the_speed_recipe_prints_its_speed(data, tmp_path, capsys):
    """bfloat16 and checkpointing, as on an accelerator. The peak is an arbitrary number."""
    settings = {"train.steps": 4, "train.peak_tflops": 0.5, "packing.sequences": 2, "packing.micro_sequences": 1}
    (stage,) = trainer.train("speed", data, tmp_path, overrides=settings)["stages"]
    lines = [json.loads(line) for line in (tmp_path / "speed" / "log.jsonl").read_text().splitlines()][1:]
    seconds = sum(line["seconds"] for line in lines)
    assert stage["speed"]["tokens_per_s"] == pytest.approx(sum(line["tokens"] for line in lines) / seconds)
    assert stage["speed"]["mfu"] == pytest.approx(sum(line["flops"] for line in lines) / seconds / 0.5e12)
    assert stage["speed"]["wait"] == pytest.approx(sum(line["wait"] for line in lines) / seconds)
    rates = r"[\d,]+ tokens/s, [\d,.]+ images/s, MFU [\d.]+%, [\d.]+% of it waiting for data"
    line = rf"speed: \d+ s after the first step: {rates}"
    assert re.search(line, capsys.readouterr().err)


@pytest.mark.slow
def test_the_full_chain_from_pages_to_dialogues(tmp_path):
    """Four stages on the shards of one run. Each starts from the model of the stage before."""
    counts = {
        "pairs": {"train": 60, "validation": 8},
        "interleaved": {"train": 20},
        "ocr": {"train": 6},
        "conversations": {"train": 60},
    }
    stages = trainer.train(
        "idefics2", made.run(tmp_path / "run", counts), tmp_path / "out", overrides={"tensorboard": False}
    )["stages"]
    assert [s["stage"] for s in stages] == ["stage1", "stage2", "sft", "chat"]
    assert (
        all(s["last_loss"] < s["first_loss"] for s in stages[:3]) and stages[3]["first_loss"] < stages[2]["first_loss"]
    )
    assert set(stages[2]["by_source"]) == set(stages[3]["by_source"]) == {"conversations"}


@pytest.mark.slow
def test_the_demo_learns_from_images(tmp_path):
    """The full demo recipe: the gap is above three standard errors, and the loss of each source falls."""
    counts = {"pairs": {"train": 600, "validation": 64}, "interleaved": {"train": 120}, "ocr": {"train": 40}}
    result = trainer.train("demo", made.run(tmp_path / "run", counts), tmp_path / "out")
    assert result["last_loss"] < 0.8 * result["first_loss"]
    for stage in result["stages"]:
        evaluation = stage["held_out"]
        assert evaluation["permuted"] > evaluation["normal"] and evaluation["gap"] > 3 * evaluation["error"]
    stage1, stage2 = (stage["by_source"] for stage in result["stages"])
    assert all(stage2[name][1] < 0.8 * stage1.get(name, stage2[name])[0] for name in stage2)
