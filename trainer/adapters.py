"""Which weights are trained: both backbones in full, by low-rank adapters, or not at all; new modules always.

New are the connector, the cross-attention blocks, and the rows of the tokens that images and turns bring. The vision
embeddings and the norms are trained too (Hugging Face's training code). Adapters are merged into the weights at the end
of a stage, so each stage starts from a plain model.
"""

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import Idefics2ForConditionalGeneration

from trainer.schema import Train

#: the linear layers of both backbones, and no others
ADAPTED = (
    r".*(vision_model\.encoder|text_model)\..*"
    r"(q_proj|k_proj|v_proj|o_proj|out_proj|fc1|fc2|gate_proj|up_proj|down_proj)$"
)
#: weights trained beside adapters or frozen backbones (Hugging Face's training code)
ALWAYS = re.compile(r"connector\.|model\.cross\.|vision_model\.embeddings|norm|new_rows")
#: weights without weight decay (Hugging Face's training code)
UNDECAYED = re.compile(r"bias|norm|gate$|perceiver_resampler|new_rows")


class _NewRows(nn.Module):  # type: ignore[misc]
    """A layer with a row for each token, of which only the rows of a few new tokens are trained."""

    def __init__(self, base: nn.Embedding | nn.Linear, rows: Sequence[int]) -> None:
        super().__init__()
        self.base, self.new_rows = base, nn.Parameter(base.weight.detach()[list(rows)].clone())
        self.register_buffer("rows", torch.tensor(rows), persistent=False)


class NewRowsEmbedding(_NewRows):
    """An embedding whose new rows alone are trained."""

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        is_new = ids[..., None] == self.rows
        new = is_new.to(self.new_rows.dtype) @ self.new_rows  # selects one row, or none
        return torch.where(is_new.any(-1, keepdim=True), new, self.base(ids))


class NewRowsHead(_NewRows):
    """A linear layer whose new output rows alone are trained."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        scores = self.base(hidden)
        new = nn.functional.linear(hidden, self.new_rows)
        return scores.index_copy(-1, self.rows, new.to(scores.dtype))


def adapt(model: Idefics2ForConditionalGeneration, train: Train, new_tokens: Sequence[int] = ()) -> nn.Module:
    """The model with the trained weights marked, and with adapters if the recipe asks for them.

    new_tokens: tokens whose rows of the embedding and the head are trained beside adapters or frozen backbones.
    """
    if train.checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    if train.backbones == "full":
        return model
    if new_tokens:
        model.model.text_model.embed_tokens = NewRowsEmbedding(model.model.text_model.embed_tokens, new_tokens)
        model.lm_head = NewRowsHead(model.lm_head, new_tokens)
    adapted: nn.Module = model
    if train.backbones == "frozen":
        model.requires_grad_(False)
    else:
        from peft import LoraConfig, get_peft_model

        sizes = {"r": train.lora.r, "lora_alpha": train.lora.alpha, "lora_dropout": train.lora.dropout}
        kind = {"bias": "none", "init_lora_weights": "gaussian", "use_dora": train.backbones == "dora"}
        adapted = get_peft_model(model, LoraConfig(target_modules=ADAPTED, **sizes, **kind))
    for name, weight in adapted.named_parameters():
        if ALWAYS.search(name):
            weight.requires_grad_(True)
    return adapted


def merged(model: nn.Module) -> Idefics2ForConditionalGeneration:
    """The plain model with the adapters merged into its weights. `model` must not be used afterwards."""
    plain = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
    for owner, name in ((plain.model.text_model, "embed_tokens"), (plain, "lm_head")):
        layer = getattr(owner, name)
        if isinstance(layer, _NewRows):
            layer.base.weight.data[layer.rows] = layer.new_rows.data
            setattr(owner, name, layer.base)
    return plain.requires_grad_(True)


#: part of the model -> a piece of the names of its weights; the first that matches counts
_PARTS = {"new_rows": "new_rows", "connector": "connector.", "vision": "vision_model", "cross": ".cross."}


def counts(model: nn.Module) -> dict[str, int]:
    """The weights (`all`), the trained ones, and those of each part: vision, connector, cross, new_rows, text."""
    out = {"all": 0, "trained": 0}
    for name, weight in model.named_parameters():
        part = next((part for part, piece in _PARTS.items() if piece in name), "text")
        trained = weight.numel() * weight.requires_grad
        out["all"] += weight.numel()
        out["trained"] += trained
        out[part] = out.get(part, 0) + trained
    return out


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trained weights in two groups for AdamW: with weight decay, and without."""
    trained = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    decayed = [weight for name, weight in trained if not UNDECAYED.search(name)]
    others = [weight for name, weight in trained if UNDECAYED.search(name)]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
