"""The tokenizer and the processor of transformers beside a trained model's weights.

With them, ``AutoProcessor`` and ``AutoModelForImageTextToText`` load a stage's ``model`` folder, which lmms-eval
accepts::

    lmms-eval --model idefics2 --model_args pretrained=RUN/train/sft/model --tasks docvqa_val

transformers' processor differs from this trainer in two things: it inserts a blank between an image and the text next
to it, and it drops patches at the edges that an image covers only in part; the trainer extends the image to full
patches.
"""

from pathlib import Path
from typing import Any

from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors
from tokenizers import Tokenizer as Native
from transformers import Idefics2Processor, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode
from transformers.models.idefics2.image_processing_pil_idefics2 import Idefics2ImageProcessorPil

from shards import tokens
from shards.mixture import Image
from shards.tokens import ASSISTANT, BOS, END_OF_TOPIC, END_OF_UTTERANCE, EOS, FAKE, IMAGE, PAD, SPECIALS

#: the turns of `trainer.chat` as a Jinja template; the model's answer starts after the last blank
TEMPLATE = (
    "{% for message in messages %}{{ message['role'].capitalize() }}:"
    "{% if message['content'] is string %} {{ message['content'] }}{% else %}"
    "{% if message['content'][0]['type'] != 'image' %} {% endif %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    + IMAGE
    + "{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% endif %}" + END_OF_UTTERANCE + "\n{% endfor %}{% if add_generation_prompt %}" + ASSISTANT + " {% endif %}"
)


class ExportError(ValueError):
    """A tokenizer whose tokens would have other numbers in transformers."""


def save_processor(folder: str | Path, tokenizer: tokens.Tokenizer, latents: int, image: Image) -> None:
    """Writes the processor to a model's folder. latents: tokens of an image. Raises ExportError."""
    size = {"height": image.longest, "width": image.longest}
    if image.mode == "native":
        size = {"longest_edge": image.longest, "shortest_edge": image.shortest}
    images = Idefics2ImageProcessorPil(size=size, do_image_splitting=False)
    Idefics2Processor(images, fast(tokenizer), image_seq_len=latents, chat_template=TEMPLATE).save_pretrained(folder)


def fast(tokenizer: tokens.Tokenizer) -> PreTrainedTokenizerFast:
    """The shards' tokenizer as one of transformers, with the same number for every token. Raises ExportError."""
    native: Any = _bytes() if tokenizer.name == "bytes" else Native.from_file(tokenizer.name)
    vocabulary = native.get_vocab(with_added_tokens=True)
    missing = [AddedToken(name, special=True, normalized=False) for name in SPECIALS if name not in vocabulary]
    native.add_special_tokens(missing)
    for name, number in tokenizer.specials.items():
        if (there := native.token_to_id(name)) != number:
            numbers = f"{number} in the shards and {there} in transformers"
            raise ExportError(f"tokenizer {tokenizer.name}: {name} is {numbers}")
    start = [(BOS, tokenizer.specials[BOS])]
    native.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=start)
    extra = [FAKE, IMAGE, END_OF_UTTERANCE, END_OF_TOPIC]
    return PreTrainedTokenizerFast(
        tokenizer_object=native, bos_token=BOS, eos_token=EOS, pad_token=PAD, additional_special_tokens=extra,
        padding_side="left", clean_up_tokenization_spaces=False,
    )  # fmt: skip


def _bytes() -> Native:
    """`shards.tokens.Bytes` as a BPE of the 256 bytes without merges."""
    names = bytes_to_unicode()  # printable bytes stand for themselves; the others are the characters from 256 on
    native = Native(models.BPE(vocab={name: byte for byte, name in names.items()}, merges=[]))
    native.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    native.decoder = decoders.ByteLevel()
    return native
