"""One document as tokens: where images stand, and which tokens are predicted.

The layout is Idefics2's: ``<s>`` text ``<fake><image>*n<fake>`` text ``</s>``. Adjacent images share one ``<fake>``
(``<fake><image>*n<fake><image>*n<fake>``). The loss leaves out ``<image>`` and includes ``<fake>`` (Hugging Face's
training code ``vision/m4``; the paper does not say). Each text is encoded alone, as the shards' index counts it.

This module does not use `Idefics2Processor`, which inserts a blank after a closing ``<fake>``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shards.tokens import BOS, END_OF_TOPIC, END_OF_UTTERANCE, EOS, FAKE, IMAGE, PAD, SPECIALS, Tokenizer

#: label of a token that is not predicted: torch's ``ignore_index``
IGNORED = -100


class LayoutError(ValueError):
    """A document that cannot be laid out."""


@dataclass(frozen=True)
class Specials:
    image: int
    fake: int
    pad: int
    bos: int
    eos: int
    end: int  #: end of a turn
    topic: int  #: end of a topic: a break of a page
    #: tokens that a published decoder does not know; their rows of the embedding and the head are trained in each stage
    new: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Specials:
        number = tokenizer.specials
        untrained = {PAD} | ({BOS, EOS} - tokenizer.appended)
        return cls(
            image=number[IMAGE],
            fake=number[FAKE],
            pad=number[PAD],
            bos=number[BOS],
            eos=number[EOS],
            end=number[END_OF_UTTERANCE],
            topic=number[END_OF_TOPIC],
            new=tuple(number[name] for name in SPECIALS if name not in untrained),
        )


@dataclass(frozen=True)
class DocumentTokens:
    """A document as tokens.

    ids, labels: int64 [length]. ``labels[i]`` is ``ids[i]`` if token i is predicted from the tokens before it, else
    IGNORED. text: bool [length], the tokens of texts and ``</s>``; the evaluation averages over these. images: numbers
    of the images in order of appearance, one for each run of ``<image>``.
    """

    ids: np.ndarray
    labels: np.ndarray
    text: np.ndarray
    images: tuple[int, ...]


def lay_out(
    parts: Sequence[str | int], tokenizer: Tokenizer, specials: Specials, latents: int, longest: int | None = None
) -> DocumentTokens:
    """The tokens of a document. parts: texts and image numbers in reading order. latents: tokens of an image.

    longest: the document is cut to this many tokens. An image is never cut in two: the document ends before it. A
    document that is cut has no ``</s>``, because its text continues. Raises LayoutError if the first part does not fit.
    """
    ids, text, images = [specials.bos], [False], list[int]()
    previous: str | int | None = None
    cut = False
    for part in parts:
        if isinstance(part, str):
            encoded = tokenizer.encode(part)
            space = len(encoded) if longest is None else longest - len(ids)
            cut = space < len(encoded)
            ids += encoded[:space]
            text += [True] * min(space, len(encoded))
        else:
            first = [] if isinstance(previous, int) else [specials.fake]
            encoded = [*first, *[specials.image] * latents, specials.fake]
            cut = longest is not None and len(ids) + len(encoded) > longest
            if not cut:
                ids += encoded
                text += [False] * len(encoded)
                images.append(part)
        if cut:
            break
        previous = part
    if not cut and (longest is None or len(ids) < longest):
        ids.append(specials.eos)
        text.append(True)
    if len(ids) < 2:
        fault = f"an image of {latents} tokens does not fit a sequence of {longest}"
        raise LayoutError(f"{fault}: lengthen packing.sequence_length")
    tokens = np.asarray(ids, dtype=np.int64)
    labels = np.where(tokens == specials.image, IGNORED, tokens)
    labels[0] = IGNORED  # the document before it in a packed row must not predict it
    return DocumentTokens(tokens, labels, np.asarray(text, dtype=bool), tuple(images))
