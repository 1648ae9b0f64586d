"""Idefics2 in transformers: with random weights, joined from published backbones, or from a checkpoint; and variants.

The released architecture is transformers' own class, and transformers loads it without this package. The variants that
the paper compares with it (another connector, cross-attention) are the same class with other or additional modules;
``architecture.json`` beside the weights names them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    Idefics2Config,
    Idefics2ForConditionalGeneration,
    MistralConfig,
    SiglipVisionConfig,
    SiglipVisionModel,
)
from transformers.utils import logging as transformers_logging

from trainer import connector, fusion, positions, schema
from trainer.layout import Specials

# transformers warns of settings that are intended here, and its progress bars would stand between the log's lines
transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()

ARCHITECTURE = "architecture.json"
#: the keys of schema.Model that change or add modules
SWITCHES = {"connector", "fusion", "cross_every", "deviation"}
#: the keys of schema.Text and schema.Vision -> those of transformers
_SIZES = {
    "hidden": "hidden_size", "intermediate": "intermediate_size", "layers": "num_hidden_layers",
    "heads": "num_attention_heads", "kv_heads": "num_key_value_heads", "positions": "max_position_embeddings",
    "image": "image_size", "patch": "patch_size",
}  # fmt: skip


def build(spec: schema.Model, vocabulary: int, specials: Specials, side: int = 0) -> Idefics2ForConditionalGeneration:
    """A model for a vocabulary of that many tokens, with the special tokens. Random weights follow torch's seed.

    side: of the largest images, pixels; the tower gets a position for each of their patches, see ``positions.fit``.
    The architecture of a checkpoint wins over the recipe's. ``model.spec`` is the specification that was followed.
    Raises OSError if a folder or name is not a model's, RuntimeError if weights do not fit.
    """
    if spec.pretrained:
        model = from_checkpoint(spec, vocabulary, specials)
        positions.fit(model, side)
        return model
    start = from_backbones if spec.backbones else from_scratch
    model = start(spec, vocabulary, specials)
    positions.fit(model, side)
    return with_variants(model, spec)


def with_variants(model: Idefics2ForConditionalGeneration, spec: schema.Model) -> Idefics2ForConditionalGeneration:
    """The model with the connector and fusion of the specification, their weights new."""
    connector.fit(model, spec.connector, spec.deviation)
    if spec.fusion == "cross_attention":
        fusion.attach(model, spec.cross_every, spec.deviation)
    model.spec = spec
    return model


def resolve(spec: schema.Model) -> tuple[schema.Model, int]:
    """What `build` follows: a checkpoint's own connector, fusion and latents win. And the tower's patch, pixels."""
    if spec.pretrained:
        settings = Idefics2Config.from_pretrained(spec.pretrained)
        file = Path(spec.pretrained) / ARCHITECTURE
        own: dict[str, Any] = {"connector": schema.Connector(), "fusion": "autoregressive"}
        if file.is_file():
            stored = dict(schema.Model.model_validate(json.loads(file.read_text())))
            own = {key: value for key, value in stored.items() if key in SWITCHES}
        perceiver = spec.perceiver.model_copy(update={"latents": settings.perceiver_config.resampler_n_latents})
        return spec.model_copy(update={**own, "perceiver": perceiver}), settings.vision_config.patch_size
    if spec.backbones:
        return spec, SiglipVisionConfig.from_pretrained(spec.backbones.vision).patch_size
    assert spec.vision
    return spec, spec.vision.patch


def from_checkpoint(spec: schema.Model, vocabulary: int, specials: Specials) -> Idefics2ForConditionalGeneration:
    """A model that `save` or transformers wrote to the folder `spec.pretrained`."""
    spec, _ = resolve(spec)
    folder = Path(str(spec.pretrained))
    if (folder / ARCHITECTURE).is_file():
        model = with_variants(Idefics2ForConditionalGeneration(Idefics2Config.from_pretrained(folder)), spec)
        weights: dict[str, torch.Tensor] = {}
        for file in sorted(folder.glob("*.safetensors")):
            weights |= load_file(file)
        model.load_state_dict(weights)
    else:
        model = Idefics2ForConditionalGeneration.from_pretrained(spec.pretrained, dtype=torch.float32)
        model.spec = spec
    if model.config.text_config.vocab_size < vocabulary:
        model.resize_token_embeddings(vocabulary, mean_resizing=True)
    model.config.image_token_id = specials.image
    return model


def save(model: Idefics2ForConditionalGeneration, folder: str | Path, ends: Sequence[int] = ()) -> None:
    """Saves the model as transformers does, and a file that names its variants if it has any.

    ends: the tokens at which `generate` stops; by default the decoder's ``</s>`` alone.
    """
    if ends:
        text = model.config.text_config
        others = {"bos_token_id": text.bos_token_id, "pad_token_id": text.pad_token_id}
        model.generation_config = GenerationConfig(eos_token_id=list(ends), **others)
    model.save_pretrained(folder)
    file = Path(folder) / ARCHITECTURE
    if model.spec.fusion != "autoregressive" or model.spec.connector != schema.Connector():
        variants = {**model.spec.model_dump(mode="json", include=SWITCHES), "pretrained": "."}
        file.write_text(json.dumps(variants, indent=1) + "\n")
    else:
        file.unlink(missing_ok=True)


def in_text(model: nn.Module) -> bool:
    """Whether image features stand among the decoder's tokens; under cross-attention an image is one token there."""
    return not hasattr(model.model, "cross")


def from_scratch(spec: schema.Model, vocabulary: int, specials: Specials) -> Idefics2ForConditionalGeneration:
    """A model of the sizes `spec.text` and `spec.vision` with random weights."""
    assert spec.text and spec.vision  # schema.Model checks it
    tokens = {"pad_token_id": specials.pad, "bos_token_id": specials.bos, "eos_token_id": specials.eos}
    settings = {"rms_norm_eps": 1e-5, "sliding_window": None, "initializer_range": spec.deviation}
    text = MistralConfig(vocab_size=vocabulary, **_sizes(spec.text), **settings, **tokens)
    vision = {**_sizes(spec.vision), "initializer_range": spec.deviation}
    return Idefics2ForConditionalGeneration(_configuration(spec, text.to_dict(), vision, specials))


def _sizes(section: schema.Text | schema.Vision) -> dict[str, int]:
    return {_SIZES[key]: value for key, value in section.model_dump().items()}


def from_backbones(spec: schema.Model, vocabulary: int, specials: Specials) -> Idefics2ForConditionalGeneration:
    """A published decoder and SigLIP tower with their exact weights, and a new connector.

    SigLIP's pooling head is left out, because Idefics2 has none. Rows of new tokens start at the mean of the others.
    """
    assert spec.backbones
    text = AutoModelForCausalLM.from_pretrained(spec.backbones.text, dtype=torch.float32)
    vision = SiglipVisionModel.from_pretrained(spec.backbones.vision, dtype=torch.float32)
    settings = _configuration(spec, text.config.to_dict(), vision.config.to_dict(), specials)
    model = Idefics2ForConditionalGeneration(settings)
    tower = {name.removeprefix("vision_model."): weight for name, weight in vision.state_dict().items()}
    tower = {name: weight for name, weight in tower.items() if not name.startswith("head.")}
    model.model.vision_model.load_state_dict(tower)
    model.model.text_model.load_state_dict(text.model.state_dict())
    model.lm_head.load_state_dict(text.lm_head.state_dict())
    if vocabulary > text.config.vocab_size:
        model.resize_token_embeddings(vocabulary, mean_resizing=True)
    return model


def _configuration(spec: schema.Model, text: dict[str, Any], vision: dict[str, Any], specials: Specials) -> Any:
    resampler = {"latents": "resampler_n_latents", "depth": "resampler_depth", "heads": "resampler_n_heads"}
    names = {**resampler, "head_dim": "resampler_head_dim", "kv_heads": "num_key_value_heads"}
    perceiver = {names[key]: value for key, value in spec.perceiver.model_dump().items()}
    # transformers would set the same width, with a warning
    perceiver |= {"hidden_size": text["hidden_size"], "rms_norm_eps": text["rms_norm_eps"]}
    perceiver["initializer_range"] = spec.deviation
    text = {"model_type": "mistral", **text}
    parts = {"text_config": text, "vision_config": vision, "perceiver_config": perceiver}
    tokens = {"image_token_id": specials.image, "pad_token_id": specials.pad, "tie_word_embeddings": False}
    return Idefics2Config(**parts, **tokens, initializer_range=spec.deviation)
