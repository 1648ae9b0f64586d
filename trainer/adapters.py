"""What of a model is trained: both backbones wholly, by low-rank adapters, or not at all; what is new, always.

New are the connector, cross-attention, and the rows of the tokens an image or a turn of a conversation brings. With
them go the vision embeddings and the norms (Hugging Face's training code). Stages hand each other whole models:
adapters are merged at a stage's end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import Idefics2ForConditionalGeneration

from trainer import config

#: the linear layers of both backbones, and of nothing else
ADAPTED = r".*(vision_model\.encoder|text_model)\..*(q_proj|k_proj|v_proj|o_proj|out_proj|fc1|fc2|gate_proj|up_proj|down_proj)$"
#: trained whole beside adapters or frozen backbones: the new modules, the vision embeddings, the norms (Hugging Face's
#: training code)
ALWAYS = re.compile(r"connector\.|model\.cross\.|vision_model\.embeddings|norm|new_rows")
#: no weight decay (same source)
UNDECAYED = re.compile(r"bias|norm|gate$|perceiver_resampler|new_rows")


class Embedded(nn.Module):  # type: ignore[misc]
    """An embedding whose rows for a few new tokens are trained while the rest stays."""

    def __init__(self, base: nn.Embedding, rows: Sequence[int]) -> None:
        super().__init__()
        self.base, self.new_rows = base, nn.Parameter(base.weight.detach()[list(rows)].clone())
        self.register_buffer("rows", torch.tensor(rows), persistent=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        is_new = ids[..., None] == self.rows
        new = is_new.to(self.new_rows.dtype) @ self.new_rows  # a sum over one row, or over none
        return torch.where(is_new.any(-1, keepdim=True), new, self.base(ids))


class Headed(nn.Module):  # type: ignore[misc]
    """The same of a linear layer's output rows."""

    def __init__(self, base: nn.Linear, rows: Sequence[int]) -> None:
        super().__init__()
        self.base, self.new_rows = base, nn.Parameter(base.weight.detach()[list(rows)].clone())
        self.register_buffer("rows", torch.tensor(rows), persistent=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        scores = self.base(hidden)
        new = nn.functional.linear(hidden, self.new_rows)
        return scores.index_copy(-1, self.rows, new.to(scores.dtype))


def adapt(model: Idefics2ForConditionalGeneration, train: config.Train, new_tokens: Sequence[int] = ()) -> nn.Module:
    """The model with what is to be trained marked so, adapters added where the recipe says.

    new_tokens: those whose rows of the embedding and the head are trained beside adapters or frozen backbones.
    """
    if train.checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    if train.backbones == "full":
        return model
    if new_tokens:
        model.model.text_model.embed_tokens = Embedded(model.model.text_model.embed_tokens, new_tokens)
        model.lm_head = Headed(model.lm_head, new_tokens)
    wrapped: nn.Module = model
    if train.backbones == "frozen":
        model.requires_grad_(False)
    else:
        from peft import LoraConfig, get_peft_model

        wrapped = get_peft_model(
            model,
            LoraConfig(
                r=train.lora.r,
                lora_alpha=train.lora.alpha,
                lora_dropout=train.lora.dropout,
                bias="none",
                init_lora_weights="gaussian",
                use_dora=train.backbones == "dora",
                target_modules=ADAPTED,
            ),
        )
    for name, weight in wrapped.named_parameters():
        if ALWAYS.search(name):
            weight.requires_grad_(True)
    return wrapped


def merged(model: nn.Module) -> Idefics2ForConditionalGeneration:
    """The plain model, adapters merged into its weights; `model` must not be used after."""
    plain = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
    for owner, name in ((plain.model.text_model, "embed_tokens"), (plain, "lm_head")):
        layer = getattr(owner, name)
        if isinstance(layer, Embedded | Headed):
            layer.base.weight.data[layer.rows] = layer.new_rows.data
            setattr(owner, name, layer.base)
    return plain.requires_grad_(True)


def counts(model: nn.Module) -> dict[str, int]:
    """Weights, and those trained, in all and of each part: vision, connector, text (cross-attention and new rows
    apart).
    """
    out = {"all": 0, "trained": 0}
    for name, weight in model.named_parameters():
        part = (
            "connector"
            if "connector." in name
            else "vision"
            if "vision_model" in name
            else "cross"
            if ".cross." in name
            else "text"
        )
        part = "new_rows" if "new_rows" in name else part
        for key, yes in (("all", True), ("trained", weight.requires_grad), (part, weight.requires_grad)):
            out[key] = out.get(key, 0) + weight.numel() * yes
    return out


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trained weights in two groups for AdamW: with weight decay, and without."""
    trained = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    return [
        {"params": [weight for name, weight in trained if not UNDECAYED.search(name)], "weight_decay": weight_decay},
        {"params": [weight for name, weight in trained if UNDECAYED.search(name)], "weight_decay": 0.0},
    ]
