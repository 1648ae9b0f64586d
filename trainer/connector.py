"""Connectors: from the patches of the vision tower to the image features of the decoder.

Idefics2's own (the modality projection, then the perceiver) is transformers' module. The others are those of the
paper's comparison (arXiv 2405.02246, tables 3, 11 and 12), and Idefics3's pixel shuffle (arXiv 2408.12637, section
3.1).
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from shards.mixture import Image
from trainer.schema import Connector, Perceiver


class ConnectorError(ValueError):
    """A connector that cannot take these images; the message says what to change."""


def tokens(spec: Connector, perceiver: Perceiver, patch: int, images: Iterable[Image]) -> int:
    """The number of features of an image, the same for every size in `images`. Raises ConnectorError if they differ.

    patch: of the tower, pixels. A square of side s has floor(s / patch)^2 patches, see ``shards.image.size_for``.
    """
    if spec.kind == "perceiver":
        return perceiver.latents
    sizes = {(image.mode, image.longest) for image in images}
    if len(sizes) != 1 or next(iter(sizes))[0] != "square":
        remedy = "set image.mode: square and image.longest"
        raise ConnectorError(f"model.connector.kind {spec.kind} needs square images of one size: {remedy}")
    side = max(next(iter(sizes))[1] // patch, 1)
    if spec.kind in ("avg_pool", "pixel_shuffle"):
        return math.ceil(side / spec.factor) ** 2
    return spec.tokens if spec.kind == "linear_pool" else side * side


class Pooled(nn.Module):  # type: ignore[misc]
    """Every connector but the perceiver: [images, patches, tower's width] -> [images, tokens, decoder's width]."""

    def __init__(self, spec: Connector, projection: nn.Module, tower: int, decoder: int, patches: int) -> None:
        super().__init__()
        self.spec = spec
        if spec.kind in ("linear", "pixel_shuffle"):
            width = tower * spec.factor**2 if spec.kind == "pixel_shuffle" else tower
            self.linear = nn.Linear(width, decoder, bias=False)
        else:
            self.modality_projection = projection
        if spec.kind == "linear_pool":
            self.sums = nn.Linear(patches, spec.tokens, bias=False)

    def forward(self, image_hidden_states: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        x = image_hidden_states
        match self.spec.kind:
            case "linear_pool":
                weights = self.sums.weight[:, : x.shape[1]]  # the dummy of a batch of text has fewer patches
                x = torch.einsum("tp,ipd->itd", weights, x)
            case "avg_pool":
                x = cells(x, self.spec.factor).mean(2)
            case "pixel_shuffle":
                x = cells(x, self.spec.factor).flatten(2)
        project = self.linear if self.spec.kind in ("linear", "pixel_shuffle") else self.modality_projection
        return project(x)  # type: ignore[no-any-return]


def cells(patches: torch.Tensor, factor: int) -> torch.Tensor:
    """[images, patches of a square, d] -> [images, cells, factor^2, d]: the patches of each factor x factor cell.

    If the side is no multiple of the factor, the last row and column repeat. Raises ConnectorError for no square.
    """
    n, count, width = patches.shape
    side = math.isqrt(count)
    if side * side != count:
        raise ConnectorError(f"an image of {count} patches is not square")
    grid = patches.view(n, side, side, width).permute(0, 3, 1, 2)
    more = -side % factor
    grid = functional.pad(grid, (0, more, 0, more), mode="replicate") if more else grid
    out = grid.unfold(2, factor, factor).unfold(3, factor, factor)  # [n, d, rows, columns, factor, factor]
    return out.permute(0, 2, 3, 4, 5, 1).reshape(n, -1, factor * factor, width)


def fit(model: nn.Module, spec: Connector, deviation: float) -> None:
    """Puts the connector into an Idefics2 model, with new weights of that deviation. Idefics2's own stays as it is."""
    inner: Any = model.model
    vision = inner.config.vision_config
    tower, decoder = vision.hidden_size, inner.config.text_config.hidden_size
    if spec.kind == "perceiver":
        if not spec.mlp_before:
            inner.connector.modality_projection = _drawn(nn.Linear(tower, decoder, bias=False), deviation)
        return
    patches = (vision.image_size // vision.patch_size) ** 2
    new = Pooled(spec, inner.connector.modality_projection, tower, decoder, patches)
    for name, module in new.named_children():
        if name != "modality_projection":  # it has its weights already
            _drawn(module, deviation)
    inner.connector = new


def _drawn(module: nn.Module, deviation: float) -> nn.Module:
    for weight in module.parameters():
        nn.init.normal_(weight, std=deviation)
    return module
