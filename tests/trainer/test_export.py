"""Plain transformers loads the model of a stage, gives the same tokens, and generates the learnt caption."""

import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer as Native
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoModelForImageTextToText, AutoProcessor

from shards import mixture, tokens
from shards.image import size_for
from shards.tokens import END_OF_TOPIC, END_OF_UTTERANCE, SPECIALS
from shards.turns import Exchange, conversation, count
from tests.trainer import small
from tests.trainer.fakes import Sample
from tests.trainer.pictures import picture
from trainer.chat import lay_out_turns
from trainer.export import ExportError, fast, save_processor
from trainer.layout import IGNORED, Specials
from trainer.model import save


def train_tokenizer(folder: Path) -> str:
    native = Native(models.BPE())
    native.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    native.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["</s>", "<s>"], initial_alphabet=alphabet, show_progress=False
    )
    native.train_from_iterator(["how many mills stand by the river"] * 9, trainer)
    native.save(str(folder / "tokenizer.json"))
    return str(folder / "tokenizer.json")


TEXTS = ["How many?", "der Kürbis, naïve\n\n  twice  blank", "日本語 \U0001f3a8", "<s>", "a" * 70, ""]


@pytest.mark.parametrize("name", ["bytes", "a file"])
def test_every_token_has_the_same_number_as_in_the_shards(name, tmp_path):
    ours = tokens.load(train_tokenizer(tmp_path) if name == "a file" else name)
    theirs = fast(ours)
    for text in TEXTS:
        if text not in SPECIALS:
            assert theirs(text, add_special_tokens=False).input_ids == ours.encode(text), text
        assert theirs.decode(ours.encode(text)) == ours.decode(ours.encode(text))
    assert (
        theirs.convert_tokens_to_ids(list(SPECIALS)) == [ours.specials[n] for n in SPECIALS]
        and len(theirs) == ours.vocab_size
    )
    assert theirs("a").input_ids[0] == ours.specials["<s>"] and (theirs.pad_token, theirs.eos_token) == (
        "<pad>",
        "</s>",
    )


def test_a_tokenizer_with_other_numbers_in_transformers_is_refused():
    class Shifted(tokens.Bytes):
        def __init__(self):
            super().__init__()
            self.specials = {name: number + 1 for name, number in self.specials.items()}

    with pytest.raises(ExportError, match="tokenizer bytes: <pad> is 257 in the shards and 256 in transformers"):
        fast(Shifted())


def sentencepiece(folder: Path, kind: str) -> str:
    """A BPE of SentencePiece's kind: `prepend` as Mistral-7B-v0.1's file has it, else a scheme of Metaspace."""
    native = Native(models.BPE(unk_token="<unk>", byte_fallback=True))
    if kind == "prepend":
        native.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        native.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=kind)
    native.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    alphabet = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    words = "User: What is it? Where?\nAssistant: A mill. By the river."
    native.train_from_iterator([words, *words.split()] * 9, trainer)
    model = json.loads(native.to_str())
    for name in alphabet:
        model["model"]["vocab"].setdefault(name, len(model["model"]["vocab"]))
    (folder / "tokenizer.json").write_text(json.dumps(model))
    return str(folder / "tokenizer.json")


@pytest.mark.parametrize("name", ["bytes", "byte-level", "prepend", "first", "always"])
def test_the_chat_template_gives_the_tokens_of_training(name, tmp_path):
    make = {"bytes": lambda folder: "bytes", "byte-level": train_tokenizer}.get(name, lambda f: sentencepiece(f, name))
    tokenizer = tokens.load(make(tmp_path))
    specials = Specials.of(tokenizer)
    save_processor(tmp_path / "model", tokenizer, small.LATENTS, mixture.Image("native", 56, 28))
    processor = AutoProcessor.from_pretrained(tmp_path / "model")
    text = lambda words: {"type": "text", "text": words}
    turns = [
        {"role": "user", "content": [{"type": "image"}, text("What is it?")]},
        {"role": "assistant", "content": [text("A mill.")]},
        {"role": "user", "content": " Where? "},
        {"role": "assistant", "content": "By the\n\nriver."},
    ]
    data = [Image.open(io.BytesIO(picture(1)[0]))]

    def exported(turns: list, asks: bool) -> list[int]:
        prompt = processor.apply_chat_template(turns, add_generation_prompt=asks)
        return processor(text=prompt, images=data, return_tensors="pt").input_ids[0].tolist()

    exchanges = [Exchange((0,), "What is it?", "A mill."), Exchange((), "Where?", "By the\n\nriver.")]
    trained = lay_out_turns(exchanges, tokenizer, specials, small.LATENTS)
    assert exported(turns, False) == trained.ids.tolist()[:-1]  # without </s>
    asked = lay_out_turns([exchanges[0], Exchange((), "Where?", None)], tokenizer, specials, small.LATENTS).ids.tolist()
    assert exported(turns[:3], True) == asked == trained.ids.tolist()[: len(asked)]
    answer = trained.labels[len(asked) :]
    assert (answer[:-1] != IGNORED).all() and trained.labels[len(asked) - 1] == IGNORED  # all of it is predicted
    assert processor.decode(answer[:-2]).strip() == "By the\n\nriver."


@pytest.mark.parametrize("name", ["prepend", "first", "byte-level"])
def test_a_row_of_conversations_has_space_for_its_template_under_every_tokenizer(name, tmp_path):
    tokenizer = tokens.load(train_tokenizer(tmp_path) if name == "byte-level" else sentencepiece(tmp_path, name))
    slots = ["User: What is it?", END_OF_TOPIC, "Assistant: A mill.", END_OF_TOPIC, "User: Where?", END_OF_TOPIC]
    n_indexed = count([*slots, "Assistant: By the river."], True, tokenizer) + 2 + small.LATENTS + 2
    for order in itertools.permutations(conversation([0, *slots, "Assistant: By the river."])):
        images = [Exchange((0,) if not n else (), e.question, e.answer) for n, e in enumerate(order)]
        laid_out = lay_out_turns(images, tokenizer, Specials.of(tokenizer), small.LATENTS)
        assert n_indexed - 6 <= len(laid_out.ids) <= n_indexed


SIDES = [378, 735, 1200, 1999]


def grid(pixels: dict[str, torch.Tensor]) -> tuple[int, int]:
    """The patches, by rows and columns, that Idefics2 in transformers makes of one image."""
    mask = pixels["pixel_attention_mask"][0, 0].bool()
    return int(mask[:, 0].sum()) // 14, int(mask[0].sum()) // 14


def ours(width: int, height: int) -> tuple[int, int]:
    columns, rows = (side // 14 for side in size_for(width, height, "native", 980, 378, 14))
    return rows, columns


def processors_of(folder: Path, monkeypatch) -> list:
    """Of an exported model, without and with the code in its folder."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(folder / "modules"))
    save_processor(folder, small.TOKENIZER, small.LATENTS, mixture.Image("native", 980, 378))
    return [AutoProcessor.from_pretrained(folder, trust_remote_code=trust).image_processor for trust in (False, True)]


def test_images_have_the_patches_of_training(tmp_path, monkeypatch):
    """The processor of transformers on images that it does not distort, and ours on every image."""
    plain, own = processors_of(tmp_path, monkeypatch)
    assert type(plain).__name__.startswith("Idefics2ImageProcessor")
    small_sides = [1, 100, 300]
    for width, height in itertools.product([*small_sides, *SIDES], repeat=2):
        image = Image.fromarray(np.full((height, width, 3), 200, np.uint8))
        asked = ours(width, height)
        scaled = size_for(width, height, "native", 980, 378)
        if min(scaled) >= 378 and min(width, height) >= 378:
            given = grid(plain(image, return_tensors="pt"))
            # a side that transformers rounds down and we round may differ by a pixel, hence by a patch
            assert all(abs(a - b) <= 1 for a, b in zip(given, asked, strict=True)), (width, height)
        pixels = own(image, return_tensors="pt")
        assert grid(pixels) == asked and pixels["pixel_values"].shape[-2:] == tuple(14 * n for n in asked)


@pytest.mark.parametrize(("width", "height"), [(200, 100), (300, 200), (1200, 300)])
def test_transformers_alone_makes_small_images_square_and_the_code_in_the_folder_does_not(
    width, height, tmp_path, monkeypatch
):
    plain, own = processors_of(tmp_path, monkeypatch)
    image = Image.fromarray(np.full((height, width, 3), 200, np.uint8))
    rows, columns = grid(plain(image, return_tensors="pt"))
    assert columns / rows < 0.8 * width / height  # documented in trainer/export.py
    rows, columns = grid(own(image, return_tensors="pt"))
    assert columns / rows == pytest.approx(width / height, rel=0.06)


def test_a_square_of_stage_one_is_exported_at_its_own_size(tmp_path):
    save_processor(tmp_path, small.TOKENIZER, small.LATENTS, mixture.Image("square", 384, 378))
    processor = AutoProcessor.from_pretrained(tmp_path).image_processor
    image = Image.fromarray(np.full((100, 200, 3), 200, np.uint8))
    assert processor(image, return_tensors="pt")["pixel_values"].shape[-2:] == (378, 378)


def test_a_fine_tuned_model_stops_at_the_end_of_its_answer_under_plain_generate(tmp_path):
    model, data = small.model(), picture(1)[0]
    specials = Specials.of(small.TOKENIZER)
    slots = [0, "User: What?", END_OF_TOPIC, "Assistant: A mill.", END_OF_TOPIC, "User: And?", END_OF_TOPIC]
    sample = Sample("c", "conversations", [*slots, "Assistant: A mill."], [data])
    batch = small.collator()([[sample]], "square", 56, 56)
    small.learn(model, batch, 60)
    save(model.eval(), tmp_path, [specials.eos, specials.end])
    save_processor(tmp_path, small.TOKENIZER, small.LATENTS, mixture.Image("square", 56, 56))
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
    processor = AutoProcessor.from_pretrained(tmp_path)
    question = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}
    prompt = processor.apply_chat_template([question], add_generation_prompt=True)
    inputs = processor(text=prompt, images=[Image.open(io.BytesIO(data)).convert("RGB")], return_tensors="pt")
    with torch.no_grad():
        out = loaded.generate(**inputs, max_new_tokens=40, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert processor.decode(out) == f" A mill.{END_OF_UTTERANCE}"


def test_plain_transformers_generates_the_caption_that_the_model_learnt(tmp_path):
    model = small.model()
    data, caption = picture(1)
    batch = small.collator()([[Sample("s", "pairs", [0, caption], [data])]], "square", 56, 56)
    small.learn(model, batch, 80)
    save(model.eval(), tmp_path)
    save_processor(tmp_path, small.TOKENIZER, small.LATENTS, mixture.Image("square", 56, 56))
    loaded, processor = (
        AutoModelForImageTextToText.from_pretrained(tmp_path).eval(),
        AutoProcessor.from_pretrained(tmp_path),
    )
    inputs = processor(text="<image>", images=[Image.open(io.BytesIO(data)).convert("RGB")], return_tensors="pt")
    assert inputs["pixel_values"].shape == (1, 1, 3, 56, 56)
    with torch.no_grad():
        out = loaded.generate(**inputs, max_new_tokens=len(caption) + 4, do_sample=False)
    assert processor.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True) == caption
    assert out[0, -1] == Specials.of(small.TOKENIZER).eos
