"""Idefics2 through transformers: built small from configurations, joined from published backbones, or loaded; and its
variants.

The released architecture is transformers' own class and loads there as it is. What the paper compares it with (another
connector, cross-attention) is the same class with modules exchanged or added; ``architecture.json`` beside the weights
says which.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    Idefics2Config,
    Idefics2ForConditionalGeneration,
    MistralConfig,
    SiglipVisionConfig,
    SiglipVisionModel,
)
from transformers.utils import logging as transformers_logging

from trainer import config, connector, fusion
from trainer.layout import Specials

# The library warns of configurations we set on purpose and draws bars on stderr between our log lines.
transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()

ARCHITECTURE = "architecture.json"
#: the keys of config.Model that exchange or add modules
SWITCHES = {"connector", "fusion", "cross_every", "deviation"}


def build(spec: config.Model, vocabulary: int, specials: Specials) -> Idefics2ForConditionalGeneration:
    """A model for a vocabulary of that many tokens, specials included. Random weights follow torch's seed.

    A checkpoint's own architecture goes before the recipe's. ``model.spec`` is the specification it was built by.
    Raises OSError where a folder or name is not a model's, RuntimeError where weights do not fit.
    """
    if spec.pretrained:
        return loaded(spec, vocabulary, specials)
    if spec.backbones:
        model = joined(spec.backbones, spec.perceiver, vocabulary, specials, spec.deviation)
    else:
        model = random(spec, vocabulary, specials)
    return varied(model, spec)


def varied(model: Idefics2ForConditionalGeneration, spec: config.Model) -> Idefics2ForConditionalGeneration:
    """The same with the recipe's connector and fusion, their weights new."""
    connector.fit(model, spec.connector, spec.deviation)
    if spec.fusion == "cross_attention":
        fusion.attach(model, spec.cross_every, spec.deviation)
    model.spec = spec
    return model


def described(spec: config.Model) -> tuple[config.Model, int]:
    """The specification as `build` will follow it, a checkpoint's own parts before the recipe's; and the tower's patch,
    in pixels.
    """
    if spec.pretrained:
        settings = Idefics2Config.from_pretrained(spec.pretrained)
        file = Path(spec.pretrained) / ARCHITECTURE
        own = dict(config.Model.model_validate(json.loads(file.read_text()))) if file.is_file() else {}
        plain: dict[str, Any] = {"connector": config.Connector(), "fusion": "autoregressive"}
        perceiver = spec.perceiver.model_copy(update={"latents": settings.perceiver_config.resampler_n_latents})
        kept = {key: value for key, value in own.items() if key in SWITCHES} or plain
        return spec.model_copy(update={**kept, "perceiver": perceiver}), settings.vision_config.patch_size
    if spec.backbones:
        return spec, SiglipVisionConfig.from_pretrained(spec.backbones.vision).patch_size
    assert spec.vision
    return spec, spec.vision.patch


def loaded(spec: config.Model, vocabulary: int, specials: Specials) -> Idefics2ForConditionalGeneration:
    assert spec.pretrained
    spec, _ = described(spec)
    if (Path(spec.pretrained or "") / ARCHITECTURE).is_file():
        model = varied(Idefics2ForConditionalGeneration(Idefics2Config.from_pretrained(spec.pretrained)), spec)
        weights = {
            name: value
            for part in sorted(Path(spec.pretrained or "").glob("*.safetensors"))
            for name, value in load_file(part).items()
        }
        model.load_state_dict(weights)
    else:
        model = Idefics2ForConditionalGeneration.from_pretrained(spec.pretrained, dtype=torch.float32)
        model.spec = spec
    if model.config.text_config.vocab_size < vocabulary:
        model.resize_token_embeddings(vocabulary, mean_resizing=True)
    model.config.image_token_id = specials.image
    return model


def save(model: Idefics2ForConditionalGeneration, folder: str | Path) -> None:
    """As transformers saves it; with a file that names the exchanged modules where there are any."""
    model.save_pretrained(folder)
    file = Path(folder) / ARCHITECTURE
    if model.spec.fusion != "autoregressive" or model.spec.connector != config.Connector():
        kept = {**model.spec.model_dump(mode="json", include=SWITCHES), "pretrained": "."}
        file.write_text(json.dumps(kept, indent=1) + "\n")
    else:
        file.unlink(missing_ok=True)


def in_text(model: nn.Module) -> bool:
    """Whether the features stand among the decoder's tokens; otherwise an image is one token there."""
    return not hasattr(model.model, "cross")


def random(spec: config.Model, vocabulary: int, specials: Specials) -> Idefics2ForConditionalGeneration:
    """By configurations, without weights from anywhere."""
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


def whole(
    text: dict[str, Any],
    vision: dict[str, Any],
    perceiver: config.Perceiver,
    specials: Specials,
    deviation: float = 0.02,
) -> Idefics2Config:
    """The configuration of the three parts. The perceiver's width is the text's, or transformers would set it so with a
    warning.
    """
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


def joined(
    spec: config.Backbones, perceiver: config.Perceiver, vocabulary: int, specials: Specials, deviation: float = 0.02
) -> Idefics2ForConditionalGeneration:
    """A published decoder and SigLIP tower under a new connector, their weights copied exactly.

    SigLIP's pooling head is left out (Idefics2 has none). Rows for new tokens start from the mean of the old ones.
    """
    text = AutoModelForCausalLM.from_pretrained(spec.text, dtype=torch.float32)
    vision = SiglipVisionModel.from_pretrained(spec.vision, dtype=torch.float32)
    model = Idefics2ForConditionalGeneration(
        whole(text.config.to_dict(), vision.config.to_dict(), perceiver, specials, deviation)
    )
    tower = {name.removeprefix("vision_model."): value for name, value in vision.state_dict().items()}
    model.model.vision_model.load_state_dict(
        {name: value for name, value in tower.items() if not name.startswith("head.")}
    )
    model.model.text_model.load_state_dict(text.model.state_dict())
    model.lm_head.load_state_dict(text.lm_head.state_dict())
    if vocabulary > text.config.vocab_size:
        model.resize_token_embeddings(vocabulary, mean_resizing=True)
    return model
