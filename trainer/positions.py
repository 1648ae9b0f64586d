"""The vision tower's learned positions, interpolated to larger images."""

import torch
from torch import nn
from torch.nn import functional
from transformers import Idefics2ForConditionalGeneration


def fit(model: Idefics2ForConditionalGeneration, side: int) -> None:
    """Gives the tower a position for each patch of a square of `side` pixels, if it has fewer.

    A published tower has positions for squares of one size: SigLIP-SO400M for 27 x 27 patches, 384 pixels. In
    transformers, the patches of a larger image would share them. The paper interpolates them (arXiv 2405.02246, section
    3.3: "we interpolate the pre-trained positional embeddings to allow for a higher resolution"); 980 pixels need 70 x
    70, as the released Idefics2 has. Bicubic, with corners not aligned (Hugging Face's training code). A table that is
    large enough stays as it is.
    """
    tower = model.model.vision_model
    embeddings = tower.embeddings
    own, new = embeddings.num_patches_per_side, side // embeddings.patch_size
    if new <= own:
        return
    table = embeddings.position_embedding.weight.detach()
    embeddings.position_embedding = nn.Embedding.from_pretrained(interpolated(table, new), freeze=False)
    embeddings.num_patches_per_side = new
    embeddings.num_patches = embeddings.num_positions = new * new
    embeddings.image_size = new * embeddings.patch_size
    for configuration in (model.config.vision_config, tower.config):
        configuration.image_size = embeddings.image_size


def interpolated(table: torch.Tensor, side: int) -> torch.Tensor:
    """[n * n, width] -> [side * side, width], both row by row: the table of positions of a square, resized."""
    own = round(len(table) ** 0.5)
    grid = table.view(1, own, own, -1).permute(0, 3, 1, 2)
    larger = functional.interpolate(grid, (side, side), mode="bicubic", align_corners=False)
    return larger[0].flatten(1).T.contiguous()
