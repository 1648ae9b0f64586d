"""The smallest model, for tests that need no useful weights."""

import numpy as np
import torch

from shards import tokens
from shards.image import decode
from trainer import schema
from trainer.collate import Collator, Tensors
from trainer.forward import logits, token_losses
from trainer.images import ImageReader
from trainer.layout import Specials
from trainer.model import Idefics2ForConditionalGeneration, build

LATENTS = 4
TOKENIZER = tokens.load("bytes")
SPECIALS = Specials.of(TOKENIZER)
MODEL = schema.Model(
    text=schema.Text(hidden=64, intermediate=96, layers=2, heads=4, kv_heads=2, positions=1024),
    vision=schema.Vision(hidden=32, intermediate=64, layers=2, heads=4, image=56),
    perceiver=schema.Perceiver(latents=LATENTS, depth=1, heads=4, head_dim=16, kv_heads=2),
    deviation=0.06,
)


def model(seed: int = 0) -> Idefics2ForConditionalGeneration:
    torch.manual_seed(seed)
    return build(MODEL, TOKENIZER.vocab_size, SPECIALS)


def collator(isolation: str = "documents", latents: int = LATENTS) -> Collator:
    return Collator(TOKENIZER, ImageReader(decode), latents, 14, isolation, LATENTS)


def learn(model: Idefics2ForConditionalGeneration, batch: Tensors, steps: int) -> None:
    """Trains on one batch until the model can repeat it."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for _ in range(steps):
        loss = token_losses(logits(model, batch), batch.labels).sum() / batch.targets
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def noise(seed: int, height: int = 56, width: int = 56) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
