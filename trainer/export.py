"""A trained model as others load it: beside its weights, a tokenizer and a processor of transformers' own.

So ``AutoProcessor`` and ``AutoModelForImageTextToText`` read a stage's ``model`` folder, and lmms-eval takes it for an
Idefics2::

    lmms-eval --model idefics2 --model_args pretrained=RUN/train/sft/model --tasks docvqa_val

Two things differ there from our own path, and none can be changed from here: transformers' processor puts a blank
between an image and text that touches it, and leaves out patches at the edges that an image covers in part, which we
fill up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors
from tokenizers import Tokenizer as Native
from transformers import Idefics2Processor, PreTrainedTokenizerFast
from transformers.models.idefics2.image_processing_pil_idefics2 import Idefics2ImageProcessorPil

from shards import tokens
from shards.mixture import Image
from shards.tokens import ASSISTANT, BOS, END_OF_TOPIC, END_OF_UTTERANCE, EOS, FAKE, IMAGE, PAD, SPECIALS

#: the turns of `trainer.chat` as a Jinja template; what the model is to say begins behind the blank
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
    """A tokenizer that transformers would number otherwise."""


def save_processor(folder: str | Path, tokenizer: tokens.Tokenizer, latents: int, image: Image) -> None:
    """Writes the processor beside a model's weights. latents: tokens an image takes. Raises ExportError."""
    size = {"height": image.longest, "width": image.longest}
    if image.mode == "native":
        size = {"longest_edge": image.longest, "shortest_edge": image.shortest}
    looks = Idefics2ImageProcessorPil(size=size, do_image_splitting=False)
    Idefics2Processor(looks, fast(tokenizer), image_seq_len=latents, chat_template=TEMPLATE).save_pretrained(folder)


def fast(tokenizer: tokens.Tokenizer) -> PreTrainedTokenizerFast:
    """The shards' tokenizer as transformers', with the same number for every token. Raises ExportError."""
    native: Any = _bytes() if tokenizer.name == "bytes" else Native.from_file(tokenizer.name)
    known = native.get_vocab(with_added_tokens=True)
    native.add_special_tokens(
        [AddedToken(name, special=True, normalized=False) for name in SPECIALS if name not in known]
    )
    for name, number in tokenizer.specials.items():
        if native.token_to_id(name) != number:
            raise ExportError(
                f"tokenizer {tokenizer.name}: {name} is {number} in the shards and {native.token_to_id(name)} in transformers"
            )
    native.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.specials[BOS])]
    )
    extra = [FAKE, IMAGE, END_OF_UTTERANCE, END_OF_TOPIC]
    return PreTrainedTokenizerFast(
        tokenizer_object=native, bos_token=BOS, eos_token=EOS, pad_token=PAD, additional_special_tokens=extra, padding_side="left",
        clean_up_tokenization_spaces=False,
    )  # fmt: skip


def _bytes() -> Native:
    """`shards.tokens.Bytes`: a BPE of the 256 bytes that merges nothing."""
    shown = pre_tokenizers.ByteLevel.alphabet()
    # bytes that stand for themselves; the others are named from 256 on, in order
    plain = [b for b in range(256) if chr(b) in shown]
    names = {b: chr(b) for b in plain} | {b: chr(256 + n) for n, b in enumerate(sorted(set(range(256)) - set(plain)))}
    native = Native(models.BPE(vocab={name: byte for byte, name in names.items()}, merges=[]))
    native.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    native.decoder = decoders.ByteLevel()
    return native
