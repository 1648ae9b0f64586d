"""A decoder is trained only on shards that its own tokenizer counted."""

import json
import re

import pytest
from transformers import MistralConfig, MistralForCausalLM, SiglipVisionConfig, SiglipVisionModel

import trainer
from shards import tokens
from tests.trainer import made
from tests.trainer.test_export import sentencepiece, train_tokenizer
from trainer.config import RecipeError
from trainer.export import fast
from trainer.vocabulary import same

SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 4}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return made.run(tmp_path_factory.mktemp("run"), {"pairs": {"train": 12}})


@pytest.fixture(scope="module")
def vision(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vision")
    SiglipVisionModel(SiglipVisionConfig(**SIZES, image_size=56, patch_size=14)).save_pretrained(folder)
    return folder


def decoder(folder, words: int):
    settings = MistralConfig(vocab_size=words, num_key_value_heads=2, sliding_window=None, **SIZES)
    MistralForCausalLM(settings).save_pretrained(folder)
    return folder


def settings(text, vision) -> dict:
    backbones = {"model.backbones": {"text": str(text), "vision": str(vision)}}
    return {**backbones, "train.steps": 1, "train.warmup": 0, "evaluate.pairs": 0}


def test_shards_of_another_tokenizer_are_refused_before_weights_are_loaded(data, vision, tmp_path):
    text = decoder(tmp_path / "text", 420)
    file = sentencepiece(text, "prepend")
    (text / "model.safetensors").unlink()  # to read the weights would be another error
    with pytest.raises(RecipeError) as error:
        trainer.train("stage1", data, tmp_path / "out", overrides=settings(text, vision))
    line = str(error.value)
    assert re.fullmatch(
        rf"stage1: model\.backbones\.text: {text} has tokenizer {file} \(sha256 [0-9a-f]{{12}}\), but the shards of "
        rf"{data} were counted with bytes \(sha256 [0-9a-f]{{12}}, 263 words\): panoramix run RECIPE --set "
        rf"tokenizer={file} --out FOLDER makes shards with it",
        line,
    )
    assert not (tmp_path / "out").exists()


def test_without_a_tokenizer_the_number_of_words_decides(data, vision, tmp_path):
    with pytest.raises(RecipeError, match=r"has 32,000 words, but the shards of .* bytes .*263 words"):
        trainer.train("stage1", data, tmp_path / "out", overrides=settings(decoder(tmp_path / "a", 32_000), vision))
    result = trainer.train("stage1", data, tmp_path / "out", overrides=settings(decoder(tmp_path / "b", 256), vision))
    assert result["stages"][0]["steps"] == 1
    # the exported model has the tokenizer of its shards
    start = {"init_from": str(tmp_path / "out" / "stage1" / "model"), "train.steps": 1, "train.warmup": 0}
    trainer.train("stage2", data, tmp_path / "out", overrides={**start, "evaluate.pairs": 0})


def test_the_same_tokens_in_another_file_are_the_same_tokenizer(tmp_path):
    for name, file in (("sp", sentencepiece(tmp_path, "first")), ("bytes", "bytes")):
        ours = tokens.load(file)
        fast(ours).save_pretrained(tmp_path / name)
        assert same(ours, tmp_path / name / "tokenizer.json")
    written = json.loads((tmp_path / "sp" / "tokenizer.json").read_text())
    for token in written["added_tokens"]:  # idefics2-8b has <image> at another number than Mistral's file gives it
        token["id"] += token["content"] in ("<image>", "<fake_token_around_image>")
    (tmp_path / "moved.json").write_text(json.dumps(written))
    assert not same(tokens.load(str(tmp_path / "tokenizer.json")), tmp_path / "moved.json")
    assert not same(tokens.load("bytes"), tmp_path / "sp" / "tokenizer.json")
    assert not same(tokens.load(train_tokenizer(tmp_path)), tmp_path / "sp" / "tokenizer.json")
