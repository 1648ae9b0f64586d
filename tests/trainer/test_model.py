"""Models: built from published backbones, adapted, merged, and loaded by plain transformers."""

from dataclasses import replace

import pytest
import torch
from transformers import (
    AutoModelForImageTextToText,
    MistralConfig,
    MistralForCausalLM,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from shards.tokens import END_OF_TOPIC, END_OF_UTTERANCE, EOS, FAKE
from tests.trainer import small
from tests.trainer.fakes import Sample
from tests.trainer.pictures import picture
from tests.trainer.test_packing import batch_of
from trainer import schema
from trainer.adapters import adapt, decay_groups, merged
from trainer.forward import logits, token_losses
from trainer.images import to_pixels
from trainer.model import build

TRAIN = schema.Train(steps=1, lora=schema.Lora(r=4, alpha=4, dropout=0.0))


@pytest.fixture
def backbones(tmp_path):
    torch.manual_seed(0)
    text = MistralConfig(
        vocab_size=256,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=None,
    )
    vision = SiglipVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=56, patch_size=14
    )
    MistralForCausalLM(text).save_pretrained(tmp_path / "text")
    SiglipVisionModel(vision).save_pretrained(tmp_path / "vision")
    return schema.Backbones(text=str(tmp_path / "text"), vision=str(tmp_path / "vision"))


def test_published_backbones_are_copied_exactly(backbones):
    spec = schema.Model(backbones=backbones, perceiver=small.MODEL.perceiver)
    model = build(spec, small.TOKENIZER.vocab_size, small.SPECIALS).eval()
    text = MistralForCausalLM.from_pretrained(backbones.text).eval()
    vision = SiglipVisionModel.from_pretrained(backbones.vision).eval()
    pixels = to_pixels([small.noise(0)], 14).values[0]
    batch = batch_of([[1]])
    with torch.no_grad():
        features = model.model.vision_model(pixels, torch.ones(1, 4, 4, dtype=torch.bool)).last_hidden_state
        assert torch.equal(features, vision(pixels).last_hidden_state)
        ids = batch.ids[:, 1:-1]  # tokens of the original vocabulary
        assert torch.equal(
            model(input_ids=ids, use_cache=False).logits[..., :256], text(input_ids=ids, use_cache=False).logits
        )
    assert model.config.text_config.vocab_size == model.lm_head.out_features == small.TOKENIZER.vocab_size


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_adapters_train_on_both_backbones_and_merge(kind):
    base = small.model()
    model = adapt(base, TRAIN.model_copy(update={"backbones": kind}))
    names = {name for name, p in model.named_parameters() if p.requires_grad}
    assert any("text_model" in n and "lora_A" in n for n in names) and any(
        "vision_model.encoder" in n and "lora_A" in n for n in names
    )
    assert not any("base_layer.weight" in n for n in names) and not any("connector" in n and "lora" in n for n in names)
    assert {n for n, _ in model.named_parameters() if "connector." in n} <= names
    optimiser = torch.optim.AdamW(decay_groups(model, 0.1), lr=1e-2)
    batch = batch_of([[0, 2]])
    before = token_losses(logits(model, batch), batch.labels).sum().item()
    for _ in range(3):
        loss = token_losses(logits(model, batch), batch.labels).sum() / batch.targets
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    with torch.no_grad():
        expected = logits(model, batch)
        plain = merged(model)
        merged_logits = logits(plain, batch)
    assert token_losses(expected, batch.labels).sum() < before
    torch.testing.assert_close(merged_logits, expected, atol=1e-6, rtol=1e-6)
    assert not any("lora" in name for name in plain.state_dict())


@pytest.mark.parametrize("kind", ["lora", "frozen"])
def test_the_rows_of_every_special_token_that_can_be_a_label_are_trained(kind):
    turns = ["User: What?", END_OF_TOPIC, "Assistant: A mill."]
    samples = [
        Sample("p", "interleaved", ["one topic", END_OF_TOPIC, 0, "another"], [picture(1)[0]]),
        Sample("c", "conversations", turns, []),
    ]
    batch = small.collator()([[sample] for sample in samples], "square", 56, 28)
    specials = set(small.TOKENIZER.specials.values())
    predicted = sorted(set(batch.labels.flatten().tolist()) & specials)
    assert {small.TOKENIZER.specials[name] for name in (END_OF_TOPIC, END_OF_UTTERANCE, EOS, FAKE)} == set(predicted)
    model = adapt(small.model(), TRAIN.model_copy(update={"backbones": kind}), small.SPECIALS.new)
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    (token_losses(logits(model, batch), batch.labels).sum() / batch.targets).backward()
    optimiser.step()
    before, after = small.model(), merged(model)
    read = [number for number in predicted if number != small.SPECIALS.eos]  # nothing is predicted from </s>
    for layer, numbers in (("lm_head", predicted), ("model.text_model.embed_tokens", read)):
        changed = before.get_submodule(layer).weight != after.get_submodule(layer).weight
        assert changed[numbers].any(-1).all(), layer


def test_with_frozen_backbones_the_connector_is_trained():
    model = adapt(small.model(), TRAIN.model_copy(update={"backbones": "frozen"}))
    names = {name for name, p in model.named_parameters() if p.requires_grad}
    assert any("connector" in n for n in names) and not any("q_proj" in n and "connector" not in n for n in names)


def test_norms_biases_and_the_perceiver_have_no_weight_decay():
    model = small.model()
    names = {id(p): n for n, p in model.named_parameters()}
    with_decay, without_decay = ([names[id(p)] for p in group["params"]] for group in decay_groups(model, 0.1))
    assert len(with_decay) + len(without_decay) == len(names)
    assert not any("norm" in n or "bias" in n or "perceiver_resampler" in n for n in with_decay)
    assert "lm_head.weight" in with_decay and any("perceiver_resampler" in n for n in without_decay)


def test_plain_transformers_loads_a_saved_model_and_generates(tmp_path):
    model = small.model().eval()
    model.save_pretrained(tmp_path)
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
    batch = batch_of([[0]])
    with torch.no_grad():
        assert torch.equal(logits(model, batch), logits(loaded, batch))
        prompt = replace(batch, ids=batch.ids[:, :20])
        out = loaded.generate(
            input_ids=prompt.ids,
            attention_mask=torch.ones_like(prompt.ids),
            pixel_values=batch.pixels.values,
            max_new_tokens=4,
        )
    assert out.shape[1] > 20
