"""A batch through the model: the logits of every architecture by one path, and the loss of each token."""

from typing import Any

import torch
from torch import nn

from trainer import fusion
from trainer.collate import Tensors, attention_mask
from trainer.layout import IGNORED
from trainer.model import in_text


def without_adapters(model: nn.Module) -> Any:
    """The Idefics2 model inside peft's wrapper."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def logits(model: nn.Module, batch: Tensors, noise: float = 0.0) -> torch.Tensor:
    """float [rows, T, vocabulary]: ``logits[r, t]`` predicts token t + 1.

    noise: NEFTune's alpha (arXiv 2310.05914): uniform noise within +-alpha / sqrt(T d) on the decoder's input, in
    training only; T is the length of the row without padding. Image features get it too, as in Hugging Face's training
    code. A batch without images runs the vision tower on the dummy and adds 0 times the result, so that every rank has
    the same collectives and every weight has a gradient. Raises ValueError if image tokens and images do not match;
    torch would accept too many features.
    """
    inner = without_adapters(model)
    parts = inner.model
    image_token = inner.config.image_token_id
    mask = attention_mask(batch.documents)
    if inner.config.text_config._attn_implementation == "eager":  # it adds the mask, and would add True as 1
        mask = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, torch.finfo(torch.float32).min)
    features = torch.cat(list(parts.get_image_features(*batch.pixels, return_dict=True).pooler_output))
    images = batch.pixels.values.shape[1]
    each = len(features) // images
    places = batch.ids == image_token
    tokens, expected = int(places.sum()), batch.images * (each if in_text(inner) else 1)
    if tokens != expected:
        of_each = expected // max(batch.images, 1)
        raise ValueError(f"{tokens} image tokens for {batch.images} images of {of_each} tokens")
    embedded = parts.text_model.get_input_embeddings()(batch.ids)
    more: dict[str, Any] = {}
    if not in_text(inner):
        context = fusion.image_context(batch.ids, batch.documents, image_token, features.view(images, each, -1))
        more = {"image_context": context}
    elif batch.images:
        embedded = embedded.masked_scatter(places[:, :, None], features.to(embedded.dtype))
    if noise and model.training:
        lengths = (batch.documents != 0).sum(1, keepdim=True).clamp(min=1)[:, :, None]
        embedded = embedded + torch.empty_like(embedded).uniform_(-1, 1) * noise / (lengths * embedded.shape[-1]).sqrt()
    more |= {"inputs_embeds": embedded, "attention_mask": mask, "position_ids": batch.positions, "use_cache": False}
    scores: torch.Tensor = inner.lm_head(parts.text_model(**more).last_hidden_state)
    return scores if batch.images else scores + 0.0 * features.sum()


def token_losses(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """float32 [rows, T - 1]: cross-entropy of the next token (nats), 0 if not predicted. labels: int64 [rows, T]."""
    # The labels are shifted instead of the logits, which saves a copy of the largest tensor.
    targets = torch.cat([labels[:, 1:], labels.new_full((len(labels), 1), IGNORED)], dim=1)
    scores, targets = scores.flatten(0, 1).float(), targets.flatten()
    losses = nn.functional.cross_entropy(scores, targets, ignore_index=IGNORED, reduction="none")
    return losses.view(labels.shape)[:, :-1]
