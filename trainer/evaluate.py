"""Whether the model uses the images: the loss on held-out pairs with their own images, and with each other's."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from trainer.collate import Collator, Document
from trainer.config import Evaluate
from trainer.forward import logits, token_losses


@dataclass(frozen=True)
class HeldOut:
    """normal, permuted: mean loss over caption tokens, nats. gap: permuted - normal. error: standard error of the gap
    over pairs.
    """

    pairs: int
    normal: float
    permuted: float
    gap: float
    error: float


@dataclass(frozen=True)
class Swapped:
    """A pair with another pair's image."""

    key: str
    images: list[bytes]
    content: list[str | int]

    def parts(self) -> list[str | int]:
        return self.content


def held_out(
    model: nn.Module,
    pairs: Sequence[Document],
    collate: Collator,
    spec: Evaluate,
    image: tuple[str, int, int],
    seed: int = 0,
    length: int | None = None,
) -> HeldOut:
    """image: mode, longest and shortest side. length: cut captions to a row of this many tokens.

    Each permutation is drawn anew and leaves no pair its image. Each pair is a row of its own; the mean is over caption
    tokens (``</s>`` among them, ``<fake>`` not), so long captions weigh more.
    """
    if len(pairs) < 2:
        raise ValueError(f"{len(pairs)} pairs cannot swap images")
    rng = random.Random(seed)
    own = losses(model, pairs, collate, spec.batch, image, length)
    swapped = torch.zeros_like(own)
    for _ in range(spec.permutations):
        order = derangement(len(pairs), rng)
        mixed = [Swapped(pair.key, pairs[other].images, pair.parts()) for pair, other in zip(pairs, order, strict=True)]
        swapped += losses(model, mixed, collate, spec.batch, image, length) / spec.permutations
    tokens = own[:, 1].sum()
    normal, permuted = float(own[:, 0].sum() / tokens), float(swapped[:, 0].sum() / tokens)
    gaps = (swapped[:, 0] - own[:, 0]) * len(pairs) / tokens
    return HeldOut(len(pairs), normal, permuted, permuted - normal, float(gaps.std() / len(pairs) ** 0.5))


def losses(
    model: nn.Module,
    pairs: Sequence[Document],
    collate: Collator,
    batch: int,
    image: tuple[str, int, int],
    length: int | None,
) -> torch.Tensor:
    """float64 [pairs, 2]: summed loss and number of the caption tokens of each pair."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    out = []
    with torch.no_grad():
        for start in range(0, len(pairs), batch):
            rows = collate([[pair] for pair in pairs[start : start + batch]], *image, length).to(device)
            counted = rows.text[:, 1:]
            loss = token_losses(logits(model, rows), rows.labels) * counted
            out.append(torch.stack([loss.sum(1), counted.sum(1)], dim=1).double().cpu())
    model.train(was_training)
    return torch.cat(out)


def derangement(n: int, rng: random.Random) -> list[int]:
    """A permutation of 0..n-1 that moves everything: one cycle through a random order."""
    order = list(range(n))
    rng.shuffle(order)
    out = [0] * n
    for place, item in enumerate(order):
        out[item] = order[(place + 1) % n]
    return out
