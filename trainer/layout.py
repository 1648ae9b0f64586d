"""One document as tokens: where images stand, what is predicted, what is not.

Idefics2's layout: ``<s>`` text ``<fake><image>*n<fake>`` text ``</s>``, where adjacent images share one ``<fake>``
(``<fake><image>*n<fake><image>*n<fake>``). Only ``<image>`` is left out of the loss, ``<fake>`` is predicted (Hugging
Face's
``vision/m4`` training code; the paper does not say). Each text is encoded alone, as the shards' index counts it.

We lay the tokens out ourselves rather than call ``Idefics2Processor``, which inserts a blank after a closing
``<fake>``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shards.tokens import BOS, END_OF_UTTERANCE, EOS, FAKE, IMAGE, PAD, Tokenizer

#: label of a token that is not predicted, torch's ``ignore_index``
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
    end: int  #: of a turn

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Specials:
        return cls(*(tokenizer.specials[name] for name in (IMAGE, FAKE, PAD, BOS, EOS, END_OF_UTTERANCE)))

    @property
    def new(self) -> tuple[int, ...]:
        """Those a published decoder has not seen, whose rows are trained whatever else is."""
        return self.image, self.fake, self.end


@dataclass(frozen=True)
class Laid:
    """A document as tokens.

    ids, labels: int64 [length]; ``labels[i]`` is ``ids[i]`` where token i is predicted (from the tokens before it) and
    IGNORED elsewhere.
    text: bool [length], tokens of texts and ``</s>`` (the evaluation averages over these alone).
    images: image numbers in order of appearance, one for each run of ``<image>``.
    """

    ids: np.ndarray
    labels: np.ndarray
    text: np.ndarray
    images: tuple[int, ...]


def lay_out(
    parts: Sequence[str | int], tokenizer: Tokenizer, specials: Specials, latents: int, longest: int | None = None
) -> Laid:
    """Tokens of a document given as texts and image numbers in reading order.

    latents: tokens an image takes. longest: cut the document to this many tokens; an image is never cut in two (the
    document then ends before it, its ``</s>`` dropped: the text goes on where we do not see it). Raises LayoutError
    where not even the first part fits.
    """
    ids: list[int] = [specials.bos]
    text: list[bool] = [False]
    images: list[int] = []
    before: str | int | None = None
    cut = False
    for part in parts:
        if isinstance(part, str):
            piece = tokenizer.encode(part)
            room = len(piece) if longest is None else longest - len(ids)
            cut = room < len(piece)
            ids += piece[:room]
            text += [True] * min(room, len(piece))
        else:
            shared = isinstance(before, int)
            piece = [specials.image] * latents + [specials.fake]
            piece = piece if shared else [specials.fake, *piece]
            cut = longest is not None and len(ids) + len(piece) > longest
            if not cut:
                ids += piece
                text += [False] * len(piece)
                images.append(part)
        if cut:
            break
        before = part
    if not cut and (longest is None or len(ids) < longest):
        ids.append(specials.eos)
        text.append(True)
    if len(ids) < 2:
        raise LayoutError(
            f"an image of {latents} tokens does not fit a sequence of {longest}: lengthen packing.sequence_length"
        )
    tokens = np.asarray(ids, dtype=np.int64)
    labels = np.where(tokens == specials.image, IGNORED, tokens)
    # nothing stands before the first token of a document: its neighbour in a packed row must not predict it
    labels[0] = IGNORED
    return Laid(tokens, labels, np.asarray(text, dtype=bool), tuple(images))
