"""Floating-point operations of a training step, with vision: the numerator of MFU.

A weight matrix costs 2 operations for each element and token forward, 2 for the gradient of its input, and 2 for its
own gradient if it is trained (Kaplan et al., arXiv 2001.08361, section 2.1: 6 N for a token). Attention costs 4 d
operations for each pair of query and key forward, and twice that backward (PaLM, arXiv 2204.02311, appendix B: 12 L H Q
T for a token). The count is what the batch needs: tokens and patches without padding, pairs within a document (both
triangles, as PaLM counts), and activations once even if checkpointing computes them again.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import nn

from trainer.collate import Tensors
from trainer.forward import without_adapters

#: dense bfloat16 operations a second, by a word of the device's name (NVIDIA's data sheets)
PEAKS = {"B200": 2.25e15, "H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12}

#: the items that a weight is applied to
TOKENS, PATCHES, LATENTS, CONTEXT, IMAGES = "tokens", "patches", "latents", "patches and latents", "features"


def peak(device: torch.device) -> float | None:
    """Operations a second of one device; None for a device that is not in PEAKS."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((value for word, value in PEAKS.items() if word in name), None)


@dataclass(frozen=True)
class Costs:
    """Operations of a model.

    linear: for an item, by the kind of items. text, vision, perceiver, cross: for a pair in attention. patch: side in
    pixels. latents: features of an image.
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
        """The costs of a model whose trained weights are marked. latents: features of an image."""
        inner = without_adapters(model)
        text, vision, perceiver = inner.config.text_config, inner.config.vision_config, inner.config.perceiver_config
        weights = list(model.named_parameters())
        linear: dict[str, float] = defaultdict(float)
        pools = inner.spec.connector.kind in ("avg_pool", "linear_pool")
        trains_vision = any(weight.requires_grad for name, weight in weights if "vision_model" in name)
        for name, weight in weights:
            if weight.dim() < 2 or "embed_tokens" in name or "position_embedding" in name or name.endswith("latents"):
                continue
            # whether the input needs a gradient; pixels do not
            backward = ("vision_model" not in name or trains_vision) and "patch_embedding" not in name
            items = LATENTS if pools and "modality_projection" in name else applied_to(name)
            linear[items] += 2.0 * weight.numel() * (1 + backward + weight.requires_grad)
        resampled = any("perceiver_resampler" in name for name, _ in weights)
        head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        latent_width = perceiver.resampler_n_heads * perceiver.resampler_head_dim
        return cls(
            linear=dict(linear),
            text=12.0 * text.num_hidden_layers * text.num_attention_heads * head,
            vision=(12.0 if trains_vision else 4.0) * vision.num_hidden_layers * vision.hidden_size,
            perceiver=12.0 * perceiver.resampler_depth * latent_width * resampled,
            cross=12.0 * len(getattr(inner.model, "cross", ())) * text.hidden_size,
            patch=vision.patch_size,
            latents=latents,
        )

    def step(self, batch: Tensors) -> float:
        """Operations of a batch, forward and backward."""
        lengths = torch.cat([row[row != 0].unique(return_counts=True)[1] for row in batch.documents]).double()
        areas = torch.zeros(0, dtype=torch.float64)  # patches of each image
        if batch.images:
            areas = batch.pixels.mask[0].flatten(1).sum(1).double() / self.patch**2
        tokens, patches, features = float(lengths.sum()), float(areas.sum()), float(len(areas) * self.latents)
        counts = {TOKENS: tokens, PATCHES: patches, LATENTS: features, CONTEXT: patches + features, IMAGES: features}
        total = sum(each * counts[items] for items, each in self.linear.items())
        total += self.text * float((lengths**2).sum()) + self.vision * float((areas**2).sum())
        total += self.perceiver * float((self.latents * (areas + self.latents)).sum())
        return total + self.cross * tokens * self.latents * (batch.images > 0)


def applied_to(name: str) -> str:
    """The items that the weight matrix of that name is applied to."""
    if "perceiver_resampler" in name:
        return CONTEXT if "k_proj" in name or "v_proj" in name else LATENTS
    if ".cross." in name:
        return IMAGES if ".key." in name or ".value." in name else TOKENS
    if "connector.linear" in name:
        return LATENTS
    return PATCHES if "vision_model" in name or "connector" in name else TOKENS
