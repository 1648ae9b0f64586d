"""Conversations as tokens: turns, their template, and a loss on answers alone.

In the shards (`conversations`) breaks part the turns (``shards.tokens.END_OF_TOPIC`` between two slots) and texts say
who speaks:
``User: ...`` or ``Assistant: ...``, images standing before the user's text. The tokens here are Idefics2's::

    <s>User:<image>What is it?<end_of_utterance>\\nAssistant: A mill.<end_of_utterance>\\nUser: ...</s>

(the model card; the blank behind ``User:`` is left out before an image). Only answers are predicted, their
``<end_of_utterance>`` with them. Questions may be put in another order, which each with its answer keeps (the paper,
section 4.2: "shuffled turns"): the first images then move with the conversation, not with the turn, and stay in front.
A row may be longer than its sequence by what the template brings on top of what the index counted.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shards.tokens import ASSISTANT, END_OF_TOPIC, USER, Tokenizer
from trainer.layout import IGNORED, Laid, Specials

#: the shards' configuration whose samples are turns
CONFIG = "conversations"

Part = str | int


@dataclass(frozen=True)
class Exchange:
    """One question with its images, and its answer."""

    images: tuple[int, ...]
    question: str
    answer: str


def conversation(parts: Sequence[Part]) -> list[Exchange] | None:
    """The exchanges of a sample's parts; None where they are no conversation. A turn whose partner is missing is left
    out.
    """
    turns: list[list[Part]] = [[]]
    for part in parts:
        if part == END_OF_TOPIC:
            turns.append([])
        else:
            turns[-1].append(part)
    out: list[Exchange] = []
    asked: tuple[tuple[int, ...], str] | None = None
    for turn in turns:
        said = "\n\n".join(part for part in turn if isinstance(part, str))
        if said.startswith(USER):
            asked = tuple(part for part in turn if isinstance(part, int)), said.removeprefix(USER).strip()
        elif said.startswith(ASSISTANT) and asked is not None:
            out.append(Exchange(*asked, said.removeprefix(ASSISTANT).strip()))
            asked = None
        else:
            asked = None  # the end of an answer whose beginning was cut off, or no turn at all
    return out or None


def shuffled(exchanges: Sequence[Exchange], rng: random.Random) -> list[Exchange]:
    """In another order, all images before the first question where only the first had any; where later ones have, as
    they were.
    """
    if any(exchange.images for exchange in exchanges[1:]):
        return list(exchanges)
    order = list(exchanges)
    rng.shuffle(order)
    texts = [Exchange((), exchange.question, exchange.answer) for exchange in order]
    return [Exchange(exchanges[0].images, texts[0].question, texts[0].answer), *texts[1:]]


def lay_out_turns(
    exchanges: Sequence[Exchange], tokenizer: Tokenizer, specials: Specials, latents: int, views: int = 1
) -> Laid:
    """The conversation as tokens. views: adjacent images that an image is shown as."""
    ids, answers, images = [specials.bos], [False], list[int]()
    for number, exchange in enumerate(exchanges):
        shown = [view for image in exchange.images for view in range(image * views, (image + 1) * views)]
        pictures = (
            [specials.fake, *(token for _ in shown for token in [*[specials.image] * latents, specials.fake])]
            if shown
            else []
        )
        head = tokenizer.encode(USER if shown else f"{USER} ")
        gap = tokenizer.encode("\n") if number else []
        asked = [
            *gap,
            *head,
            *pictures,
            *tokenizer.encode(exchange.question),
            specials.end,
            *tokenizer.encode(f"\n{ASSISTANT} "),
        ]
        answer = [*tokenizer.encode(exchange.answer), specials.end]
        ids += [*asked, *answer]
        answers += [False] * len(asked) + [True] * len(answer)
        images += shown
    ids, answers = [*ids, specials.eos], [*answers, False]
    tokens, answered = np.asarray(ids, dtype=np.int64), np.asarray(answers, dtype=bool)
    return Laid(tokens, np.where(answered, tokens, IGNORED), answered, tuple(images))


def counted(parts: Sequence[Part], tokenizer: Tokenizer, latents: int, views: int = 1) -> int:
    """Tokens of the same as the shards' index counts them, by which rows are packed; the template brings some more."""
    return 2 + sum(len(tokenizer.encode(part)) if isinstance(part, str) else (latents + 2) * views for part in parts)
