"""Idefics2 through transformers: built small from configurations, joined from published backbones, or loaded.

What is trained follows the paper: both backbones wholly, by low-rank adapters, or not at all; the connector (modality projection and
perceiver), the vision embeddings and the norms always. Stages hand each other whole models: adapters are merged at a stage's end.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, Idefics2Config, Idefics2ForConditionalGeneration, MistralConfig, SiglipVisionModel
from transformers.utils import logging as transformers_logging

from trainer import config
from trainer.collate import Tensors, attention_mask
from trainer.layout import IGNORED, Specials

# The library warns of configurations we set on purpose and draws bars on stderr between our log lines.
transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()

#: the linear layers of both backbones, and of nothing else
ADAPTED = r".*(vision_model\.encoder|text_model)\..*(q_proj|k_proj|v_proj|o_proj|out_proj|fc1|fc2|gate_proj|up_proj|down_proj)$"
#: trained whole beside adapters or frozen backbones: the new modules, the vision embeddings, the norms (Hugging Face's training code)
ALWAYS = re.compile(r"connector\.|vision_model\.embeddings|norm")
#: no weight decay (same source)
UNDECAYED = re.compile(r"bias|norm|perceiver_resampler")


def build(spec: config.Model, vocabulary: int, specials: Specials) -> Idefics2ForConditionalGeneration:
    """A model for a vocabulary of that many tokens, specials included. Random weights follow torch's seed.

    Raises OSError where a folder or name is not a model's, RuntimeError where weights do not fit.
    """
    if spec.pretrained:
        model = Idefics2ForConditionalGeneration.from_pretrained(spec.pretrained, dtype=torch.float32)
        have = model.config.text_config.vocab_size
        if have < vocabulary:
            model.resize_token_embeddings(vocabulary, mean_resizing=True)
        model.config.image_token_id = specials.image
        return model
    if spec.backbones:
        return joined(spec.backbones, spec.perceiver, vocabulary, specials)
    assert spec.text and spec.vision  # config.Model checked it
    text = MistralConfig(
        vocab_size=vocabulary,
        hidden_size=spec.text.hidden,
        intermediate_size=spec.text.intermediate,
        num_hidden_layers=spec.text.layers,
        num_attention_heads=spec.text.heads,
        num_key_value_heads=spec.text.kv_heads,
        max_position_embeddings=spec.text.positions,
        rms_norm_eps=1e-5,
        sliding_window=None,
        initializer_range=spec.deviation,
        pad_token_id=specials.pad,
        bos_token_id=specials.bos,
        eos_token_id=specials.eos,
    )
    vision = {
        "hidden_size": spec.vision.hidden,
        "intermediate_size": spec.vision.intermediate,
        "num_hidden_layers": spec.vision.layers,
        "num_attention_heads": spec.vision.heads,
        "image_size": spec.vision.image,
        "patch_size": spec.vision.patch,
        "initializer_range": spec.deviation,
    }
    return Idefics2ForConditionalGeneration(whole(text.to_dict(), vision, spec.perceiver, specials, spec.deviation))


def whole(text: dict[str, Any], vision: dict[str, Any], perceiver: config.Perceiver, specials: Specials, deviation: float = 0.02) -> Idefics2Config:
    """The configuration of the three parts. The perceiver's width is the text's, or transformers would set it so with a warning."""
    return Idefics2Config(
        text_config={"model_type": "mistral", **text},
        vision_config=vision,
        perceiver_config={
            "hidden_size": text["hidden_size"],
            "rms_norm_eps": text["rms_norm_eps"],
            "resampler_n_latents": perceiver.latents,
            "resampler_depth": perceiver.depth,
            "resampler_n_heads": perceiver.heads,
            "resampler_head_dim": perceiver.head_dim,
            "num_key_value_heads": perceiver.kv_heads,
            "initializer_range": deviation,
        },
        image_token_id=specials.image,
        pad_token_id=specials.pad,
        tie_word_embeddings=False,
        initializer_range=deviation,
    )


def joined(spec: config.Backbones, perceiver: config.Perceiver, vocabulary: int, specials: Specials) -> Idefics2ForConditionalGeneration:
    """A published decoder and SigLIP tower under a new connector, their weights copied exactly.

    SigLIP's pooling head is left out (Idefics2 has none). Rows for new tokens start from the mean of the old ones.
    """
    text = AutoModelForCausalLM.from_pretrained(spec.text, dtype=torch.float32)
    vision = SiglipVisionModel.from_pretrained(spec.vision, dtype=torch.float32)
    model = Idefics2ForConditionalGeneration(whole(text.config.to_dict(), vision.config.to_dict(), perceiver, specials))
    tower = {name.removeprefix("vision_model."): value for name, value in vision.state_dict().items()}
    model.model.vision_model.load_state_dict({name: value for name, value in tower.items() if not name.startswith("head.")})
    model.model.text_model.load_state_dict(text.model.state_dict())
    model.lm_head.load_state_dict(text.lm_head.state_dict())
    if vocabulary > text.config.vocab_size:
        model.resize_token_embeddings(vocabulary, mean_resizing=True)
    return model


def adapt(model: Idefics2ForConditionalGeneration, train: config.Train) -> nn.Module:
    """The model with what is to be trained marked so, adapters added where the recipe says."""
    if train.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if train.backbones == "full":
        return model
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
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trained weights in two groups for AdamW: with weight decay, and without."""
    trained = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    return [
        {"params": [weight for name, weight in trained if not UNDECAYED.search(name)], "weight_decay": weight_decay},
        {"params": [weight for name, weight in trained if UNDECAYED.search(name)], "weight_decay": 0.0},
    ]


def logits(model: nn.Module, batch: Tensors) -> torch.Tensor:
    """float [rows, T, vocabulary]: ``logits[r, t]`` predicts token t + 1.

    A batch without images runs the vision tower on the dummy and adds nothing of it: every rank then has the same collectives and
    every weight a gradient. Raises ValueError where image tokens and images do not match (too many features pass unseen otherwise).
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    mask = attention_mask(batch.documents)
    if inner.config.text_config._attn_implementation == "eager":  # it adds the mask, and would add True as 1
        mask = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, torch.finfo(torch.float32).min)
    common = {"attention_mask": mask, "position_ids": batch.positions, "use_cache": False}
    latents = inner.config.perceiver_config.resampler_n_latents
    tokens = int((batch.ids == inner.config.image_token_id).sum())
    if tokens != batch.images * latents:
        raise ValueError(f"{tokens} image tokens for {batch.images} images of {latents} tokens")
    if batch.images:
        out = model(input_ids=batch.ids, pixel_values=batch.pixels.values, pixel_attention_mask=batch.pixels.mask, **common)
        return out.logits
    features = inner.model.get_image_features(batch.pixels.values, batch.pixels.mask, return_dict=True).pooler_output
    out = model(input_ids=batch.ids, **common)
    return out.logits + 0.0 * torch.cat(list(features)).sum()


def token_losses(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """float32 [rows, T - 1]: the cross-entropy of each next token, 0 where it is not predicted."""
    # The labels move, not the logits: no copy of the largest tensor there is.
    after = torch.cat([labels[:, 1:], labels.new_full((len(labels), 1), IGNORED)], dim=1)
    losses = nn.functional.cross_entropy(scores.flatten(0, 1).float(), after.flatten(), ignore_index=IGNORED, reduction="none")
    return losses.view(labels.shape)[:, :-1]
