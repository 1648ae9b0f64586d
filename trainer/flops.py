"""Floating-point operations of a training step, vision counted: what MFU is a share of.

A weight matrix costs 2 operations an element and token forward, as many again for the gradient of its input, and as
many for its own where it is trained (Kaplan et al., arXiv 2001.08361, section 2.1: 6 N a token); attention costs 4 d
operations a pair of query and key forward, and twice that backward (PaLM, arXiv 2204.02311, appendix B: 12 L H Q T a
token). Counted is what the batch needs: tokens and patches that are not padding, pairs within a document (both
triangles, as PaLM counts), activations once even where checkpointing computes them again.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from trainer.collate import Tensors
from trainer.forward import bare

#: dense bfloat16 operations a second, by a word of the device's name; NVIDIA's data sheets
PEAKS = {"B200": 2.25e15, "H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12}

#: what a weight is applied to
TOKENS, PATCHES, LATENTS, CONTEXT, IMAGES = "tokens", "patches", "latents", "patches and latents", "features"


def peak(device: torch.device) -> float | None:
    """Of one device; None where we know no figure."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((value for word, value in PEAKS.items() if word in name), None)


@dataclass(frozen=True)
class Costs:
    """Of a model once and for all. linear: operations an item, by what the items are. The rest: operations a pair in
    attention.
    """

    linear: dict[str, float]
    text: float
    vision: float
    perceiver: float
    cross: float
    patch: int
    latents: int

    @classmethod
    def of(cls, model: nn.Module, latents: int) -> Costs:
        """latents: features an image becomes."""
        config: Any = bare(model).config
        text, vision, perceiver = config.text_config, config.vision_config, config.perceiver_config
        linear: dict[str, float] = defaultdict(float)
        pools = bare(model).spec.connector.kind in ("avg_pool", "linear_pool")
        trains_vision = any(w.requires_grad for name, w in model.named_parameters() if "vision_model" in name)
        for name, weight in model.named_parameters():
            if weight.dim() < 2 or "embed_tokens" in name or "position_embedding" in name or name.endswith("latents"):
                continue
            back = 1 if "vision_model" not in name or trains_vision else 0
            back = 0 if "patch_embedding" in name else back  # pixels want no gradient
            linear[LATENTS if pools and "modality_projection" in name else applied(name)] += (
                2.0 * weight.numel() * (1 + back + weight.requires_grad)
            )
        pooled = "perceiver_resampler" in "".join(name for name, _ in model.named_parameters())
        crossed = len(getattr(bare(model).model, "cross", ()))
        return cls(
            linear=dict(linear),
            text=12.0 * text.num_hidden_layers * text.num_attention_heads * head(text),
            vision=(12.0 if trains_vision else 4.0) * vision.num_hidden_layers * vision.hidden_size,
            perceiver=12.0
            * perceiver.resampler_depth
            * perceiver.resampler_n_heads
            * perceiver.resampler_head_dim
            * pooled,
            cross=12.0 * crossed * text.hidden_size,
            patch=vision.patch_size,
            latents=latents,
        )

    def step(self, batch: Tensors) -> float:
        """Forward and backward of a batch."""
        rows = [row[row != 0].unique(return_counts=True)[1] for row in batch.documents]
        lengths = torch.cat(rows).double()
        areas = (
            batch.pixels.mask[0].flatten(1).sum(1).double() / self.patch**2
            if batch.images
            else torch.zeros(0, dtype=torch.float64)
        )
        patches, features = float(areas.sum()), float(len(areas) * self.latents)
        counts = {
            TOKENS: float(lengths.sum()),
            PATCHES: patches,
            LATENTS: features,
            CONTEXT: patches + features,
            IMAGES: features,
        }
        total = sum(each * counts[what] for what, each in self.linear.items())
        total += self.text * float((lengths**2).sum()) + self.vision * float((areas**2).sum())
        total += self.perceiver * float((self.latents * (areas + self.latents)).sum())
        return total + self.cross * counts[TOKENS] * self.latents * (batch.images > 0)


def head(text: Any) -> int:
    return int(getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)


def applied(name: str) -> str:
    """What a weight matrix of that name is applied to."""
    if "perceiver_resampler" in name:
        return CONTEXT if "k_proj" in name or "v_proj" in name else LATENTS
    if "vision_model" in name:
        return PATCHES
    if "connector.linear" in name:
        return LATENTS
    if "connector" in name:
        return PATCHES
    if ".cross." in name:
        return IMAGES if ".key." in name or ".value." in name else TOKENS
    return TOKENS
