"""The tokenizer and the processor of transformers beside a trained model's weights.

With them, ``AutoProcessor`` and ``AutoModelForImageTextToText`` load a stage's ``model`` folder, which lmms-eval
accepts::

    lmms-eval --model idefics2 --model_args pretrained=RUN/train/sft/model --tasks docvqa_val

The tokens of a conversation are those of training. transformers' processor differs from training in three things:

* It inserts a blank between an image and the text after it. Pages and pairs are trained without this blank,
  conversations with it.
* It drops the pixels beyond an image's last full patch. Training scales the image to full patches, at most 13 pixels
  less, so the grid of patches is the same.
* It scales each side that is below the minimum alone, so it makes a small image square. ``native_size.py`` in the
  model's folder scales as training does; ``AutoProcessor.from_pretrained(folder, trust_remote_code=True)`` takes it.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors
from tokenizers import Tokenizer as Native
from transformers import Idefics2Processor, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode
from transformers.models.idefics2.image_processing_pil_idefics2 import Idefics2ImageProcessorPil

from shards import tokens
from shards.image import size_for
from shards.mixture import Image
from shards.tokens import BOS, END_OF_TOPIC, END_OF_UTTERANCE, EOS, FAKE, IMAGE, PAD, SPECIALS
from shards.turns import ANSWER
from trainer.native_size import NativeSizeImageProcessor

#: the turns of ``shards.turns`` as a Jinja template
TEMPLATE = (
    "{% for message in messages %}{{ '' if loop.first else '\\n' }}{{ message['role'].capitalize() }}:"
    "{% if message['content'] is string %} {{ message['content'] | trim }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    + IMAGE
    + "{% else %} {{ part['text'] | trim }}{% endif %}{% endfor %}{% endif %}"
    + END_OF_UTTERANCE
    + "{% endfor %}{{ "
    + repr(ANSWER)
    + " if add_generation_prompt else '' }}"
)


NativeSizeImageProcessor.register_for_auto_class("AutoImageProcessor")


class ExportError(ValueError):
    """A tokenizer whose tokens would have other numbers in transformers."""


def save_processor(
    folder: str | Path, tokenizer: tokens.Tokenizer, latents: int, image: Image, patch: int = 14
) -> None:
    """Writes the processor to a model's folder. latents: tokens of an image. patch: pixels. Raises ExportError.

    For images in their own aspect ratio the folder also gets ``native_size.py``, see there.
    """
    longest, _ = size_for(1, 1, "square", image.longest, image.shortest, patch)
    images = Idefics2ImageProcessorPil(size={"height": longest, "width": longest}, do_image_splitting=False)
    if image.mode == "native":
        size = {"longest_edge": longest, "shortest_edge": image.shortest}
        images = NativeSizeImageProcessor(size=size, do_image_splitting=False, patch_size=patch)
    Idefics2Processor(images, fast(tokenizer), image_seq_len=latents, chat_template=TEMPLATE).save_pretrained(folder)
    file = Path(folder) / "processor_config.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    # the class of transformers, which is taken where code of a model's folder is not trusted
    settings["image_processor"]["image_processor_type"] = Idefics2ImageProcessorPil.__name__.removesuffix("Pil")
    file.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def fast(tokenizer: tokens.Tokenizer) -> PreTrainedTokenizerFast:
    """The shards' tokenizer as one of transformers, with the same number for every token. Raises ExportError."""
    native = encoder(tokenizer)
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


def encoder(tokenizer: tokens.Tokenizer) -> Any:
    """The shards' tokenizer of the library tokenizers, which encodes each text between special tokens as we do: alone.

    SentencePiece's newer form puts its mark before the first such text of a string only (Metaspace, `first`). Training
    encodes each text alone, with the mark, so here the mark stands before each of them.
    """
    if tokenizer.name == "bytes":
        return _bytes()
    definition = json.loads(Native.from_file(tokenizer.name).to_str())
    before = definition["pre_tokenizer"] or {}
    for step in before.get("pretokenizers", [before]):
        if step.get("prepend_scheme") == "first":
            step["prepend_scheme"] = "always"
    return Native.from_str(json.dumps(definition))


def _bytes() -> Native:
    """`shards.tokens.Bytes` as a BPE of the 256 bytes without merges."""
    names = bytes_to_unicode()  # printable bytes stand for themselves; the others are the characters from 256 on
    native = Native(models.BPE(vocab={name: byte for byte, name in names.items()}, merges=[]))
    native.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    native.decoder = decoders.ByteLevel()
    return native
