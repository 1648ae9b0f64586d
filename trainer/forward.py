"""A batch through the model: logits of every architecture by one path, and the loss of each token."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from trainer import fusion
from trainer.collate import Tensors, attention_mask
from trainer.layout import IGNORED
from trainer.model import in_text


def bare(model: nn.Module) -> Any:
    """The Idefics2 model inside adapters."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def logits(model: nn.Module, batch: Tensors, noise: float = 0.0) -> torch.Tensor:
    """float [rows, T, vocabulary]: ``logits[r, t]`` predicts token t + 1.

    noise: NEFTune's alpha (arXiv 2310.05914): uniform within +-alpha / sqrt(T d) on what the decoder is given, image
    features among it as in Hugging Face's training code; T is the length of the row, padding not counted. 0 in
    evaluation. A batch without images runs the vision tower on the dummy and adds nothing of it: every rank then has
    the same collectives and every weight a gradient. Raises ValueError where image tokens and images do not match (too
    many features pass unseen otherwise).
    """
    inner = bare(model)
    whole = inner.model
    mask = attention_mask(batch.documents)
    if inner.config.text_config._attn_implementation == "eager":  # it adds the mask, and would add True as 1
        mask = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, torch.finfo(torch.float32).min)
    features = torch.cat(list(whole.get_image_features(*batch.pixels, return_dict=True).pooler_output))
    shown = batch.pixels.values.shape[1]
    each = len(features) // shown
    here = batch.ids == inner.config.image_token_id
    tokens, wanted = int(here.sum()), batch.images * (each if in_text(inner) else 1)
    if tokens != wanted:
        raise ValueError(f"{tokens} image tokens for {batch.images} images of {wanted // max(batch.images, 1)} tokens")
    embedded = whole.text_model.get_input_embeddings()(batch.ids)
    more = {}
    if not in_text(inner):
        more = {
            "seen": fusion.look(batch.ids, batch.documents, inner.config.image_token_id, features.view(shown, each, -1))
        }
    elif batch.images:
        embedded = embedded.masked_scatter(here[:, :, None], features.to(embedded.dtype))
    if noise and model.training:
        lengths = (batch.documents != 0).sum(1, keepdim=True).clamp(min=1)[:, :, None]
        embedded = embedded + torch.empty_like(embedded).uniform_(-1, 1) * noise / (lengths * embedded.shape[-1]).sqrt()
    hidden = whole.text_model(
        inputs_embeds=embedded, attention_mask=mask, position_ids=batch.positions, use_cache=False, **more
    ).last_hidden_state
    scores: torch.Tensor = inner.lm_head(hidden)
    return scores if batch.images else scores + 0.0 * features.sum()


def token_losses(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """float32 [rows, T - 1]: the cross-entropy of each next token, 0 where it is not predicted."""
    # The labels move, not the logits: no copy of the largest tensor there is.
    after = torch.cat([labels[:, 1:], labels.new_full((len(labels), 1), IGNORED)], dim=1)
    losses = nn.functional.cross_entropy(
        scores.flatten(0, 1).float(), after.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return losses.view(labels.shape)[:, :-1]
