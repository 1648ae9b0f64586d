"""Cross-attention fusion: the decoder looks at image features from blocks between its layers (Flamingo, arXiv
2204.14198, section 2.3).

The vision tower, connector and decoder are those of the autoregressive model, so that the two can be compared (arXiv
2405.02246, section 3.2). A block stands before every k-th decoder layer: cross-attention and a gated MLP, each behind
tanh of a gate that is 0 at the start, so that the model begins as the decoder it was. A token sees the last image at or
before it in its own document, and nothing before the first. In the text an image is one token.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional


class Seen(NamedTuple):
    """What the blocks look at. keys: float [rows, places, d], features of a row's images one after the other; mask:
    bool
    [rows, 1, T, places], which of them a token may see; any: float [rows, T, 1], 0 where that is none."""

    keys: torch.Tensor
    mask: torch.Tensor
    any: torch.Tensor


class Block(nn.Module):  # type: ignore[misc]
    """Names are none of the backbones' linear layers, which adapters go by: a block is new, and trained whole."""

    def __init__(self, width: int, intermediate: int, heads: int, kv_heads: int, eps: float) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.size = heads, kv_heads, width // heads
        self.norm, self.key_norm, self.mlp_norm = nn.RMSNorm(width, eps), nn.RMSNorm(width, eps), nn.RMSNorm(width, eps)
        self.query = nn.Linear(width, heads * self.size, bias=False)
        self.key = nn.Linear(width, kv_heads * self.size, bias=False)
        self.value = nn.Linear(width, kv_heads * self.size, bias=False)
        self.out = nn.Linear(heads * self.size, width, bias=False)
        self.open = nn.Linear(width, intermediate, bias=False)
        self.up = nn.Linear(width, intermediate, bias=False)
        self.down = nn.Linear(intermediate, width, bias=False)
        self.attention_gate, self.mlp_gate = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))

    def forward(self, hidden: torch.Tensor, seen: Seen) -> torch.Tensor:
        rows, length, _ = hidden.shape
        keys = self.key_norm(seen.keys)

        def split(x: torch.Tensor, heads: int) -> torch.Tensor:
            return x.view(rows, -1, heads, self.size).transpose(1, 2)

        looked = functional.scaled_dot_product_attention(
            split(self.query(self.norm(hidden)), self.heads),
            split(self.key(keys), self.kv_heads),
            split(self.value(keys), self.kv_heads),
            attn_mask=seen.mask,
            enable_gqa=True,
        )
        looked = self.out(looked.transpose(1, 2).reshape(rows, length, -1)) * seen.any
        hidden = hidden + self.attention_gate.tanh() * looked
        x = self.mlp_norm(hidden)
        return hidden + self.mlp_gate.tanh() * self.down(functional.silu(self.open(x)) * self.up(x)) * seen.any


def attach(model: nn.Module, every: int, deviation: float) -> None:
    """Adds ``model.model.cross``, a block before decoder layers 0, every, 2 every ... . `seen` reaches them as a
    keyword argument of the
    decoder, so that gradient checkpointing finds it again when it recomputes a layer."""
    inner: Any = model.model
    text = inner.config.text_config
    layers = inner.text_model.layers
    inner.cross = nn.ModuleList(
        Block(
            text.hidden_size,
            text.intermediate_size,
            text.num_attention_heads,
            text.num_key_value_heads,
            text.rms_norm_eps,
        )
        for _ in range(0, len(layers), every)
    )
    for name, weight in inner.cross.named_parameters():
        if weight.dim() == 2:
            nn.init.normal_(weight, std=deviation)
        elif "norm" in name:
            nn.init.ones_(weight)
    for number, layer in enumerate(layers):
        block = inner.cross[number // every] if number % every == 0 else None
        layer.register_forward_pre_hook(_before(block), with_kwargs=True)


def _before(block: Block | None) -> Any:
    def hook(layer: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        seen = kwargs.pop("seen", None)
        if block is None or seen is None:
            return args, kwargs
        return (block(args[0], seen), *args[1:]), kwargs

    return hook


def look(ids: torch.Tensor, documents: torch.Tensor, image: int, features: torch.Tensor) -> Seen:
    """ids, documents: int64 [rows, T]. image: the token that stands for an image. features: [images, latents, d], in
    row order.

    Without an image in the batch, features are a dummy's: the blocks run on it, and `any` leaves nothing of it.
    """
    is_image = ids == image
    rows = len(ids)
    counts = is_image.sum(1)
    most = max(int(counts.max()), 1)
    latents, width = features.shape[1:]
    keys = features.new_zeros(rows, most, latents, width)
    slots = torch.arange(most, device=ids.device)[None] < counts[:, None]
    if bool(slots.any()):
        keys = keys.masked_scatter(slots[:, :, None, None], features)
    else:
        keys = keys + 0.0 * features.sum()
    upto = is_image.cumsum(1)  # images at or before a token, in its row
    # the first token of a document is never an image, so what is counted there are the images of those before it
    starts = torch.cat([torch.ones_like(documents[:, :1], dtype=torch.bool), documents[:, 1:] != documents[:, :-1]], 1)
    before = torch.where(starts, upto, 0).cummax(1).values
    last = upto - 1
    some = upto > before
    place = torch.arange(most, device=ids.device)
    mask = (last[:, :, None] == place) & some[:, :, None]
    mask = mask | ~some[:, :, None]  # no softmax over nothing; `any` takes it away again
    mask = mask.repeat_interleave(latents, dim=2)[:, None]
    return Seen(keys.flatten(1, 2), mask, some[:, :, None].to(features.dtype))
