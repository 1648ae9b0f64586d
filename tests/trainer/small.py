"""The smallest model, for tests of the plumbing."""

from __future__ import annotations

import numpy as np
import torch

from shards import tokens
from shards.image import decode
from trainer import config
from trainer.collate import Collator, Tensors
from trainer.forward import logits, token_losses
from trainer.images import Eye
from trainer.layout import Specials
from trainer.model import Idefics2ForConditionalGeneration, build

LATENTS = 4
TOKENIZER = tokens.load("bytes")
SPECIALS = Specials.of(TOKENIZER)
MODEL = config.Model(
    text=config.Text(hidden=64, intermediate=96, layers=2, heads=4, kv_heads=2, positions=1024),
    vision=config.Vision(hidden=32, intermediate=64, layers=2, heads=4, image=56),
    perceiver=config.Perceiver(latents=LATENTS, depth=1, heads=4, head_dim=16, kv_heads=2),
    deviation=0.06,
)


def model(seed: int = 0) -> Idefics2ForConditionalGeneration:
    torch.manual_seed(seed)
    return build(MODEL, TOKENIZER.vocab_size, SPECIALS)


def collator(isolation: str = "documents", latents: int = LATENTS) -> Collator:
    return Collator(TOKENIZER, Eye(decode), latents, 14, isolation, LATENTS)


def learn(model: Idefics2ForConditionalGeneration, batch: Tensors, steps: int) -> None:
    """One batch, over and over, until it is known by heart."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for _ in range(steps):
        loss = token_losses(logits(model, batch), batch.labels).sum() / batch.targets
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def noise(seed: int, height: int = 56, width: int = 56) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
