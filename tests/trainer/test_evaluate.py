"""The held-out evaluation: its gap shows whether a model uses images."""

import random
from functools import partial

import pytest
import torch

from tests.trainer import small
from tests.trainer.fakes import Sample
from tests.trainer.pictures import picture
from trainer.evaluate import derangement, held_out, losses
from trainer.forward import logits, token_losses
from trainer.schema import Evaluate

ROWS = partial(small.collator(), mode="square", longest=56, shortest=56)


@pytest.fixture(scope="module")
def pairs():
    pictures = [picture(seed) for seed in range(6)]
    return [Sample(f"p{i}", "pairs", [0, caption], [data]) for i, (data, caption) in enumerate(pictures)]


def test_a_derangement_moves_every_item():
    for n in range(2, 40):
        order = derangement(n, random.Random(n))
        assert sorted(order) == list(range(n)) and all(place != item for place, item in enumerate(order))


def test_permuted_images_raise_the_loss_of_a_trained_model(pairs):
    model = small.model()
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3)
    batch = ROWS([[pair] for pair in pairs])
    for _ in range(60):
        loss = token_losses(logits(model, batch), batch.labels).sum() / batch.targets
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    score = held_out(model, pairs, ROWS, Evaluate(pairs=6))
    assert score.normal < score.permuted and score.gap == score.permuted - score.normal and score.gap > 0.05
    assert model.training


def test_equal_images_give_no_gap(pairs):
    pairs_of_one_image = [Sample(pair.key, "pairs", pair.content, pairs[0].images) for pair in pairs]
    score = held_out(small.model(), pairs_of_one_image, ROWS, Evaluate(pairs=6))
    assert score.gap == score.error == 0.0


def test_only_caption_tokens_are_counted_for_any_batch_size(pairs):
    model = small.model()
    in_one_batch = losses(model, pairs, ROWS, 6)
    in_single_batches = losses(model, pairs, ROWS, 1)
    assert in_one_batch[:, 1].tolist() == [len(str(pair.content[1]).encode()) + 1 for pair in pairs]  # and </s>
    torch.testing.assert_close(in_one_batch, in_single_batches, atol=1e-3, rtol=1e-5)


def test_one_pair_alone_is_an_error(pairs):
    with pytest.raises(ValueError, match="1 pairs cannot swap images"):
        held_out(small.model(), pairs[:1], ROWS, Evaluate(pairs=1))
