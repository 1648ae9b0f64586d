"""The split of images into crops and their enlargement depend on seed, epoch and id, and are planned in advance."""

from dataclasses import replace

import numpy as np
import pytest

from shards.image import decode
from tests.trainer import made, small
from tests.trainer.fakes import Sample
from tests.trainer.pictures import picture
from trainer.collate import split
from trainer.config import load
from trainer.data import Run, collator
from trainer.images import ImageReader
from trainer.schema import Upscale


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return made.run(
        tmp_path_factory.mktemp("run"), {"pairs": {"train": 40}, "interleaved": {"train": 12}, "ocr": {"train": 3}}
    )


def test_a_split_image_is_four_crops_and_the_full_image():
    data, _ = picture(3)
    views = ImageReader(decode).views(data, ("square", 56, 28))
    assert [view.shape for view in views] == [(56, 56, 3)] * 5
    assert np.array_equal(views[4], decode(data, "square", 56, 28))
    mosaic = np.block([[[views[0]], [views[1]]], [[views[2]], [views[3]]]]).astype(float)
    full = decode(data, "square", 112, 28).astype(float)
    assert np.abs(mosaic - full).mean() < 6 < np.abs(mosaic[::-1] - full).mean()  # the crops are at their positions


def test_a_split_image_gives_five_consecutive_images_in_the_text():
    sample = Sample("s", "pairs", ["a", 0, "b", 1], [])
    sample.views = 5
    assert split(sample) == ["a", 0, 1, 2, 3, 4, "b", 5, 6, 7, 8, 9]


def test_enlarging_is_bounded_and_depends_only_on_seed_epoch_and_sample():
    data, _ = picture(4)
    reader = ImageReader(decode, 1, seed=1, upscale=Upscale(chance=0.5, most=3.0))
    sizes = [reader.image(data, ("native", 1200, 100), f"s{i}").shape[:2] for i in range(60)]
    plain = decode(data, "native", 1200, 100).shape[:2]
    larger = [size for size in sizes if size != plain]
    assert 15 < len(larger) < 45 and all(max(size) <= 1200 and min(size) >= 1.4 * min(plain) for size in larger)
    assert all(size[0] / size[1] == pytest.approx(plain[0] / plain[1], rel=0.02) for size in sizes)
    assert sizes == [reader.image(data, ("native", 1200, 100), f"s{i}").shape[:2] for i in range(60)]
    assert sizes != [reader.image(data, ("native", 1200, 100), f"s{i}", epoch=1).shape[:2] for i in range(60)]
    assert reader.image(data, ("square", 56, 28)).shape == (56, 56, 3)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_rows_have_space_for_the_crops_and_a_split_is_fixed_for_an_epoch(data, share):
    (recipe,) = load("stage2", {"profile": "smoke", "image.split": share, "packing.sequence_length": 320})
    run = Run.open(data)
    mixture = run.mix(recipe, 8)
    assert mixture.sources["pairs"].split == share
    collate = collator(run, recipe, 8, 14, 8)
    views_of: dict[tuple[str, int], int] = {}
    for batch in run.loader(mixture, 0):
        if batch.step == 60:
            break
        tensors = collate(batch.sequences, "native", 84, 42, batch.sequence_length)  # raises if a row is too long
        expected = sum(sample.views * len(sample.images) for row in batch.sequences for sample in row)
        assert tensors.images == expected
        for row in batch.sequences:
            for sample in row:
                assert views_of.setdefault((sample.json["id"], sample.epoch), sample.views) == sample.views
    shares = [views == 5 for views in views_of.values()]
    assert np.mean(shares) == pytest.approx(share, abs=0.17 if share == 0.5 else 0)
    ids = {name for name, _ in views_of}
    both = [(views_of[name, 0], views_of[name, 1]) for name in ids if (name, 0) in views_of and (name, 1) in views_of]
    if share == 0.5:
        assert any(a != b for a, b in both)  # the split differs between epochs


def test_a_state_of_another_share_is_refused(data):
    (recipe,) = load("stage2")
    run = Run.open(data)
    mixture = run.mix(recipe, 8)
    state = run.loader(mixture, 0).state_dict()
    other = replace(mixture, sources={name: replace(source, split=0.5) for name, source in mixture.sources.items()})
    with pytest.raises(ValueError, match="another data order"):
        run.loader(other, 0).load_state_dict(state)


def test_an_empty_batch_has_no_target():
    batch = small.collator().empty()
    assert batch.targets == 0 and batch.images == 0 and batch.tokens == 1
