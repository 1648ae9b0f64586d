"""Whether the model uses the images: the loss on held-out pairs with their own images and with permuted images."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from shards.sample import Sample
from trainer.collate import Tensors
from trainer.forward import logits, token_losses
from trainer.schema import Evaluate

Pairs = Sequence[Sample]
Collate = Callable[..., Tensors]


@dataclass(frozen=True)
class HeldOut:
    """normal, permuted: mean loss of caption tokens, nats. gap: permuted - normal. error: of the gap, over pairs."""

    pairs: int
    normal: float
    permuted: float
    gap: float
    error: float


def held_out(model: nn.Module, pairs: Pairs, collate: Collate, spec: Evaluate, seed: int = 0) -> HeldOut:
    """Scores pairs with their own images and with those of `spec.permutations` permutations.

    collate: rows of samples as a batch, a `Collator` with the size of images. No pair has its own image in a
    permutation. Each pair is a row. The mean is over caption tokens, with ``</s>`` and without ``<fake>``, so long
    captions weigh more. Raises ValueError for fewer than two pairs.
    """
    if len(pairs) < 2:
        raise ValueError(f"{len(pairs)} pairs cannot swap images")
    rng = random.Random(seed)
    own = losses(model, pairs, collate, spec.batch)
    swapped = torch.zeros_like(own)
    for _ in range(spec.permutations):
        order = derangement(len(pairs), rng)
        mixed = [replace(pair, images=pairs[other].images) for pair, other in zip(pairs, order, strict=True)]
        swapped += losses(model, mixed, collate, spec.batch) / spec.permutations
    tokens = own[:, 1].sum()
    normal, permuted = float(own[:, 0].sum() / tokens), float(swapped[:, 0].sum() / tokens)
    gaps = (swapped[:, 0] - own[:, 0]) * len(pairs) / tokens
    return HeldOut(len(pairs), normal, permuted, permuted - normal, float(gaps.std() / len(pairs) ** 0.5))


def losses(model: nn.Module, pairs: Pairs, collate: Collate, batch: int) -> torch.Tensor:
    """float64 [pairs, 2]: the summed loss and the number of the caption tokens of each pair."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    out = []
    with torch.no_grad():
        for start in range(0, len(pairs), batch):
            rows = collate([[pair] for pair in pairs[start : start + batch]]).to(device)
            text = rows.text[:, 1:]
            loss = token_losses(logits(model, rows), rows.labels) * text
            out.append(torch.stack([loss.sum(1), text.sum(1)], dim=1).double().cpu())
    model.train(was_training)
    return torch.cat(out)


def derangement(n: int, rng: random.Random) -> list[int]:
    """A permutation of 0..n-1 that moves every item: one cycle through a random order."""
    order = list(range(n))
    rng.shuffle(order)
    after = dict(zip(order, order[1:] + order[:1], strict=True))
    return [after[item] for item in range(n)]
