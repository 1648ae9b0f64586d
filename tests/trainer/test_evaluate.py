"""The held-out evaluation: it separates a model that uses images from one that does not."""

from __future__ import annotations

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
    drawn = [picture(seed) for seed in range(6)]
    return [Sample(f"p{i}", "pairs", [0, caption], [data]) for i, (data, caption) in enumerate(drawn)]


def test_a_derangement_moves_everything():
    for n in range(2, 40):
        order = derangement(n, random.Random(n))
        assert sorted(order) == list(range(n)) and all(place != item for place, item in enumerate(order))


def test_a_model_that_learnt_its_pairs_loses_by_the_permutation(pairs):
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


def test_equal_images_make_no_gap(pairs):
    same = [Sample(pair.key, "pairs", pair.content, pairs[0].images) for pair in pairs]
    score = held_out(small.model(), same, ROWS, Evaluate(pairs=6))
    assert score.gap == score.error == 0.0


def test_it_counts_caption_tokens_alone_whatever_the_batch(pairs):
    model = small.model()
    together = losses(model, pairs, ROWS, 6)
    single = losses(model, pairs, ROWS, 1)
    assert together[:, 1].tolist() == [len(str(pair.content[1]).encode()) + 1 for pair in pairs]  # and </s>
    torch.testing.assert_close(together, single, atol=1e-3, rtol=1e-5)


def test_one_pair_cannot_swap(pairs):
    with pytest.raises(ValueError, match="1 pairs cannot swap images"):
        held_out(small.model(), pairs[:1], ROWS, Evaluate(pairs=1))
