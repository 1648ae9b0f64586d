"""Cross-attention fusion: blocks between the decoder's layers read image features (Flamingo, arXiv 2204.14198, 2.3).

The vision tower, the connector and the decoder are those of the autoregressive model, for comparison (arXiv 2405.02246,
section 3.2). A block stands before every k-th decoder layer: cross-attention and a gated MLP, each multiplied by tanh
of a gate that starts at 0, so that the model starts as the plain decoder. A token attends to the last image at or
before it in its own document, and to nothing before the first image. In the text an image is one token.
"""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional


class ImageContext(NamedTuple):
    """The blocks' input from images.

    keys: float [rows, places, d], the features of a row's images one after the other. mask: bool [rows, 1, T, places],
    the places that a token attends to. any: float [rows, T, 1], 0 for a token that has no image to attend to.
    """

    keys: torch.Tensor
    mask: torch.Tensor
    any: torch.Tensor


class Block(nn.Module):  # type: ignore[misc]
    """Cross-attention and a gated MLP.

    Its linear layers are not named as the backbones' are: adapters select by name, and a block is trained in full.
    """

    def __init__(self, width: int, intermediate: int, heads: int, kv_heads: int, eps: float) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.size = heads, kv_heads, width // heads
        self.norm, self.key_norm, self.mlp_norm = nn.RMSNorm(width, eps), nn.RMSNorm(width, eps), nn.RMSNorm(width, eps)
        linear = partial(nn.Linear, bias=False)
        self.query = linear(width, heads * self.size)
        self.key, self.value = (linear(width, kv_heads * self.size) for _ in range(2))
        self.out = linear(heads * self.size, width)
        self.open, self.up = (linear(width, intermediate) for _ in range(2))
        self.down = linear(intermediate, width)
        self.attention_gate, self.mlp_gate = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))

    def forward(self, hidden: torch.Tensor, context: ImageContext) -> torch.Tensor:
        rows, length, _ = hidden.shape
        keys = self.key_norm(context.keys)

        def split(x: torch.Tensor, heads: int) -> torch.Tensor:
            return x.view(rows, -1, heads, self.size).transpose(1, 2)

        query = split(self.query(self.norm(hidden)), self.heads)
        key, value = split(self.key(keys), self.kv_heads), split(self.value(keys), self.kv_heads)
        attention = functional.scaled_dot_product_attention(query, key, value, attn_mask=context.mask, enable_gqa=True)
        attention = self.out(attention.transpose(1, 2).reshape(rows, length, -1)) * context.any
        hidden = hidden + self.attention_gate.tanh() * attention
        x = self.mlp_norm(hidden)
        return hidden + self.mlp_gate.tanh() * self.down(functional.silu(self.open(x)) * self.up(x)) * context.any


def attach(model: nn.Module, every: int, deviation: float) -> None:
    """Adds ``model.model.cross``, a block before decoder layers 0, every, 2 * every ...

    Their input is the decoder's keyword argument `image_context`, so that gradient checkpointing has it too.
    """
    inner: Any = model.model
    text = inner.config.text_config
    layers = inner.text_model.layers
    sizes = text.hidden_size, text.intermediate_size, text.num_attention_heads, text.num_key_value_heads
    inner.cross = nn.ModuleList(Block(*sizes, text.rms_norm_eps) for _ in range(0, len(layers), every))
    for name, weight in inner.cross.named_parameters():
        if weight.dim() == 2:
            nn.init.normal_(weight, std=deviation)
        elif "norm" in name:
            nn.init.ones_(weight)
    for number, layer in enumerate(layers):
        block = inner.cross[number // every] if number % every == 0 else None
        layer.register_forward_pre_hook(partial(_before, block), with_kwargs=True)


def _before(block: Block | None, layer: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    context = kwargs.pop("image_context", None)
    if block is None or context is None:
        return args, kwargs
    return (block(args[0], context), *args[1:]), kwargs


def image_context(ids: torch.Tensor, documents: torch.Tensor, image: int, features: torch.Tensor) -> ImageContext:
    """The blocks' input for a batch. image: the token of an image.

    ids, documents: int64 [rows, T]. features: float [images, latents, d], in row order. If the batch has no image,
    features are a dummy's: the blocks run on them, and `any` removes the result.
    """
    is_image = ids == image
    counts = is_image.sum(1)
    most = max(int(counts.max()), 1)
    latents, width = features.shape[1:]
    keys = features.new_zeros(len(ids), most, latents, width)
    slots = torch.arange(most, device=ids.device)[None] < counts[:, None]
    keys = keys.masked_scatter(slots[:, :, None, None], features) if slots.any() else keys + 0.0 * features.sum()
    until = is_image.cumsum(1)  # images at or before a token, in its row
    # a document's first token is never an image, so the count there is that of the images of the documents before
    starts = torch.cat([torch.ones_like(documents[:, :1], dtype=torch.bool), documents[:, 1:] != documents[:, :-1]], 1)
    before = torch.where(starts, until, 0).cummax(1).values
    some = until > before
    mask = ((until - 1)[:, :, None] == torch.arange(most, device=ids.device)) & some[:, :, None]
    mask = mask | ~some[:, :, None]  # so that no softmax is over nothing; `any` removes the result
    mask = mask.repeat_interleave(latents, dim=2)[:, None]
    return ImageContext(keys.flatten(1, 2), mask, some[:, :, None].to(features.dtype))
