"""Damaged samples are left out, counted, and stop a run only if they are many."""

import io
import json
import re
import tarfile

import pytest

import trainer
from shards.image import ImageError
from tests.trainer import made
from trainer.loop import DamagedError

SETTINGS = {"train.steps": 4, "train.warmup": 0, "evaluate.pairs": 6, "image.cache_mb": 0}


def data_with(folder, damaged: int, of: int, fault: str = "image", split: str = "train"):
    """A run of pairs of which the first `damaged` have a JPEG of zeros, or no readable JSON."""
    run = made.run(folder, {"pairs": {"train": of, "validation": 6}})
    (file,) = run.rglob(f"{split}-*.tar")
    content = bytearray(file.read_bytes())
    with tarfile.open(fileobj=io.BytesIO(bytes(content))) as tar:
        ending = ".jpg" if fault == "image" else ".json"
        members = [member for member in tar if member.name.endswith(ending)][:damaged]
    for member in members:
        content[member.offset_data : member.offset_data + member.size] = bytes(member.size)
    file.write_bytes(content)
    return run


@pytest.mark.parametrize("fault", ["image", "sample"])
def test_one_damaged_sample_is_left_out_and_counted(fault, tmp_path, capsys):
    data = data_with(tmp_path / "run", 1, 12, fault)
    (stage,) = trainer.train("stage1", data, tmp_path / "out", overrides=SETTINGS)["stages"]
    lines = [json.loads(line) for line in (tmp_path / "out" / "stage1" / "log.jsonl").read_text().splitlines()]
    assert stage["steps"] == 4 and stage["skipped"] == sum(line["skipped"] for line in lines) > 0
    assert stage["samples"] == sum(line["samples"] for line in lines) > stage["skipped"]
    error = capsys.readouterr().err
    assert f"skipped {max(line['skipped'] for line in lines)}" in error
    if fault == "image":
        assert re.search(r"pairs 000000000000: left out: no image of a known kind", error)


def test_on_error_raise_names_the_sample(tmp_path):
    data = data_with(tmp_path / "run", 1, 12)
    with pytest.raises(ImageError, match="pairs 000000000000: no image of a known kind"):
        trainer.train("stage1", data, tmp_path / "out", overrides={**SETTINGS, "on_error": "raise"})


@pytest.mark.parametrize("fault", ["image", "sample"])
@pytest.mark.parametrize("damaged", [5, 12])
def test_a_run_of_which_many_samples_are_damaged_stops(fault, damaged, tmp_path):
    data = data_with(tmp_path / "run", damaged, 12, fault)
    many = {**SETTINGS, "train.steps": 40}
    with pytest.raises(
        DamagedError, match=r"stage1: \d+ of \d+ samples could not be read, more than max_skipped 0\.01"
    ):
        trainer.train("stage1", data, tmp_path / "out", overrides=many)


def test_a_run_that_stopped_goes_on_with_another_limit_as_a_run_without_the_stop(tmp_path):
    data = data_with(tmp_path / "run", 3, 12)
    settings = {**SETTINGS, "train.steps": 12, "train.save_every": 1, "evaluate.pairs": 0}
    with pytest.raises(DamagedError):
        trainer.train("stage1", data, tmp_path / "out", overrides=settings)
    loose = {**settings, "max_skipped": 0.9}
    (stage,) = trainer.train("stage1", data, tmp_path / "out", overrides=loose)["stages"]
    (whole,) = trainer.train("stage1", data, tmp_path / "whole", overrides=loose)["stages"]
    assert stage["steps"] == 12 and (stage["last_loss"], stage["skipped"]) == (whole["last_loss"], whole["skipped"])


def test_a_damaged_held_out_pair_does_not_stop_the_evaluation(tmp_path):
    data = data_with(tmp_path / "run", 2, 12, split="validation")
    (stage,) = trainer.train("stage1", data, tmp_path / "out", overrides=SETTINGS)["stages"]
    assert stage["held_out"]["pairs"] == 4 and stage["skipped"] == 0
