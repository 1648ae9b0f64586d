"""Plain transformers loads the model of a stage, gives the same tokens, and generates the learnt caption."""

import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer as Native
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForImageTextToText, AutoProcessor

from shards import mixture, tokens
from shards.tokens import END_OF_UTTERANCE, SPECIALS
from tests.trainer import small
from tests.trainer.fakes import Sample
from tests.trainer.pictures import picture
from trainer.chat import Exchange, lay_out_turns
from trainer.export import ExportError, fast, save_processor
from trainer.layout import Specials
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


def test_the_chat_template_gives_the_tokens_of_the_turns(tmp_path):
    save_processor(tmp_path, small.TOKENIZER, small.LATENTS, mixture.Image("native", 56, 28))
    processor = AutoProcessor.from_pretrained(tmp_path)
    ask = lambda *content: {"role": "user", "content": list(content)}
    text = lambda words: {"type": "text", "text": words}
    turns = [
        ask({"type": "image"}, text("What is it?")),
        {"role": "assistant", "content": [text("A mill.")]},
        ask(text("Where?")),
    ]
    prompt = processor.apply_chat_template(turns, add_generation_prompt=True)
    data = Image.open(io.BytesIO(picture(1)[0]))
    ids = processor(text=prompt, images=[data], return_tensors="pt").input_ids[0].tolist()
    document = lay_out_turns(
        [Exchange((0,), "What is it?", "A mill."), Exchange((), "Where?", "x")],
        small.TOKENIZER,
        small.SPECIALS,
        small.LATENTS,
    )
    ours = document.ids.tolist()[:-3]  # without the last answer and the ends
    blank = len(small.TOKENIZER.encode("User:")) + 1 + small.LATENTS + 2
    # transformers inserts a blank at this position
    assert ids[:blank] == ours[:blank] and ids[blank] == ord(" ") and ids[blank + 1 :] == ours[blank:]
    assert processor.apply_chat_template([{"role": "user", "content": "Hi"}]) == f"User: Hi{END_OF_UTTERANCE}\n"


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
