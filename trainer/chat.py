r"""Conversations as tokens: the turns, their template, and a loss on answers alone.

A sample of layout ``conversations`` has breaks between its turns (``shards.tokens.END_OF_TOPIC`` between two slots),
and its texts begin with the speaker: ``User: ...`` or ``Assistant: ...``. Images stand before the user's text. The
tokens are Idefics2's (the model card)::

    <s>User:<image>What is it?<end_of_utterance>\nAssistant: A mill.<end_of_utterance>\nUser: ...</s>

``User:`` has no blank after it before an image. Only the answers and their ``<end_of_utterance>`` are predicted.
Questions can be shuffled together with their answers (the paper, section 4.2: "shuffled turns"). Images of the first
question then stay at the start. The index does not count the template's tokens, so a row can be longer than its
sequence.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from shards.tokens import ASSISTANT, END_OF_TOPIC, USER, Tokenizer
from trainer.layout import IGNORED, DocumentTokens, Specials


@dataclass(frozen=True)
class Exchange:
    """One question with its images, and its answer."""

    images: tuple[int, ...]
    question: str
    answer: str


def conversation(parts: Sequence[str | int]) -> list[Exchange] | None:
    """The exchanges of a sample's parts; None if there are none. A turn without its partner is left out."""
    runs = groupby(parts, lambda part: part == END_OF_TOPIC)
    turns = [list(run) for is_break, run in runs if not is_break]
    out: list[Exchange] = []
    question: tuple[tuple[int, ...], str] | None = None
    for turn in turns:
        text = "\n\n".join(part for part in turn if isinstance(part, str))
        if text.startswith(USER):
            question = tuple(part for part in turn if isinstance(part, int)), text.removeprefix(USER).strip()
            continue
        if text.startswith(ASSISTANT) and question is not None:
            out.append(Exchange(*question, text.removeprefix(ASSISTANT).strip()))
        question = None
    return out or None


def shuffled(exchanges: Sequence[Exchange], rng: random.Random) -> list[Exchange]:
    """The exchanges in random order, the first one's images at the start; as they are if a later one has images."""
    if any(exchange.images for exchange in exchanges[1:]):
        return list(exchanges)
    order = list(exchanges)
    rng.shuffle(order)
    texts = [Exchange((), exchange.question, exchange.answer) for exchange in order]
    return [Exchange(exchanges[0].images, texts[0].question, texts[0].answer), *texts[1:]]


def lay_out_turns(
    exchanges: Sequence[Exchange], tokenizer: Tokenizer, specials: Specials, latents: int, views: int = 1
) -> DocumentTokens:
    """The tokens of a conversation. latents: tokens of an image. views: adjacent images shown for each image."""
    ids, predicted, images = [specials.bos], [False], list[int]()
    for number, exchange in enumerate(exchanges):
        shown = [view for image in exchange.images for view in range(image * views, (image + 1) * views)]
        pictures = [*[specials.image] * latents, specials.fake] * len(shown)
        prompt = [
            *(tokenizer.encode("\n") if number else []),
            *tokenizer.encode(USER if shown else f"{USER} "),
            *([specials.fake, *pictures] if shown else []),
            *tokenizer.encode(exchange.question),
            specials.end,
            *tokenizer.encode(f"\n{ASSISTANT} "),
        ]
        answer = [*tokenizer.encode(exchange.answer), specials.end]
        ids += [*prompt, *answer]
        predicted += [False] * len(prompt) + [True] * len(answer)
        images += shown
    tokens = np.asarray([*ids, specials.eos], dtype=np.int64)
    answers = np.asarray([*predicted, False], dtype=bool)
    return DocumentTokens(tokens, np.where(answers, tokens, IGNORED), answers, tuple(images))


def indexed_tokens(parts: Sequence[str | int], tokenizer: Tokenizer, latents: int, views: int = 1) -> int:
    """The tokens of a sample as the shards' index counts them, without the template. Rows are packed by this count."""
    return 2 + sum(len(tokenizer.encode(part)) if isinstance(part, str) else (latents + 2) * views for part in parts)
