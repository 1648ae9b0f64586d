"""Connectors: from the patches a vision tower saw to the tokens a decoder reads.

Idefics2's own (the modality projection, then the perceiver) is transformers' module. The others are what the paper
compares it with (arXiv 2405.02246, tables 3, 11, 12), and Idefics3's pixel shuffle (arXiv 2408.12637, section 3.1).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from shards.mixture import Image
from trainer.schema import Connector, Perceiver


class ConnectorError(ValueError):
    """A connector that cannot take the images it is given; the message says what to change."""


def tokens(spec: Connector, perceiver: Perceiver, patch: int, images: Iterable[Image]) -> int:
    """Tokens an image becomes, whichever of the sizes it has. Raises ConnectorError where that depends on the image.

    An image is widened to whole patches, so a square of side s has ceil(s / patch) of them a side.
    """
    if spec.kind == "perceiver":
        return perceiver.latents
    sizes = {(image.mode, image.longest) for image in images}
    if len(sizes) != 1 or next(iter(sizes))[0] != "square":
        raise ConnectorError(
            f"model.connector.kind {spec.kind} needs square images of one size: set image.mode: square and image.longest"
        )
    side = math.ceil(next(iter(sizes))[1] / patch)
    if spec.kind in ("avg_pool", "pixel_shuffle"):
        return math.ceil(side / spec.factor) ** 2
    return spec.tokens if spec.kind == "linear_pool" else side * side


class Pooled(nn.Module):  # type: ignore[misc]
    """Every connector but the perceiver. [images, patches, width of the tower] -> [images, tokens, width of the
    decoder].
    """

    def __init__(self, spec: Connector, projection: nn.Module, tower: int, decoder: int, patches: int) -> None:
        super().__init__()
        self.spec = spec
        if spec.kind in ("linear", "pixel_shuffle"):
            self.linear = nn.Linear(
                tower * (spec.factor**2 if spec.kind == "pixel_shuffle" else 1), decoder, bias=False
            )
        else:
            self.modality_projection = projection
        if spec.kind == "linear_pool":
            self.sums = nn.Linear(patches, spec.tokens, bias=False)

    def forward(self, image_hidden_states: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        kind, seen = self.spec.kind, image_hidden_states
        if kind == "mlp":
            return self.modality_projection(seen)  # type: ignore[no-any-return]
        if kind == "linear":
            return self.linear(seen)  # type: ignore[no-any-return]
        if kind == "linear_pool":
            weights = self.sums.weight[:, : seen.shape[1]]  # the dummy of a batch of text has fewer patches
            return self.modality_projection(torch.einsum("tp,ipd->itd", weights, seen))  # type: ignore[no-any-return]
        grid = squares(seen, self.spec.factor)
        if kind == "pixel_shuffle":
            return self.linear(grid.flatten(2))  # type: ignore[no-any-return]
        return self.modality_projection(grid.mean(2))  # type: ignore[no-any-return]


def squares(seen: torch.Tensor, factor: int) -> torch.Tensor:
    """[images, patches of a square, d] -> [images, tokens, factor^2, d]; the last row and column repeat where the side
    does not divide.
    """
    n, patches, width = seen.shape
    side = math.isqrt(patches)
    if side * side != patches:
        raise ConnectorError(f"an image of {patches} patches is not square")
    grid = seen.view(n, side, side, width).permute(0, 3, 1, 2)
    more = -side % factor
    grid = functional.pad(grid, (0, more, 0, more), mode="replicate") if more else grid
    cells = grid.unfold(2, factor, factor).unfold(3, factor, factor)  # [n, d, rows, columns, factor, factor]
    return cells.permute(0, 2, 3, 4, 5, 1).reshape(n, -1, factor * factor, width)


def fit(model: nn.Module, spec: Connector, deviation: float) -> None:
    """Puts the connector into an Idefics2 model, new weights of that deviation; leaves Idefics2's own alone."""
    inner: Any = model.model
    tower, decoder, vision = (
        inner.config.vision_config.hidden_size,
        inner.config.text_config.hidden_size,
        inner.config.vision_config,
    )
    if spec.kind == "perceiver":
        if spec.mlp_before:
            return
        inner.connector.modality_projection = drawn(nn.Linear(tower, decoder, bias=False), deviation)
        return
    patches = (vision.image_size // vision.patch_size) ** 2
    projection = inner.connector.modality_projection
    new = Pooled(spec, projection, tower, decoder, patches)
    for name, module in new.named_children():
        if name != "modality_projection":  # that one has its weights
            drawn(module, deviation)
    inner.connector = new


def drawn(module: nn.Module, deviation: float) -> nn.Module:
    for weight in module.parameters():
        nn.init.normal_(weight, std=deviation)
    return module
